//! Snapshots: the chain, what cheats have set since its head, and what time it is there.

use super::{Dialect, Group, Registered, miner_error, small};
use crate::service::ChainMark;
use alloy_primitives::{B256, U64};
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// Snapshots kept; the oldest goes first.
const SNAPSHOTS_MAX: usize = 10_000;

/// Marks that were made with `evm_snapshot`, by id.
#[derive(Debug, Default)]
pub(crate) struct Snapshots(Mutex<Marked>);

#[derive(Debug, Default)]
struct Marked {
    next_id: u64,
    marks: BTreeMap<u64, ChainMark>,
}

impl Snapshots {
    fn keep(&self, mark: ChainMark) -> u64 {
        let mut marked = self.0.lock();
        if marked.marks.len() >= SNAPSHOTS_MAX {
            marked.marks.pop_first();
        }
        let id = marked.next_id;
        marked.next_id += 1;
        marked.marks.insert(id, mark);
        id
    }

    /// Takes a snapshot, and with it all that were made after it.
    fn take(&self, id: u64) -> Option<ChainMark> {
        let mut marked = self.0.lock();
        let mut from_it_on = marked.marks.split_off(&id);
        match from_it_on.remove(&id) {
            Some(mark) => Some(mark),
            None => {
                marked.marks.append(&mut from_it_on);
                None
            }
        }
    }

    /// Forgets all. Ids go on rising.
    pub(super) fn clear(&self) {
        self.0.lock().marks.clear();
    }

    /// Height and hash of each, by id, as `anvil_metadata` shows them.
    pub(super) fn shown(&self) -> BTreeMap<String, (u64, B256)> {
        let marked = self.0.lock();
        marked.marks.iter().map(|(id, mark)| (format!("{id:#x}"), (mark.head.number, mark.head.hash))).collect()
    }
}

pub(super) fn register(group: &mut Group) -> Registered {
    if !matches!(group.dialect, Dialect::Evm | Dialect::Anvil) {
        return Ok(());
    }
    group.offer("snapshot", |_, rpc| async move {
        let mark = rpc.node.mark().await.map_err(miner_error)?;
        Ok(U64::from(rpc.snapshots.keep(mark)))
    })?;
    group.offer("revert", |params, rpc| async move {
        let id = small(params.one()?, "the snapshot's id")?;
        let Some(mark) = rpc.snapshots.take(id) else { return Ok(false) };
        rpc.node.restore(mark).await.map_err(miner_error)
    })
}
