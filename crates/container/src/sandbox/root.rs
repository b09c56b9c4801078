//! What a locked-in process finds at `/`: nothing, or a program and the runtime it needs.

use super::Protection;
use crate::program::RuntimeView;
use rustix::{
    fs::{self, Mode, OFlags},
    io,
    mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, mount_remount, unmount},
    process::{chdir, pivot_root},
};
use std::{
    ffi::CString,
    io::Write,
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
};

/// Where the new root is mounted before it becomes the root. Any folder would do.
const STAGING: &str = "/tmp";
/// Room for folders and links beside the program, in bytes.
const ROOM_BYTES: usize = 1 << 20;
/// Files, folders and links at most.
const INODES_MAX: usize = 256;

/// What is to be at `/`.
pub(super) enum Root<'a> {
    /// Nothing.
    Empty,
    /// A program and its runtime.
    Program { view: &'a RuntimeView, program: &'a [u8] },
}

impl Root<'_> {
    /// What is in force once it is entered.
    pub(super) const fn protection(&self) -> Protection {
        match self {
            Self::Empty => Protection::EmptyRoot,
            Self::Program { .. } => Protection::OwnRoot,
        }
    }

    /// Replaces the root by it. It cannot be written to.
    pub(super) fn enter(&self) -> io::Result<()> {
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        let common = MountFlags::NOSUID | MountFlags::NODEV;
        let (flags, options) = match self {
            Self::Empty => (common | MountFlags::NOEXEC, "size=4k,nr_inodes=2,mode=500".to_owned()),
            Self::Program { program, .. } => {
                let bytes = program.len() + ROOM_BYTES;
                (common, format!("size={bytes},nr_inodes={INODES_MAX},mode=555"))
            }
        };
        let options = CString::new(options).map_err(|_| io::Errno::INVAL)?;
        mount("none", STAGING, "tmpfs", flags, Some(options.as_c_str()))?;
        if let Self::Program { view, program } = self {
            furnish(view, program).map_err(|error| io::Errno::from_io_error(&error).unwrap_or(io::Errno::IO))?;
        }
        chdir(STAGING)?;
        pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        chdir("/")?;
        mount_remount("/", flags | MountFlags::RDONLY | MountFlags::BIND, c"")
    }
}

/// Where a program's own file lies.
pub(super) fn program_folder() -> &'static Path {
    Path::new(crate::program::PROGRAM_FOLDER)
}

/// Opens what is to be executed.
pub(super) fn open_executable(view: &RuntimeView) -> io::Result<OwnedFd> {
    fs::open(&view.executable, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

fn furnish(view: &RuntimeView, program: &[u8]) -> std::io::Result<()> {
    for path in &view.binds {
        bind(path)?;
    }
    for (link, target) in &view.links {
        std::os::unix::fs::symlink(target, staged(link))?;
    }
    let folder = staged(program_folder());
    std::fs::create_dir(&folder)?;
    let file = folder.join(&view.program);
    std::fs::File::create(&file)?.write_all(program)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o555))?;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555))
}

/// Shows a file or folder of the machine under its own name, for reading and executing.
fn bind(path: &Path) -> std::io::Result<()> {
    let there = staged(path);
    if path.is_dir() {
        std::fs::create_dir_all(&there)?;
    } else {
        std::fs::create_dir_all(there.parent().unwrap_or(Path::new(STAGING)))?;
        std::fs::File::create(&there)?;
    }
    mount_bind(path, &there)?;
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    Ok(mount_remount(&there, flags, c"")?)
}

fn staged(path: &Path) -> PathBuf {
    Path::new(STAGING).join(path.strip_prefix("/").unwrap_or(path))
}
