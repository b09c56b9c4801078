//! One file of the log: frames of `length (4, little-endian) ‖ checksum of it (4) ‖ checksum of the payload (8) ‖ payload`.
//!
//! A crash can leave a torn frame at the end: it was never answered with, and is cut off. Damage anywhere else is an error,
//! since answers that were given would be forgotten.

use super::Durability;
use crate::error::HostError;
use sha2::{Digest, Sha256};
use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// Bytes before a payload.
pub(super) const HEADER_BYTES: u64 = 16;
/// Longest payload: no answer comes near.
const PAYLOAD_BYTES_MAX: u32 = 32 << 20;

#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: File,
    number: u64,
    bytes: AtomicU64,
}

/// Appends a frame to a buffer.
pub(super) fn frame(payload: &[u8], buffer: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).expect("answers are bounded").to_le_bytes();
    buffer.extend_from_slice(&length);
    buffer.extend_from_slice(&checksum(&length)[..4]);
    buffer.extend_from_slice(&checksum(payload));
    buffer.extend_from_slice(payload);
}

impl Segment {
    pub(super) fn open(path: &Path, number: u64) -> Result<Self, HostError> {
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = opened.map_err(|error| HostError::io("open", path, error))?;
        let bytes = file.metadata().map_err(|error| HostError::io("read", path, error))?.len();
        Ok(Self { path: path.to_owned(), file, number, bytes: bytes.into() })
    }

    pub(super) fn open_if_there(path: &Path, number: u64) -> Result<Option<Self>, HostError> {
        if path.exists() { Self::open(path, number).map(Some) } else { Ok(None) }
    }

    /// Segments are numbered in the order in which they were begun.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// Hands every payload, with its offset, to `visit`, and cuts a torn end off.
    pub(super) fn scan(&self, mut visit: impl FnMut(&[u8], u64) -> Result<(), HostError>) -> Result<(), HostError> {
        let end = self.bytes();
        let mut offset = 0;
        while offset < end {
            match self.frame_at(offset, end)? {
                Some(payload) => {
                    visit(&payload, offset + HEADER_BYTES)?;
                    offset += HEADER_BYTES + payload.len() as u64;
                }
                None => return self.cut(offset, end),
            }
        }
        Ok(())
    }

    pub(super) fn read(&self, offset: u64, bytes: u32) -> Result<Vec<u8>, HostError> {
        let mut payload = vec![0; bytes as usize];
        self.file.read_exact_at(&mut payload, offset).map_err(|error| HostError::io("read", &self.path, error))?;
        let mut expected = [0; 8];
        self.file.read_exact_at(&mut expected, offset - 8).map_err(|error| HostError::io("read", &self.path, error))?;
        if expected != checksum(&payload) {
            return Err(HostError::damaged(
                &self.path,
                format!("the answer at byte {offset} does not fit its checksum"),
            ));
        }
        Ok(payload)
    }

    /// Writes at the end. After an error nothing is there, or a torn frame that the next start cuts off.
    pub(super) fn append(&self, frames: &[u8], durability: Durability) -> Result<(), HostError> {
        let end = self.bytes();
        let written = self.file.write_all_at(frames, end).and_then(|()| match durability {
            Durability::Machine => self.file.sync_data(),
            Durability::Process => Ok(()),
        });
        if let Err(error) = written {
            let _ = self.file.set_len(end);
            return Err(HostError::io("write", &self.path, error));
        }
        self.bytes.store(end + frames.len() as u64, Ordering::Release);
        Ok(())
    }

    /// The payload of the frame at an offset; `None` if it is torn.
    fn frame_at(&self, offset: u64, end: u64) -> Result<Option<Vec<u8>>, HostError> {
        let mut header = [0; HEADER_BYTES as usize];
        if offset + HEADER_BYTES > end {
            return Ok(None);
        }
        self.file.read_exact_at(&mut header, offset).map_err(|error| HostError::io("read", &self.path, error))?;
        // A file that was lengthened before the crash, but not written, ends in zeros.
        if header == [0; HEADER_BYTES as usize] {
            return Ok(None);
        }
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        if header[4..8] != checksum(&header[..4])[..4] || length > PAYLOAD_BYTES_MAX {
            return Err(HostError::damaged(
                &self.path,
                format!("there is no answer at byte {offset}, where one begins"),
            ));
        }
        let frame_end = offset + HEADER_BYTES + u64::from(length);
        if frame_end > end {
            return Ok(None);
        }
        let mut payload = vec![0; length as usize];
        let read = self.file.read_exact_at(&mut payload, offset + HEADER_BYTES);
        read.map_err(|error| HostError::io("read", &self.path, error))?;
        if checksum(&payload)[..] == header[8..] {
            return Ok(Some(payload));
        }
        if frame_end == end {
            return Ok(None);
        }
        Err(HostError::damaged(&self.path, format!("the answer at byte {offset} does not fit its checksum")))
    }

    fn cut(&self, offset: u64, end: u64) -> Result<(), HostError> {
        tracing::warn!(file = %self.path.display(), bytes = end - offset, "cutting off an answer that was never finished");
        self.file.set_len(offset).map_err(|error| HostError::io("truncate", &self.path, error))?;
        self.bytes.store(offset, Ordering::Release);
        Ok(())
    }
}

fn checksum(payload: &[u8]) -> [u8; 8] {
    let mut first = [0; 8];
    first.copy_from_slice(&Sha256::digest(payload)[..8]);
    first
}
