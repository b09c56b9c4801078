//! Isolated regions: the interface of the papers' secure-computation section, one driver per file.
//!
//! | the papers | here |
//! |---|---|
//! | `IsolatedRegionCreate(packagePath, isolationProvider, callOutHandler)` | [`IsolationProvider::create`] |
//! | `IsolatedRegionIoControl(region, callInId, input) -> output` | [`IsolatedRegion::io_control`] |
//! | `IsolatedAppIoControl(callOutId, …)` | `handle` of the guest, and [`CallOut`] |
//! | `IsolatedAppSignMessage(message)` | [`IsolatedRegion::sign_message`] |
//! | `IsolatedRegionGetDigest(package)` | [`IsolatedRegion::digest`] |
//! | `IsolatedRegionCheckSignature(provider, digest, message, signature)` | [`check_signature`] |

mod in_process;
mod instance;
mod making;
mod process;
#[cfg(target_arch = "x86_64")]
mod vm;
#[cfg(not(target_arch = "x86_64"))]
#[path = "vm_absent.rs"]
mod vm;

pub use in_process::InsecureInProcess;
pub use process::{ProcessConfig, ProcessProvider};
pub use vm::VmProvider;

use crate::{
    artefact::Artefact,
    call::{CallAnswer, CallInputs, CallOut},
    code::GuestCode,
    fault::ContainerFault,
    keyring::{InstanceTerms, RenewalTerms},
    sandbox::SandboxReport,
};
use alloy_primitives::{Address, B256, Signature};
use alloy_sol_types::SolStruct;
use cryptlet_primitives::{
    CodeDigest, CryptletResult, FabricDomain, InstanceKeys, InvocationMode, Measurement, Signature65,
};
use std::sync::Arc;

/// How strongly a guest is kept apart. The numbers are those of the claims on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Isolation {
    /// Not at all: tests only.
    None = 0,
    /// Sandboxed processes.
    Process = 1,
    /// A virtual machine.
    Vm = 2,
    /// A hardware enclave.
    Enclave = 3,
}

/// What a measurement was made of; for people, and for whoever keeps reference values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasuredStack {
    /// How strongly guests are kept apart.
    pub isolation: Isolation,
    /// Digest of the engine profile.
    pub engine_profile: B256,
    /// SHA-256 of the binary that runs as worker, compiler and signer; zero if there is none.
    pub worker_binary: B256,
    /// What the workers found in force.
    pub worker_sandbox: SandboxReport,
    /// What the signers found in force.
    pub signer_sandbox: SandboxReport,
    /// Hash of how a virtual machine begins, its program included; none where there is none.
    pub launch: Option<B256>,
}

/// Something that can make isolated regions.
pub trait IsolationProvider: Send + Sync {
    /// How strongly it keeps guests apart.
    fn isolation(&self) -> Isolation {
        self.stack().isolation
    }

    /// What it measured of itself when it started.
    fn stack(&self) -> &MeasuredStack;

    /// Checks code and makes it ready: compiles a component, starts a program once. Takes seconds for large ones.
    fn prepare(&self, code: &GuestCode) -> Result<Artefact, ContainerFault>;

    /// `IsolatedRegionCreate`: makes an instance's keys, and a region that runs this code.
    fn create(
        &self,
        artefact: &Artefact,
        terms: &InstanceTerms,
        call_out: Arc<dyn CallOut>,
    ) -> Result<Arc<dyn IsolatedRegion>, ContainerFault>;
}

/// One instance of a cryptlet, kept apart from its host.
pub trait IsolatedRegion: Send + Sync {
    /// `IsolatedRegionIoControl`: runs one call in the guest.
    fn io_control(&self, inputs: &CallInputs, input: &[u8]) -> Result<CallAnswer, ContainerFault>;

    /// `IsolatedAppSignMessage`: signs a result of this region with the instance key.
    fn sign_message(&self, result: &CryptletResult, mode: InvocationMode) -> Result<Signature65, ContainerFault>;

    /// A secret shared with the holder of another X25519 key, for a channel into the region:
    /// `keccak256("cryptlet/channel/v1" ‖ x25519 ‖ peer's key ‖ the instance's key ‖ context)`.
    fn agree(&self, peer_key: [u8; 32], context: B256) -> Result<B256, ContainerFault>;

    /// The same keys for a longer time, and the instance's signature over them. It signs results under both registrations, this and
    /// the one before, each until its own last block.
    fn renew(&self, terms: &RenewalTerms) -> Result<(InstanceKeys, Signature65), ContainerFault>;

    /// `IsolatedRegionGetDigest`: what runs, and in what.
    fn digest(&self) -> RegionDigest;

    /// The keys of this instance, as they were first registered.
    fn keys(&self) -> &InstanceKeys;

    /// The instance's signature over those keys.
    fn keys_signature(&self) -> Signature65;

    /// What the randomness of this call is drawn from: secret, different for every instance, the same for every run.
    fn random_seed(&self, call_key: B256, mode: InvocationMode) -> B256;
}

/// What identifies a region to someone who never saw it: its code, what it runs in, its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionDigest {
    /// The code.
    pub code: CodeDigest,
    /// What it runs in.
    pub measurement: Measurement,
    /// Who signs for it.
    pub signer: Address,
}

/// `IsolatedRegionCheckSignature`: did the region with this digest sign this result, for this chain?
pub fn check_signature(
    digest: &RegionDigest,
    domain: &FabricDomain,
    result: &CryptletResult,
    mode: InvocationMode,
    signature: &Signature65,
) -> bool {
    let domain = match mode {
        InvocationMode::Live => domain.live(),
        InvocationMode::DryRun => domain.dry_run(),
    };
    let signing_hash = result.eip712_signing_hash(&domain);
    Signature::from_raw(signature.0.as_slice())
        .ok()
        .filter(|signature| signature.normalize_s().is_none())
        .and_then(|signature| signature.recover_address_from_prehash(&signing_hash).ok())
        .is_some_and(|signer| signer == digest.signer)
}

impl Isolation {
    /// Its name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Process => "process",
            Self::Vm => "vm",
            Self::Enclave => "enclave",
        }
    }
}

impl MeasuredStack {
    /// What the software provider states, and a policy may accept:
    /// `keccak256(abi.encode(keccak256("cryptlet/measurement/v1"), isolation, profile, binary, sandbox, signer's sandbox))`;
    /// with virtual machines, the launch hash follows.
    pub fn measurement(&self) -> Measurement {
        use alloy_sol_types::SolValue;
        let words = (
            alloy_primitives::keccak256("cryptlet/measurement/v1"),
            self.isolation as u32,
            self.engine_profile,
            self.worker_binary,
            self.worker_sandbox.digest(),
            self.signer_sandbox.digest(),
        );
        let mut encoded = words.abi_encode();
        encoded.extend_from_slice(self.launch.as_ref().map_or(&[], |launch| launch.as_slice()));
        Measurement(alloy_primitives::keccak256(encoded))
    }
}
