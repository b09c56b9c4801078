//! Replaying a block: from the block, its requests and the parent's state, with no host in reach.

use super::{
    blame::storage_fault,
    environment::BodyEffects,
    executor::Execution,
    fault::{BlockFault, FaultReason},
    finished::FinishedBlock,
    recovered::RecoveredBlock,
    uncles::{Ancestor, UNCLE_ANCESTORS_MAX, validate_uncles},
    validate::{ParentBlock, validate_header},
};
use crate::{
    chain_spec::ChainSpec,
    fork,
    store::{ChainStore, StoreError},
    types::Header,
};
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
    replay(spec, chain, parent, recovered).map_err(|fault| match *fault.reason {
        // Replaying has nobody to ask: what the block read of the chain that was forked has to come with it.
        FaultReason::Storage(miss) if fork::is_miss(&miss) => {
            BlockFault { reason: Box::new(FaultReason::BaseRowMissing(miss)), ..fault }
        }
        reason => BlockFault { reason: Box::new(reason), ..fault },
    })
}

fn replay(
    spec: &ChainSpec,
    chain: &ChainStore,
    parent: &Sealed<Header>,
    recovered: RecoveredBlock,
) -> Result<ReplayedBlock, BlockFault> {
    let number = recovered.number();
    let storage = |error| storage_fault(number, &error);
    let total_difficulty = chain.total_difficulty().map_err(storage)?;
    validate_header(spec, ParentBlock { header: parent, total_difficulty }, &recovered.block, &recovered.edits)?;
    if !spec.rules(&recovered.block.header).is_merged() {
        let ancestors = ancestors(chain, parent).map_err(storage)?;
        validate_uncles(spec, &ancestors, &recovered.block, recovered.hash)?;
    }
    let transactions: Vec<_> = recovered.transactions().collect();
    let RecoveredBlock { block, hash, requests, senders, records, edits, base_rows } = recovered;
    let body = BodyEffects { base_rows, ..BodyEffects::of(&block) };
    let mut execution = Execution::begin_with(spec, chain, parent, block.header.clone(), edits, body)?;
    for (transaction, records) in transactions.iter().zip(records) {
        execution.replay(transaction, records)?;
    }
    let finished = execution.finish()?;
    // Execution names the transaction if a record is wrong; only what it cannot see is left for this comparison.
    let is_prague = spec.rules(&block.header).is_prague_active_at_timestamp(block.header.timestamp);
    let given = requests.filter(|_| is_prague).map(|requests| requests.requests_hash());
    if let Some(given) = given.filter(|given| block.header.requests_hash != Some(*given)) {
        let reason = FaultReason::RequestsGiven { header: block.header.requests_hash, found: given };
        return Err(BlockFault::of_block(number, reason));
    }
    finished.verify(chain, parent, block, hash, senders)
}

/// The blocks that uncles may stem from, the parent first.
fn ancestors(chain: &ChainStore, parent: &Sealed<Header>) -> Result<Vec<Ancestor>, StoreError> {
    let numbers = (0..=parent.number).rev().take(UNCLE_ANCESTORS_MAX);
    let mut ancestors = Vec::with_capacity(UNCLE_ANCESTORS_MAX);
    for number in numbers {
        let Some(block) = chain.block(number)? else { break };
        let uncles = block.block.body.ommers.iter().map(Header::hash_slow).collect();
        ancestors.push(Ancestor { hash: block.hash, header: block.block.header, uncles });
    }
    Ok(ancestors)
}
