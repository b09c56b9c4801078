//! Why a block is not valid.

use crate::fork::BaseRowsError;
use alloy_primitives::{Address, B256, Bloom, U256};
use cryptlet_primitives::{DevEditsError, RecordDecodeError};
use std::fmt;

/// Why a block is not valid: which block, which of its transactions (if one is to blame), and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}", place = Place(self))]
pub struct BlockFault {
    /// Number the block claims.
    pub number: u64,
    /// Index and hash of the transaction to blame.
    pub transaction: Option<(u64, Option<B256>)>,
    /// What is wrong.
    pub reason: Box<FaultReason>,
}

impl BlockFault {
    /// A fault of the block as a whole.
    pub fn of_block(number: u64, reason: FaultReason) -> Self {
        Self { number, transaction: None, reason: Box::new(reason) }
    }

    /// A fault of one transaction.
    pub fn of_transaction(number: u64, index: u64, hash: Option<B256>, reason: FaultReason) -> Self {
        Self { number, transaction: Some((index, hash)), reason: Box::new(reason) }
    }

    /// Is it the block that is wrong? Otherwise this node could not find out (storage, a bug).
    pub fn blames_block(&self) -> bool {
        !matches!(*self.reason, FaultReason::Storage(_) | FaultReason::Internal(_))
    }
}

fn or_nobody(address: Option<Address>) -> String {
    address.map_or_else(|| "nobody".to_owned(), |address| address.to_string())
}

struct Place<'a>(&'a BlockFault);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {}", self.0.number)?;
        match self.0.transaction {
            Some((index, Some(hash))) => write!(f, ", transaction {index} ({hash})"),
            Some((index, None)) => write!(f, ", transaction {index}"),
            None => Ok(()),
        }
    }
}

/// What is wrong with an uncle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum UncleFault {
    #[error("was included before")]
    Twice,
    #[error("is an ancestor of the block")]
    Ancestor,
    #[error("is not the child of one of the six blocks before the block's parent")]
    NotKin,
    #[error("is not valid: {0}")]
    Header(Box<FaultReason>),
}

/// What is wrong with a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum FaultReason {
    // The header, against its parent and its body.
    #[error("its parent is {found}, but the block before it has hash {expected}")]
    ParentHash { expected: B256, found: B256 },
    #[error("it follows block {parent}, so its number should be {}", parent + 1)]
    Number { parent: u64 },
    #[error("its timestamp {found} is not after its parent's, {parent}")]
    Timestamp { parent: u64, found: u64 },
    #[error("its timestamp {found} is more than {ahead_max_s} seconds ahead of this node's clock, {now}")]
    FromTheFuture { found: u64, now: u64, ahead_max_s: u64 },
    #[error("its gas limit {found} is not less than 1/1024 away from {parent}, or below 5000")]
    GasLimit { parent: u64, found: u64 },
    #[error("it claims {gas_used} gas used, more than its gas limit {gas_limit}")]
    GasAboveLimit { gas_used: u64, gas_limit: u64 },
    #[error("its base fee is {found:?}; the rules give {expected:?}")]
    BaseFee { expected: Option<u64>, found: Option<u64> },
    #[error("its excess blob gas is {found:?}; the rules give {expected:?}")]
    ExcessBlobGas { expected: Option<u64>, found: Option<u64> },
    #[error("its extra data has {0} bytes; a header carries at most 32")]
    ExtraData(usize),
    #[error("its difficulty is {0}; after the merge it is zero")]
    Difficulty(U256),
    #[error("its difficulty is {found}; the rules give {expected}")]
    DifficultyValue { expected: U256, found: U256 },
    #[error("it was mined, but the chain before it has total difficulty {total}, and {terminal} ends mining")]
    MinedAfterTerminal { total: U256, terminal: U256 },
    #[error("it has no difficulty, but the chain before it has only {total} of the {terminal} that end mining")]
    MergedTooEarly { total: U256, terminal: U256 },
    #[error("its extra data is on the other side of the DAO fork (EIP-779)")]
    DaoExtraData,
    #[error("its uncles hash to {computed}, but its header says {header}")]
    UnclesHash { header: B256, computed: B256 },
    #[error("it has {0} uncles; at most 2 are allowed")]
    TooManyUncles(usize),
    #[error("its uncle {index} ({hash}) {fault}")]
    Uncle { index: usize, hash: B256, fault: Box<UncleFault> },
    #[error("it is {bytes} bytes long; at most {bytes_max} are allowed (EIP-7934)")]
    BlockBytes { bytes: usize, bytes_max: usize },
    #[error("its nonce is not zero, as it must be after the merge")]
    Nonce,
    #[error("it has uncles; after the merge there are none")]
    Ommers,
    #[error("its header lacks, or has too early, the field `{0}`")]
    ForkField(&'static str),
    #[error("its transactions have root {computed}, but its header says {header}")]
    TransactionsRoot { header: B256, computed: B256 },
    #[error("its withdrawals have root {computed:?}, but its header says {header:?}")]
    WithdrawalsRoot { header: Option<B256>, computed: Option<B256> },
    // What execution came to, against the header.
    #[error("execution used {computed} gas, but its header says {header}")]
    GasUsed { header: u64, computed: u64 },
    #[error("its transactions use {computed} blob gas, but its header says {header:?}")]
    BlobGasUsed { header: Option<u64>, computed: u64 },
    #[error("its receipts have root {computed}, but its header says {header}")]
    ReceiptsRoot { header: B256, computed: B256 },
    #[error("the bloom of its logs is not the one in its header")]
    LogsBloom { header: Box<Bloom>, computed: Box<Bloom> },
    #[error("the state after it has root {computed}, but its header says {header}")]
    StateRoot { header: B256, computed: B256 },
    #[error("execution derives requests with hash {computed}, but its header says {header:?}")]
    RequestsHash { header: Option<B256>, computed: B256 },
    #[error("the requests that came with it hash to {found}, but its header says {header:?}")]
    RequestsGiven { header: Option<B256>, found: B256 },
    #[error("the requests that came with it are not in ascending order of type, or one is empty")]
    RequestsOrder,
    #[error(
        "execution accesses what gives a block access list (EIP-7928) with hash {computed}, but its header says {header:?}"
    )]
    AccessListHash { header: Option<B256>, computed: B256 },
    #[error("its block access list has {items} items; its gas limit allows {items_max} (EIP-7928)")]
    AccessListItems { items: u64, items_max: u64 },
    // Its transactions.
    #[error("the signature does not recover to a sender")]
    Sender,
    #[error("it is signed for a chain id (EIP-155), which blocks before Spurious Dragon do not know")]
    ChainIdTooEarly,
    #[error("the transaction is not valid here: {0}")]
    InvalidTransaction(String),
    #[error("its gas limit {gas_limit} does not fit in the {gas_left} gas left in the block")]
    BlockGasExhausted { gas_limit: u64, gas_left: u64 },
    #[error("its blobs take {blob_gas} blob gas, of which {blob_gas_left} are left in the block")]
    BlobGasExhausted { blob_gas: u64, blob_gas_left: u64 },
    #[error("sender {0} is not the one the store names")]
    SenderMismatch(Address),
    // Its cryptlet records.
    #[error("{0}")]
    RecordsMalformed(#[from] RecordDecodeError),
    #[error("the cryptlet records name transaction {index}, but the block has {transactions}")]
    RecordsOfNoTransaction { index: u64, transactions: usize },
    #[error("it carries cryptlet records, but this chain has no delegate")]
    RecordsWithoutDelegate,
    #[error("cryptlet record {index}: {reason}")]
    Record { index: usize, reason: String },
    #[error("cryptlet record {index} is missing: the transaction calls cryptlet {cryptlet}, and no record answers")]
    RecordMissing { index: usize, cryptlet: B256 },
    #[error("execution used {used} of the {given} cryptlet records that came with the transaction")]
    RecordsLeftOver { used: usize, given: usize },
    // Its development edits.
    #[error("{0}")]
    DevEditsMalformed(DevEditsError),
    #[error(
        "it carries development edits (request type 0xCE), and this chain takes none: config.cryptletDevEdits is not true \
         in its genesis"
    )]
    DevEditsNotTaken,
    #[error("the development edits cannot be made: {0}")]
    DevEditsImpossible(String),
    #[error("the development edits name the sender of transaction {index}, but the block has {transactions}")]
    ImpersonationOfNoTransaction { index: u64, transactions: usize },
    #[error(
        "the development edits name {} as its impersonated sender, and the signature on it marks {}",
        or_nobody(*named),
        or_nobody(*marked)
    )]
    Impersonation { named: Option<Address>, marked: Option<Address> },
    // What it read of a chain that was forked.
    #[error("{0}")]
    BaseRows(BaseRowsError),
    #[error("execution reads what came with no row: {0}")]
    BaseRowMissing(String),
    #[error(
        "it carries rows of another chain (request type 0xCF), but this chain was not forked: config.cryptletFork is not \
         in its genesis"
    )]
    BaseRowsWithoutFork,
    // Not the block's fault.
    #[error("a system call failed: {0}")]
    SystemCall(String),
    #[error("storage: {0}")]
    Storage(String),
    #[error("internal: {0}")]
    Internal(String),
}
