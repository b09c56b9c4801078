//! Why a transaction is not taken in.

use alloy_primitives::{Address, U256};

/// Why a transaction is not taken in. The beginnings of the messages are geth's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum PoolError {
    #[error("malformed transaction: {0}")]
    Malformed(String),
    #[error("invalid sender: the signature does not recover to an address")]
    InvalidSender,
    #[error("this chain takes no transactions that nobody signed: config.cryptletDevEdits is not true in its genesis")]
    NoImpersonation,
    #[error("already known")]
    AlreadyKnown,
    #[error("invalid chain id for signer: have {have} want {want}")]
    ChainId { have: u64, want: u64 },
    #[error("transaction type not supported: type {0} is not active on this chain yet")]
    TypeNotSupported(u8),
    #[error("oversized data: transaction size {bytes}, limit {bytes_max}")]
    Oversized { bytes: usize, bytes_max: usize },
    #[error("max initcode size exceeded: code size {bytes}, limit {bytes_max}")]
    InitCodeTooLong { bytes: usize, bytes_max: usize },
    #[error("exceeds block gas limit: transaction gas limit {gas_limit}, block gas limit {block_gas_limit}")]
    ExceedsBlockGasLimit { gas_limit: u64, block_gas_limit: u64 },
    #[error("transaction gas limit too high: {gas_limit}, cap {cap} (EIP-7825)")]
    ExceedsTransactionGasCap { gas_limit: u64, cap: u64 },
    #[error("max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas {tip}, maxFeePerGas {cap}")]
    TipAboveFeeCap { tip: u128, cap: u128 },
    #[error("max fee per gas less than block base fee: address {sender}, maxFeePerGas: {cap}, baseFee: {base_fee}")]
    FeeCapTooLow { sender: Address, cap: u128, base_fee: u64 },
    #[error("max fee per blob gas less than block blob gas fee: maxFeePerBlobGas {cap}, blobBaseFee {blob_base_fee}")]
    BlobFeeCapTooLow { cap: u128, blob_base_fee: u128 },
    #[error("intrinsic gas too low: gas {gas_limit}, minimum needed {needed}")]
    IntrinsicGas { gas_limit: u64, needed: u64 },
    #[error("insufficient gas for floor data gas cost: gas {gas_limit}, minimum needed {needed} (EIP-7623)")]
    FloorGas { gas_limit: u64, needed: u64 },
    #[error("nonce too low: next nonce {next}, tx nonce {nonce}")]
    NonceTooLow { nonce: u64, next: u64 },
    #[error("nonce has max value: 2^64-1 (EIP-2681)")]
    NonceMax,
    #[error("nonce too far ahead: next nonce {next}, tx nonce {nonce}, this node keeps {ahead_max} ahead")]
    NonceTooHigh { nonce: u64, next: u64, ahead_max: u64 },
    #[error("sender not an eoa: address {0} has code (EIP-3607)")]
    SenderNotEoa(Address),
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, overshot {}",
        cost.saturating_sub(*balance)
    )]
    InsufficientFunds { balance: U256, cost: U256 },
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, queued cost {queued}, tx cost {cost}, overshot {}",
        cost.saturating_add(*queued).saturating_sub(*balance)
    )]
    InsufficientFundsQueued { balance: U256, queued: U256, cost: U256 },
    #[error("replacement transaction underpriced: it must pay at least {bump_percent}% more than the one it replaces")]
    ReplacementUnderpriced { bump_percent: u128 },
    #[error(
        "txpool is full: {transactions} transactions, {bytes} bytes, and this one does not pay more than any of them"
    )]
    Full { transactions: usize, bytes: usize },
    #[error("account limit exceeded: {sender} already has {transactions} transactions in the pool")]
    SenderFull { sender: Address, transactions: usize },
    #[error("set code tx with empty auth list (EIP-7702)")]
    EmptyAuthorizationList,
    #[error("blob transaction: {0}")]
    Blobs(String),
    #[error("value, fees or gas do not fit in 256 bits")]
    Overflow,
    #[error("storage: {0}")]
    Storage(String),
    #[error("the node is stopping")]
    Stopped,
}
