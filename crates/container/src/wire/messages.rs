//! The messages.

use crate::{
    call::{CallAnswer, CallInputs},
    fault::GuestRefusal,
    keyring::{InstanceTerms, KeyHandle, RenewalTerms},
    program::RuntimeView,
    sandbox::{Protection, ResourceBounds, SandboxReport},
};
use alloy_primitives::B256;
use cryptlet_primitives::{CryptletResult, InstanceKeys, InvocationMode, Signature65};
use serde::{Deserialize, Serialize};

/// Changes whenever a message does. Both sides are normally the same binary; this is for when they are not.
pub(crate) const PROTOCOL_VERSION: u32 = 3;

/// What a child process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    Run,
    /// As `Run`, in virtual machines.
    RunInVm,
    Compile,
    Sign,
    /// Becomes a program of its own.
    Program,
}

impl Role {
    /// How faults name a program.
    pub(crate) const PROGRAM: &'static str = "program";

    /// What must be in force in such a process, unless a policy does without.
    pub(crate) const fn protections(self) -> &'static [Protection] {
        match self {
            Self::Program => &Protection::OF_PROGRAMS,
            Self::RunInVm => &Protection::OF_MACHINES,
            Self::Run | Self::Compile | Self::Sign => &Protection::ALL,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Run => "worker",
            Self::RunInVm => "machine",
            Self::Compile => "compiler",
            Self::Sign => "signer",
            Self::Program => Self::PROGRAM,
        }
    }
}

/// First message, from the supervisor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) version: u32,
    pub(crate) role: Role,
    pub(crate) bounds: ResourceBounds,
}

/// First message back. From here on the child is locked in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) version: u32,
    pub(crate) profile: B256,
    pub(crate) report: SandboxReport,
}

/// To a worker. One of these is alive at a time, so the size of the largest does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToWorker {
    /// Code that was made ready follows, this many raw bytes.
    Load { artefact: B256, engine: EngineKind, bytes: u64 },
    /// Forget this code.
    Unload { artefact: B256 },
    /// Run one call.
    Call { artefact: B256, inputs: CallInputs, input: Vec<u8> },
}

/// From a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromWorker {
    Loaded,
    Refused(GuestRefusal),
    /// A guest's log line, while its call runs.
    Log(String),
    Answer(CallAnswer),
    /// The virtual machine ended, and the code in it is no longer loaded.
    MachineLost(String),
}

/// To a worker with virtual machines, before it locks itself in: the program for them follows, this many raw bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MachineTask {
    pub(crate) image_bytes: u64,
}

/// To a compiler: code follows, this many raw bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CompileTask {
    pub(crate) source: SourceKind,
    pub(crate) bytes: u64,
}

/// What is to be made ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SourceKind {
    /// A component, to be compiled.
    Component,
    /// A component, to be compiled for the virtual machine.
    ComponentForVm,
    /// A contract's code; if it is creation code its constructor is to run.
    Contract { is_creation: bool },
}

/// What runs code that was made ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EngineKind {
    Wasm,
    Evm,
}

/// From a compiler.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromCompiler {
    /// The artefact follows, this many raw bytes.
    Compiled {
        bytes: u64,
    },
    Refused(GuestRefusal),
}

/// To a child that is to become a program: its file follows, this many raw bytes. The child answers [`Ready`] and then is the
/// program, which speaks [`crate::program::protocol`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ProgramTask {
    pub(crate) view: RuntimeView,
    pub(crate) bytes: u64,
}

/// To a signer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToSigner {
    /// Make an instance's keys.
    Create(InstanceTerms),
    /// Sign an instance's keys for a longer time.
    Renew { key: KeyHandle, terms: RenewalTerms },
    /// Sign a result of that instance.
    Sign { key: KeyHandle, result: CryptletResult, mode: InvocationMode },
    /// Agree on a secret with whoever has the other half of this X25519 key.
    Agree { key: KeyHandle, peer: [u8; 32], context: B256 },
    /// Forget the keys.
    Forget(KeyHandle),
}

/// From a signer. One of each is alive at a time, so the size of the largest does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromSigner {
    Created { key: KeyHandle, keys: InstanceKeys, signature: Signature65 },
    Renewed { keys: InstanceKeys, signature: Signature65 },
    Signed(Signature65),
    Secret(B256),
    Forgotten,
    Refused(String),
}
