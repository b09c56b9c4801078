//! The store of one chain.

use super::{
    blocks::existing_header,
    codec::number_of_row,
    error::StoreError,
    kv::{Batch, KeyValue, KeyValueRead},
    memory::MemoryKeyValue,
    pending::{Pending, read_pending},
    rocks::{RocksKeyValue, StoreOptions},
    schema::{FORMAT_VERSION, Table, meta},
};
use crate::{
    state::{AccountProof, CodeCache, StateChanges, StateSnapshot, StateUpdate, history, proof, update},
    types::Header,
};
use alloy::consensus::Sealed;
use alloy::eips::BlockNumHash;
use alloy_primitives::{Address, U256};
use parking_lot::{Mutex, RwLock};
use std::{path::Path, sync::Arc};

/// How many changed accounts and slots a question about a past state may replay backwards.
pub(crate) const REPLAYED_CHANGES_MAX: usize = 1_000_000;

/// Blocks, receipts, indices and states of one chain. Clones are cheap and mean the same store. Any number of threads may
/// read while one commits; nobody waits for anybody, except writers for writers.
#[derive(Clone)]
pub struct ChainStore {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) tables: Box<dyn KeyValue>,
    /// The head, so that asking for it does not touch the database. Held for the time of a copy.
    pub(super) head: RwLock<Option<Sealed<Header>>>,
    /// Held by whoever moves the head.
    pub(super) writing: Mutex<()>,
    /// What a development node's cheats set since the head. Held for the time of a copy.
    pub(super) pending: RwLock<Option<Pending>>,
    pub(super) codes: Arc<CodeCache>,
}

impl ChainStore {
    /// Opens the chain in this folder; the folder is made if it is not there. A new one must be
    /// [initialized](Self::initialize) before it is used.
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let tables = RocksKeyValue::open(path, options)?;
        check_format(&tables, path)?;
        Self::new(Box::new(tables), options)
    }

    /// A chain in memory.
    pub fn in_memory() -> Self {
        Self::new(Box::<MemoryKeyValue>::default(), &StoreOptions::default())
            .expect("reading the head of an empty map does not fail")
    }

    fn new(tables: Box<dyn KeyValue>, options: &StoreOptions) -> Result<Self, StoreError> {
        let inner = Inner {
            tables,
            head: RwLock::new(None),
            writing: Mutex::new(()),
            pending: RwLock::new(None),
            codes: Arc::new(CodeCache::new(options.codes_cached_max)),
        };
        let store = Self { inner: Arc::new(inner) };
        if let Some(number) = head_number(store.tables())? {
            let head = existing_header(store.tables(), number)?;
            *store.inner.pending.write() = read_pending(store.tables(), head.hash())?;
            *store.inner.head.write() = Some(head);
        }
        Ok(store)
    }

    /// Does the store hold a chain?
    pub fn is_initialized(&self) -> bool {
        self.inner.head.read().is_some()
    }

    /// The tip of the chain.
    pub fn head(&self) -> Result<Sealed<Header>, StoreError> {
        self.inner.head.read().clone().ok_or(StoreError::NotInitialized)
    }

    /// The sum of the difficulties of all blocks up to the head.
    pub fn total_difficulty(&self) -> Result<U256, StoreError> {
        if let Some(row) = self.tables().get(Table::Meta, meta::TOTAL_DIFFICULTY)? {
            let damaged = || StoreError::corrupt(Table::Meta, meta::TOTAL_DIFFICULTY, "is longer than a word");
            return U256::try_from_be_slice(&row).ok_or_else(damaged);
        }
        // Written by a version that only knew chains without difficulty behind their first block.
        Ok(self.header(self.first_block()?)?.map_or(U256::ZERO, |first| first.difficulty))
    }

    /// The state after this block, unmoved by later commits. For the head, that is the state now; for an older block, the
    /// state now read through the history.
    pub fn state_at(&self, number: u64) -> Result<StateSnapshot, StoreError> {
        StateSnapshot::open(self.inner.tables.snapshot(), Some(number), self.inner.codes.clone())
    }

    /// The state after the head, whichever block that is now ([`StateSnapshot::number`] says), with what a development
    /// node's cheats set since ([`Self::set_pending_edits`]).
    pub fn latest_state(&self) -> Result<StateSnapshot, StoreError> {
        let state = StateSnapshot::open(self.inner.tables.snapshot(), None, self.inner.codes.clone())?;
        let overlay = self.overlay_on(&state)?;
        Ok(state.with_overlay(overlay))
    }

    /// The root of the state that these changes make of the state after block `parent`, and everything a commit must
    /// write for it. Nothing is written. The cost is that of the changes, if `parent` is the head; else, that of the
    /// changes of all blocks above it on top (and the update cannot be committed).
    pub fn state_root_after(&self, parent: u64, changes: &StateChanges) -> Result<StateUpdate, StoreError> {
        let snapshot = self.state_at(parent)?;
        let (tables, head) = (snapshot.tables(), snapshot.head_number());
        let base = BlockNumHash::new(parent, existing_header(tables, parent)?.hash());
        let head_root = existing_header(tables, head)?.state_root;
        if parent == head {
            return update::prepare(tables, base, head_root, changes);
        }
        let changes = history::changes_back_to(tables, head, parent, REPLAYED_CHANGES_MAX)?.then(changes);
        update::prepare(tables, base, head_root, &changes)
    }

    /// Proves an account and slots of it against the state root of a block (EIP-1186). For a block below the head, the
    /// changes above it are undone in memory.
    pub fn proof(&self, number: u64, address: Address, slots: &[U256]) -> Result<AccountProof, StoreError> {
        let snapshot = self.state_at(number)?;
        let (tables, head) = (snapshot.tables(), snapshot.head_number());
        let header = existing_header(tables, number)?;
        if number == head {
            return proof::prove(&snapshot, header.state_root, None, address, slots);
        }
        let changes = history::changes_back_to(tables, head, number, REPLAYED_CHANGES_MAX)?;
        let base = BlockNumHash::new(number, header.hash());
        let update = update::prepare(tables, base, existing_header(tables, head)?.state_root, &changes)?;
        update.check_root(number, header.state_root)?;
        proof::prove(&snapshot, header.state_root, Some(&update), address, slots)
    }

    /// Forces everything committed so far to the disk, whatever [`StoreOptions::sync`] says.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.inner.tables.flush()
    }

    pub(super) fn tables(&self) -> &dyn KeyValueRead {
        // A supertrait: the same object.
        &*self.inner.tables
    }
}

/// Height of the head, if there is a chain.
pub(crate) fn head_number(tables: &dyn KeyValueRead) -> Result<Option<u64>, StoreError> {
    meta_number(tables, meta::HEAD)
}

/// A number of the `meta` table.
pub(crate) fn meta_number(tables: &dyn KeyValueRead, name: &[u8]) -> Result<Option<u64>, StoreError> {
    let row = tables.get(Table::Meta, name)?;
    row.map(|row| number_of_row(Table::Meta, name, &row)).transpose()
}

fn check_format(tables: &dyn KeyValue, path: &Path) -> Result<(), StoreError> {
    match tables.get(Table::Meta, meta::FORMAT)? {
        Some(found) if found == FORMAT_VERSION.to_be_bytes() => Ok(()),
        Some(found) => {
            let found = match <[u8; 4]>::try_from(found.as_slice()) {
                Ok(number) => u32::from_be_bytes(number).to_string(),
                Err(_) => format!("0x{}", alloy_primitives::hex::encode(found)),
            };
            Err(StoreError::FormatVersion { path: path.to_owned(), found, expected: FORMAT_VERSION })
        }
        None => {
            if let Some(table) = Table::ALL.iter().find(|table| !matches!(tables.first(**table, &[], None), Ok(None))) {
                let detail = format!("table `{}` has rows, but no format version is written", table.name());
                return Err(StoreError::NotAStore { path: path.to_owned(), detail });
            }
            let mut batch = Batch::default();
            batch.put(Table::Meta, meta::FORMAT, FORMAT_VERSION.to_be_bytes());
            tables.write(batch)
        }
    }
}
