//! One writer at a time, among processes.

use crate::{error::HostError, files};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// How often a lock that another has is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);
/// Longest word that a holder leaves of itself, in bytes.
const HOLDER_BYTES_MAX: u64 = 256;

/// The right to replace a file, for as long as this lives. It is an advisory lock (`flock`) on a file beside it, `.NAME.lock`, since the
/// file itself is another one after every change. That file stays: removing it would let two processes lock two of them. A process
/// that dies leaves the lock free.
#[derive(Debug)]
pub(super) struct WriterLock(File);

impl WriterLock {
    /// Waits for the lock, at most for `wait`. The error names who has it.
    pub(super) fn take(path: &Path, wait: Duration) -> Result<Self, HostError> {
        let beside = lock_path(path);
        files::create_dir(beside.parent().unwrap_or(Path::new(".")))?;
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&beside);
        let mut file = opened.map_err(|error| HostError::io("open", &beside, error))?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if waited >= wait => {
                    return Err(HostError::VaultBusy {
                        path: path.to_owned(),
                        holder: holder(&mut file),
                        waited_ms: waited.as_millis(),
                    });
                }
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(RETRY_INTERVAL);
                    waited += RETRY_INTERVAL;
                }
                Err(TryLockError::Error(error)) => return Err(HostError::io("lock", &beside, error)),
            }
        }
        sign(&mut file).map_err(|error| HostError::io("write", &beside, error))?;
        Ok(Self(file))
    }
}

impl Drop for WriterLock {
    fn drop(&mut self) {
        // What is left there is only read while somebody has the lock.
        let _ = self.0.set_len(0);
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.lock"))
}

/// Says in the file who has it. The program only: its arguments may hold secrets.
fn sign(file: &mut File) -> std::io::Result<()> {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "process {} ({program})", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(HOLDER_BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(bytes) if bytes > 0 => text,
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_waits_and_is_told_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault.age");
        let first = WriterLock::take(&path, Duration::ZERO).unwrap();
        let refused = WriterLock::take(&path, Duration::from_millis(30)).unwrap_err().to_string();
        let me = format!("process {}", std::process::id());
        assert!(refused.contains(&me) && refused.contains("vault.age") && refused.contains("30 ms"), "{refused}");
        let second = std::thread::spawn(move || WriterLock::take(&path, Duration::from_secs(60)).map(|_| ()));
        drop(first);
        second.join().unwrap().unwrap();
    }
}
