//! What an error of execution says of the block.

use super::fault::{BlockFault, FaultReason};
use crate::{store::StoreError, types::RecoveredTransaction};
use alloy_evm::block::{BlockExecutionError, BlockValidationError, InternalBlockExecutionError};
use cryptlet_delegate::DelegateError;

pub(super) fn storage_fault(number: u64, error: &StoreError) -> BlockFault {
    BlockFault::of_block(number, FaultReason::Storage(error.to_string()))
}

pub(super) fn delegate_fault(
    number: u64,
    index: u64,
    transaction: &RecoveredTransaction,
    error: DelegateError,
) -> BlockFault {
    let reason = match error {
        DelegateError::MissingRecord { sequence, cryptlet, .. } => {
            FaultReason::RecordMissing { index: sequence as usize, cryptlet: cryptlet.0 }
        }
        DelegateError::RecordMismatch { sequence, field, expected, found } => FaultReason::Record {
            index: sequence as usize,
            reason: format!("its {field} is {found}, but execution calls with {expected}"),
        },
        DelegateError::InvalidRecord { sequence, fault } => {
            FaultReason::Record { index: sequence as usize, reason: fault.to_string() }
        }
        DelegateError::ExtraRecords { consumed, given } => FaultReason::RecordsLeftOver { used: consumed, given },
        DelegateError::ParentState(error) => FaultReason::Storage(error.to_string()),
        DelegateError::NoTranscript => FaultReason::Internal(error.to_string()),
    };
    BlockFault::of_transaction(number, index, Some(*transaction.tx_hash()), reason)
}

pub(super) fn execution_fault(
    number: u64,
    transaction: Option<(u64, &RecoveredTransaction)>,
    error: BlockExecutionError,
) -> BlockFault {
    let reason = match error {
        BlockExecutionError::Validation(BlockValidationError::InvalidTx { error, .. }) => {
            FaultReason::InvalidTransaction(error.to_string())
        }
        BlockExecutionError::Validation(BlockValidationError::TransactionGasLimitMoreThanAvailableBlockGas {
            transaction_gas_limit,
            block_available_gas,
        }) => FaultReason::BlockGasExhausted { gas_limit: transaction_gas_limit, gas_left: block_available_gas },
        BlockExecutionError::Validation(error) => FaultReason::SystemCall(error.to_string()),
        BlockExecutionError::Internal(InternalBlockExecutionError::EVM { error, .. }) => {
            FaultReason::Storage(error.to_string())
        }
        BlockExecutionError::Internal(error) => FaultReason::Internal(error.to_string()),
    };
    match transaction {
        Some((index, tx)) => BlockFault::of_transaction(number, index, Some(*tx.tx_hash()), reason),
        None => BlockFault::of_block(number, reason),
    }
}
