//! Headers: what the rules say of the next one, and whether a given one keeps to them.

use super::fault::{BlockFault, FaultReason};
use crate::{
    chain_spec::ChainSpec,
    types::{Block, Header},
};
use alloy::consensus::{EMPTY_OMMER_ROOT_HASH, Sealed, proofs::calculate_transaction_root};
use alloy::eips::{eip1559::BaseFeeParams, eip7840::BlobParams};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{Address, B256, U256, keccak256};
use cryptlet_primitives::DevEdits;

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
}

impl BlockAttributes {
    /// The attributes of the next block of a chain without a consensus layer.
    pub fn next(parent: &Sealed<Header>, timestamp: u64) -> Self {
        let seed = [b"cryptlet/prevrandao/v1".as_slice(), parent.hash().as_slice()].concat();
        Self {
            timestamp: timestamp.max(parent.timestamp + 1),
            beneficiary: parent.beneficiary,
            prev_randao: keccak256(seed),
            gas_limit: parent.gas_limit,
            parent_beacon_block_root: B256::ZERO,
        }
    }
}

/// The base fee of the block after this one.
pub fn next_base_fee(parent: &Header) -> u64 {
    // Genesis validation lets London-less chains not in, so every header has a base fee.
    parent.next_block_base_fee(BaseFeeParams::ethereum()).unwrap_or_default()
}

/// The header of the block after `parent`, before execution: roots, gas used and bloom are still to come.
pub fn next_header(spec: &ChainSpec, parent: &Sealed<Header>, attributes: &BlockAttributes) -> Header {
    let time = attributes.timestamp;
    let cancun = spec.is_cancun_active_at_timestamp(time);
    Header {
        parent_hash: parent.hash(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: attributes.beneficiary,
        difficulty: U256::ZERO,
        number: parent.number + 1,
        gas_limit: attributes.gas_limit,
        timestamp: time,
        mix_hash: attributes.prev_randao,
        base_fee_per_gas: Some(next_base_fee(parent)),
        excess_blob_gas: cancun.then(|| next_excess_blob_gas(spec, parent, time)),
        parent_beacon_block_root: cancun.then_some(attributes.parent_beacon_block_root),
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

/// Does the header follow its parent, and does it fit its body? What needs execution is checked after it. What the block's
/// development edits say of the header stands in the place of the rule.
pub fn validate_header(
    spec: &ChainSpec,
    parent: &Sealed<Header>,
    block: &Block,
    edits: &DevEdits,
) -> Result<(), BlockFault> {
    let header = &block.header;
    let fail = |reason| Err(BlockFault::of_block(header.number, reason));
    if header.parent_hash != parent.hash() {
        return fail(FaultReason::ParentHash { expected: parent.hash(), found: header.parent_hash });
    }
    if header.number != parent.number + 1 {
        return fail(FaultReason::Number { parent: parent.number });
    }
    if header.timestamp <= parent.timestamp {
        return fail(FaultReason::Timestamp { parent: parent.timestamp, found: header.timestamp });
    }
    let is_allowed = match edits.gas_limit {
        Some(set) => header.gas_limit == set,
        None => header.gas_limit.abs_diff(parent.gas_limit) <= parent.gas_limit / 1024,
    };
    if header.gas_limit < crate::chain_spec::GAS_LIMIT_MIN || !is_allowed {
        return fail(FaultReason::GasLimit { parent: parent.gas_limit, found: header.gas_limit });
    }
    if header.gas_used > header.gas_limit {
        return fail(FaultReason::GasAboveLimit { gas_used: header.gas_used, gas_limit: header.gas_limit });
    }
    if header.extra_data.len() > 32 {
        return fail(FaultReason::ExtraData(header.extra_data.len()));
    }
    if !header.difficulty.is_zero() {
        return fail(FaultReason::Difficulty(header.difficulty));
    }
    if !header.nonce.is_zero() {
        return fail(FaultReason::Nonce);
    }
    if header.ommers_hash != EMPTY_OMMER_ROOT_HASH || !block.body.ommers.is_empty() {
        return fail(FaultReason::Ommers);
    }
    let expected = Some(edits.base_fee_per_gas.unwrap_or_else(|| next_base_fee(parent)));
    if header.base_fee_per_gas != expected {
        return fail(FaultReason::BaseFee { expected, found: header.base_fee_per_gas });
    }
    validate_fork_fields(spec, parent, header)?;
    validate_body(block)
}

fn validate_fork_fields(spec: &ChainSpec, parent: &Sealed<Header>, header: &Header) -> Result<(), BlockFault> {
    let time = header.timestamp;
    let cancun = spec.is_cancun_active_at_timestamp(time);
    let fields = [
        ("withdrawalsRoot", header.withdrawals_root.is_some(), spec.is_shanghai_active_at_timestamp(time)),
        ("blobGasUsed", header.blob_gas_used.is_some(), cancun),
        ("excessBlobGas", header.excess_blob_gas.is_some(), cancun),
        ("parentBeaconBlockRoot", header.parent_beacon_block_root.is_some(), cancun),
        ("requestsHash", header.requests_hash.is_some(), spec.is_prague_active_at_timestamp(time)),
    ];
    if let Some((field, ..)) = fields.into_iter().find(|(_, has, must)| has != must) {
        return Err(BlockFault::of_block(header.number, FaultReason::ForkField(field)));
    }
    let expected = cancun.then(|| next_excess_blob_gas(spec, parent, time));
    if header.excess_blob_gas != expected {
        let reason = FaultReason::ExcessBlobGas { expected, found: header.excess_blob_gas };
        return Err(BlockFault::of_block(header.number, reason));
    }
    Ok(())
}

fn validate_body(block: &Block) -> Result<(), BlockFault> {
    let header = &block.header;
    let computed = calculate_transaction_root(&block.body.transactions);
    if computed != header.transactions_root {
        let reason = FaultReason::TransactionsRoot { header: header.transactions_root, computed };
        return Err(BlockFault::of_block(header.number, reason));
    }
    let computed = block.body.calculate_withdrawals_root();
    if computed != header.withdrawals_root {
        let reason = FaultReason::WithdrawalsRoot { header: header.withdrawals_root, computed };
        return Err(BlockFault::of_block(header.number, reason));
    }
    Ok(())
}
