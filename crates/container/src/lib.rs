#![doc = include_str!("../README.md")]
#![cfg(target_os = "linux")]

extern crate alloc;

pub mod artefact;
pub mod check;
pub mod code;
pub mod compile;
mod component;
pub mod container;
pub mod engine;
pub mod evm;
pub mod fault;
mod guest;
pub mod keyring;
pub mod pool;
pub mod process;
pub mod program;
pub mod region;
pub mod sandbox;
mod signers;
pub mod trap;
mod vm;
mod wire;
pub mod worker;

pub use guest::call;

pub use artefact::ArtefactCache;
pub use call::{CallOut, Silent};
pub use code::{GuestCode, Kind};
pub use compile::CompileBounds;
pub use container::{CallTerms, Configured, Container, Measured};
pub use engine::{EngineProfile, code_digest};
pub use fault::{ContainerFault, GuestRefusal};
pub use keyring::{InstanceTerms, RenewalTerms};
pub use pool::PoolConfig;
pub use process::WorkerCommand;
pub use program::{ProgramSpec, Runtime};
pub use region::{
    InsecureInProcess, IsolatedRegion, Isolation, IsolationProvider, MeasuredStack, ProcessConfig, ProcessProvider,
    RegionDigest, VmProvider, check_signature,
};
pub use sandbox::{Protection, SandboxPolicy, SandboxReport};
