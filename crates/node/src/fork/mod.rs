//! A dev chain that continues another chain from one of its blocks, without its history.
//!
//! Whatever the local chain has never touched is read from the **base**: the state of the other chain after the fork block,
//! fetched row by row as execution asks for it. Like the answer of a cryptlet, a row comes from outside; so it is treated
//! like one. A read that meets an unknown row ends the run with an error, the row is fetched meanwhile, and the run is made
//! again: execution never waits. And **the rows that a block read are recorded with it** ([`BaseRows`], an EIP-7685 request of
//! its own type), so any other node re-executes a forked chain without the chain it was forked from. A row that was used
//! becomes part of the local state in that block, so state roots commit to it.
//!
//! ```text
//! snapshot ─ local row? ─ yes ─> it
//!               └ no ─ touched locally before? ─ yes ─> nothing there
//!                         └ no ─> base: ForkCache (live: known, or wanted and fetched)
//!                                       BaseRows  (replay: came with the block, or the block is invalid)
//! ```

mod cache;
mod recording;
mod rows;

pub use cache::ForkCache;
pub(crate) use recording::Recording;
pub use rows::{BASE_ROWS_REQUEST_TYPE, BaseRows, BaseRowsError};

use alloy_primitives::{Address, B256, Bytes, U256};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Where a chain was forked from another: `config.cryptletFork` of its genesis file. The chain's first block has the
/// number of the fork block, and the accounts of its own that `alloc` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForkPoint {
    /// EIP-155 id of the other chain.
    pub chain_id: u64,
    /// Height of the fork block on the other chain.
    pub block_number: u64,
    /// Its hash there.
    pub block_hash: B256,
}

/// A row of the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BaseKey {
    /// An account: nonce, balance and code.
    Account(Address),
    /// A slot of an account.
    Slot(Address, U256),
    /// The hash of a block before the fork block.
    BlockHash(u64),
}

impl std::fmt::Display for BaseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account(address) => write!(f, "account {address}"),
            Self::Slot(address, slot) => write!(f, "slot {slot:#x} of account {address}"),
            Self::BlockHash(number) => write!(f, "the hash of block {number}"),
        }
    }
}

/// What the base has under a [`BaseKey`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BaseValue {
    /// `None`: it does not exist.
    Account(Option<BaseAccount>),
    /// Zero: nothing was ever stored, or it was removed.
    Slot(U256),
    /// Of a block.
    BlockHash(B256),
}

/// An account of the base. Its storage is asked for slot by slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseAccount {
    /// Transactions sent, or contracts made.
    pub nonce: u64,
    /// In wei.
    pub balance: U256,
    /// Empty if it is no contract.
    pub code: Bytes,
}

impl BaseAccount {
    /// Is there nothing at all (EIP-161)? Nodes answer so for accounts that do not exist.
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.code.is_empty()
    }
}

/// A row is not there: not known yet, or not brought by the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} of the forked chain {PHRASE}")]
pub struct BaseMiss(pub BaseKey);

/// Rounds of fetching for one call. A run meets one unknown row at a time, so this bounds the rows a call may need.
pub(crate) const ROUNDS_MAX: usize = 10_000;

/// How errors that only mean "ask again in a moment" are told apart from others, after they have become words.
const PHRASE: &str = "is not known here";

/// Does this error end a run that could go on once what it wanted was fetched?
pub(crate) fn is_miss(error: &str) -> bool {
    error.contains(PHRASE)
}

/// Who answers what the local chain does not know.
pub trait Base: Send + Sync {
    /// The account at this address.
    fn account(&self, address: Address) -> Result<Option<BaseAccount>, BaseMiss>;

    /// The value of a slot.
    fn slot(&self, address: Address, slot: U256) -> Result<U256, BaseMiss>;

    /// The hash of a block before the fork block.
    fn block_hash(&self, number: u64) -> Result<B256, BaseMiss>;

    /// The code with this hash, if an account that was asked for has it.
    fn code(&self, hash: B256) -> Option<Bytes>;
}

/// The other chain, as somebody who may wait reaches it.
pub trait ForkSource: Send + Sync + 'static {
    /// Fetches rows, as of the fork block. The answers are in the order of the keys.
    fn fetch(&self, keys: Vec<BaseKey>) -> BoxFuture<'static, Result<Vec<BaseValue>, ForkFault>>;

    /// Has a JSON-RPC method of the other chain answered, for blocks before the fork block.
    fn forward(&self, method: String, params: Option<Box<RawValue>>) -> BoxFuture<'static, ForwardOutcome>;
}

/// What the other chain's node answered: a result, or an error (code, message, data).
pub type ForwardOutcome = Result<Result<Box<RawValue>, (i32, String, Option<Box<RawValue>>)>, ForkFault>;

/// The other chain could not be reached, or its node answered nonsense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chain that was forked does not answer: {0}")]
pub struct ForkFault(pub String);
