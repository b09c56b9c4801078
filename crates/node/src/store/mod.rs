//! Blocks, receipts and states on disk.
//!
//! [`ChainStore`] is the store of one chain. Below it lie ordered tables of bytes ([`KeyValue`]), in RocksDB or in memory;
//! [`schema`] says what is in them. One block is one atomic write: block, receipts, indices, state and history; rows of tries follow when there
//! are many, and can be made again until then (`buffer`).

pub(crate) mod blocks;
mod buffer;
pub(crate) mod chain;
pub mod codec;
mod commit;
mod error;
mod genesis;
mod kv;
mod log_index;
mod manifest;
mod memory;
mod opening;
mod pending;
mod prune;
mod rocks;
pub mod schema;
#[cfg(test)]
mod tests;
mod witness;

pub(crate) use blocks::hash_of_block;
pub use blocks::{StoredBlock, TransactionLocation};
pub use chain::ChainStore;
pub(crate) use chain::REPLAYED_CHANGES_MAX;
pub use commit::CommitBlock;
pub(crate) use commit::put_flat_state;
pub use error::StoreError;
pub(crate) use kv::overlaid;
pub use kv::{Batch, KeyValue, KeyValueRead, Row, Rows, end_of_prefix};
pub use log_index::{BlocksWithLogs, LogQuery};
pub use memory::MemoryKeyValue;
pub use pending::PendingEdits;
pub use rocks::{RocksKeyValue, StoreOptions};
