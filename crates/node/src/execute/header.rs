//! What the rules say of the header of the next block.

use super::difficulty::next_difficulty;
use crate::{chain_spec::ChainSpec, types::Header};
use alloy::consensus::{EMPTY_OMMER_ROOT_HASH, Sealed};
use alloy::eips::{
    eip1559::{BaseFeeParams, DEFAULT_ELASTICITY_MULTIPLIER, INITIAL_BASE_FEE},
    eip7840::BlobParams,
};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{Address, B256, U256, keccak256};

/// What whoever makes a block decides about it; everything else follows from the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockAttributes {
    /// Unix seconds; must be after the parent's.
    pub timestamp: u64,
    /// Who gets the tips.
    pub beneficiary: Address,
    /// What `PREVRANDAO` gives.
    pub prev_randao: B256,
    /// Gas of the block.
    pub gas_limit: u64,
    /// EIP-4788: root of the parent beacon block; zero where there is none.
    pub parent_beacon_block_root: B256,
    /// EIP-7843: what `SLOTNUM` gives from Amsterdam on.
    pub slot_number: u64,
}

impl BlockAttributes {
    /// The attributes of the next block of a chain without a consensus layer: it has a slot for every block and no others.
    pub fn next(parent: &Sealed<Header>, timestamp: u64) -> Self {
        let seed = [b"cryptlet/prevrandao/v1".as_slice(), parent.hash().as_slice()].concat();
        Self {
            timestamp: timestamp.max(parent.timestamp + 1),
            beneficiary: parent.beneficiary,
            prev_randao: keccak256(seed),
            gas_limit: parent.gas_limit,
            parent_beacon_block_root: B256::ZERO,
            slot_number: next_slot(parent),
        }
    }
}

/// The slot behind the parent's; if that has none yet (EIP-7843), the number of the block.
pub(crate) fn next_slot(parent: &Header) -> u64 {
    parent.slot_number.unwrap_or(parent.number).saturating_add(1)
}

/// EIP-1559: the base fee of the block after `parent`; `None` before London.
pub fn next_base_fee(forks: &impl EthereumHardforks, parent: &Header) -> Option<u64> {
    let is_london = forks.is_london_active_at_block(parent.number + 1);
    is_london.then(|| parent.next_block_base_fee(BaseFeeParams::ethereum()).unwrap_or(INITIAL_BASE_FEE))
}

/// What the gas limit of block `number` must stay close to: its parent's, or twice that where London makes it a limit
/// instead of a target.
pub(super) fn gas_limit_base(forks: &impl EthereumHardforks, parent: &Header, number: u64) -> u64 {
    let is_first = forks.is_london_active_at_block(number) && !forks.is_london_active_at_block(parent.number);
    if is_first { parent.gas_limit.saturating_mul(DEFAULT_ELASTICITY_MULTIPLIER) } else { parent.gas_limit }
}

/// The header of the block after `parent`, before execution: roots, gas used and bloom are still to come. A chain that
/// merges at all is only built on after its merge.
pub fn next_header(spec: &ChainSpec, parent: &Sealed<Header>, attributes: &BlockAttributes) -> Header {
    let (time, number) = (attributes.timestamp, parent.number + 1);
    let is_merged = spec.terminal_total_difficulty().is_some();
    let cancun = is_merged && spec.is_cancun_active_at_timestamp(time);
    let amsterdam = is_merged && spec.is_amsterdam_active_at_timestamp(time);
    let keeps_limit = attributes.gas_limit == parent.gas_limit;
    Header {
        parent_hash: parent.hash(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: attributes.beneficiary,
        difficulty: if is_merged { U256::ZERO } else { next_difficulty(spec, parent, time) },
        number,
        gas_limit: if keeps_limit { gas_limit_base(spec, parent, number) } else { attributes.gas_limit },
        timestamp: time,
        mix_hash: if is_merged { attributes.prev_randao } else { B256::ZERO },
        base_fee_per_gas: next_base_fee(spec, parent),
        excess_blob_gas: cancun.then(|| next_excess_blob_gas(spec, parent, time)),
        parent_beacon_block_root: cancun.then_some(attributes.parent_beacon_block_root),
        slot_number: amsterdam.then_some(attributes.slot_number),
        ..Default::default()
    }
}

/// EIP-4844: the excess blob gas of the block after `parent`; zero if the parent had no blobs yet.
pub fn next_excess_blob_gas(spec: &ChainSpec, parent: &Header, timestamp: u64) -> u64 {
    let params = spec.blob_params_at(timestamp).unwrap_or_else(BlobParams::cancun);
    parent.next_block_excess_blob_gas(params).unwrap_or_default()
}

/// The price of blob gas in a block with this header.
pub fn blob_base_fee(spec: &ChainSpec, header: &Header) -> u128 {
    let params = spec.blob_params_at(header.timestamp);
    params.zip(header.excess_blob_gas).map_or(1, |(params, excess)| params.calc_blob_fee(excess))
}
