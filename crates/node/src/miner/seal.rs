//! Making one block, from the pool to the disk.

use super::MinerError;
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
use alloy_primitives::{Address, B256, keccak256, map::HashMap};
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

/// Makes the next block if there is something to put in (or an empty one is wanted), and makes it the head.
pub(super) fn seal(shared: &Arc<Shared>, machine: &mut Machine, kind: SealKind) -> Result<SealReport, MinerError> {
    let parent = shared.chain.head()?;
    let pending = shared.chain.pending_edits();
    let header = shared.header_after(&parent, pending.as_deref());
    let candidates =
        shared.pool.best(header.base_fee_per_gas.unwrap_or_default(), blob_base_fee(&shared.spec, &header));
    let edits = pending.map(|pending| pending.edits.clone()).unwrap_or_default();
    seal_block(shared, machine, kind, Planned { parent, header, edits, candidates })
}

/// Makes the next block of these transactions, as far as they can run, and makes it the head. It differs from any block
/// that was made on the same parent before.
pub(super) fn seal_exactly(
    shared: &Arc<Shared>,
    machine: &mut Machine,
    transactions: Vec<PooledEntry>,
    another: B256,
) -> Result<SealReport, MinerError> {
    let parent = shared.chain.head()?;
    let mut header = shared.header_after(&parent, None);
    let seed = [b"cryptlet/reorg/v1".as_slice(), another.as_slice()].concat();
    header.mix_hash = keccak256(seed);
    let candidates = Best::in_order(transactions);
    seal_block(shared, machine, SealKind::All, Planned { parent, header, edits: DevEdits::default(), candidates })
}

struct Planned {
    parent: Sealed<Header>,
    header: Header,
    edits: DevEdits,
    candidates: Best,
}

fn seal_block(
    shared: &Arc<Shared>,
    machine: &mut Machine,
    kind: SealKind,
    planned: Planned,
) -> Result<SealReport, MinerError> {
    let Planned { parent, header, edits, candidates } = planned;
    let limits = &shared.config.miner;
    let plan = BlockPlan {
        spec: &shared.spec,
        parent: &parent,
        chain: &shared.chain,
        header,
        edits,
        transactions_max: if kind == SealKind::One { 1 } else { limits.transactions_per_block_max },
        transaction_bytes_max: limits.transaction_bytes_per_block_max,
        allow_empty: kind == SealKind::All,
    };
    let anchor = Anchor { number: parent.number, hash: parent.hash() };
    let mut transcripts = MachineTranscripts { shared, machine, anchor, effects: Vec::new() };
    let started_us = shared.clock.monotonic_us();
    let Assembled { block, unfit } = assemble(plan, candidates, &mut transcripts)?;
    let effects = transcripts.effects;
    let mut gone = drop_unfit(shared, unfit);
    let block = match block {
        Some(finished) => Some(publish(shared, finished, started_us, &mut gone)?),
        None => None,
    };
    Ok(SealReport { block, gone, effects })
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

/// Stores the block, moves the head, and tells everybody.
fn publish(
    shared: &Shared,
    finished: FinishedBlock,
    started_us: u64,
    gone: &mut Vec<B256>,
) -> Result<SealedBlock, MinerError> {
    let executed_us = shared.clock.monotonic_us();
    let head = finished.commit(&shared.chain)?;
    let stored_us = shared.clock.monotonic_us();
    shared.time.block_made(head.timestamp);
    let executed = Arc::new(finished.executed);
    let took = |from_us: u64, to_us: u64| Duration::from_micros(to_us.saturating_sub(from_us));
    shared.metrics.block_made(&executed, took(started_us, executed_us), took(executed_us, stored_us));
    let included: Vec<B256> = executed.block.body.transactions.iter().map(|tx| *tx.tx_hash()).collect();
    let left = shared.pool.on_new_nonces(&touched_nonces(shared, &executed)?);
    left.iter().filter(|entry| included.contains(&entry.hash())).for_each(|entry| shared.blobs.keep(entry));
    for entry in left.iter().filter(|entry| !included.contains(&entry.hash())) {
        let (transaction, reason) = (entry.hash(), "another transaction took its nonce".to_owned());
        shared.tell(ChainEvent::Dropped { transaction, reason });
        gone.push(transaction);
    }
    let records = executed.records.0.iter().map(|group| group.records.len()).sum::<usize>();
    tracing::info!(
        number = head.number, transactions = included.len(), records, gas = head.gas_used,
        took = ?took(started_us, stored_us), hash = %head.hash(), "block made"
    );
    shared.memo.learn(&executed.records);
    shared.head_is(head_of(&head));
    shared.tell(ChainEvent::NewBlock(executed));
    Ok(SealedBlock { number: head.number, hash: head.hash(), included })
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
