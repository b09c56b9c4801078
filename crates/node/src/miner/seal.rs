//! Making one block, from the pool to the disk.

use super::{
    MinerError,
    announce::{Announcement, Announcer},
};
use crate::{
    build::{
        Anchor, Assembled, BlockPlan, Effect, Machine, SealKind, Suspension, SuspensionVerdict, Transcripts, Unfit,
        assemble,
    },
    execute::{FinishedBlock, blob_base_fee},
    pool::{Best, PooledEntry},
    service::{ChainEvent, Head, Shared},
    types::Header,
};
use alloy::consensus::{Sealed, Transaction as _};
use alloy_primitives::{
    Address, B256, keccak256,
    map::{HashMap, HashSet},
};
use cryptlet_attestation::RecoveredRecord;
use cryptlet_primitives::DevEdits;
use std::{sync::Arc, time::Duration};

/// What came of trying to make a block.
pub(super) struct SealReport {
    /// The block, if one was made.
    pub(super) block: Option<SealedBlock>,
    /// Transactions that left the pool without being included.
    pub(super) gone: Vec<B256>,
    /// What the machine wants done for the transactions that were parked meanwhile.
    pub(super) effects: Vec<Effect>,
}

pub(super) struct SealedBlock {
    pub(super) number: u64,
    pub(super) hash: B256,
    pub(super) included: Vec<B256>,
}

/// Senders whose first transactions a block of one transaction looks at, before it looks at the whole pool.
const SENDERS_SEEN: usize = 16;

/// Makes the next block if there is something to put in (or an empty one is wanted), and makes it the head.
pub(super) fn seal(
    shared: &Arc<Shared>,
    machine: &mut Machine,
    announcer: &mut Announcer,
    kind: SealKind,
) -> Result<SealReport, MinerError> {
    let parent = shared.tip.head()?;
    let pending = shared.tip.pending_edits();
    let header = shared.header_after(&parent, pending.as_deref());
    let (base_fee, blob_base_fee) = (header.base_fee_per_gas.unwrap_or_default(), blob_base_fee(&shared.spec, &header));
    let edits = pending.map(|pending| pending.edits.clone()).unwrap_or_default();
    let mut sealing = Sealing::begin(shared, machine, kind, Planned { parent, header, edits });
    let mut block = None;
    if kind == SealKind::One {
        let few = shared.pool.best_few(base_fee, blob_base_fee, SENDERS_SEEN);
        let saw_all = few.senders() < SENDERS_SEEN;
        block = sealing.build(few)?;
        if block.is_none() && saw_all {
            return sealing.finish(announcer, None);
        }
    }
    if block.is_none() {
        block = sealing.build(shared.pool.best(base_fee, blob_base_fee))?;
    }
    sealing.finish(announcer, block)
}

/// Makes the next block of these transactions, as far as they can run, and makes it the head. It differs from any block
/// that was made on the same parent before.
pub(super) fn seal_exactly(
    shared: &Arc<Shared>,
    machine: &mut Machine,
    announcer: &mut Announcer,
    transactions: Vec<PooledEntry>,
    another: B256,
) -> Result<SealReport, MinerError> {
    let parent = shared.tip.head()?;
    let mut header = shared.header_after(&parent, None);
    let seed = [b"cryptlet/reorg/v1".as_slice(), another.as_slice()].concat();
    header.mix_hash = keccak256(seed);
    let planned = Planned { parent, header, edits: DevEdits::default() };
    let mut sealing = Sealing::begin(shared, machine, SealKind::All, planned);
    let block = sealing.build(Best::in_order(transactions))?;
    sealing.finish(announcer, block)
}

struct Planned {
    parent: Sealed<Header>,
    header: Header,
    edits: DevEdits,
}

/// A block that is being made.
struct Sealing<'a> {
    shared: &'a Arc<Shared>,
    kind: SealKind,
    planned: Planned,
    transcripts: MachineTranscripts<'a>,
    gone: Vec<B256>,
    started_us: u64,
}

impl<'a> Sealing<'a> {
    fn begin(shared: &'a Arc<Shared>, machine: &'a mut Machine, kind: SealKind, planned: Planned) -> Self {
        let anchor = Anchor { number: planned.parent.number, hash: planned.parent.hash() };
        let transcripts = MachineTranscripts { shared, machine, anchor, effects: Vec::new() };
        let started_us = shared.clock.monotonic_us();
        Self { shared, kind, planned, transcripts, gone: Vec::new(), started_us }
    }

    /// Builds the block out of these, if it may be empty or any of them can run.
    fn build(&mut self, candidates: Best) -> Result<Option<FinishedBlock>, MinerError> {
        let limits = &self.shared.config.miner;
        let plan = BlockPlan {
            spec: &self.shared.spec,
            parent: &self.planned.parent,
            chain: &self.shared.tip,
            header: self.planned.header.clone(),
            edits: self.planned.edits.clone(),
            withdrawals: &[],
            transactions_max: if self.kind == SealKind::One { 1 } else { limits.transactions_per_block_max },
            transaction_bytes_max: limits.transaction_bytes_per_block_max,
            allow_empty: self.kind == SealKind::All,
        };
        let Assembled { block, unfit } = assemble(plan, candidates, &mut self.transcripts)?;
        self.gone.extend(drop_unfit(self.shared, unfit));
        Ok(block)
    }

    fn finish(self, announcer: &mut Announcer, block: Option<FinishedBlock>) -> Result<SealReport, MinerError> {
        let Self { shared, transcripts, mut gone, started_us, .. } = self;
        let publish = |finished| publish(shared, announcer, finished, started_us, &mut gone);
        let block = block.map(publish).transpose()?;
        Ok(SealReport { block, gone, effects: transcripts.effects })
    }
}
fn drop_unfit(shared: &Shared, unfit: Vec<Unfit>) -> Vec<B256> {
    let mut gone = Vec::new();
    for Unfit { transaction, reason } in unfit {
        tracing::warn!(%transaction, reason, "the transaction can no longer be executed; it leaves the pool");
        shared.pool.remove(transaction);
        shared.tell(ChainEvent::Dropped { transaction, reason });
        gone.push(transaction);
    }
    gone
}

/// Writes the block, takes its transactions out of the pool, and has it announced. Once it is written it is the block
/// that the next one follows, whatever happens then.
fn publish(
    shared: &Shared,
    announcer: &mut Announcer,
    finished: FinishedBlock,
    started_us: u64,
    gone: &mut Vec<B256>,
) -> Result<SealedBlock, MinerError> {
    let executed_us = shared.clock.monotonic_us();
    let head = finished.append(&shared.tip)?;
    let stored_us = shared.clock.monotonic_us();
    shared.time.block_made(head.timestamp);
    let executed = Arc::new(finished.executed);
    let took = |from_us: u64, to_us: u64| Duration::from_micros(to_us.saturating_sub(from_us));
    shared.metrics.block_made(&executed, took(started_us, executed_us), took(executed_us, stored_us));
    let included: Vec<B256> = executed.block.body.transactions.iter().map(|tx| *tx.tx_hash()).collect();
    // What stays in the pool by an error here is found out when it is tried again; the block stands.
    let nonces = touched_nonces(shared, &executed).unwrap_or_else(|error| {
        tracing::error!(%error, "the nonces behind the block cannot be read");
        HashMap::default()
    });
    let left = shared.pool.on_block(head.number, &nonces);
    let hashes: HashSet<&B256> = included.iter().collect();
    for entry in &left {
        if hashes.contains(&entry.hash()) {
            shared.blobs.keep(entry);
            continue;
        }
        let (transaction, reason) = (entry.hash(), "another transaction took its nonce".to_owned());
        shared.tell(ChainEvent::Dropped { transaction, reason });
        gone.push(transaction);
    }
    let sealed = SealedBlock { number: head.number, hash: head.hash(), included };
    let announcement = Announcement { head: head_of(&head), executed, took: took(started_us, stored_us) };
    if let Err(error) = announcer.announce(announcement) {
        tracing::error!(%error, number = sealed.number, "the block is written and cannot be told of yet");
    }
    Ok(sealed)
}

/// The nonces after the block of every account whose nonce it may have moved: senders, and signers of EIP-7702
/// authorizations.
fn touched_nonces(
    shared: &Shared,
    executed: &crate::types::ExecutedBlock,
) -> Result<HashMap<Address, u64>, MinerError> {
    let authorizations = executed.block.body.transactions.iter().filter_map(|tx| tx.authorization_list()).flatten();
    let authorities = authorizations.filter_map(|authorization| authorization.recover_authority().ok());
    let accounts: Vec<Address> = executed.senders.iter().copied().chain(authorities).collect();
    Ok(shared.nonces_of(accounts)?)
}

pub(super) fn head_of(head: &Sealed<Header>) -> Head {
    Head { number: head.number, hash: head.hash(), timestamp: head.timestamp }
}

struct MachineTranscripts<'a> {
    shared: &'a Arc<Shared>,
    machine: &'a mut Machine,
    anchor: Anchor,
    effects: Vec<Effect>,
}

impl Transcripts for MachineTranscripts<'_> {
    fn transcript(&self, transaction: B256) -> Vec<RecoveredRecord> {
        self.machine.transcript(transaction).to_vec()
    }

    fn suspended(&mut self, suspension: Suspension) -> SuspensionVerdict {
        let Suspension { transaction, invocation } = suspension;
        let (again, effects) =
            self.machine.suspend(transaction, invocation, self.anchor, self.shared.clock.monotonic_ms());
        self.effects.extend(effects);
        if again {
            return SuspensionVerdict::RunAgain;
        }
        self.shared.pool.set_parked(transaction, true);
        if let Some(invocation) = self.machine.parked(transaction).and_then(|view| view.waiting_for) {
            self.shared.tell(ChainEvent::Parked { transaction, invocation: Arc::new(invocation) });
        }
        SuspensionVerdict::Parked
    }
}
