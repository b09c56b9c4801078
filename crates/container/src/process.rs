//! Starting and ending child processes, and the first words with them.

use crate::{
    engine::EngineProfile,
    fault::ContainerFault,
    sandbox::{ResourceBounds, SandboxPolicy, SandboxReport},
    wire::{Channel, Hello, PROTOCOL_VERSION, Ready, Role, WireError},
};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsString,
    io::Read,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// Time a child has to lock itself in and say so.
const START_MS_MAX: u64 = 10_000;
/// Time a child has to take what is sent to it, in milliseconds.
const WRITE_MS_MAX: u64 = 10_000;
/// Time a child has to end once it has closed its channel, in milliseconds: then its own exit status is known.
const END_MS_MAX: u64 = 200;
/// Longest answer to the first message, in bytes.
const READY_BYTES_MAX: usize = 16 << 10;
/// Of what a dead child said last, this much is passed on, in bytes.
const LAST_WORDS_BYTES_MAX: u64 = 2048;

/// How to start a child process: usually this very binary with the argument `worker`, whose `main` then calls
/// [`crate::worker::main`] first of all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerCommand {
    /// Path of the binary.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// A child process, locked in. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    role: Role,
    child: Child,
    pub(crate) channel: Channel,
    pub(crate) report: SandboxReport,
}

impl Process {
    /// Starts a child, waits until it has locked itself in, and holds its report against the policy.
    pub(crate) fn start(
        command: &WorkerCommand,
        role: Role,
        bounds: ResourceBounds,
        policy: &SandboxPolicy,
    ) -> Result<Self, ContainerFault> {
        Self::start_with(command, role, bounds, policy, |_| Ok(()))
    }

    /// As [`start`](Self::start), for a child that is told more before it locks itself in.
    pub(crate) fn start_with(
        command: &WorkerCommand,
        role: Role,
        bounds: ResourceBounds,
        policy: &SandboxPolicy,
        tell: impl FnOnce(&mut Channel) -> Result<(), WireError>,
    ) -> Result<Self, ContainerFault> {
        let (child, channel) = spawn(command).map_err(|source| ContainerFault::Spawn {
            role: role.name(),
            program: command.program.display().to_string(),
            source,
        })?;
        let mut process = Self { role, child, channel, report: SandboxReport::default() };
        let ready = process.shake_hands(bounds, tell).map_err(|error| process.fault(error))?;
        let (ours, theirs) = (EngineProfile::current().digest(), ready.profile);
        if ready.version != PROTOCOL_VERSION || theirs != ours {
            let detail = format!(
                "protocol {} and engine profile {theirs}; this host has {PROTOCOL_VERSION} and {ours}: another build?",
                ready.version
            );
            return Err(ContainerFault::Misbehaved { role: role.name(), detail });
        }
        let objections = policy.objections_to(&ready.report, role.protections());
        if !objections.is_empty() {
            return Err(ContainerFault::SandboxTooWeak(objections));
        }
        process.report = ready.report;
        Ok(process)
    }

    fn shake_hands(
        &mut self,
        bounds: ResourceBounds,
        tell: impl FnOnce(&mut Channel) -> Result<(), WireError>,
    ) -> Result<Ready, WireError> {
        let deadline = Instant::now() + Duration::from_millis(START_MS_MAX);
        self.channel.send(&Hello { version: PROTOCOL_VERSION, role: self.role, bounds })?;
        tell(&mut self.channel)?;
        self.channel.receive(READY_BYTES_MAX, Some(deadline))
    }

    /// Process id of the child (of the one that waits, where a process namespace is in force; killing it kills both).
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills the child and says why it was of no more use.
    pub(crate) fn fault(&mut self, error: WireError) -> ContainerFault {
        let role = self.role.name();
        match error {
            WireError::Closed | WireError::Io(_) => ContainerFault::ProcessLost { role, detail: self.last_words() },
            other => {
                self.kill();
                ContainerFault::Misbehaved { role, detail: other.to_string() }
            }
        }
    }

    /// The child speaks out of turn: kills it.
    pub(crate) fn misbehaved(&mut self, detail: &str) -> ContainerFault {
        self.kill();
        ContainerFault::Misbehaved { role: self.role.name(), detail: detail.to_owned() }
    }

    pub(crate) fn kill(&mut self) {
        // Both fail only if the child is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How a child ends that has closed its channel. One that lingers is helped along.
    fn end(&mut self) -> std::io::Result<ExitStatus> {
        let until = Instant::now() + Duration::from_millis(END_MS_MAX);
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // It fails only if the child is gone.
        let _ = self.child.kill();
        self.child.wait()
    }

    fn last_words(&mut self) -> String {
        let status = self.end().map_or_else(|error| error.to_string(), |status| status.to_string());
        let mut said = Vec::new();
        if let Some(errors) = self.child.stderr.take() {
            // Unreadable last words are none.
            let _ = errors.take(LAST_WORDS_BYTES_MAX).read_to_end(&mut said);
        }
        let said: String =
            String::from_utf8_lossy(&said).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let said = said.trim();
        if said.is_empty() { status } else { format!("{status}: {said}") }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The child's standard input is its end of the channel; it gets no environment, and nobody reads its standard output. What
/// it writes to standard error waits in the pipe until it has died.
fn spawn(command: &WorkerCommand) -> std::io::Result<(Child, Channel)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_write_timeout(Some(Duration::from_millis(WRITE_MS_MAX)))?;
    let child = Command::new(&command.program)
        .args(&command.arguments)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    Ok((child, Channel::new(ours)))
}
