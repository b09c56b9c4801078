//! The written schema: which tables there are, what their keys and values look like.
//!
//! Numbers in keys are big-endian, so that byte order is numerical order. `number` is a block number (8 bytes), `slot` a
//! storage key (32 bytes), `path` one byte per nibble from the root of a trie.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `meta` | name | see [`meta`] |
//! | `headers` | number | block hash (32 bytes), then the header's RLP |
//! | `bodies` | number | the body's RLP: transactions, ommers, withdrawals |
//! | `senders` | number | 20 bytes per transaction |
//! | `receipts` | number | RLP list of receipts without blooms (`codec`) |
//! | `requests` | number | RLP list of EIP-7685 requests, type byte first |
//! | `block_numbers` | block hash | number |
//! | `transactions` | transaction hash | number, then index (4 bytes) |
//! | `log_index` | term (9 bytes, see `log_index`), number | nothing: the block has logs with this address or topic |
//! | `accounts` | address | account now (`codec::encode_account`) |
//! | `storage` | address, slot | value now, without leading zeros; no row means zero |
//! | `code` | code hash | the code |
//! | `account_history` | address, number | account *before* that block; empty: it did not exist |
//! | `storage_history` | address, slot, number | value *before* that block; empty: zero |
//! | `changed_keys` | number | which accounts and slots the block changed (`codec::ChangedKeys`) |
//! | `account_trie` | path | RLP of the node at that path |
//! | `storage_trie` | keccak(address), path | RLP of the node at that path |
//!
//! A value as of block `n` is the first history row of its key with a number above `n`; if there is none, the value now.

use alloy_primitives::{Address, B256, U256};

/// Number of the layout above. Changing the layout changes it.
pub const FORMAT_VERSION: u32 = 3;

/// The layout before: without [`meta::TRIES`], and with the head's tries.
pub(super) const FORMAT_WITH_THE_HEADS_TRIES: u32 = 2;

/// Rows of the `meta` table.
pub mod meta {
    /// [`FORMAT_VERSION`](super::FORMAT_VERSION), 4 bytes.
    pub const FORMAT: &[u8] = b"format";
    /// The genesis file, JSON.
    pub const GENESIS: &[u8] = b"genesis";
    /// Height of the head, 8 bytes.
    pub const HEAD: &[u8] = b"head";
    /// Height of the first block, 8 bytes (0 unless the genesis file says otherwise).
    pub const FIRST: &[u8] = b"first";
    /// Sum of the difficulties up to the head, without leading zeros.
    pub const TOTAL_DIFFICULTY: &[u8] = b"total-difficulty";
    /// The oldest block whose state can be read, 8 bytes.
    pub const OLDEST_STATE: &[u8] = b"oldest-state";
    /// Height of the block whose tries are on the disk, 8 bytes: the head or one before it.
    pub const TRIES: &[u8] = b"tries";
    /// Beginning of the rows with what a development node's cheats set since the head, one for each time something was set: the
    /// number of the row (8 bytes) follows. RLP (`store::pending`), the hash of the head in front.
    pub const PENDING_EDITS: &[u8] = b"pending-edits";
}

/// A table (a column family in RocksDB).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)] // the table in the module's documentation says what each holds
pub enum Table {
    Meta,
    Headers,
    Bodies,
    Senders,
    Receipts,
    Requests,
    BlockNumbers,
    Transactions,
    Accounts,
    Storage,
    Code,
    AccountHistory,
    StorageHistory,
    ChangedKeys,
    AccountTrie,
    StorageTrie,
    LogIndex,
}

impl Table {
    /// Every table, in the order of its number.
    pub const ALL: [Self; 17] = [
        Self::Meta,
        Self::Headers,
        Self::Bodies,
        Self::Senders,
        Self::Receipts,
        Self::Requests,
        Self::BlockNumbers,
        Self::Transactions,
        Self::Accounts,
        Self::Storage,
        Self::Code,
        Self::AccountHistory,
        Self::StorageHistory,
        Self::ChangedKeys,
        Self::AccountTrie,
        Self::StorageTrie,
        Self::LogIndex,
    ];

    /// Does it hold nodes of tries?
    pub(super) const fn is_trie(self) -> bool {
        matches!(self, Self::AccountTrie | Self::StorageTrie)
    }

    /// Its name on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Headers => "headers",
            Self::Bodies => "bodies",
            Self::Senders => "senders",
            Self::Receipts => "receipts",
            Self::Requests => "requests",
            Self::BlockNumbers => "block_numbers",
            Self::Transactions => "transactions",
            Self::Accounts => "accounts",
            Self::Storage => "storage",
            Self::Code => "code",
            Self::AccountHistory => "account_history",
            Self::StorageHistory => "storage_history",
            Self::ChangedKeys => "changed_keys",
            Self::AccountTrie => "account_trie",
            Self::StorageTrie => "storage_trie",
            Self::LogIndex => "log_index",
        }
    }
}

/// Key of a block's row.
pub fn number_key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// Key of a slot's row.
pub fn slot_key(address: &Address, slot: &U256) -> [u8; 52] {
    let mut key = [0; 52];
    key[..20].copy_from_slice(address.as_slice());
    key[20..].copy_from_slice(&slot.to_be_bytes::<32>());
    key
}

/// Key of an account's row as it was before a block.
pub fn account_history_key(address: &Address, number: u64) -> [u8; 28] {
    let mut key = [0; 28];
    key[..20].copy_from_slice(address.as_slice());
    key[20..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Key of a slot's row as it was before a block.
pub fn storage_history_key(address: &Address, slot: &U256, number: u64) -> [u8; 60] {
    let mut key = [0; 60];
    key[..52].copy_from_slice(&slot_key(address, slot));
    key[52..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Key of a node of a storage trie.
pub fn storage_trie_key(hashed_address: &B256, path: &[u8]) -> Vec<u8> {
    [hashed_address.as_slice(), path].concat()
}
