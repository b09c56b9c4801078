//! Resource limits.

use super::Profile;
use rustix::{
    io,
    process::{Resource, Rlimit, setrlimit},
};
use serde::{Deserialize, Serialize};

/// Most a worker process may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceBounds {
    /// Writable memory, in bytes.
    pub data_bytes_max: u64,
    /// Processor time over the whole life, in seconds; none for processes that serve for long.
    pub cpu_s_max: Option<u64>,
}

/// Open files: the channel, standard error, and what a runtime opens for itself.
const FILES_MAX: u64 = 16;
/// Open files of a worker with machines: two for each, and the system's device.
const MACHINE_FILES_MAX: u64 = 16 + 2 * crate::vm::MACHINES_MAX as u64;
/// Threads of the kernel that count as this process's: it starts one for each machine.
const MACHINE_THREADS_MAX: u64 = 4 + crate::vm::MACHINES_MAX as u64;
/// Open files of a program: libraries, modules, event loops.
const PROGRAM_FILES_MAX: u64 = 256;
/// Threads of a program. Counted in its user namespace, where it is alone.
const PROGRAM_THREADS_MAX: u64 = 256;

pub(super) fn limit(profile: Profile, bounds: &ResourceBounds) -> io::Result<()> {
    let files_max = match profile {
        Profile::Program(_) => PROGRAM_FILES_MAX,
        Profile::RunInVm => MACHINE_FILES_MAX,
        Profile::Run | Profile::Compile | Profile::Sign => FILES_MAX,
    };
    set(Resource::Nofile, files_max)?;
    set(Resource::Fsize, 0)?;
    set(Resource::Data, bounds.data_bytes_max)?;
    if let Some(cpu_s_max) = bounds.cpu_s_max {
        set(Resource::Cpu, cpu_s_max)?;
    }
    match profile {
        // The compiler's threads count as processes of its user, whose others are unknown here.
        Profile::Compile => {}
        Profile::Program(_) => set(Resource::Nproc, PROGRAM_THREADS_MAX)?,
        Profile::RunInVm => set(Resource::Nproc, MACHINE_THREADS_MAX)?,
        Profile::Run | Profile::Sign => set(Resource::Nproc, 0)?,
    }
    Ok(())
}

fn set(resource: Resource, most: u64) -> io::Result<()> {
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
}
