//! Where the nodes of a trie are read.

use super::cache::NodeCache;
use crate::store::{
    KeyValueRead, StoreError,
    schema::{Table, storage_trie_key},
};
use alloy_primitives::B256;
use alloy_trie::Nibbles;
use std::collections::BTreeMap;

/// Nodes to write, by path; `None` removes the node.
pub type NodeWrites = BTreeMap<Nibbles, Option<Vec<u8>>>;

/// A trie whose nodes can be read by path.
pub trait TrieSource: Sync {
    /// RLP of the node at this path.
    fn node(&self, path: &Nibbles) -> Result<Option<Vec<u8>>, StoreError>;

    /// What to call the trie in an error.
    fn name(&self) -> String;

    /// Nodes that need not be read, and where to keep those that an update makes.
    fn cache(&self) -> Option<&NodeCache> {
        None
    }
}

/// A trie in the store.
pub struct StoredTrie<'a> {
    tables: &'a dyn KeyValueRead,
    /// Of a storage trie.
    hashed_address: Option<B256>,
    cache: Option<&'a NodeCache>,
}

impl<'a> StoredTrie<'a> {
    /// The trie of all accounts.
    pub fn accounts(tables: &'a dyn KeyValueRead) -> Self {
        Self { tables, hashed_address: None, cache: None }
    }

    /// The trie of one account's storage.
    pub fn storage(tables: &'a dyn KeyValueRead, hashed_address: B256) -> Self {
        Self { tables, hashed_address: Some(hashed_address), cache: None }
    }

    /// The same, with nodes in memory.
    pub fn with_cache(self, cache: Option<&'a NodeCache>) -> Self {
        Self { cache, ..self }
    }
}

impl TrieSource for StoredTrie<'_> {
    fn node(&self, path: &Nibbles) -> Result<Option<Vec<u8>>, StoreError> {
        match &self.hashed_address {
            None => self.tables.get(Table::AccountTrie, &path.to_vec()),
            Some(account) => self.tables.get(Table::StorageTrie, &storage_trie_key(account, &path.to_vec())),
        }
    }

    fn name(&self) -> String {
        self.hashed_address.map_or("the account trie".into(), |account| format!("the storage trie of {account}"))
    }

    fn cache(&self) -> Option<&NodeCache> {
        self.cache
    }
}

/// A trie with writes that are not in it yet.
pub struct OverlaidTrie<'a, S> {
    /// The trie.
    pub below: &'a S,
    /// The writes, if any.
    pub writes: Option<&'a NodeWrites>,
}

impl<S: TrieSource> TrieSource for OverlaidTrie<'_, S> {
    fn node(&self, path: &Nibbles) -> Result<Option<Vec<u8>>, StoreError> {
        match self.writes.and_then(|writes| writes.get(path)) {
            Some(node) => Ok(node.clone()),
            None => self.below.node(path),
        }
    }

    fn name(&self) -> String {
        self.below.name()
    }
}
