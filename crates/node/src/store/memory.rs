//! The in-memory twin of the database: for unit tests, for replaying a file, for chains that nobody wants to keep.

use super::{
    error::StoreError,
    kv::{Batch, KeyValue, KeyValueRead, Row, Rows},
    schema::Table,
};
use parking_lot::RwLock;
use rpds::RedBlackTreeMapSync;
use std::{ops::Bound, sync::Arc};

type Tables = [RedBlackTreeMapSync<Vec<u8>, Arc<[u8]>>; Table::ALL.len()];

/// Tables in memory. The maps are persistent (they share structure), so a snapshot costs nothing and holds nobody up.
#[derive(Default)]
pub struct MemoryKeyValue {
    tables: RwLock<MemoryTables>,
}

#[derive(Clone)]
struct MemoryTables(Tables);

impl Default for MemoryTables {
    fn default() -> Self {
        Self(std::array::from_fn(|_| RedBlackTreeMapSync::new_sync()))
    }
}

impl KeyValueRead for MemoryTables {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0[table as usize].get(key).map(|value| value.to_vec()))
    }

    fn range(&self, table: Table, from: &[u8], to: Option<&[u8]>) -> Rows<'_> {
        rows(self.clone(), table, from, to)
    }

    fn first(&self, table: Table, from: &[u8], to: Option<&[u8]>) -> Result<Option<Row>, StoreError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(None);
        }
        let bounds = (Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded));
        let row = self.0[table as usize].range::<[u8], _>(bounds).next();
        Ok(row.map(|(key, value)| (key.clone(), value.to_vec())))
    }
}

/// The iterator owns the tables of this moment, as an iterator of RocksDB does, and seeks for every row.
fn rows(tables: MemoryTables, table: Table, from: &[u8], to: Option<&[u8]>) -> Rows<'static> {
    let (mut from, to) = (from.to_vec(), to.map(<[u8]>::to_vec));
    Box::new(std::iter::from_fn(move || {
        let row = tables.first(table, &from, to.as_deref()).transpose()?;
        if let Ok((key, _)) = &row {
            from.clone_from(key);
            from.push(0); // the least key behind it
        }
        Some(row)
    }))
}

impl KeyValueRead for MemoryKeyValue {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.tables.read().get(table, key)
    }

    fn range(&self, table: Table, from: &[u8], to: Option<&[u8]>) -> Rows<'_> {
        rows(self.tables.read().clone(), table, from, to)
    }

    fn first(&self, table: Table, from: &[u8], to: Option<&[u8]>) -> Result<Option<Row>, StoreError> {
        self.tables.read().first(table, from, to)
    }
}

impl KeyValue for MemoryKeyValue {
    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let mut tables = self.tables.write();
        for (table, key, value) in batch.changes {
            match value {
                Some(value) => tables.0[table as usize].insert_mut(key, value.into()),
                None => _ = tables.0[table as usize].remove_mut(&key),
            }
        }
        Ok(())
    }

    fn snapshot(&self) -> Arc<dyn KeyValueRead> {
        Arc::new(self.tables.read().clone())
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
