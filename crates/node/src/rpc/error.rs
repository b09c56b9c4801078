//! Errors as Ethereum clients know them: code, message in geth's words, and `data` where one is expected.

use crate::{miner::MinerError, pool::PoolError};
use alloy_primitives::{B256, Bytes, U256, hex};
use alloy_sol_types::{ContractError, SolError, SolInterface};
use cryptlet_primitives::{RefusalCode, abi::ICryptoDelegate::CryptletError};
use jsonrpsee::types::ErrorObjectOwned;
use std::time::Duration;

/// Code of a reverted call (geth: `revertError.ErrorCode`).
pub(crate) const REVERTED: i32 = 3;
/// EIP-7966: included later than the caller would wait.
pub(crate) const RECEIPT_NOT_YET: i32 = 4;
/// Code of everything the node understood and refused.
pub(crate) const SERVER_ERROR: i32 = -32000;
/// JSON-RPC 2.0: not JSON.
pub(crate) const PARSE_ERROR: i32 = -32700;
/// JSON-RPC 2.0: JSON, but no request.
pub(crate) const INVALID_REQUEST: i32 = -32600;
/// geth: the answers of a batch are larger than allowed (`errcodeResponseTooLarge`).
pub(crate) const RESPONSE_TOO_LARGE: i32 = -32003;
/// EIP-1474: the node has no such method, or has it switched off.
pub(crate) const METHOD_NOT_FOUND: i32 = -32601;
/// EIP-1474: parameters that do not fit.
pub(crate) const INVALID_PARAMS: i32 = -32602;
/// EIP-1474: our own fault.
pub(crate) const INTERNAL: i32 = -32603;
/// EIP-1474: a bound of this node was reached.
pub(crate) const LIMIT_EXCEEDED: i32 = -32005;
/// EIP-1474: the resource is not there.
pub(crate) const NOT_FOUND: i32 = -32001;
/// Ours: the block is before the fork. Most calls are passed on to the chain that was forked; the rest tell so.
pub(crate) const BEFORE_FORK: i32 = -39_001;
/// EIP-1474: the resource is not available now.
pub(crate) const RESOURCE_UNAVAILABLE: i32 = -32002;

/// What a call answers instead of a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpcError {
    /// The caller's parameters do not fit.
    #[error("{0}")]
    InvalidParams(String),
    /// The EVM run reverted.
    #[error("{}", revert_message(.0))]
    Reverted(Bytes),
    /// Understood and refused; the words are geth's where geth has words for it.
    #[error("{0}")]
    Refused(String),
    /// The block named is not in the chain.
    #[error("header not found")]
    HeaderNotFound,
    /// The block is one of the chain that was forked.
    #[error("the block is before the fork")]
    BeforeFork,
    /// The state of that block is no longer kept. The beginning is geth's.
    #[error("missing trie node: the state of block {number} is not kept by this node; the oldest it has is {oldest}")]
    StateNotKept {
        /// Which block.
        number: u64,
        /// The oldest that can be asked for.
        oldest: u64,
    },
    /// EIP-7966: the transaction is in the pool, and the time to wait for its receipt is over.
    #[error("the transaction was added to the pool but not included within {wait:?}; its hash is in the data")]
    ReceiptNotYet {
        /// The transaction.
        hash: B256,
        /// How long the call waited.
        wait: Duration,
    },
    /// What was asked for is not there, where `null` would not say enough.
    #[error("{0}")]
    NotFound(String),
    /// A bound of this node.
    #[error("{0}")]
    LimitExceeded(String),
    /// An error that a specification gives a code of its own.
    #[error("{message}")]
    Coded {
        /// The JSON-RPC code.
        code: i32,
        /// What is wrong.
        message: String,
    },
    /// The node does not offer this, and says what to do instead.
    #[error("{0}")]
    NotOffered(String),
    /// All workers are busy.
    #[error("the node is busy: {0} calls are already running; try again")]
    Busy(usize),
    /// Our fault.
    #[error("{0}")]
    Internal(String),
}

impl RpcError {
    /// The caller's parameters do not fit.
    pub fn invalid(why: impl Into<String>) -> Self {
        Self::InvalidParams(why.into())
    }

    /// Understood and refused.
    pub fn refused(why: impl Into<String>) -> Self {
        Self::Refused(why.into())
    }

    /// Our fault.
    pub fn internal(what: impl std::fmt::Display) -> Self {
        Self::Internal(what.to_string())
    }

    /// The JSON-RPC code.
    pub fn code(&self) -> i32 {
        match self {
            Self::InvalidParams(_) => INVALID_PARAMS,
            Self::Reverted(_) => REVERTED,
            Self::Refused(_) | Self::HeaderNotFound | Self::StateNotKept { .. } => SERVER_ERROR,
            Self::BeforeFork => BEFORE_FORK,
            Self::ReceiptNotYet { .. } => RECEIPT_NOT_YET,
            Self::NotFound(_) => NOT_FOUND,
            Self::LimitExceeded(_) => LIMIT_EXCEEDED,
            Self::Coded { code, .. } => *code,
            Self::NotOffered(_) => METHOD_NOT_FOUND,
            Self::Busy(_) => RESOURCE_UNAVAILABLE,
            Self::Internal(_) => INTERNAL,
        }
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        if let RpcError::Internal(what) = &error {
            tracing::error!(%what, "an RPC call failed through our own fault");
        }
        let data = match &error {
            RpcError::Reverted(output) => Some(hex::encode_prefixed(output)),
            RpcError::ReceiptNotYet { hash, .. } => Some(hash.to_string()),
            _ => None,
        };
        Self::owned(error.code(), error.to_string(), data)
    }
}

impl From<PoolError> for RpcError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Storage(_) => Self::internal(error),
            refused => Self::Refused(refused.to_string()),
        }
    }
}

impl From<MinerError> for RpcError {
    fn from(error: MinerError) -> Self {
        match error {
            MinerError::Edit(why) => Self::InvalidParams(why),
            error => Self::Refused(error.to_string()),
        }
    }
}

/// `execution reverted`, and the reason if the output holds one: `Error(string)`, `Panic(uint256)` in geth's words, or
/// the delegate's `CryptletError`.
pub(crate) fn revert_message(output: &[u8]) -> String {
    match revert_reason(output) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    }
}

fn revert_reason(output: &[u8]) -> Option<String> {
    if output.get(..4) == Some(&CryptletError::SELECTOR) {
        let refusal = CryptletError::abi_decode(output).ok()?;
        return Some(match RefusalCode::try_from(refusal.code) {
            Ok(code) => format!("CryptletError({}, {code:?})", refusal.code),
            Err(number) => format!("CryptletError({number})"),
        });
    }
    match ContractError::<std::convert::Infallible>::abi_decode(output).ok()? {
        ContractError::Revert(revert) => Some(revert.reason().to_owned()),
        ContractError::Panic(panic) => Some(panic_reason(panic.code)),
        ContractError::CustomError(never) => match never {},
    }
}

/// go-ethereum `accounts/abi/abi.go`, `panicReasons`.
fn panic_reason(code: U256) -> String {
    let words = match u8::try_from(code).unwrap_or(u8::MAX) {
        0x00 => "generic panic",
        0x01 => "assert(false)",
        0x11 => "arithmetic underflow or overflow",
        0x12 => "division or modulo by zero",
        0x21 => "enum overflow",
        0x22 => "invalid encoded storage byte array accessed",
        0x31 => "out-of-bounds array access; popping on an empty array",
        0x32 => "out-of-bounds access of an array or bytesN",
        0x41 => "out of memory",
        0x51 => "uninitialized function",
        _ => return format!("unknown panic code: {code:#x}"),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_sol_types::{Panic, PanicKind, Revert};

    #[test]
    fn a_revert_has_code_3_the_reason_and_the_raw_output() {
        let output = Bytes::from(Revert::from("too poor").abi_encode());
        let error = ErrorObjectOwned::from(RpcError::Reverted(output.clone()));
        assert_eq!((error.code(), error.message()), (3, "execution reverted: too poor"));
        assert_eq!(error.data().expect("data").get(), format!("\"{output}\""));
    }

    #[test]
    fn an_empty_revert_has_data_0x() {
        let error = ErrorObjectOwned::from(RpcError::Reverted(Bytes::new()));
        assert_eq!((error.code(), error.message()), (3, "execution reverted"));
        assert_eq!(error.data().expect("data").get(), "\"0x\"");
    }

    #[test]
    fn panics_are_told_in_geths_words() {
        let output = Panic::from(PanicKind::UnderOverflow).abi_encode();
        assert_eq!(revert_message(&output), "execution reverted: arithmetic underflow or overflow");
    }

    #[test]
    fn a_refusal_of_the_delegate_is_named() {
        let output = CryptletError { code: RefusalCode::UnknownCryptlet as u16, data: Bytes::new() }.abi_encode();
        assert_eq!(revert_message(&output), "execution reverted: CryptletError(4, UnknownCryptlet)");
    }

    #[test]
    fn an_unknown_error_has_no_reason() {
        assert_eq!(revert_message(&[1, 2, 3, 4]), "execution reverted");
        assert_eq!(revert_message(&CryptletError::SELECTOR), "execution reverted");
    }
}
