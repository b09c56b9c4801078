//! The shapes of chain data this node uses everywhere: alloy's, with one choice made once.

use alloy::consensus::{
    self as consensus, EthereumTxEnvelope, TxEip4844, TxEip4844WithSidecar, transaction::Recovered,
};
use alloy::eips::{eip7594::BlobTransactionSidecarVariant, eip7685::Requests};
use cryptlet_primitives::BlockRecords;

/// A transaction as it stands in a block: blobs left out.
pub type Transaction = EthereumTxEnvelope<TxEip4844>;

/// A transaction as it travels: a blob transaction has its blobs with it.
pub type PooledTransaction = EthereumTxEnvelope<TxEip4844WithSidecar<BlobTransactionSidecarVariant>>;

/// A transaction and who sent it.
pub type RecoveredTransaction = Recovered<Transaction>;

/// A block header.
pub type Header = consensus::Header;

/// A block of [`Transaction`]s.
pub type Block = consensus::Block<Transaction>;

/// A receipt, with its bloom.
pub type Receipt = consensus::ReceiptEnvelope;

/// A block and what is needed to replay it: the requests its header commits to, in ascending type order. Requests whose
/// type is `0xCD` are the cryptlet records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockWithRequests {
    /// Header and body.
    pub block: Block,
    /// EIP-7685 requests, each with its type byte in front.
    pub requests: Requests,
}

/// A block that was executed: everything that is stored of it besides the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutedBlock {
    /// Header and body.
    pub block: Block,
    /// Hash of the header.
    pub hash: alloy_primitives::B256,
    /// EIP-7685 requests.
    pub requests: Requests,
    /// One receipt per transaction.
    pub receipts: Vec<Receipt>,
    /// Who sent each transaction.
    pub senders: Vec<alloy_primitives::Address>,
    /// The cryptlet records, decoded from the request of type `0xCD`.
    pub records: BlockRecords,
}
