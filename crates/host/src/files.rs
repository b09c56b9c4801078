//! Files that survive a crash: read with a bound, written whole or not at all.

use crate::error::HostError;
use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Reads a whole file, but never more than `bytes_max`. `None` if there is no such file.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, HostError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(HostError::io("read", path, error)),
    };
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(|error| HostError::io("read", path, error))?;
    if bytes.len() as u64 > bytes_max {
        return Err(HostError::FileTooLong { path: path.to_owned(), bytes_max });
    }
    Ok(Some(bytes))
}

/// Writes a file that only this user can read. After a crash the old contents are there or the new ones, never a mixture.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), HostError> {
    write(path, bytes, 0o600)
}

/// As [`write_private`], readable for all.
pub(crate) fn write_public(path: &Path, bytes: &[u8]) -> Result<(), HostError> {
    write(path, bytes, 0o644)
}

/// Makes a folder, and those above it, that only this user can enter.
pub(crate) fn create_dir(path: &Path) -> Result<(), HostError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| HostError::io("create", path, error))
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), HostError> {
    static COUNTER: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let folder = path.parent().unwrap_or(Path::new("."));
    create_dir(folder)?;
    let count = COUNTER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}-{count}.tmp", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })();
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        HostError::io("write", path, error)
    })
}
