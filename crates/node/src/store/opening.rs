//! Opening a chain on disk: what a crash leaves is mended if nothing that was acknowledged is lost by that, and named if it is.

use super::{
    blocks::hash_of_block,
    chain::ChainStore,
    error::StoreError,
    kv::{Batch, KeyValue, KeyValueRead},
    rocks::{RocksKeyValue, StoreOptions},
    schema::{FORMAT_VERSION, Table, meta},
    witness::Witness,
};
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
        let (witness, acknowledged) = Witness::open(path)?;
        let store = Self::new(Box::new(tables), options, Some(witness))?;
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
