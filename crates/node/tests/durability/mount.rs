//! File systems of our own, where the kernel and our rights allow them.

use std::{
    fs::File,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::Command,
};

/// A mounted file system, unmounted when dropped.
pub(crate) struct Mount {
    pub(crate) point: PathBuf,
}

impl Mount {
    /// A file system in memory of so many mebibytes.
    pub(crate) fn memory(point: &Path, mebibytes: u64) -> Result<Self, String> {
        let size = format!("size={mebibytes}m");
        mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], point)
    }

    /// An ext4 file system in a file, which is made if it is not there.
    pub(crate) fn image(image: &Path, point: &Path, mebibytes: u64) -> Result<Self, String> {
        if !image.exists() {
            let file = File::create(image).map_err(|error| error.to_string())?;
            file.set_len(mebibytes << 20).map_err(|error| error.to_string())?;
            run(Command::new("mkfs.ext4").arg("-q").arg(image))?;
        }
        mount(&["-t", "ext4", "-o", "loop", &image.display().to_string()], point)
    }

    /// What a power cut does: from now on nothing reaches the device, and what did not reach it until now is lost, the
    /// journal's unwritten part included. (`FS_IOC_SHUTDOWN` with `NOLOGFLUSH`, as xfstests cut the power.)
    pub(crate) fn cut_power(&self) -> Result<(), String> {
        const FS_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587d;
        const NOLOGFLUSH: u32 = 2;
        let folder = File::open(&self.point).map_err(|error| error.to_string())?;
        // SAFETY: the call reads four bytes at the pointer, which outlives it.
        let answer = unsafe { libc::ioctl(folder.as_raw_fd(), FS_IOC_SHUTDOWN, &NOLOGFLUSH) };
        if answer == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().to_string()) }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A process that was killed may take a moment to let go.
        for _ in 0..50 {
            if run(Command::new("umount").arg(&self.point)).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        super::say(&format!("{} could not be unmounted", self.point.display()));
    }
}

fn mount(arguments: &[&str], point: &Path) -> Result<Mount, String> {
    std::fs::create_dir_all(point).map_err(|error| error.to_string())?;
    run(Command::new("mount").args(arguments).arg(point))?;
    Ok(Mount { point: point.to_owned() })
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
