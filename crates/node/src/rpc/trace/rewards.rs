//! What a block before the merge created, as `trace_block` tells it.

use crate::{chain_spec::ChainSpec, store::StoredBlock};
use alloy::eips::BlockNumHash;
use alloy_evm::block::calc;
use alloy_primitives::U256;
use alloy_rpc_types_trace::parity::{LocalizedTransactionTrace, RewardAction, RewardType};

/// Reward of a block and of its uncles, in wei.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rewards {
    /// Of whoever sealed the block, with what the uncles brought.
    pub(super) block: u128,
    /// Of whoever sealed each uncle.
    pub(super) uncles: Vec<u128>,
}

/// What the block created; `None` from the merge on, and for the genesis block.
pub(super) fn rewards(spec: &ChainSpec, block: &StoredBlock) -> Option<Rewards> {
    let header = &block.block.header;
    // From the merge on, no block has a difficulty.
    if header.number == 0 || header.difficulty.is_zero() {
        return None;
    }
    let base = calc::base_block_reward_pre_merge(spec, header.number);
    let uncles = &block.block.body.ommers;
    Some(Rewards {
        block: calc::block_reward(base, uncles.len()),
        uncles: uncles.iter().map(|uncle| calc::ommer_reward(base, header.number, uncle.number)).collect(),
    })
}

/// The rewards as traces: the block's, then its uncles'.
pub(super) fn reward_traces(spec: &ChainSpec, block: &StoredBlock) -> Vec<LocalizedTransactionTrace> {
    let Some(rewards) = rewards(spec, block) else { return Vec::new() };
    let place = BlockNumHash::new(block.number(), block.hash);
    let of = |author, reward_type, value| {
        RewardAction { author, reward_type, value: U256::from(value) }.into_localized_trace(place)
    };
    let of_block = of(block.block.header.beneficiary, RewardType::Block, rewards.block);
    let uncles = block.block.body.ommers.iter().zip(&rewards.uncles);
    let of_uncles = uncles.map(|(uncle, value)| of(uncle.beneficiary, RewardType::Uncle, *value));
    std::iter::once(of_block).chain(of_uncles).collect()
}
