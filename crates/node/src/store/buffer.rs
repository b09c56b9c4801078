//! Trie rows wait in memory until there are many: what one block writes there, the next ones write again.
//!
//! Everything else that a block writes is in the log at once, what it changed included. So a crash leaves the tries of an older
//! block on the disk, and what it takes to bring them up to the head ([`super::opening`]).

use super::{
    error::StoreError,
    kv::{Batch, KeyValue, KeyValueRead, Rows, overlaid},
    schema::{Table, meta, number_key},
};
use parking_lot::{Mutex, RwLock};
use std::{collections::BTreeMap, sync::Arc};

/// A database whose trie rows wait in memory, as long as they may. Readers see them all the same.
pub(super) struct BufferedTries<K> {
    below: K,
    limits: BufferLimits,
    /// Held by whoever writes, until the database and the buffer agree again.
    newest: Mutex<Buffer>,
}

/// When the rows that wait are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct BufferLimits {
    /// Keys and values, all versions.
    pub(super) bytes_max: usize,
    /// Batches that rows wait from.
    pub(super) batches_max: u64,
}

/// What waits, as it was at a moment.
#[derive(Clone, Default)]
struct Buffer {
    rows: Arc<RwLock<Versions>>,
    /// Rows of so many batches are seen.
    batches: u64,
    bytes: usize,
}

/// Rows by table, key and the batch that wrote them; `None`: the row is gone. Locked for the time of a look or of adding what
/// one block wrote, never while anybody waits for the disk.
type Versions = BTreeMap<(Table, Vec<u8>, u64), Option<Vec<u8>>>;

impl Buffer {
    /// What waits to be in this row, if anything does.
    fn get(&self, table: Table, key: &[u8]) -> Option<Option<Vec<u8>>> {
        let rows = self.rows.read();
        let ((of, at, _), value) = rows.range(..=(table, key.to_vec(), self.batches)).next_back()?;
        (*of == table && at == key).then(|| value.clone())
    }

    /// What waits to be in the rows with `from <= key < to`.
    fn range(&self, table: Table, from: &[u8], to: Option<&[u8]>) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        let rows = self.rows.read();
        let below = |(of, key, _): &(Table, Vec<u8>, u64)| *of == table && to.is_none_or(|to| key.as_slice() < to);
        let found = rows.range((table, from.to_vec(), 0)..).take_while(|(at, _)| below(at));
        // Of the versions of a row the last one stays.
        let seen = found.filter(|((.., batch), _)| *batch <= self.batches);
        seen.map(|((_, key, _), value)| (key.clone(), value.clone())).collect()
    }

    fn add(&mut self, changes: impl Iterator<Item = (Table, Vec<u8>, Option<Vec<u8>>)>, bytes: usize) {
        self.batches += 1;
        self.bytes += bytes;
        self.rows.write().extend(changes.map(|(table, key, value)| ((table, key, self.batches), value)));
    }

    /// All that waits, as a batch that writes it.
    fn to_batch(&self) -> Batch {
        let rows = self.rows.read();
        let mut batch = Batch::default();
        let mut versions = rows.iter().peekable();
        while let Some(((table, key, _), value)) = versions.next() {
            if versions.peek().is_none_or(|((of, next, _), _)| (of, next) != (table, key)) {
                batch.set(*table, key, value.clone());
            }
        }
        batch
    }
}

impl<K: KeyValue> BufferedTries<K> {
    pub(super) fn over(below: K, limits: BufferLimits) -> Self {
        Self { below, limits, newest: Mutex::default() }
    }

    /// The database, without what waits.
    pub(super) fn into_database(self) -> K {
        self.below
    }
}

impl<K: KeyValue> KeyValueRead for BufferedTries<K> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if table.is_trie()
            && let Some(waiting) = self.newest.lock().get(table, key)
        {
            return Ok(waiting);
        }
        self.below.get(table, key)
    }

    fn range(&self, table: Table, from: &[u8], to: Option<&[u8]>) -> Rows<'_> {
        let below = self.below.range(table, from, to);
        if table.is_trie() { overlaid(below, self.newest.lock().range(table, from, to)) } else { below }
    }
}

impl<K: KeyValue> KeyValue for BufferedTries<K> {
    fn write(&self, mut batch: Batch) -> Result<(), StoreError> {
        let mut newest = self.newest.lock();
        let of_tries = batch.changes.iter().filter(|(table, ..)| table.is_trie());
        let Some(tries) = batch.tries else {
            debug_assert_eq!(of_tries.count(), 0, "whoever changes tries says whose they are");
            return self.below.write(batch);
        };
        let bytes = of_tries.map(|(_, key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum();
        let has_room = newest.bytes + bytes <= self.limits.bytes_max && newest.batches < self.limits.batches_max;
        if tries.may_wait && has_room {
            let (waiting, rest): (Vec<_>, _) = batch.changes.into_iter().partition(|(table, ..)| table.is_trie());
            batch.changes = rest;
            self.below.write(batch)?;
            newest.add(waiting.into_iter(), bytes);
            return Ok(());
        }
        let mut all = newest.to_batch();
        all.changes.append(&mut batch.changes);
        all.put(Table::Meta, meta::TRIES, number_key(tries.number));
        self.below.write(all)?;
        *newest = Buffer::default();
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn KeyValueRead> {
        let buffer = self.newest.lock();
        Arc::new(BufferedSnapshot { below: self.below.snapshot(), buffer: buffer.clone() })
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.below.flush()
    }
}

/// Both as they were at a moment.
struct BufferedSnapshot {
    below: Arc<dyn KeyValueRead>,
    buffer: Buffer,
}

impl KeyValueRead for BufferedSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if table.is_trie()
            && let Some(waiting) = self.buffer.get(table, key)
        {
            return Ok(waiting);
        }
        self.below.get(table, key)
    }

    fn range(&self, table: Table, from: &[u8], to: Option<&[u8]>) -> Rows<'_> {
        let below = self.below.range(table, from, to);
        if table.is_trie() { overlaid(below, self.buffer.range(table, from, to)) } else { below }
    }
}
