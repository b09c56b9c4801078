//! Cryptlets of every kind, in regions of any isolation provider.

use super::{Anchor, Birth, Instance, LaunchFault, Launched, Launcher, Validity};
use crate::{Entropy, error::HostError, vault::Vault};
use alloy_primitives::B256;
use cryptlet_container::{
    ArtefactCache, CallOut, CallTerms, Configured, Container, ContainerFault, EngineProfile, GuestCode,
    InsecureInProcess, InstanceTerms, IsolationProvider, ProcessConfig, ProcessProvider, RenewalTerms, VmProvider,
    WorkerCommand,
};
use cryptlet_primitives::{CodeDigest, FabricAnswer, FabricFault, Invocation};
use std::{fmt, num::NonZeroUsize, path::Path, sync::Arc};
use zeroize::Zeroizing;

/// Name in the vault of the key that authenticates compiled code.
const CACHE_KEY: &str = "artefact-cache-key";

/// Starts cryptlets in regions.
#[derive(Clone)]
pub struct RegionLauncher {
    provider: Arc<dyn IsolationProvider>,
}

impl fmt::Debug for RegionLauncher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegionLauncher").field("isolation", &self.provider.isolation()).finish_non_exhaustive()
    }
}

impl RegionLauncher {
    /// Isolation `process`, the default: sandboxed worker processes, started with this command. Compiled code is kept in
    /// `cache_folder`, authenticated with a key from the vault.
    pub fn in_processes(
        command: WorkerCommand,
        workers: NonZeroUsize,
        cache_folder: &Path,
        vault: &dyn Vault,
        entropy: &dyn Entropy,
    ) -> Result<Self, HostError> {
        Self::with_config(config_of(command, workers, cache_folder, (vault, entropy))?)
    }

    /// Isolation `vm`: virtual machines in sandboxed worker processes, for components only. Fails where there are none.
    pub fn in_machines(
        command: WorkerCommand,
        workers: NonZeroUsize,
        cache_folder: &Path,
        vault: &dyn Vault,
        entropy: &dyn Entropy,
    ) -> Result<Self, HostError> {
        let config = config_of(command, workers, cache_folder, (vault, entropy))?;
        Ok(Self::over(Arc::new(VmProvider::start(config).map_err(did_not_start)?)))
    }

    /// Isolation `process`, with every setting at hand.
    pub fn with_config(config: ProcessConfig) -> Result<Self, HostError> {
        Ok(Self::over(Arc::new(ProcessProvider::start(config).map_err(did_not_start)?)))
    }

    /// Isolation `none`: guests and keys in this process. For tests.
    pub fn insecure_in_process() -> Result<Self, HostError> {
        Ok(Self::over(Arc::new(InsecureInProcess::insecure_new().map_err(did_not_start)?)))
    }

    /// Over any provider.
    pub fn over(provider: Arc<dyn IsolationProvider>) -> Self {
        Self { provider }
    }
}

impl Launcher for RegionLauncher {
    fn code_digest(&self, code: &GuestCode) -> CodeDigest {
        code.digest()
    }

    fn engine_profile(&self) -> String {
        EngineProfile::current().to_string()
    }

    fn isolation(&self) -> u8 {
        self.provider.isolation() as u8
    }

    fn launch(&self, code: &GuestCode, birth: &Birth) -> Result<Launched, LaunchFault> {
        let provider = self.provider.as_ref();
        let measured = Configured::new(code.clone()).measure(provider).map_err(launch_fault)?;
        let terms = InstanceTerms {
            domain: birth.domain,
            cryptlet: birth.cryptlet,
            code: measured.code(),
            container: code.kind().into(),
            manifest_digest: birth.manifest_digest,
            key_epoch: birth.key_epoch,
            anchor_block: birth.anchor.block,
            anchor_hash: birth.anchor.hash,
            not_after_block: birth.not_after_block,
        };
        let call_out = Arc::new(GuestLog { cryptlet: birth.cryptlet.0 });
        let container = measured.start(provider, &terms, call_out).map_err(launch_fault)?;
        Ok(launched(container))
    }
}

/// A container, seen from the host.
struct Region(Container);

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Region").field(&self.0.registration_id()).finish()
    }
}

impl Instance for Region {
    fn call(&self, invocation: &Invocation, observed_at: u64, validity: Validity) -> Result<FabricAnswer, FabricFault> {
        let terms =
            CallTerms { observed_at_s: observed_at, not_before: validity.not_before, expires: validity.expires };
        self.0.call(invocation, &terms).map_err(|fault| FabricFault::new(fault.reason(), fault.to_string()))
    }

    fn renew(&self, anchor: Anchor, not_after_block: u64) -> Result<Launched, LaunchFault> {
        let terms = RenewalTerms {
            renews: self.0.registration_id(),
            anchor_block: anchor.block,
            anchor_hash: anchor.hash,
            not_after_block,
        };
        self.0.renew(&terms).map(launched).map_err(launch_fault)
    }
}

fn launched(container: Container) -> Launched {
    Launched {
        keys: *container.keys(),
        keys_signature: container.keys_signature(),
        measurement: container.digest().measurement,
        instance: Arc::new(Region(container)),
    }
}

/// What guests log goes to the operator's log.
struct GuestLog {
    cryptlet: B256,
}

impl CallOut for GuestLog {
    fn log(&self, call_key: B256, message: &str) {
        tracing::debug!(target: "cryptlet", cryptlet = %self.cryptlet, %call_key, "{message}");
    }
}

fn launch_fault(fault: ContainerFault) -> LaunchFault {
    match fault {
        ContainerFault::Guest(refusal) => LaunchFault::Code(refusal.to_string()),
        other => LaunchFault::Machine(other.to_string()),
    }
}

fn config_of(
    command: WorkerCommand,
    workers: NonZeroUsize,
    cache_folder: &Path,
    (vault, entropy): (&dyn Vault, &dyn Entropy),
) -> Result<ProcessConfig, HostError> {
    let cache = ArtefactCache::open(cache_folder, *cache_key(vault, entropy)?).map_err(did_not_start)?;
    let mut config = ProcessConfig::new(command);
    config.pool.workers = workers;
    config.signers = workers;
    config.cache = Some(cache);
    Ok(config)
}

fn did_not_start(fault: ContainerFault) -> HostError {
    HostError::Isolation(fault.to_string())
}

fn cache_key(vault: &dyn Vault, entropy: &dyn Entropy) -> Result<Zeroizing<[u8; 32]>, HostError> {
    let mut key = Zeroizing::new([0; 32]);
    match vault.secret(CACHE_KEY)?.as_deref().map(Vec::as_slice) {
        Some(secret) if secret.len() == key.len() => key.copy_from_slice(secret),
        _ => {
            entropy.fill(key.as_mut());
            vault.keep(CACHE_KEY, key.as_ref())?;
        }
    }
    Ok(key)
}
