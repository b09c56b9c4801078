//! What a child process does: say hello, lock itself in, serve one role until its channel closes.

mod compiler;
#[cfg(target_arch = "x86_64")]
mod machines;
mod program;
mod runner;
mod signer;

use crate::{
    engine::EngineProfile,
    sandbox::{self, Profile},
    wire::{Channel, Hello, PROTOCOL_VERSION, Ready, Role, WireError},
};
use std::{io::Write, process::ExitCode};

/// Longest first message, in bytes.
const HELLO_BYTES_MAX: usize = 4096;

/// Why a child process cannot go on. Only ever written to standard error, for the supervisor to pass on.
#[derive(Debug, thiserror::Error)]
enum ChildError {
    #[error("this command is started by a cryptlet host, with its channel as standard input: {0}")]
    NotAChild(std::io::Error),
    #[error("the host speaks version {theirs} of the worker protocol, this binary {ours}")]
    Version { theirs: u32, ours: u32 },
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the program could not be executed: {0}")]
    NotExecuted(std::io::Error),
    #[cfg(target_arch = "x86_64")]
    #[error(transparent)]
    Image(#[from] crate::vm::ImageFault),
    #[cfg(target_arch = "x86_64")]
    #[error("{0}")]
    NoMachines(String),
    #[cfg(not(target_arch = "x86_64"))]
    #[error("virtual machines run on x86-64 only")]
    NoMachines,
    #[error(transparent)]
    Engine(#[from] crate::fault::ContainerFault),
}

/// Runs as a child process of an isolation provider. Call it first thing in `main`, before any thread is started: the sandbox
/// is entered by a single thread. Returns when the host closes the channel.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) | Err(ChildError::Wire(WireError::Closed)) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done if even this fails.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<(), ChildError> {
    let mut channel = Channel::inherited().map_err(ChildError::NotAChild)?;
    let hello: Hello = channel.receive(HELLO_BYTES_MAX, None)?;
    if hello.version != PROTOCOL_VERSION {
        return Err(ChildError::Version { theirs: hello.version, ours: PROTOCOL_VERSION });
    }
    let kept = match hello.role {
        Role::Program => return program::become_program(channel, &hello.bounds),
        #[cfg(target_arch = "x86_64")]
        Role::RunInVm => return machines::serve(channel, &hello.bounds),
        #[cfg(not(target_arch = "x86_64"))]
        Role::RunInVm => return Err(ChildError::NoMachines),
        Role::Run => Profile::Run,
        Role::Compile => Profile::Compile,
        Role::Sign => Profile::Sign,
    };
    let report = sandbox::enter(kept, &hello.bounds);
    let profile = EngineProfile::current().digest();
    channel.send(&Ready { version: PROTOCOL_VERSION, profile, report })?;
    match hello.role {
        Role::Run => runner::serve(channel),
        Role::Compile => compiler::serve(channel),
        Role::Sign => signer::serve(channel),
        Role::Program | Role::RunInVm => unreachable!("served above"),
    }
}
