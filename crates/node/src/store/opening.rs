//! Opening a chain on disk: what a crash leaves is mended if nothing that was acknowledged is lost by that, and named if it is.

use super::{
    blocks::{existing_header, hash_of_block},
    buffer::{BufferLimits, BufferedTries},
    chain::{ChainStore, head_number, meta_number},
    error::StoreError,
    kv::{Batch, KeyValue, KeyValueRead},
    rocks::{RocksKeyValue, StoreOptions},
    schema::{FORMAT_VERSION, FORMAT_WITH_THE_HEADS_TRIES, Table, meta, number_key},
    witness::Witness,
};
use crate::state::update;
use alloy::eips::BlockNumHash;
use std::path::Path;

impl ChainStore {
    /// Opens the chain in this folder; the folder is made if it is not there. A new one must be
    /// [initialized](Self::initialize) before it is used.
    pub fn open(path: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        let tables = match RocksKeyValue::open(path, options) {
            Err(fault) if fault.is_damage() => open_if_nothing_is_lost(path, options, fault)?,
            opened => opened?,
        };
        check_format(&tables, path)?;
        let limits = BufferLimits {
            bytes_max: options.trie_rows_buffered_bytes_max,
            batches_max: options.trie_rows_buffered_blocks_max,
        };
        let tables = buffered(tables, limits)?;
        let (witness, acknowledged) = Witness::open(path)?;
        let store = Self::new(tables, options, Some(witness))?;
        if let Some(acknowledged) = acknowledged {
            store.check_acknowledged(acknowledged, path, options)?;
        }
        Ok(store)
    }

    /// Was everything that was ever acknowledged found again?
    fn check_acknowledged(
        &self,
        acknowledged: BlockNumHash,
        path: &Path,
        options: &StoreOptions,
    ) -> Result<(), StoreError> {
        let head = self.view().map(|view| view.header.number);
        let found = hash_of_block(&*self.tables(), acknowledged.number)?;
        if found == Some(acknowledged.hash) || options.accept_lost_blocks {
            return Ok(());
        }
        let (path, number, hash) = (path.to_owned(), acknowledged.number, acknowledged.hash);
        Err(StoreError::BlocksLost { path, number, hash, head: head.unwrap_or_default() })
    }
}

/// Opens a database with a damaged log as far as the log is sound, if every block that was acknowledged is in that part; else
/// the fault stands, and the files are as they were.
fn open_if_nothing_is_lost(
    path: &Path,
    options: &StoreOptions,
    fault: StoreError,
) -> Result<RocksKeyValue, StoreError> {
    let (_, Some(acknowledged)) = Witness::open(path)? else { return Err(fault) };
    let holds = |tables: &dyn KeyValueRead| {
        let found = hash_of_block(tables, acknowledged.number)? == Some(acknowledged.hash);
        Ok(found || options.accept_lost_blocks)
    };
    match RocksKeyValue::open_sound_part(path, options, holds) {
        Ok(Some(tables)) => {
            let block = acknowledged.number;
            tracing::warn!(%fault, block, "the log is damaged behind what was acknowledged, as a power cut leaves it; the rest is given up");
            Ok(tables)
        }
        Ok(None) | Err(_) => Err(fault),
    }
}

/// The tables, with tries that are the head's. If these cannot be made, what is sound is served without them: every node is
/// checked by who reads it, and no block can be made.
fn buffered(tables: RocksKeyValue, limits: BufferLimits) -> Result<Box<dyn KeyValue>, StoreError> {
    let tables = BufferedTries::over(tables, limits);
    match catch_up_tries(&tables) {
        Ok(()) => Ok(Box::new(tables)),
        Err(full @ StoreError::DiskFull { .. }) => Err(full),
        Err(error) => {
            tracing::error!(%error, "the tries cannot be brought up to the head: no blocks can be made, nothing can be proved");
            Ok(Box::new(tables.into_database()))
        }
    }
}

/// The tries on the disk may be those of a block below the head: their rows waited in memory. Brings them up to the head.
fn catch_up_tries(tables: &dyn KeyValue) -> Result<(), StoreError> {
    let (Some(head), Some(behind)) = (head_number(tables)?, meta_number(tables, meta::TRIES)?) else { return Ok(()) };
    if behind == head {
        return Ok(());
    }
    if behind > head {
        let detail = format!("names block {behind}, and the head is block {head}");
        return Err(StoreError::corrupt(Table::Meta, meta::TRIES, detail));
    }
    let block = existing_header(tables, behind)?;
    let update = update::catch_up(tables, BlockNumHash::new(behind, block.hash()), block.state_root, head)?;
    update.check_root(head, existing_header(tables, head)?.state_root)?;
    let mut batch = Batch::default();
    update.put_code_and_trie(&mut batch);
    batch.tries_will_be_of(head);
    tables.write(batch)
}

fn check_format(tables: &dyn KeyValue, path: &Path) -> Result<(), StoreError> {
    match tables.get(Table::Meta, meta::FORMAT)? {
        Some(found) if found == FORMAT_VERSION.to_be_bytes() => Ok(()),
        Some(found) if found == FORMAT_WITH_THE_HEADS_TRIES.to_be_bytes() => {
            let mut batch = Batch::default();
            batch.put(Table::Meta, meta::FORMAT, FORMAT_VERSION.to_be_bytes());
            if let Some(head) = head_number(tables)? {
                batch.put(Table::Meta, meta::TRIES, number_key(head));
            }
            tables.write(batch)
        }
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
