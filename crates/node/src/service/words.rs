//! Refusals and halts of the EVM in geth's words (`core/error.go`, `core/vm/errors.go`).

use alloy_primitives::Address;
use revm::{
    context::TxEnv,
    context_interface::result::{HaltReason, InvalidTransaction, OutOfGasError},
};

/// Why a call was not even begun, as geth's `preCheck` and `buyGas` say it.
pub(super) fn refusal(error: &InvalidTransaction, tx: &TxEnv, base_fee: u64) -> String {
    use InvalidTransaction as Invalid;
    let TxEnv { caller, gas_price, nonce, .. } = tx;
    let tip = tx.gas_priority_fee.unwrap_or_default();
    match error {
        Invalid::LackOfFundForMaxFee { fee, balance } => insufficient_funds(*caller, balance, fee),
        Invalid::GasPriceLessThanBasefee => format!(
            "max fee per gas less than block base fee: address {caller}, maxFeePerGas: {gas_price}, baseFee: {base_fee}"
        ),
        Invalid::PriorityFeeGreaterThanMaxFee => format!(
            "max priority fee per gas higher than max fee per gas: address {caller}, maxPriorityFeePerGas: {tip}, \
             maxFeePerGas: {gas_price}"
        ),
        Invalid::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            format!("intrinsic gas too low: have {gas_limit}, want {initial_gas}")
        }
        Invalid::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            format!("insufficient gas for floor data gas cost: have {gas_limit}, want {gas_floor}")
        }
        Invalid::NonceTooLow { tx, state } => format!("nonce too low: address {caller}, tx: {tx} state: {state}"),
        Invalid::NonceTooHigh { tx, state } => format!("nonce too high: address {caller}, tx: {tx} state: {state}"),
        Invalid::NonceOverflowInTransaction => format!("nonce has max value: address {caller}, nonce: {nonce}"),
        Invalid::CallerGasLimitMoreThanBlock => "gas limit reached".to_owned(),
        Invalid::TxGasLimitGreaterThanCap { gas_limit, cap } => {
            format!("transaction gas limit too high (cap: {cap}, tx: {gas_limit})")
        }
        Invalid::CreateInitCodeSizeLimit => format!("max initcode size exceeded: code size {}", tx.data.len()),
        Invalid::RejectCallerWithCode => format!("sender not an eoa: address {caller}"),
        Invalid::BlobGasPriceGreaterThanMax { block_blob_gas_price, tx_max_fee_per_blob_gas } => format!(
            "max fee per blob gas less than block blob gas fee: address {caller} blobGasFeeCap: \
             {tx_max_fee_per_blob_gas}, blobBaseFee: {block_blob_gas_price}"
        ),
        Invalid::EmptyBlobs => "blob transaction missing blob hashes".to_owned(),
        Invalid::BlobCreateTransaction => "blob transaction of type create".to_owned(),
        Invalid::BlobVersionNotSupported => "blob has invalid hash version".to_owned(),
        Invalid::EmptyAuthorizationList => {
            format!("EIP-7702 transaction with empty auth list (sender {caller})")
        }
        Invalid::OverflowPaymentInTransaction => format!("required balance exceeds 256 bits: address {caller}"),
        other => other.to_string(),
    }
}

/// The sender cannot pay.
pub(super) fn insufficient_funds(
    address: Address,
    have: impl std::fmt::Display,
    want: impl std::fmt::Display,
) -> String {
    format!("insufficient funds for gas * price + value: address {address} have {have} want {want}")
}

/// Why a run stopped exceptionally.
pub(super) fn halt(reason: &HaltReason) -> String {
    match reason {
        HaltReason::OutOfGas(OutOfGasError::ReentrancySentry) => "not enough gas for reentrancy sentry".to_owned(),
        HaltReason::OutOfGas(_) => "out of gas".to_owned(),
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid opcode".to_owned(),
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID".to_owned(),
        HaltReason::InvalidJump => "invalid jump destination".to_owned(),
        HaltReason::OutOfOffset => "return data out of bounds".to_owned(),
        HaltReason::CreateCollision => "contract address collision".to_owned(),
        HaltReason::CreateContractSizeLimit => "max code size exceeded".to_owned(),
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef".to_owned(),
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded".to_owned(),
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => {
            "write protection".to_owned()
        }
        other => other.to_string(),
    }
}
