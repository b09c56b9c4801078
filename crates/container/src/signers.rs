//! Signer processes, seen from the supervisor. An instance's keys live in one of them and die with it: then the instance has to
//! be started, and registered, anew.

use crate::{
    fault::ContainerFault,
    keyring::{InstanceTerms, KeyHandle, Keyring, KeyringRefusal, RenewalTerms},
    process::{Process, WorkerCommand},
    sandbox::{ResourceBounds, SandboxPolicy, SandboxReport},
    wire::{FromSigner, Role, ToSigner},
};
use alloy_primitives::B256;
use cryptlet_primitives::{CryptletResult, InstanceKeys, InvocationMode, Signature65};
use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Writable memory of a signer, in bytes.
const SIGNER_BYTES_MAX: u64 = 256 << 20;
/// Time for one answer, in milliseconds.
const ANSWER_MS_MAX: u64 = 5_000;
/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 4096;

/// Who holds an instance's keys.
pub(crate) trait KeyHolder: Send + Sync {
    fn sign(&self, result: &CryptletResult, mode: InvocationMode) -> Result<Signature65, ContainerFault>;
    fn agree(&self, peer: [u8; 32], context: B256) -> Result<B256, ContainerFault>;
    /// The same keys for longer, and their own signature.
    fn renew(&self, terms: &RenewalTerms) -> Result<(InstanceKeys, Signature65), ContainerFault>;
}

/// Keys just made, and their own signature.
pub(crate) struct NewKeys {
    pub(crate) holder: Box<dyn KeyHolder>,
    pub(crate) keys: InstanceKeys,
    pub(crate) signature: Signature65,
}

/// A few signer processes, taken in turn for new instances.
pub(crate) struct SignerPool {
    signers: Vec<Mutex<Option<Arc<Signer>>>>,
    next: AtomicUsize,
    command: WorkerCommand,
    policy: SandboxPolicy,
    report: SandboxReport,
}

impl SignerPool {
    pub(crate) fn start(
        count: NonZeroUsize,
        command: WorkerCommand,
        policy: SandboxPolicy,
    ) -> Result<Self, ContainerFault> {
        let first = Arc::new(Signer::start(&command, &policy)?);
        let report = first.report.clone();
        let mut signers = vec![Mutex::new(Some(first))];
        signers.resize_with(count.get(), Mutex::default);
        Ok(Self { signers, next: AtomicUsize::new(0), command, policy, report })
    }

    pub(crate) fn report(&self) -> &SandboxReport {
        &self.report
    }

    /// Ids of the signer processes there are.
    pub(crate) fn ids(&self) -> Vec<u32> {
        let lock = |slot: &Mutex<Option<Arc<Signer>>>| slot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.signers.iter().filter_map(lock).filter_map(|signer| signer.id()).collect()
    }

    /// Makes an instance's keys in the signer whose turn it is; in a new one if that one is not there or has died.
    pub(crate) fn create(&self, terms: &InstanceTerms) -> Result<NewKeys, ContainerFault> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.signers.len();
        let mut slot = self.signers[turn].lock().unwrap_or_else(PoisonError::into_inner);
        let signer = match slot.as_ref().filter(|signer| signer.is_alive()) {
            Some(signer) => Arc::clone(signer),
            None => Arc::clone(slot.insert(Arc::new(self.start_like_the_first()?))),
        };
        drop(slot);
        match signer.ask(&ToSigner::Create(*terms))? {
            FromSigner::Created { key, keys, signature } => {
                let holder = Box::new(RemoteKey { signer, key });
                Ok(NewKeys { holder, keys, signature })
            }
            _ => Err(signer.out_of_turn()),
        }
    }

    fn start_like_the_first(&self) -> Result<Signer, ContainerFault> {
        let signer = Signer::start(&self.command, &self.policy)?;
        if signer.report.in_force != self.report.in_force {
            let detail = "its sandbox is not the one that was measured".to_owned();
            return Err(ContainerFault::Misbehaved { role: "signer", detail });
        }
        Ok(signer)
    }
}

/// One process; none once it has failed.
struct Signer {
    process: Mutex<Option<Process>>,
    report: SandboxReport,
}

impl Signer {
    fn start(command: &WorkerCommand, policy: &SandboxPolicy) -> Result<Self, ContainerFault> {
        let bounds = ResourceBounds { data_bytes_max: SIGNER_BYTES_MAX, cpu_s_max: None };
        let process = Process::start(command, Role::Sign, bounds, policy)?;
        let report = process.report.clone();
        Ok(Self { process: Mutex::new(Some(process)), report })
    }

    fn id(&self) -> Option<u32> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(Process::id)
    }

    fn is_alive(&self) -> bool {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.as_ref().is_some_and(|process| process.channel.is_quiet())
    }

    fn ask(&self, request: &ToSigner) -> Result<FromSigner, ContainerFault> {
        let mut slot = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let process = slot.as_mut().ok_or_else(lost)?;
        let deadline = Instant::now() + Duration::from_millis(ANSWER_MS_MAX);
        let outcome = process.channel.send(request);
        match outcome.and_then(|()| process.channel.receive(ANSWER_BYTES_MAX, Some(deadline))) {
            Ok(FromSigner::Refused(why)) => Err(ContainerFault::SignerRefused(why)),
            Ok(answer) => Ok(answer),
            Err(error) => {
                let fault = process.fault(error);
                *slot = None;
                Err(fault)
            }
        }
    }

    fn out_of_turn(&self) -> ContainerFault {
        let mut slot = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.take() {
            Some(mut process) => process.misbehaved("an answer to another question"),
            None => lost(),
        }
    }
}

fn lost() -> ContainerFault {
    let detail = "it died earlier, and the instance's keys with it; start and register a new instance".to_owned();
    ContainerFault::ProcessLost { role: "signer", detail }
}

/// Keys in a signer process.
struct RemoteKey {
    signer: Arc<Signer>,
    key: KeyHandle,
}

impl KeyHolder for RemoteKey {
    fn sign(&self, result: &CryptletResult, mode: InvocationMode) -> Result<Signature65, ContainerFault> {
        match self.signer.ask(&ToSigner::Sign { key: self.key, result: *result, mode })? {
            FromSigner::Signed(signature) => Ok(signature),
            _ => Err(self.signer.out_of_turn()),
        }
    }

    fn agree(&self, peer: [u8; 32], context: B256) -> Result<B256, ContainerFault> {
        match self.signer.ask(&ToSigner::Agree { key: self.key, peer, context })? {
            FromSigner::Secret(secret) => Ok(secret),
            _ => Err(self.signer.out_of_turn()),
        }
    }

    fn renew(&self, terms: &RenewalTerms) -> Result<(InstanceKeys, Signature65), ContainerFault> {
        match self.signer.ask(&ToSigner::Renew { key: self.key, terms: *terms })? {
            FromSigner::Renewed { keys, signature } => Ok((keys, signature)),
            _ => Err(self.signer.out_of_turn()),
        }
    }
}

impl Drop for RemoteKey {
    fn drop(&mut self) {
        // A signer that cannot forget has died, which is better.
        let _ = self.signer.ask(&ToSigner::Forget(self.key));
    }
}

/// Keys in this very process: for the in-process provider only.
pub(crate) struct InsecureLocalKey {
    ring: Mutex<Keyring>,
    key: KeyHandle,
}

impl InsecureLocalKey {
    pub(crate) fn insecure_create(terms: &InstanceTerms) -> Result<NewKeys, ContainerFault> {
        let mut ring = Keyring::default();
        let (key, keys, signature) = ring.create(terms).map_err(refused)?;
        Ok(NewKeys { holder: Box::new(Self { ring: Mutex::new(ring), key }), keys, signature })
    }
}

impl InsecureLocalKey {
    fn ring(&self) -> MutexGuard<'_, Keyring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyHolder for InsecureLocalKey {
    fn sign(&self, result: &CryptletResult, mode: InvocationMode) -> Result<Signature65, ContainerFault> {
        self.ring().sign_result(self.key, result, mode).map_err(refused)
    }

    fn agree(&self, peer: [u8; 32], context: B256) -> Result<B256, ContainerFault> {
        self.ring().agree(self.key, peer, context).map_err(refused)
    }

    fn renew(&self, terms: &RenewalTerms) -> Result<(InstanceKeys, Signature65), ContainerFault> {
        self.ring().renew(self.key, terms).map_err(refused)
    }
}

fn refused(refusal: KeyringRefusal) -> ContainerFault {
    ContainerFault::SignerRefused(refusal.to_string())
}
