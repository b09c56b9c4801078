//! Where in the chain a simulation takes place.

use super::{simulate::SimulationError, start::Shared};
use crate::{state::StateSnapshot, store::StoreError, types::Header};
use alloy::{
    consensus::Sealed,
    eips::{BlockId, BlockNumberOrTag},
};

/// The state after a block with what cheats set since, which only the head has, and without.
pub(super) fn states(shared: &Shared, number: u64) -> Result<(StateSnapshot, StateSnapshot), SimulationError> {
    let latest = shared.chain.latest_state().map_err(storage)?;
    let seen = match latest.number() == number {
        true => latest,
        false => shared.chain.state_at(number).map_err(storage)?,
    };
    let sealed = seen.clone().with_overlay(None);
    Ok((seen, sealed))
}

/// The block whose state is used, and the header whose environment the call sees.
pub(super) fn place(shared: &Shared, block: BlockId) -> Result<(Sealed<Header>, Header), SimulationError> {
    let chain = &shared.chain;
    let unknown = || SimulationError::UnknownBlock(block.to_string());
    let base = match block {
        BlockId::Hash(hash) => chain.header_by_hash(hash.block_hash).map_err(storage)?.ok_or_else(unknown)?,
        BlockId::Number(BlockNumberOrTag::Number(number)) => {
            if shared.spec.fork().is_some_and(|fork| number < fork.block_number) {
                return Err(SimulationError::BeforeFork);
            }
            chain.header(number).map_err(storage)?.ok_or_else(unknown)?
        }
        BlockId::Number(BlockNumberOrTag::Earliest) => {
            let first = chain.first_block().map_err(storage)?;
            chain.header(first).map_err(storage)?.ok_or_else(unknown)?
        }
        BlockId::Number(BlockNumberOrTag::Pending) => {
            let head = chain.head().map_err(storage)?;
            let next = shared.next_header(&head);
            return Ok((head, next));
        }
        // A single node finalizes what it makes.
        BlockId::Number(BlockNumberOrTag::Latest | BlockNumberOrTag::Safe | BlockNumberOrTag::Finalized) => {
            chain.head().map_err(storage)?
        }
    };
    let header = base.inner().clone();
    Ok((base, header))
}

pub(super) fn unreadable(error: impl std::fmt::Display) -> SimulationError {
    SimulationError::Storage(error.to_string())
}

pub(super) fn storage(error: StoreError) -> SimulationError {
    match error {
        StoreError::UnknownBlock { number, .. } => SimulationError::UnknownBlock(number.to_string()),
        error => SimulationError::Storage(error.to_string()),
    }
}
