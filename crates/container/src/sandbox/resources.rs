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

pub(super) fn limit(profile: Profile, bounds: &ResourceBounds) -> io::Result<()> {
    set(Resource::Nofile, FILES_MAX)?;
    set(Resource::Fsize, 0)?;
    set(Resource::Data, bounds.data_bytes_max)?;
    if let Some(cpu_s_max) = bounds.cpu_s_max {
        set(Resource::Cpu, cpu_s_max)?;
    }
    if profile != Profile::Compile {
        // The compiler's threads count as processes of its user, whose others are unknown here.
        set(Resource::Nproc, 0)?;
    }
    Ok(())
}

fn set(resource: Resource, most: u64) -> io::Result<()> {
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
}
