//! How far the chain was acknowledged, remembered outside the database. A log that lost its end looks like a log that ends
//! there; this file knows better.

use super::error::StoreError;
use alloy::eips::BlockNumHash;
use alloy_primitives::{B256, keccak256};
use std::{
    fs::{File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// In the folder of the database, whose own files have other names.
const FILE_NAME: &str = "ACKNOWLEDGED";
/// Number (8 bytes, big-endian), hash, and the first 8 bytes of the hash of both.
const LENGTH: usize = 48;

/// The file. One write of less than a sector, so a killed process leaves the old content or the new.
pub(super) struct Witness {
    file: File,
    path: PathBuf,
}

impl Witness {
    /// Opens the file of this data folder, and reads what was acknowledged last.
    pub(super) fn open(folder: &Path) -> Result<(Self, Option<BlockNumHash>), StoreError> {
        let path = folder.join(FILE_NAME);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|error| failed("open", &path, &error))?;
        let witness = Self { file, path };
        let mut content = [0; LENGTH];
        match witness.file.read_exact_at(&mut content, 0) {
            Ok(()) => {}
            // New, or made by a process that was killed before its first block.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok((witness, None)),
            Err(error) => return Err(failed("read", &witness.path, &error)),
        }
        let (number, rest) = content.split_first_chunk::<8>().expect("48 bytes begin with 8");
        let block = BlockNumHash::new(u64::from_be_bytes(*number), B256::from_slice(&rest[..32]));
        if encode(block) != content {
            return Err(StoreError::WitnessDamaged { path: witness.path });
        }
        Ok((witness, Some(block)))
    }

    /// This block may be told to others.
    pub(super) fn write(&self, block: BlockNumHash) -> Result<(), StoreError> {
        self.file.write_all_at(&encode(block), 0).map_err(|error| failed("write", &self.path, &error))
    }

    /// Puts the file on the disk, and its name.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        let folder = self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all());
        folder.and_then(|()| self.file.sync_data()).map_err(|error| failed("sync", &self.path, &error))
    }
}

fn encode(block: BlockNumHash) -> [u8; LENGTH] {
    let mut content = [0; LENGTH];
    content[..8].copy_from_slice(&block.number.to_be_bytes());
    content[8..40].copy_from_slice(block.hash.as_slice());
    let check = keccak256(&content[..40]);
    content[40..].copy_from_slice(&check[..8]);
    content
}

fn failed(operation: &'static str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Backend { operation, detail: format!("{}: {error}", path.display()) }
}
