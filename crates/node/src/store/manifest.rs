//! The end of the database's MANIFEST, the log of which files it has. RocksDB takes a torn end of its other log for the end;
//! of this one it takes it for damage, although a power cut leaves either: the size of a file may reach the disk before
//! what was written last.
//!
//! Format (`db/log_format.h` of RocksDB): blocks of 32 KiB. A record has a masked CRC-32C of its type and content (4 bytes,
//! little-endian), the length of the content (2) and the type (1), and does not cross the end of a block; less than such a head
//! at the end of a block is zeros.

use crc::{CRC_32_ISCSI, Crc};
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

const BLOCK_BYTES: usize = 32 << 10;
const HEAD_BYTES: usize = 7;
/// What is not waited for is the last records; more than this is damage of another kind.
const TORN_BYTES_MAX: usize = 64 << 10;
/// A MANIFEST is begun anew at each start, so it stays far below this.
const FILE_BYTES_MAX: u64 = 256 << 20;

static CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// A MANIFEST without its torn end. Unless it is [kept](Self::keep), it gets its end back when this is dropped.
pub(super) struct CutManifest {
    file: PathBuf,
    /// What it was.
    copy: PathBuf,
}

impl CutManifest {
    /// Cuts the end off, if it is torn.
    pub(super) fn cut(folder: &Path) -> io::Result<Option<Self>> {
        let current = fs::read_to_string(folder.join("CURRENT"))?;
        let file = folder.join(current.trim_end());
        if file.metadata()?.len() > FILE_BYTES_MAX {
            return Ok(None);
        }
        let Some(sound) = torn_at(&fs::read(&file)?) else { return Ok(None) };
        let copy = file.with_extension("torn");
        fs::copy(&file, &copy)?;
        File::open(&copy)?.sync_all()?;
        let cut = Self { file, copy };
        let whole = OpenOptions::new().write(true).open(&cut.file)?;
        whole.set_len(sound as u64)?;
        whole.sync_all()?;
        Ok(Some(cut))
    }

    /// The database opened without it.
    pub(super) fn keep(self) {
        if let Err(error) = fs::remove_file(&self.copy) {
            tracing::warn!(%error, file = %self.copy.display(), "a file that is of no use any more cannot be removed");
        }
    }
}

impl Drop for CutManifest {
    fn drop(&mut self) {
        if self.copy.exists()
            && let Err(error) = fs::rename(&self.copy, &self.file)
        {
            tracing::error!(%error, copy = %self.copy.display(), "the MANIFEST could not be put back as it was");
        }
    }
}

/// Where the sound part ends, if what follows is a torn end: short, and with nothing sound in it.
fn torn_at(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut sound) = (0, 0);
    while at < bytes.len() {
        let left = BLOCK_BYTES - at % BLOCK_BYTES;
        if left < HEAD_BYTES {
            at += left;
            continue;
        }
        let Some(record) = record_at(bytes, at) else { break };
        at += record.bytes;
        if record.ends {
            sound = at;
        }
    }
    // Whole; or ending within a record of several pieces, which RocksDB leaves out by itself.
    if at >= bytes.len() || bytes.len() - sound > TORN_BYTES_MAX {
        return None;
    }
    let has_sound_record = (at + 1..bytes.len()).any(|place| record_at(bytes, place).is_some());
    (!has_sound_record).then_some(sound)
}

struct Record {
    bytes: usize,
    /// Is it the last piece of what was written?
    ends: bool,
}

/// The record that begins here, if it is sound.
fn record_at(bytes: &[u8], at: usize) -> Option<Record> {
    let (head, rest) = bytes.get(at..)?.split_first_chunk::<HEAD_BYTES>()?;
    let checksum = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let (length, kind) = (usize::from(u16::from_le_bytes([head[4], head[5]])), head[6]);
    // Whole, first, middle and last.
    if !(1..=4).contains(&kind) || HEAD_BYTES + length > BLOCK_BYTES - at % BLOCK_BYTES {
        return None;
    }
    let mut digest = CHECKSUM.digest();
    digest.update(&[kind]);
    digest.update(rest.get(..length)?);
    let masked = digest.finalize().rotate_right(15).wrapping_add(0xa282_ead8);
    (masked == checksum).then_some(Record { bytes: HEAD_BYTES + length, ends: kind == 1 || kind == 4 })
}
