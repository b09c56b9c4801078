//! Where a node keeps its data: a folder of the user's, or a temporary one that is removed at the end.
//!
//! A temporary folder is locked by its owner as long as it lives. A node that is killed cannot remove its folder; the next
//! one that starts does.

use anyhow::{Context, Result};
use std::{
    fs::{File, TryLockError},
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

const PREFIX: &str = "cryptlet-dev-";
const LOCK: &str = "owner.lock";
/// A folder younger than this may belong to a node that has not locked it yet.
const YOUNG: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) enum DataFolder {
    Given(PathBuf),
    Temporary {
        folder: tempfile::TempDir,
        /// Held as long as the node lives, however it ends.
        _owner: File,
    },
}

impl DataFolder {
    pub(crate) fn open(given: Option<&Path>) -> Result<Self> {
        if let Some(folder) = given {
            std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
            return Ok(Self::Given(folder.to_owned()));
        }
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir().context("no temporary data folder")?;
        let owner = File::create(folder.path().join(LOCK)).context("the temporary data folder cannot be written")?;
        owner.lock().context("the temporary data folder cannot be locked")?;
        // Beside the start, not in its way.
        std::thread::spawn(|| remove_orphans(&std::env::temp_dir()));
        Ok(Self::Temporary { folder, _owner: owner })
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Given(folder) => folder,
            Self::Temporary { folder, .. } => folder.path(),
        }
    }

    pub(crate) fn close(self) -> Result<()> {
        if let Self::Temporary { folder, .. } = self {
            folder.close().context("the temporary data folder could not be removed")?;
        }
        Ok(())
    }
}

/// Removes the temporary folders of nodes that are gone. What cannot be removed (another user's) is left.
fn remove_orphans(temporary: &Path) {
    let Ok(entries) = std::fs::read_dir(temporary) else { return };
    for entry in entries.filter_map(Result::ok) {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if is_ours && is_orphan(&entry.path()) {
            tracing::debug!(folder = %entry.path().display(), "removing what a killed dev node left");
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn is_orphan(folder: &Path) -> bool {
    match File::options().read(true).write(true).open(folder.join(LOCK)) {
        Ok(lock) => is_old(&lock) && !matches!(lock.try_lock(), Err(TryLockError::WouldBlock | TryLockError::Error(_))),
        // Whoever began to remove it was killed too.
        Err(error) if error.kind() == ErrorKind::NotFound => File::open(folder).is_ok_and(|folder| is_old(&folder)),
        Err(_) => false,
    }
}

fn is_old(file: &File) -> bool {
    let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
    modified.and_then(|at| at.elapsed().ok()).is_some_and(|age| age >= YOUNG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn folder(temporary: &Path, name: &str, age_s: u64) -> (PathBuf, File) {
        let folder = temporary.join(name);
        std::fs::create_dir(&folder).unwrap();
        let lock = File::create(folder.join(LOCK)).unwrap();
        lock.set_modified(SystemTime::now() - Duration::from_secs(age_s)).unwrap();
        (folder, lock)
    }

    #[test]
    fn folders_of_nodes_that_are_gone_are_removed_and_no_others() {
        let temporary = tempfile::tempdir().unwrap();
        let (alive, lock) = folder(temporary.path(), "cryptlet-dev-alive", 60);
        lock.lock().unwrap();
        let (orphan, gone) = folder(temporary.path(), "cryptlet-dev-orphan", 60);
        gone.lock().unwrap();
        drop(gone);
        let (young, _) = folder(temporary.path(), "cryptlet-dev-young", 0);
        let (stranger, _) = folder(temporary.path(), "somebody-else", 60);
        let [unlocked, half_removed] =
            ["unlocked", "half-removed"].map(|name| temporary.path().join(PREFIX.to_owned() + name));
        for folder in [&unlocked, &half_removed] {
            std::fs::create_dir(folder).unwrap();
        }
        File::open(&half_removed).unwrap().set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
        remove_orphans(temporary.path());
        assert!(!orphan.exists() && !half_removed.exists());
        for kept in [alive, young, stranger, unlocked] {
            assert!(kept.exists(), "{}", kept.display());
        }
        drop(lock);
    }
}
