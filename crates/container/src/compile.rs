//! Compiling a component: in a jailed process of its own, with limits on memory, processor time and the clock, once, when a
//! cryptlet is registered.

use crate::{
    fault::{ContainerFault, GuestRefusal},
    process::{Process, WorkerCommand},
    sandbox::{ResourceBounds, SandboxPolicy},
    wire::{CompileTask, FromCompiler, Role, SourceKind, WireError},
};
use std::time::{Duration, Instant};

/// What compiling one component may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileBounds {
    /// Bytes of the component.
    pub component_bytes_max: usize,
    /// Bytes of the machine code.
    pub artefact_bytes_max: usize,
    /// Writable memory, in bytes.
    pub memory_bytes_max: u64,
    /// Processor time, in seconds.
    pub cpu_s_max: u64,
    /// Time by the clock, in milliseconds.
    pub wall_ms_max: u64,
}

impl Default for CompileBounds {
    fn default() -> Self {
        Self {
            component_bytes_max: 64 << 20,
            artefact_bytes_max: 512 << 20,
            memory_bytes_max: 4 << 30,
            cpu_s_max: 60,
            wall_ms_max: 90_000,
        }
    }
}

/// Compiles, checks against the world, and instantiates once; of a contract: runs its constructor.
pub(crate) fn in_jail(
    command: &WorkerCommand,
    policy: &SandboxPolicy,
    bounds: &CompileBounds,
    source: SourceKind,
    code: &[u8],
) -> Result<Vec<u8>, ContainerFault> {
    let (bytes, bytes_max) = (code.len(), bounds.component_bytes_max);
    if bytes > bytes_max {
        return Err(GuestRefusal::TooLong { bytes, bytes_max }.into());
    }
    let resources = ResourceBounds { data_bytes_max: bounds.memory_bytes_max, cpu_s_max: Some(bounds.cpu_s_max) };
    let mut process = Process::start(command, Role::Compile, resources, policy)?;
    let deadline = Instant::now() + Duration::from_millis(bounds.wall_ms_max);
    converse(&mut process, bounds, (source, code), deadline)
}

fn converse(
    process: &mut Process,
    bounds: &CompileBounds,
    (source, code): (SourceKind, &[u8]),
    deadline: Instant,
) -> Result<Vec<u8>, ContainerFault> {
    let task = CompileTask { source, bytes: code.len() as u64 };
    let sent = process.channel.send(&task).and_then(|()| process.channel.send_raw(code));
    let answer = sent.and_then(|()| process.channel.receive(64 << 10, Some(deadline)));
    let bytes = match answer {
        Ok(FromCompiler::Compiled { bytes }) => usize::try_from(bytes).unwrap_or(usize::MAX),
        Ok(FromCompiler::Refused(refusal)) => return Err(refusal.into()),
        Err(error) => return Err(gave_up(process, error, bounds)),
    };
    if bytes > bounds.artefact_bytes_max {
        let reason = format!("{bytes} bytes of machine code; at most {} are accepted", bounds.artefact_bytes_max);
        return Err(GuestRefusal::CompileLimit(reason).into());
    }
    process.channel.receive_raw(bytes, Some(deadline)).map_err(|error| gave_up(process, error, bounds))
}

/// A compiler that dies or is late was given too much to do: that is the component's fault.
fn gave_up(process: &mut Process, error: WireError, bounds: &CompileBounds) -> ContainerFault {
    match error {
        WireError::Deadline => {
            let reason = format!("{} ms by the clock", bounds.wall_ms_max);
            GuestRefusal::CompileLimit(reason).into()
        }
        error => match process.fault(error) {
            ContainerFault::ProcessLost { detail, .. } => {
                let (memory, cpu) = (bounds.memory_bytes_max, bounds.cpu_s_max);
                let limits = format!("{memory} bytes of memory, {cpu} s of processor time; it ended with {detail}");
                GuestRefusal::CompileLimit(limits).into()
            }
            other => other,
        },
    }
}
