//! What can go wrong with the store.

use super::schema::Table;
use crate::fork::BaseMiss;
use alloy_primitives::{B256, Bytes};
use std::path::PathBuf;

/// A failure of the store. The variants keep apart the disk's fault (`Backend`, `DiskFull`, `InUse`,
/// `BlocksLost`, `WitnessDamaged`, `Corrupt`, `MissingTrieNode`),
/// the operator's (`FormatVersion`, `NotAStore`, `WrongGenesis`), the caller's (`UnknownBlock`, `NotRetained`,
/// `NotOnHead`, `StaleUpdate`, `Malformed`) and our own (`StateRootMismatch` after a block was executed).
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no.
    #[error("the database failed to {operation}: {detail}")]
    Backend {
        /// What was being done.
        operation: &'static str,
        /// What it said.
        detail: String,
    },
    /// There is no room left on the disk. Nothing was half-written; the same can be tried again.
    #[error("the disk is full: the database could not {operation} ({detail}). Make room; nothing was half-written")]
    DiskFull {
        /// What was being done.
        operation: &'static str,
        /// What the database said.
        detail: String,
    },
    /// The database ends before a block that was acknowledged.
    #[error(
        "{path} has lost blocks: block {number} ({hash}) was acknowledged, but the database ends at block {head}. Its log \
             was cut short, by a power cut without --sync or by another's hand. Restore the folder, or go on from block \
             {head} with --accept-lost-blocks"
    )]
    BlocksLost {
        /// The folder.
        path: PathBuf,
        /// The last block that was acknowledged.
        number: u64,
        /// Its hash.
        hash: B256,
        /// What is left.
        head: u64,
    },
    /// The file that remembers what was acknowledged is not what was written.
    #[error("{path} is damaged; if the database is sound, remove that file and start again")]
    WitnessDamaged {
        /// The file.
        path: PathBuf,
    },
    /// Another process has the folder open.
    #[error("{path} is in use by another process; stop it, or give this one another data folder")]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// Written by a version with another layout.
    #[error(
        "{path} has store format {found}; this version reads format {expected}. Use the version that wrote it, or \
             export the chain there and import it here"
    )]
    FormatVersion {
        /// The folder.
        path: PathBuf,
        /// What it carries.
        found: String,
        /// What this version writes.
        expected: u32,
    },
    /// A database of something else.
    #[error("{path} holds a database that is not a chain of this node ({detail})")]
    NotAStore {
        /// The folder.
        path: PathBuf,
        /// What gave it away.
        detail: String,
    },
    /// The folder holds another chain.
    #[error(
        "the data folder holds the chain with genesis {stored}, but genesis {given} was asked for; give the genesis \
             file it was made with, or another data folder"
    )]
    WrongGenesis {
        /// Hash of the genesis block in the folder.
        stored: B256,
        /// Hash of the genesis block that was asked for.
        given: B256,
    },
    /// A development node's cheats set what no account can have.
    #[error("{0}")]
    PendingEdits(String),
    /// A development node's cheats set more than one block carries.
    #[error(
        "what was set since the last block takes {bytes} bytes; a block carries at most {bytes_max}: mine one first"
    )]
    PendingEditsTooLong {
        /// Bytes it would take.
        bytes: usize,
        /// Bytes that fit.
        bytes_max: usize,
    },
    /// No genesis was written yet.
    #[error("the data folder holds no chain yet")]
    NotInitialized,
    /// A row that cannot be read.
    #[error("the database is damaged: row 0x{} of table `{}` {detail}", alloy_primitives::hex::encode(.key), .table.name())]
    Corrupt {
        /// Which table.
        table: Table,
        /// Which row.
        key: Bytes,
        /// What is wrong with it.
        detail: String,
    },
    /// A node of a state trie is not there, or is not the one its parent commits to.
    #[error("the database is damaged: the trie node at path {path:?} of {trie} {detail}")]
    MissingTrieNode {
        /// `the account trie`, or `the storage trie of <hashed address>`.
        trie: String,
        /// Nibbles from the root.
        path: Vec<u8>,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// A header commits to another state than execution came to.
    #[error("block {number} commits to state root {header}, but its execution gives {computed}")]
    StateRootMismatch {
        /// The block.
        number: u64,
        /// Root in the header.
        header: B256,
        /// Root of the state.
        computed: B256,
    },
    /// A block that does not follow the head.
    #[error("block {number} with parent {parent} does not follow the head, block {head_number} ({head})")]
    NotOnHead {
        /// Height of the block.
        number: u64,
        /// Its parent's hash.
        parent: B256,
        /// Height of the head.
        head_number: u64,
        /// Hash of the head.
        head: B256,
    },
    /// A state update that was prepared on another block than the one it is committed on.
    #[error(
        "the state update was prepared on block {base_number} ({base}), but the head is block {head_number} ({head})"
    )]
    StaleUpdate {
        /// Where it was prepared.
        base_number: u64,
        /// Where it was prepared.
        base: B256,
        /// Height of the head.
        head_number: u64,
        /// Hash of the head.
        head: B256,
    },
    /// The parts of a block do not fit each other.
    #[error("block {number} cannot be stored: {detail}")]
    Malformed {
        /// The block.
        number: u64,
        /// What does not fit.
        detail: String,
    },
    /// A row of the chain that was forked: to be fetched, or missing in the block that is replayed.
    #[error(transparent)]
    BaseMiss(#[from] BaseMiss),
    /// Above the head.
    #[error("there is no block {number}; the head is block {head}")]
    UnknownBlock {
        /// What was asked for.
        number: u64,
        /// Height of the head.
        head: u64,
    },
    /// The state of that block was pruned, or is too far from the head for this question.
    #[error("the state of block {number} is not retained for this; the oldest block that is: {oldest}")]
    NotRetained {
        /// What was asked for.
        number: u64,
        /// The oldest block that can be asked for.
        oldest: u64,
    },
}

impl revm::database_interface::DBErrorMarker for StoreError {}

impl StoreError {
    /// Did the database find its own files damaged?
    pub(super) fn is_damage(&self) -> bool {
        matches!(self, Self::Backend { operation: "open", detail } if detail.starts_with("Corruption"))
    }

    pub(crate) fn corrupt(table: Table, key: &[u8], detail: impl Into<String>) -> Self {
        Self::Corrupt { table, key: Bytes::copy_from_slice(key), detail: detail.into() }
    }
}
