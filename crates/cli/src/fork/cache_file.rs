//! Rows that were fetched before, in a file per fork block: they never change, so nobody has to ask for them twice.
//!
//! One JSON line per row, appended as they come. A line that cannot be read (a process was killed while it wrote) is skipped.

use anyhow::{Context, Result};
use cryptlet_node::fork::{BaseKey, BaseValue, ForkPoint};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::Path,
};

pub(super) struct CacheFile {
    rows: Mutex<HashMap<BaseKey, BaseValue>>,
    file: Mutex<File>,
}

impl CacheFile {
    /// Opens the file of this fork block, making it and its folder if they are not there.
    pub(super) fn open(folder: &Path, point: &ForkPoint) -> Result<Self> {
        let folder = folder.join(point.chain_id.to_string());
        std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let path = folder.join(format!("{}-{:#x}.jsonl", point.block_number, point.block_hash));
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true).open(&path);
        let file = file.with_context(|| format!("{} cannot be opened", path.display()))?;
        let lines = BufReader::new(&file).lines().map_while(Result::ok);
        let rows = lines.filter_map(|line| serde_json::from_str(&line).ok()).collect();
        Ok(Self { rows: Mutex::new(rows), file: Mutex::new(file) })
    }

    pub(super) fn get(&self, key: &BaseKey) -> Option<BaseValue> {
        self.rows.lock().get(key).cloned()
    }

    /// Keeps rows. A file that cannot be written costs only the time to fetch them again.
    pub(super) fn put(&self, rows: &[(BaseKey, BaseValue)]) {
        let mut lines = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut lines, row).expect("rows are numbers and bytes");
            lines.push(b'\n');
        }
        // In one write, so that two nodes that share the file do not tear each other's lines.
        if let Err(error) = self.file.lock().write_all(&lines) {
            tracing::warn!(%error, "what was fetched of the forked chain cannot be kept");
        }
        self.rows.lock().extend(rows.iter().cloned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::{Address, B256, U256};

    #[test]
    fn rows_are_there_again_and_a_torn_line_is_skipped() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let point = ForkPoint { chain_id: 1, block_number: 7, block_hash: B256::with_last_byte(7) };
        let key = BaseKey::Slot(Address::with_last_byte(1), U256::from(2));
        let row = (key, BaseValue::Slot(U256::from(3)));
        let cache = CacheFile::open(folder.path(), &point)?;
        cache.put(std::slice::from_ref(&row));
        cache.file.lock().write_all(b"[{\"slot\":[\"0x")?;
        drop(cache);
        let again = CacheFile::open(folder.path(), &point)?;
        assert_eq!(again.get(&key), Some(row.1));
        assert_eq!(again.get(&BaseKey::BlockHash(1)), None);
        Ok(())
    }
}
