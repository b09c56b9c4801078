//! Tries the doors from inside.

use super::{Profile, Protection, SandboxReport};
use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    net::{AddressFamily, SocketType, socket},
};

/// Tries to open files, to make a socket and to fork, and notes what came of it.
pub(super) fn run(profile: Profile, report: &mut SandboxReport) {
    let is_program = matches!(profile, Profile::Program(_));
    report.note(Protection::NoFiles, if is_program { no_foreign_files() } else { no_files() });
    report.note(Protection::NoNetwork, no_network());
    report.note(Protection::NoNewProcesses, no_processes());
}

fn no_files() -> Result<(), String> {
    for path in ["/", "/etc/passwd", "/proc/self/maps", "/dev/null"] {
        if open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).is_ok() {
            return Err(format!("`{path}` could be opened"));
        }
    }
    Ok(())
}

/// A program reads itself and its runtime; it must not see the machine, nor write anything anywhere.
fn no_foreign_files() -> Result<(), String> {
    for path in ["/etc/passwd", "/proc/self/maps", "/dev/null", "/root", "/home", "/tmp", "/var", "/sys", "/run"] {
        if open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).is_ok() {
            return Err(format!("`{path}` could be opened"));
        }
    }
    for path in ["/written", "/package/written", "/tmp/written"] {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        if open(path, flags, Mode::RUSR | Mode::WUSR).is_ok() {
            return Err(format!("`{path}` could be written"));
        }
    }
    Ok(())
}

fn no_network() -> Result<(), String> {
    for family in [AddressFamily::INET, AddressFamily::INET6, AddressFamily::UNIX] {
        if socket(family, SocketType::STREAM, None).is_ok() {
            return Err(format!("a socket of family {} could be made", family.as_raw()));
        }
    }
    Ok(())
}

fn no_processes() -> Result<(), String> {
    // SAFETY: the process has one thread here; a child, should there be one, ends at once.
    match unsafe { libc::fork() } {
        -1 => Ok(()),
        // SAFETY: leaves the child without running anything of the parent's.
        0 => unsafe { libc::_exit(0) },
        child => {
            // SAFETY: reaps the child just made; no status is asked for.
            let reaped = unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
            debug_assert!(reaped == child || Errno::from_io_error(&std::io::Error::last_os_error()).is_some());
            Err("a process could be made".into())
        }
    }
}
