//! Ordered tables of bytes: the little that the chain's store asks of a database.

use super::{error::StoreError, schema::Table};
use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

/// A row: key, value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Rows in ascending order of their keys.
pub type Rows<'a> = Box<dyn Iterator<Item = Result<Row, StoreError>> + 'a>;

/// Tables that can be read.
pub trait KeyValueRead: Send + Sync {
    /// The value of a key.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// The rows with `from <= key < to`, ascending; all from `from` on if there is no `to`.
    fn range(&self, table: Table, from: &[u8], to: Option<&[u8]>) -> Rows<'_>;

    /// The rows whose keys begin so, ascending.
    fn prefix(&self, table: Table, prefix: &[u8]) -> Rows<'_> {
        self.range(table, prefix, end_of_prefix(prefix).as_deref())
    }

    /// The first row with `from <= key < to`.
    fn first(&self, table: Table, from: &[u8], to: Option<&[u8]>) -> Result<Option<Row>, StoreError> {
        self.range(table, from, to).next().transpose()
    }
}

/// A database of tables. A batch is written whole or not at all; a snapshot never changes.
pub trait KeyValue: KeyValueRead {
    /// Writes all of it, or nothing. When this returns, the batch is in the log: a killed process does not lose it, but for
    /// rows of tries that may wait.
    fn write(&self, batch: Batch) -> Result<(), StoreError>;

    /// The tables as they are now.
    fn snapshot(&self) -> Arc<dyn KeyValueRead>;

    /// Forces everything written so far to the disk.
    fn flush(&self) -> Result<(), StoreError>;
}

/// Changes that belong together. Later ones win.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(crate) changes: Vec<(Table, Vec<u8>, Option<Vec<u8>>)>,
    pub(super) tries: Option<TriesOf>,
}

/// With a batch the tries are those of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TriesOf {
    /// Of this block.
    pub(super) number: u64,
    /// Their rows may reach the disk later than the rest, together with those of other batches: what the rest says is enough
    /// to make them.
    pub(super) may_wait: bool,
}

impl Batch {
    /// Writes a row.
    pub fn put(&mut self, table: Table, key: impl AsRef<[u8]>, value: impl Into<Vec<u8>>) {
        self.changes.push((table, key.as_ref().to_vec(), Some(value.into())));
    }

    /// Removes a row; no harm if it is not there.
    pub fn delete(&mut self, table: Table, key: impl AsRef<[u8]>) {
        self.changes.push((table, key.as_ref().to_vec(), None));
    }

    /// Writes the row, or removes it if there is no value.
    pub fn set(&mut self, table: Table, key: impl AsRef<[u8]>, value: Option<Vec<u8>>) {
        self.changes.push((table, key.as_ref().to_vec(), value));
    }

    /// With this batch the tries are those of this block. All rows that waited until now are written with it.
    pub(super) fn tries_are_of(&mut self, number: u64) {
        self.tries = Some(TriesOf { number, may_wait: false });
    }

    /// With this batch the tries are those of this block, and their rows may wait.
    pub(super) fn tries_will_be_of(&mut self, number: u64) {
        self.tries = Some(TriesOf { number, may_wait: true });
    }

    /// How many rows change.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Does nothing change?
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// The first key behind all keys with this prefix; `None` if there is no such key.
pub fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// Rows, with writes over them (`None`: the row is gone).
pub(crate) fn overlaid(below: Rows<'_>, writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>) -> Rows<'_> {
    let (mut below, mut writes) = (below.peekable(), writes.into_iter().peekable());
    Box::new(std::iter::from_fn(move || {
        loop {
            let order = match (below.peek(), writes.peek()) {
                (Some(Ok((lower, _))), Some((upper, _))) => lower.cmp(upper),
                (Some(_), _) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            if order.is_lt() {
                return below.next();
            }
            if order.is_eq() {
                below.next();
            }
            if let (key, Some(value)) = writes.next()? {
                return Some(Ok((key, value)));
            }
        }
    }))
}
