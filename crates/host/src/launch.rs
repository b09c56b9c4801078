//! The seam to the containers: what the host needs of whatever runs a cryptlet.

mod regions;

pub use regions::RegionLauncher;

use alloy_primitives::B256;
use cryptlet_container::GuestCode;
use cryptlet_primitives::{
    CodeDigest, CryptletId, FabricAnswer, FabricDomain, FabricFault, InstanceKeys, Invocation, Measurement, Signature65,
};
use std::{fmt, sync::Arc};

/// What an instance is told about itself when it is born.
#[derive(Clone, Copy, Debug)]
pub struct Birth {
    /// The chain it will sign for.
    pub domain: FabricDomain,
    /// Which cryptlet it is.
    pub cryptlet: CryptletId,
    /// The package it came from.
    pub manifest_digest: B256,
    /// Which generation of keys.
    pub key_epoch: u64,
    /// A recent block: the keys cannot be older.
    pub anchor: Anchor,
    /// Block after which the keys no longer count.
    pub not_after_block: u64,
}

/// A recent block of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its number.
    pub block: u64,
    /// Its hash.
    pub hash: B256,
}

/// Blocks in which a result counts, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First block.
    pub not_before: u64,
    /// Last block.
    pub expires: u64,
}

/// A cryptlet that runs: it answers calls and signs what it answers. Calls block; they may be made from any thread.
pub trait Instance: Send + Sync + fmt::Debug {
    /// Runs one call and signs the result.
    fn call(&self, invocation: &Invocation, observed_at: u64, validity: Validity) -> Result<FabricAnswer, FabricFault>;

    /// The same instance under a registration that holds until a later block: the same keys, signed anew. Under the registration
    /// it has it goes on until that one's last block.
    fn renew(&self, anchor: Anchor, not_after_block: u64) -> Result<Launched, LaunchFault>;
}

/// An instance, and what it says about itself.
#[derive(Clone, Debug)]
pub struct Launched {
    /// The instance.
    pub instance: Arc<dyn Instance>,
    /// Its keys.
    pub keys: InstanceKeys,
    /// Its own signature over them.
    pub keys_signature: Signature65,
    /// What was measured at launch.
    pub measurement: Measurement,
}

/// Why an instance did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchFault {
    /// This code will never start here: the same everywhere with this engine, so it may be said in a signed result.
    #[error("{0}")]
    Code(String),
    /// This machine could not start it now.
    #[error("{0}")]
    Machine(String),
}

/// Starts instances, of every kind of container it has.
pub trait Launcher: Send + Sync + fmt::Debug + 'static {
    /// Identity of this code as this launcher would run it.
    fn code_digest(&self, code: &GuestCode) -> CodeDigest;

    /// What runs the code, exactly; part of every code digest.
    fn engine_profile(&self) -> String;

    /// How instances are kept apart from everything else: 0 none, 1 process, 2 vm, 3 enclave.
    fn isolation(&self) -> u8;

    /// Starts an instance; its keys are made inside. Blocks.
    fn launch(&self, code: &GuestCode, birth: &Birth) -> Result<Launched, LaunchFault>;
}
