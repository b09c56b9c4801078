//! May this transaction be in the next block, or in one that follows? A pure function of the transaction, its sender's
//! account and the rules of the next block.

use super::{PoolError, PoolLimits, PooledEntry};
use alloy::consensus::Transaction as _;
use alloy::eips::{Typed2718, eip7840::BlobParams};
use alloy_primitives::{TxKind, U256};
use revm::{
    context_interface::cfg::gas_params::{Eip2780TxInfo, GasParams},
    primitives::hardfork::SpecId,
};

/// What the head state says of a sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountFacts {
    /// Nonce of its next transaction.
    pub nonce: u64,
    /// Wei it has.
    pub balance: U256,
    /// Has it code other than a delegation (EIP-7702)?
    pub has_code: bool,
}

/// What the next block will demand.
#[derive(Clone, Copy, Debug)]
pub struct PoolRules {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Rules of the EVM.
    pub spec: SpecId,
    /// Gas of one block.
    pub block_gas_limit: u64,
    /// Bytes of the code that makes a contract (EIP-3860).
    pub init_code_bytes_max: usize,
    /// Gas of one transaction (EIP-7825), if capped.
    pub transaction_gas_cap: Option<u64>,
    /// Wei per gas that is burnt.
    pub base_fee: u64,
    /// Wei per blob gas that is burnt.
    pub blob_base_fee: u128,
    /// Bounds of blobs.
    pub blob_params: Option<BlobParams>,
}

/// Nonces further ahead than this are refused: they would only fill the pool.
const NONCES_AHEAD_MAX: u64 = 16_384;

pub(super) fn validate(
    entry: &PooledEntry,
    account: &AccountFacts,
    queued_cost: U256,
    rules: &PoolRules,
    limits: &PoolLimits,
) -> Result<(), PoolError> {
    validate_form(entry, rules, limits)?;
    validate_fees(entry, rules, limits)?;
    validate_intrinsic_gas(entry, rules)?;
    validate_account(entry, account, queued_cost)
}

fn validate_form(entry: &PooledEntry, rules: &PoolRules, limits: &PoolLimits) -> Result<(), PoolError> {
    let tx = entry.transaction();
    let type_active = match tx.ty() {
        0..=2 => true,
        3 => rules.spec.is_enabled_in(SpecId::CANCUN),
        4 => rules.spec.is_enabled_in(SpecId::PRAGUE),
        _ => false,
    };
    if !type_active {
        return Err(PoolError::TypeNotSupported(tx.ty()));
    }
    // A legacy transaction without chain id (before EIP-155) is taken: deterministic deployers are signed that way.
    if let Some(have) = tx.chain_id().filter(|have| *have != rules.chain_id) {
        return Err(PoolError::ChainId { have, want: rules.chain_id });
    }
    let bytes_max = if tx.ty() == 3 { limits.blob_transaction_bytes_max } else { limits.transaction_bytes_max };
    if entry.encoded_bytes() > bytes_max {
        return Err(PoolError::Oversized { bytes: entry.encoded_bytes(), bytes_max });
    }
    let bytes_max = rules.init_code_bytes_max;
    if tx.kind() == TxKind::Create && tx.input().len() > bytes_max && rules.spec.is_enabled_in(SpecId::SHANGHAI) {
        return Err(PoolError::InitCodeTooLong { bytes: tx.input().len(), bytes_max });
    }
    if tx.gas_limit() > rules.block_gas_limit {
        let (gas_limit, block_gas_limit) = (tx.gas_limit(), rules.block_gas_limit);
        return Err(PoolError::ExceedsBlockGasLimit { gas_limit, block_gas_limit });
    }
    if let Some(cap) = rules.transaction_gas_cap.filter(|cap| tx.gas_limit() > *cap) {
        return Err(PoolError::ExceedsTransactionGasCap { gas_limit: tx.gas_limit(), cap });
    }
    if tx.authorization_list().is_some_and(|list| list.is_empty()) {
        return Err(PoolError::EmptyAuthorizationList);
    }
    Ok(())
}

fn validate_fees(entry: &PooledEntry, rules: &PoolRules, limits: &PoolLimits) -> Result<(), PoolError> {
    let tx = entry.transaction();
    let cap = tx.max_fee_per_gas();
    if let Some(tip) = tx.max_priority_fee_per_gas().filter(|tip| *tip > cap) {
        return Err(PoolError::TipAboveFeeCap { tip, cap });
    }
    if !limits.reject_below_base_fee {
        return Ok(());
    }
    if cap < u128::from(rules.base_fee) {
        return Err(PoolError::FeeCapTooLow { sender: entry.sender(), cap, base_fee: rules.base_fee });
    }
    if let Some(cap) = tx.max_fee_per_blob_gas().filter(|cap| *cap < rules.blob_base_fee) {
        return Err(PoolError::BlobFeeCapTooLow { cap, blob_base_fee: rules.blob_base_fee });
    }
    Ok(())
}

fn validate_intrinsic_gas(entry: &PooledEntry, rules: &PoolRules) -> Result<(), PoolError> {
    let tx = entry.transaction();
    let (accounts, slots) = tx
        .access_list()
        .map_or((0, 0), |list| (list.len() as u64, list.iter().map(|item| item.storage_keys.len() as u64).sum()));
    let authorizations = tx.authorization_list().map_or(0, |list| list.len() as u64);
    let is_create = tx.kind() == TxKind::Create;
    let params = GasParams::new_spec(rules.spec);
    let eip2780 = rules
        .spec
        .is_enabled_in(SpecId::AMSTERDAM)
        .then(|| Eip2780TxInfo { value: tx.value(), is_self_transfer: tx.to() == Some(entry.sender()) });
    let gas = params.initial_tx_gas(tx.input(), is_create, accounts, slots, authorizations, eip2780);
    let needed = gas.initial_regular_gas();
    if tx.gas_limit() < needed {
        return Err(PoolError::IntrinsicGas { gas_limit: tx.gas_limit(), needed });
    }
    if rules.spec.is_enabled_in(SpecId::PRAGUE) && tx.gas_limit() < gas.floor_gas() {
        return Err(PoolError::FloorGas { gas_limit: tx.gas_limit(), needed: gas.floor_gas() });
    }
    Ok(())
}

fn validate_account(entry: &PooledEntry, account: &AccountFacts, queued_cost: U256) -> Result<(), PoolError> {
    let (nonce, next, cost, balance) = (entry.nonce(), account.nonce, entry.cost(), account.balance);
    if account.has_code && !entry.is_impersonated() {
        return Err(PoolError::SenderNotEoa(entry.sender()));
    }
    if nonce == u64::MAX {
        return Err(PoolError::NonceMax);
    }
    if nonce < next {
        return Err(PoolError::NonceTooLow { nonce, next });
    }
    if nonce - next > NONCES_AHEAD_MAX {
        return Err(PoolError::NonceTooHigh { nonce, next, ahead_max: NONCES_AHEAD_MAX });
    }
    if cost == U256::MAX {
        return Err(PoolError::Overflow);
    }
    if cost > balance {
        return Err(PoolError::InsufficientFunds { balance, cost });
    }
    if cost.saturating_add(queued_cost) > balance {
        return Err(PoolError::InsufficientFundsQueued { balance, queued: queued_cost, cost });
    }
    Ok(())
}
