//! Forgetting old states.

use super::{
    chain::{ChainStore, meta_number},
    error::StoreError,
    kv::Batch,
    schema::{Table, account_history_key, meta, number_key, storage_history_key},
};
use crate::state::history;

/// How many blocks' histories one batch removes.
const BLOCKS_PER_BATCH: u64 = 256;

impl ChainStore {
    /// Forgets the states of blocks below `number`; blocks, receipts and indices stay. Returns the oldest block whose
    /// state is left. Safe to interrupt at any time; snapshots that are held stay readable.
    pub fn prune_states_below(&self, number: u64) -> Result<u64, StoreError> {
        // The lock is for one batch at a time, so that blocks go on.
        loop {
            let before = self.inner.oldest_state()?;
            let oldest = self.prune_some_states_below(number)?;
            if oldest == before {
                return Ok(oldest);
            }
        }
    }

    /// One batch of [`Self::prune_states_below`]: the states of at most 256 blocks.
    pub fn prune_some_states_below(&self, number: u64) -> Result<u64, StoreError> {
        let _writing = self.inner.writing.lock();
        let (tables, oldest, head) = (&*self.inner.tables, self.inner.oldest_state()?, self.head()?);
        let target = number.min(head.number).min(oldest + BLOCKS_PER_BATCH);
        if target <= oldest {
            return Ok(oldest);
        }
        let mut batch = Batch::default();
        // The state after `target` is told by the rows of the blocks above it.
        for block in oldest + 1..=target {
            for (address, slots) in history::changed_keys(tables, block)?.0 {
                batch.delete(Table::AccountHistory, account_history_key(&address, block));
                for slot in slots {
                    batch.delete(Table::StorageHistory, storage_history_key(&address, &slot, block));
                }
            }
            batch.delete(Table::ChangedKeys, number_key(block));
        }
        batch.put(Table::Meta, meta::OLDEST_STATE, number_key(target));
        if meta_number(tables, meta::TRIES)?.is_some_and(|tries| tries < target) {
            // What they would catch up from is being forgotten.
            batch.tries_are_of(self.with_unsettled().head()?.number);
        }
        self.inner.tables.write(batch)?;
        self.inner.oldest_state_is(target);
        Ok(target)
    }
}
