//! What can go wrong around a call. What goes wrong *inside* one (the cryptlet traps, runs out of fuel, says no) is a signed
//! result, not a fault.

use crate::{code::Kind, sandbox::Protection};
use cryptlet_primitives::{CodeDigest, CryptletId, UnavailableReason};
use std::io;

pub use crate::guest::refusal::GuestRefusal;

/// Why a container, or a call of it, did not do what was asked. Nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum ContainerFault {
    /// The component will not run here.
    #[error(transparent)]
    Guest(#[from] GuestRefusal),
    /// The invocation is for another cryptlet.
    #[error("the invocation is for cryptlet {asked}; this container runs {runs}")]
    WrongCryptlet {
        /// Cryptlet in the request.
        asked: CryptletId,
        /// Cryptlet of the container.
        runs: CryptletId,
    },
    /// The invocation is for other code.
    #[error("the invocation is for code {asked}; this container runs {runs}")]
    WrongCode {
        /// Code digest in the request.
        asked: CodeDigest,
        /// Code digest of the container.
        runs: CodeDigest,
    },
    /// The invocation contradicts itself or its container.
    #[error("the invocation makes no sense: {0}")]
    BadInvocation(String),
    /// Too many calls wait already. The caller may try again.
    #[error("overloaded: {waiting} calls wait for a worker, which is the limit")]
    Overloaded {
        /// Calls that wait.
        waiting: usize,
    },
    /// No worker became free in time.
    #[error("no worker became free within {waited_ms} ms")]
    QueueTimeout {
        /// Milliseconds waited.
        waited_ms: u64,
    },
    /// The call took too long by the clock. The worker was killed; whether it would have ended is not known.
    #[error("the call was still running after {limit_ms} ms; its worker was killed")]
    DeadlineExceeded {
        /// Milliseconds allowed.
        limit_ms: u64,
    },
    /// A child process died.
    #[error("the {role} process died: {detail}")]
    ProcessLost {
        /// What it was doing here.
        role: &'static str,
        /// How it ended, and what it said last.
        detail: String,
    },
    /// The virtual machine of a guest ended within a call, or while it was loading.
    #[error("the guest's virtual machine is lost: {detail}")]
    MachineLost {
        /// What it did.
        detail: String,
    },
    /// This machine, or what was installed on it, gives no virtual machines to run guests in.
    #[error("isolation `vm` cannot run here: {0}")]
    NoMachines(String),
    /// A child process broke the protocol. It was killed.
    #[error("the {role} process sent something it should not: {detail}")]
    Misbehaved {
        /// What it was doing here.
        role: &'static str,
        /// What was seen.
        detail: String,
    },
    /// A child process could not be started.
    #[error("cannot start the {role} process `{program}`: {source}")]
    Spawn {
        /// What it should do here.
        role: &'static str,
        /// Path of the binary.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The sandbox gives less than the policy demands.
    #[error("the sandbox lacks {}; the policy does not tolerate that", describe(.0))]
    SandboxTooWeak(Vec<(Protection, String)>),
    /// The signer will not sign this.
    #[error("the signer refuses: {0}")]
    SignerRefused(String),
    /// The artefact cache cannot be used.
    #[error("artefact cache `{path}`: {source}")]
    Cache {
        /// Folder or file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The engine could not be built on this machine.
    #[error("the engine cannot run here: {0}")]
    Engine(String),
    /// This machine does not have what a program needs to run.
    #[error("this machine has no {runtime}: looked for {looked}")]
    NoRuntime {
        /// Name of the runtime.
        runtime: &'static str,
        /// Paths looked at.
        looked: String,
    },
    /// As many programs run as may.
    #[error("overloaded: {most} programs run on this host, which is the limit")]
    TooManyPrograms {
        /// Programs that may run.
        most: usize,
    },
    /// This provider does not run this kind of container.
    #[error("isolation `{isolation}` runs no containers of kind `{kind}`")]
    KindNotHere {
        /// The kind asked for.
        kind: Kind,
        /// Name of the isolation.
        isolation: &'static str,
    },
    /// What was prepared belongs to a provider of another kind.
    #[error("this artefact was compiled for another isolation")]
    CompiledElsewhere,
    /// The provider was stopped.
    #[error("the isolation provider has been stopped")]
    Stopped,
}

impl ContainerFault {
    /// How a node is told.
    pub const fn reason(&self) -> UnavailableReason {
        match self {
            Self::Overloaded { .. } | Self::QueueTimeout { .. } | Self::TooManyPrograms { .. } => {
                UnavailableReason::Overloaded
            }
            Self::DeadlineExceeded { .. } => UnavailableReason::DeadlineExceeded,
            Self::WrongCryptlet { .. } => UnavailableReason::NoInstance,
            Self::WrongCode { .. } | Self::Guest(_) | Self::SandboxTooWeak(_) | Self::SignerRefused(_) => {
                UnavailableReason::Refused
            }
            Self::BadInvocation(_) => UnavailableReason::Malformed,
            Self::ProcessLost { .. }
            | Self::MachineLost { .. }
            | Self::NoMachines(_)
            | Self::Misbehaved { .. }
            | Self::Spawn { .. }
            | Self::Cache { .. }
            | Self::Engine(_)
            | Self::NoRuntime { .. }
            | Self::KindNotHere { .. }
            | Self::CompiledElsewhere
            | Self::Stopped => UnavailableReason::NoInstance,
        }
    }
}

fn describe(missing: &[(Protection, String)]) -> String {
    let parts: Vec<String> = missing.iter().map(|(protection, why)| format!("{protection} ({why})")).collect();
    parts.join(", ")
}
