//! Running transactions into a block. Nothing here waits.

use crate::{
    chain_spec::ChainSpec,
    execute::{BLOCK_BYTES_MAX, BlockFault, BodyEffects, Execution, FinishedBlock, RunOutcome},
    pool::{Best, PooledEntry},
    store::ChainStore,
    types::Header,
};
use alloy::consensus::{Sealed, Transaction as _};
use alloy::eips::{Encodable2718, eip4895::Withdrawal};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::B256;
use cryptlet_attestation::RecoveredRecord;
use cryptlet_primitives::{DevEdits, Invocation};

/// A block to be made.
pub struct BlockPlan<'a> {
    /// The rules.
    pub spec: &'a ChainSpec,
    /// The head.
    pub parent: &'a Sealed<Header>,
    /// The chain up to the head.
    pub chain: &'a ChainStore,
    /// The header as far as it is known before execution.
    pub header: Header,
    /// What a development node's cheats did since the head.
    pub edits: DevEdits,
    /// What the block pays out of nothing (EIP-4895).
    pub withdrawals: &'a [Withdrawal],
    /// Transactions to put in at most.
    pub transactions_max: usize,
    /// Bytes of encoded transactions to put in at most.
    pub transaction_bytes_max: usize,
    /// Make a block even if nothing can go in.
    pub allow_empty: bool,
}

/// A call that stopped a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspension {
    /// The transaction.
    pub transaction: B256,
    /// The call.
    pub invocation: Invocation,
}

/// What becomes of a transaction whose run met an unanswered call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuspensionVerdict {
    /// It waits; the block is made without it.
    Parked,
    /// Its transcript has grown: run it again now.
    RunAgain,
}

/// Whoever keeps the transcripts while a block is made.
pub trait Transcripts {
    /// The records of a transaction so far.
    fn transcript(&self, transaction: B256) -> Vec<RecoveredRecord>;
    /// A run met a call that the transcript does not answer. Records from the call's position on, if there are any, no
    /// longer hold (expired, instance revoked, another call than before).
    fn suspended(&mut self, suspension: Suspension) -> SuspensionVerdict;
}

/// A transaction that cannot be in any block that follows this head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The transaction.
    pub transaction: B256,
    /// Why, for people.
    pub reason: String,
}

/// What came of a plan.
#[derive(Debug)]
pub struct Assembled {
    /// The block and the state it makes; `None` if nothing could go in and an empty block was not wanted.
    pub block: Option<FinishedBlock>,
    /// Transactions to drop from the pool.
    pub unfit: Vec<Unfit>,
}

/// Runs of one transaction in one block, at most. A run that does not end the transaction either parks it or makes its
/// transcript longer (by a call whose time is over) or shorter once, so this is only reached by a bug; the transaction
/// then waits for the next block.
const RUNS_MAX: usize = 4_096;

/// Runs transactions, best first, until the block is full; derives everything that goes into the header.
pub fn assemble(
    plan: BlockPlan<'_>,
    mut candidates: Best,
    transcripts: &mut impl Transcripts,
) -> Result<Assembled, BlockFault> {
    let BlockPlan { spec, parent, chain, header, edits, withdrawals, transactions_max, .. } = plan;
    let transaction_bytes_max = plan.transaction_bytes_max.min(transaction_bytes_that_fit(spec, &header));
    let body = BodyEffects { withdrawals, ..BodyEffects::default() };
    let mut execution = Execution::begin_with(spec, chain, parent, header, edits, body)?;
    let mut unfit = Vec::new();
    let (mut transactions, mut bytes) = (Vec::new(), 0);
    while transactions.len() < transactions_max {
        let Some(candidate) = candidates.next() else { break };
        let length = candidate.transaction().encode_2718_len() + LENGTH_BYTES;
        let fits = execution.has_gas_for(candidate.transaction().gas_limit())
            && bytes + length <= transaction_bytes_max
            && execution.blob_gas_left() >= candidate.transaction().blob_gas_used().unwrap_or_default();
        if !fits {
            candidates.skip_sender();
            continue;
        }
        match include(&mut execution, &candidate, transcripts)? {
            Inclusion::Included => {
                bytes += length;
                transactions.push(candidate);
            }
            Inclusion::NotNow => candidates.skip_sender(),
            Inclusion::Never(reason) => {
                unfit.push(Unfit { transaction: candidate.hash(), reason });
                candidates.skip_sender();
            }
        }
    }
    if transactions.is_empty() && !plan.allow_empty {
        return Ok(Assembled { block: None, unfit });
    }
    let transactions = transactions.iter().map(|entry| entry.transaction().clone()).collect();
    let block = execution.finish()?.seal(chain, parent, transactions)?;
    Ok(Assembled { block: Some(block), unfit })
}

/// Bytes that a list adds to an item of it at most: how long it is.
const LENGTH_BYTES: usize = 4;
/// Bytes of a block besides its transactions: the header, and how long each part is.
const REST_BYTES: usize = 2 * 1024;

/// EIP-7934: from Osaka on the rules say how long a block may be.
fn transaction_bytes_that_fit(spec: &ChainSpec, header: &Header) -> usize {
    match spec.is_osaka_active_at_timestamp(header.timestamp) {
        true => BLOCK_BYTES_MAX - REST_BYTES,
        false => usize::MAX,
    }
}

enum Inclusion {
    Included,
    NotNow,
    Never(String),
}

fn include(
    execution: &mut Execution<'_>,
    candidate: &PooledEntry,
    transcripts: &mut impl Transcripts,
) -> Result<Inclusion, BlockFault> {
    let hash = candidate.hash();
    for _ in 0..RUNS_MAX {
        let transcript = transcripts.transcript(hash);
        match execution.build(candidate.transaction(), transcript)? {
            RunOutcome::Ran(run) => {
                execution.commit(run)?;
                return Ok(Inclusion::Included);
            }
            RunOutcome::Suspended(invocation) => {
                let suspension = Suspension { transaction: hash, invocation: *invocation };
                if transcripts.suspended(suspension) == SuspensionVerdict::Parked {
                    return Ok(Inclusion::NotNow);
                }
            }
            RunOutcome::DoesNotFit => return Ok(Inclusion::NotNow),
            RunOutcome::Invalid(reason) => return Ok(Inclusion::Never(reason)),
        }
    }
    tracing::error!(transaction = %hash, "the transaction was run {RUNS_MAX} times in one block and did not end");
    Ok(Inclusion::NotNow)
}
