//! Whether a given header follows its parent, on either side of the merge, and fits its body. What needs execution is
//! compared after it ([`super::finished`]).

use super::{
    difficulty::next_difficulty,
    fault::{BlockFault, FaultReason},
    header::{gas_limit_base, next_base_fee, next_excess_blob_gas},
};
use crate::{
    chain_spec::{BlockRules, ChainSpec, GAS_LIMIT_MIN},
    types::{Block, Header},
};
use alloy::consensus::{EMPTY_OMMER_ROOT_HASH, Sealed, proofs::calculate_transaction_root};
use alloy_hardforks::{EthereumHardfork, EthereumHardforks};
use alloy_primitives::U256;
use alloy_rlp::Encodable;
use cryptlet_primitives::DevEdits;

/// Bytes of extra data that a header carries at most.
const EXTRA_DATA_BYTES_MAX: usize = 32;

/// Highest gas limit of a block.
const GAS_LIMIT_MAX: u64 = i64::MAX as u64;

/// EIP-7934: bytes of a block from Osaka on, at most: 10 MiB, less 2 MiB for what carries it.
pub(crate) const BLOCK_BYTES_MAX: usize = 8 << 20;

/// EIP-779: extra data of the ten blocks from the DAO fork on, on the side that made it.
const DAO_EXTRA_DATA: &[u8] = b"dao-hard-fork";
const DAO_EXTRA_BLOCKS: u64 = 10;

/// A parent, and what the chain up to it weighs.
#[derive(Clone, Copy, Debug)]
pub struct ParentBlock<'a> {
    /// Its header.
    pub header: &'a Sealed<Header>,
    /// Sum of all difficulties up to it.
    pub total_difficulty: U256,
}

/// Does the header follow its parent, and does it fit its body? What the block's development edits say of the header stands
/// in the place of the rule.
pub fn validate_header(
    spec: &ChainSpec,
    parent: ParentBlock<'_>,
    block: &Block,
    edits: &DevEdits,
) -> Result<(), BlockFault> {
    let header = &block.header;
    if header.parent_hash != parent.header.hash() {
        let reason = FaultReason::ParentHash { expected: parent.header.hash(), found: header.parent_hash };
        return Err(BlockFault::of_block(header.number, reason));
    }
    validate_side_of_merge(spec, parent, header)?;
    if spec.rules(header).is_merged() {
        validate_staked_header(spec, parent.header, block, edits)?;
    } else {
        validate_mined_header(spec, parent.header, header, edits)?;
    }
    validate_body(spec, block)
}

/// Has the chain reached its terminal total difficulty exactly where its blocks cease to have one (EIP-3675)?
fn validate_side_of_merge(spec: &ChainSpec, parent: ParentBlock<'_>, header: &Header) -> Result<(), BlockFault> {
    let Some(terminal) = spec.terminal_total_difficulty().filter(|terminal| !terminal.is_zero()) else { return Ok(()) };
    let fail = |reason| Err(BlockFault::of_block(header.number, reason));
    let total = parent.total_difficulty;
    let is_mined = !header.difficulty.is_zero();
    let follows_merged = parent.header.difficulty.is_zero();
    if is_mined && follows_merged {
        return fail(FaultReason::Difficulty(header.difficulty));
    }
    if spec.genesis().config.terminal_total_difficulty_passed {
        return Ok(());
    }
    match (is_mined, total >= terminal) {
        (true, true) => fail(FaultReason::MinedAfterTerminal { total, terminal }),
        (false, false) if !follows_merged => fail(FaultReason::MergedTooEarly { total, terminal }),
        _ => Ok(()),
    }
}

/// A header of proof of stake.
fn validate_staked_header(
    spec: &ChainSpec,
    parent: &Header,
    block: &Block,
    edits: &DevEdits,
) -> Result<(), BlockFault> {
    let header = &block.header;
    let fail = |reason| Err(BlockFault::of_block(header.number, reason));
    if !header.difficulty.is_zero() {
        return fail(FaultReason::Difficulty(header.difficulty));
    }
    if !header.nonce.is_zero() {
        return fail(FaultReason::Nonce);
    }
    if header.ommers_hash != EMPTY_OMMER_ROOT_HASH || !block.body.ommers.is_empty() {
        return fail(FaultReason::Ommers);
    }
    validate_common(spec, parent, header, edits)
}

/// A header of proof of work, of a block or of an uncle; its seal aside.
pub(super) fn validate_mined_header(
    spec: &ChainSpec,
    parent: &Header,
    header: &Header,
    edits: &DevEdits,
) -> Result<(), BlockFault> {
    let fail = |reason| Err(BlockFault::of_block(header.number, reason));
    validate_common(spec, parent, header, edits)?;
    let expected = next_difficulty(&spec.rules(header), parent, header.timestamp);
    if header.difficulty != expected {
        return fail(FaultReason::DifficultyValue { expected, found: header.difficulty });
    }
    if !fits_dao_fork(spec, header) {
        return fail(FaultReason::DaoExtraData);
    }
    Ok(())
}

/// What holds on both sides of the merge.
fn validate_common(spec: &ChainSpec, parent: &Header, header: &Header, edits: &DevEdits) -> Result<(), BlockFault> {
    let fail = |reason| Err(BlockFault::of_block(header.number, reason));
    if parent.number.checked_add(1) != Some(header.number) {
        return fail(FaultReason::Number { parent: parent.number });
    }
    if header.timestamp <= parent.timestamp {
        return fail(FaultReason::Timestamp { parent: parent.timestamp, found: header.timestamp });
    }
    if header.extra_data.len() > EXTRA_DATA_BYTES_MAX {
        return fail(FaultReason::ExtraData(header.extra_data.len()));
    }
    let rules = spec.rules(header);
    let base = gas_limit_base(&rules, parent, header.number);
    let is_allowed = match edits.gas_limit {
        Some(set) => header.gas_limit == set,
        None => header.gas_limit.abs_diff(base) < base / 1024,
    };
    if !is_allowed || !(GAS_LIMIT_MIN..=GAS_LIMIT_MAX).contains(&header.gas_limit) {
        return fail(FaultReason::GasLimit { parent: base, found: header.gas_limit });
    }
    if header.gas_used > header.gas_limit {
        return fail(FaultReason::GasAboveLimit { gas_used: header.gas_used, gas_limit: header.gas_limit });
    }
    let expected = next_base_fee(&rules, parent).map(|fee| edits.base_fee_per_gas.unwrap_or(fee));
    if header.base_fee_per_gas != expected {
        return fail(FaultReason::BaseFee { expected, found: header.base_fee_per_gas });
    }
    validate_fork_fields(spec, rules, parent, header)
}

fn fits_dao_fork(spec: &ChainSpec, header: &Header) -> bool {
    let config = &spec.genesis().config;
    let Some(fork) = config.dao_fork_block else { return true };
    let is_near = (fork..fork.saturating_add(DAO_EXTRA_BLOCKS)).contains(&header.number);
    !is_near || (header.extra_data.as_ref() == DAO_EXTRA_DATA) == config.dao_fork_support
}

fn validate_fork_fields(
    spec: &ChainSpec,
    rules: BlockRules<'_>,
    parent: &Header,
    header: &Header,
) -> Result<(), BlockFault> {
    let time = header.timestamp;
    let cancun = rules.is_cancun_active_at_timestamp(time);
    let amsterdam = rules.is_amsterdam_active_at_timestamp(time);
    let fields = [
        ("withdrawalsRoot", header.withdrawals_root.is_some(), rules.is_shanghai_active_at_timestamp(time)),
        ("blobGasUsed", header.blob_gas_used.is_some(), cancun),
        ("excessBlobGas", header.excess_blob_gas.is_some(), cancun),
        ("parentBeaconBlockRoot", header.parent_beacon_block_root.is_some(), cancun),
        ("requestsHash", header.requests_hash.is_some(), rules.is_prague_active_at_timestamp(time)),
        ("blockAccessListHash", header.block_access_list_hash.is_some(), amsterdam),
        ("slotNumber", header.slot_number.is_some(), amsterdam),
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

fn validate_body(spec: &ChainSpec, block: &Block) -> Result<(), BlockFault> {
    let header = &block.header;
    let fail = |reason| Err(BlockFault::of_block(header.number, reason));
    if spec.rules(header).is_ethereum_fork_active_at_timestamp(EthereumHardfork::Osaka, header.timestamp) {
        let bytes = block.length();
        if bytes > BLOCK_BYTES_MAX {
            return fail(FaultReason::BlockBytes { bytes, bytes_max: BLOCK_BYTES_MAX });
        }
    }
    let computed = calculate_transaction_root(&block.body.transactions);
    if computed != header.transactions_root {
        return fail(FaultReason::TransactionsRoot { header: header.transactions_root, computed });
    }
    let computed = block.body.calculate_withdrawals_root();
    if computed != header.withdrawals_root {
        return fail(FaultReason::WithdrawalsRoot { header: header.withdrawals_root, computed });
    }
    Ok(())
}
