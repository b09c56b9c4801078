//! The store of one chain.

use super::{
    blocks::existing_header,
    codec::number_of_row,
    error::StoreError,
    kv::{Batch, KeyValue, KeyValueRead},
    memory::MemoryKeyValue,
    pending::{Pending, read_pending},
    rocks::StoreOptions,
    schema::{Table, meta},
    witness::Witness,
};
use crate::{
    state::{AccountProof, BaseLayer, CodeCache, StateChanges, StateSnapshot, StateUpdate, history, proof, update},
    trie::NodeCache,
    types::Header,
};
use alloy::consensus::Sealed;
use alloy::eips::BlockNumHash;
use alloy_primitives::{Address, U256};
use parking_lot::{Mutex, RwLock};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// How many changed accounts and slots a question about a past state may replay backwards.
pub(crate) const REPLAYED_CHANGES_MAX: usize = 1_000_000;

/// How often what the witness says is waited for, where blocks are. A power cut may take it back that far: damage behind that
/// is taken for what nobody had waited for.
const WITNESS_SYNCED_EVERY_GROUPS: u64 = 64;

/// Blocks, receipts, indices and states of one chain. Clones are cheap and mean the same store. Any number of threads may
/// read while one commits; nobody waits for anybody, except writers for writers.
///
/// A block is *written* when it is in the log and the system's hands, and *settled* when it is as safe as
/// [`StoreOptions::sync`] wants it. Readers see settled blocks only, so nothing that was seen can be lost; whoever makes
/// blocks goes on from the written ones ([`Self::with_unsettled`]).
#[derive(Clone)]
pub struct ChainStore {
    pub(super) inner: Arc<Inner>,
    /// Sees blocks that are written and not settled.
    sees_unsettled: bool,
}

pub(super) struct Inner {
    pub(super) tables: Box<dyn KeyValue>,
    /// Held for the time of a copy.
    pub(super) heads: RwLock<Heads>,
    /// Held by whoever moves the head or writes.
    pub(super) writing: Mutex<()>,
    /// Held by whoever settles blocks. Taken after `writing` by those who take both.
    pub(super) settling: Mutex<()>,
    pub(super) codes: Arc<CodeCache>,
    /// Nodes of the tries that the last blocks made.
    pub(super) nodes: NodeCache,
    /// What lies below the state, if the chain continues another.
    pub(super) base: OnceLock<BaseLayer>,
    /// Remembers outside the database how far it was acknowledged; `None` in memory.
    pub(super) witness: Option<Witness>,
    pub(super) sync: bool,
    /// How often blocks were settled since the store was opened.
    pub(super) settled_groups: AtomicU64,
}

/// The tips of the chain; `None` before there is a genesis.
#[derive(Clone, Default)]
pub(super) struct Heads {
    pub(super) written: Option<Arc<HeadView>>,
    pub(super) settled: Option<Arc<HeadView>>,
}

/// A tip of the chain, and the tables as they were when it was: asking about the head opens nothing.
#[derive(Clone)]
pub(super) struct HeadView {
    pub(super) header: Sealed<Header>,
    pub(super) tables: Arc<dyn KeyValueRead>,
    pub(super) oldest_state: u64,
    /// How often blocks were undone since the store was opened.
    pub(super) rewinds: u64,
    /// What a development node's cheats set since.
    pub(super) pending: Option<Arc<Pending>>,
}

impl HeadView {
    fn state_at(&self, number: u64, inner: &Inner) -> Result<StateSnapshot, StoreError> {
        let (head, oldest) = (self.header.number, self.oldest_state);
        if number > head {
            return Err(StoreError::UnknownBlock { number, head });
        }
        if number < oldest {
            return Err(StoreError::NotRetained { number, oldest });
        }
        let state = StateSnapshot::new(self.tables.clone(), inner.codes.clone(), number, head);
        Ok(state.with_base(inner.base.get().cloned()))
    }
}

impl ChainStore {
    /// A chain in memory.
    pub fn in_memory() -> Self {
        Self::new(Box::<MemoryKeyValue>::default(), &StoreOptions::default(), None)
            .expect("reading the head of an empty map does not fail")
    }

    pub(super) fn new(
        tables: Box<dyn KeyValue>,
        options: &StoreOptions,
        witness: Option<Witness>,
    ) -> Result<Self, StoreError> {
        let inner = Inner {
            tables,
            heads: RwLock::default(),
            writing: Mutex::new(()),
            settling: Mutex::new(()),
            codes: Arc::new(CodeCache::new(options.codes_cached_max)),
            nodes: NodeCache::new(options.trie_nodes_cached_max),
            base: OnceLock::new(),
            witness,
            sync: options.sync,
            settled_groups: AtomicU64::new(0),
        };
        let store = Self { inner: Arc::new(inner), sees_unsettled: false };
        if let Some(number) = head_number(&*store.inner.tables)? {
            let header = existing_header(&*store.inner.tables, number)?;
            let pending = read_pending(&*store.inner.tables, header.hash())?;
            store.inner.head_is(header)?;
            store.inner.set_pending(pending.map(Arc::new));
            let mut heads = store.inner.heads.write();
            heads.settled = heads.written.clone();
        }
        Ok(store)
    }

    /// The same store, seen with the blocks that are written and not settled yet.
    pub fn with_unsettled(&self) -> Self {
        Self { inner: self.inner.clone(), sees_unsettled: true }
    }

    /// Does [settling](Self::settle) wait for the disk?
    pub fn waits_for_disk(&self) -> bool {
        self.inner.sync
    }

    /// Does the store hold a chain?
    pub fn is_initialized(&self) -> bool {
        self.view().is_some()
    }

    /// The tip of the chain.
    pub fn head(&self) -> Result<Sealed<Header>, StoreError> {
        self.view().map(|view| view.header.clone()).ok_or(StoreError::NotInitialized)
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
        self.view().ok_or(StoreError::NotInitialized)?.state_at(number, &self.inner)
    }

    /// The state after the head, whichever block that is now ([`StateSnapshot::number`] says), with what a development
    /// node's cheats set since ([`Self::set_pending_edits`]).
    pub fn latest_state(&self) -> Result<StateSnapshot, StoreError> {
        let view = self.view().ok_or(StoreError::NotInitialized)?;
        let overlay = view.pending.as_ref().and_then(|pending| pending.overlay.clone());
        Ok(view.state_at(view.header.number, &self.inner)?.with_overlay(overlay))
    }

    /// The root of the state that these changes make of the state after block `parent`, and everything a commit must
    /// write for it. Nothing is written. The cost is that of the changes, if `parent` is the head; else, that of the
    /// changes of all blocks above it on top (and the update cannot be committed).
    pub fn state_root_after(&self, parent: u64, changes: &StateChanges) -> Result<StateUpdate, StoreError> {
        let view = self.view().ok_or(StoreError::NotInitialized)?;
        let (head, nodes) = (&view.header, Some(&self.inner.nodes));
        if parent == head.number {
            let base = BlockNumHash::new(parent, head.hash());
            return update::prepare(&*view.tables, nodes, base, head.state_root, changes);
        }
        let snapshot = view.state_at(parent, &self.inner)?;
        let tables = snapshot.tables();
        let base = BlockNumHash::new(parent, existing_header(tables, parent)?.hash());
        let changes = history::changes_back_to(tables, head.number, parent, REPLAYED_CHANGES_MAX)?.then(changes);
        update::prepare(tables, nodes, base, head.state_root, &changes)
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
        let head_root = existing_header(tables, head)?.state_root;
        let update = update::prepare(tables, None, base, head_root, &changes)?;
        update.check_root(number, header.state_root)?;
        proof::prove(&snapshot, header.state_root, Some(&update), address, slots)
    }

    /// Makes every block that was written until now as safe as [`StoreOptions::sync`] wants it, and shows it to readers.
    /// Blocks that are written meanwhile share the next call (group commit). Returns the head that readers see. After an
    /// error nothing is shown; it may be called again.
    pub fn settle(&self) -> Result<Sealed<Header>, StoreError> {
        let _settling = self.inner.settling.lock();
        self.inner.settle()
    }

    /// Lays a base below the states of this chain, once: it continues another ([`crate::fork`]). Snapshots that exist
    /// already do not have it.
    pub fn continue_from(&self, base: BaseLayer) {
        // A second base would make two answers of one question.
        let _ = self.inner.base.set(base);
    }

    /// What lies below the states of this chain.
    pub(crate) fn base(&self) -> Option<&BaseLayer> {
        self.inner.base.get()
    }

    /// Forces everything committed so far to the disk, whatever [`StoreOptions::sync`] says, with the rows of the tries.
    pub fn flush(&self) -> Result<(), StoreError> {
        let _writing = self.inner.writing.lock();
        if let Some(view) = self.with_unsettled().view() {
            let mut batch = Batch::default();
            batch.tries_are_of(view.header.number);
            self.inner.tables.write(batch)?;
        }
        self.inner.tables.flush()
    }

    /// The database, as this view of the store sees it: one moment, unmoved by later commits.
    pub(super) fn tables(&self) -> Arc<dyn KeyValueRead> {
        self.view().map_or_else(|| self.inner.tables.snapshot(), |view| view.tables.clone())
    }

    /// The head as this view of the store sees it.
    pub(super) fn view(&self) -> Option<Arc<HeadView>> {
        let heads = self.inner.heads.read();
        if self.sees_unsettled { heads.written.clone() } else { heads.settled.clone() }
    }
}

impl Inner {
    /// The database stands at this block now. Readers see it once it is settled. Cannot fail once there is a head: a block
    /// that was written is the head, whatever reading the disk comes to.
    pub(super) fn head_is(&self, header: Sealed<Header>) -> Result<(), StoreError> {
        let tables = self.tables.snapshot();
        let before = self.heads.read().written.clone();
        let oldest_state = before.as_ref().map_or_else(|| self.oldest_state(), |view| Ok(view.oldest_state))?;
        let rewinds = before.map_or(0, |view| view.rewinds + u64::from(header.number <= view.header.number));
        let view = Arc::new(HeadView { header, tables, oldest_state, rewinds, pending: None });
        // The view before is let go outside the lock.
        let _before = self.heads.write().written.replace(view);
        Ok(())
    }

    /// The oldest block whose state is kept, in the database as it is now.
    pub(super) fn oldest_state(&self) -> Result<u64, StoreError> {
        meta_number(&*self.tables, meta::OLDEST_STATE)?.ok_or(StoreError::NotInitialized)
    }

    /// States below this block are forgotten. Called by who holds `writing`.
    pub(super) fn oldest_state_is(&self, oldest_state: u64) {
        self.renew_head(|view| HeadView { oldest_state, ..view });
    }

    /// What was set since the head is this. Called by who holds `writing`.
    pub(super) fn set_pending(&self, pending: Option<Arc<Pending>>) {
        self.renew_head(|view| HeadView { pending, ..view });
    }

    /// Changes what was set since the head, in place unless somebody is reading it. Called by who holds `writing`.
    pub(super) fn change_pending(
        &self,
        change: impl FnOnce(&mut Pending) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let tables = self.tables.snapshot();
        let mut heads = self.heads.write();
        let Heads { written, settled } = std::mem::take(&mut *heads);
        let Some(written) = written else { return Ok(()) };
        let is_settled = settled.as_ref().is_some_and(|settled| Arc::ptr_eq(settled, &written));
        let settled = settled.filter(|_| !is_settled);
        let (header, oldest_state, rewinds) = (written.header.clone(), written.oldest_state, written.rewinds);
        let before = match Arc::try_unwrap(written) {
            Ok(view) => view.pending,
            Err(shared) => shared.pending.clone(),
        };
        let was_empty = before.is_none();
        let mut pending = before.map(Arc::unwrap_or_clone).unwrap_or_default();
        let changed = change(&mut pending);
        let pending = (changed.is_ok() || !was_empty).then(|| Arc::new(pending));
        let view = Arc::new(HeadView { header, tables, oldest_state, rewinds, pending });
        *heads = Heads { settled: if is_settled { Some(view.clone()) } else { settled }, written: Some(view) };
        changed
    }

    /// The same head, and the tables as they are now.
    fn renew_head(&self, change: impl FnOnce(HeadView) -> HeadView) {
        let tables = self.tables.snapshot();
        let mut heads = self.heads.write();
        let Some(written) = heads.written.clone() else { return };
        let view = Arc::new(change(HeadView { tables, ..HeadView::clone(&written) }));
        if heads.settled.as_ref().is_some_and(|settled| Arc::ptr_eq(settled, &written)) {
            heads.settled = Some(view.clone());
        }
        heads.written = Some(view);
    }

    /// What [`ChainStore::settle`] does, for whoever holds the lock.
    pub(super) fn settle(&self) -> Result<Sealed<Header>, StoreError> {
        let written = self.heads.read().written.clone().ok_or(StoreError::NotInitialized)?;
        if self.sync {
            self.tables.flush()?;
        }
        self.acknowledge(&written.header)?;
        if self.settled_groups.fetch_add(1, Ordering::Relaxed).is_multiple_of(WITNESS_SYNCED_EVERY_GROUPS) {
            self.sync_witness()?;
        }
        let header = written.header.clone();
        let _before = self.heads.write().settled.replace(written);
        Ok(header)
    }

    /// Remembers outside the database that this block may be told to others from now on.
    pub(super) fn acknowledge(&self, header: &Sealed<Header>) -> Result<(), StoreError> {
        let block = BlockNumHash::new(header.number, header.hash());
        self.witness.as_ref().map_or(Ok(()), |witness| witness.write(block))
    }

    /// Waits until that is on the disk, where anybody waits for the disk.
    pub(super) fn sync_witness(&self) -> Result<(), StoreError> {
        self.witness.as_ref().filter(|_| self.sync).map_or(Ok(()), Witness::sync)
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
