//! Replaying a block: from the block, its requests and the parent's state, with no host in reach.

use super::{
    executor::Execution,
    fault::{BlockFault, FaultReason},
    finished::FinishedBlock,
    header::validate_header,
    recovered::RecoveredBlock,
};
use crate::{chain_spec::ChainSpec, store::ChainStore, types::Header};
use alloy::consensus::Sealed;
use alloy_hardforks::EthereumHardforks;

/// A block that was replayed and agrees with its header in everything.
pub type ReplayedBlock = FinishedBlock;

/// Executes a block on its parent's state and compares everything its header says. Nothing is stored.
pub fn replay_block(
    spec: &ChainSpec,
    chain: &ChainStore,
    parent: &Sealed<Header>,
    recovered: RecoveredBlock,
) -> Result<ReplayedBlock, BlockFault> {
    validate_header(spec, parent, &recovered.block, &recovered.edits)?;
    let transactions: Vec<_> = recovered.transactions().collect();
    let RecoveredBlock { block, hash, requests, senders, records, edits } = recovered;
    let mut execution = Execution::begin_edited(spec, chain, parent, block.header.clone(), edits)?;
    for (transaction, records) in transactions.iter().zip(records) {
        execution.replay(transaction, records)?;
    }
    let finished = execution.finish()?;
    // Execution names the transaction if a record is wrong; only what it cannot see is left for this comparison.
    let (number, given) = (block.header.number, requests.requests_hash());
    if spec.is_prague_active_at_timestamp(block.header.timestamp) && block.header.requests_hash != Some(given) {
        let reason = FaultReason::RequestsGiven { header: block.header.requests_hash, found: given };
        return Err(BlockFault::of_block(number, reason));
    }
    finished.verify(chain, parent, block, hash, senders)
}
