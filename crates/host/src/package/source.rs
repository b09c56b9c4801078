//! Source that is published with a package: a folder as one archive (POSIX ustar), in one way only: names sorted, no times, no
//! owners. So the same source has the same hash everywhere.

use super::SOURCE_BYTES_MAX;
use crate::{error::HostError, files};
use alloy_primitives::Bytes;
use std::path::{Path, PathBuf};

const BLOCK_BYTES: usize = 512;
const NAME_BYTES_MAX: usize = 100;
const FILES_MAX: usize = 10_000;
/// Folders that hold what tools made or fetched, not source.
const NOT_SOURCE: [&str; 4] = ["target", "node_modules", ".git", "__pycache__"];

/// The folder as an archive. Links are left out.
pub(super) fn archive(folder: &Path) -> Result<Bytes, HostError> {
    let mut names = Vec::new();
    list(folder, Path::new(""), &mut names)?;
    names.sort();
    let mut archive = Vec::new();
    for name in names {
        let path = folder.join(&name);
        let contents = files::read(&path, SOURCE_BYTES_MAX)?.unwrap_or_default();
        let name = name.to_string_lossy();
        if name.len() > NAME_BYTES_MAX {
            let why = format!("the path {name:?} in its source has {} bytes; at most {NAME_BYTES_MAX}", name.len());
            return Err(HostError::package(folder.display(), why));
        }
        archive.extend_from_slice(&header(&name, contents.len()));
        archive.extend_from_slice(&contents);
        archive.resize(archive.len().next_multiple_of(BLOCK_BYTES), 0);
        if archive.len() as u64 > SOURCE_BYTES_MAX {
            let why =
                format!("its source has more than {SOURCE_BYTES_MAX} bytes; publish its hash and where it is instead");
            return Err(HostError::package(folder.display(), why));
        }
    }
    archive.resize(archive.len() + 2 * BLOCK_BYTES, 0);
    Ok(archive.into())
}

fn list(root: &Path, below: &Path, names: &mut Vec<PathBuf>) -> Result<(), HostError> {
    let folder = root.join(below);
    let entries = std::fs::read_dir(&folder).map_err(|error| HostError::io("read", &folder, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| HostError::io("read", &folder, error))?;
        let kind = entry.file_type().map_err(|error| HostError::io("read", &entry.path(), error))?;
        let name = below.join(entry.file_name());
        if kind.is_dir() && !NOT_SOURCE.iter().any(|not| entry.file_name() == *not) {
            list(root, &name, names)?;
        } else if kind.is_file() {
            names.push(name);
        }
        if names.len() > FILES_MAX {
            return Err(HostError::package(root.display(), format!("its source has more than {FILES_MAX} files")));
        }
    }
    Ok(())
}

fn header(name: &str, bytes: usize) -> [u8; BLOCK_BYTES] {
    let mut header = [0; BLOCK_BYTES];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{bytes:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_folder_makes_the_same_archive_and_tar_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("src/deep")).unwrap();
        std::fs::create_dir_all(folder.path().join("target")).unwrap();
        std::fs::write(folder.path().join("src/deep/b.rs"), "two").unwrap();
        std::fs::write(folder.path().join("a.toml"), vec![b'x'; 1000]).unwrap();
        std::fs::write(folder.path().join("target/made"), "no").unwrap();
        let one = archive(folder.path()).unwrap();
        assert_eq!(one, archive(folder.path()).unwrap());
        let file = folder.path().join("target/a.tar");
        std::fs::write(&file, &one).unwrap();
        let listed = std::process::Command::new("tar").arg("-tf").arg(&file).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&listed.stdout), "a.toml\nsrc/deep/b.rs\n");
    }
}
