//! Who runs here: the durable list of cryptlets, and the instances of each that run now.
//!
//! Keys never leave a container, so no instance survives the host. The list does: it says what to start again, and with which
//! key epoch. It is on disk before anyone is told about a new instance.

use crate::{
    error::HostError,
    files,
    launch::{Anchor, Instance},
    registration::Registered,
};
use alloy_primitives::{Address, B256};
use cryptlet_primitives::{
    CodeDigest, CryptletId, FabricDomain, FabricFault, InvocationMode, RegistrationId, UnavailableReason,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

const ROSTER_BYTES_MAX: u64 = 64 << 20;

/// What a cryptlet is to this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub(crate) enum Kind {
    /// Registered by a publisher, for all contracts.
    Utility { publisher: Address },
    /// Created by one contract, for itself.
    Contract { contract: Address },
    /// The host's own cryptlet that creates the others.
    Factory { publisher: Address },
}

/// A line of the durable list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cryptlet {
    pub(crate) id: CryptletId,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) package: B256,
    pub(crate) code_digest: CodeDigest,
    pub(crate) header_digest: B256,
    pub(crate) config_digest: B256,
    pub(crate) isolation: u8,
    /// Epoch of the newest keys.
    pub(crate) key_epoch: u64,
}

/// May an instance answer?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum InstanceState {
    /// It answers once its registration is confirmed to be on the chain.
    Pending,
    /// The first instance of a cryptlet. It answers at once: the delegate only asks for cryptlets that the registry knows, and
    /// this is the only instance it can know.
    Presumed,
    /// Its registration is on the chain.
    Active,
}

#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) instance: Arc<dyn Instance>,
    pub(crate) registered: Registered,
    pub(crate) state: InstanceState,
}

#[derive(Debug)]
pub(crate) struct Roster {
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    saved: Saved,
    running: BTreeMap<CryptletId, Vec<Running>>,
    turn: usize,
}

/// What is in the file.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Saved {
    domain: Option<FabricDomain>,
    cryptlets: BTreeMap<CryptletId, Cryptlet>,
}

impl Running {
    fn answers(&self) -> bool {
        self.state != InstanceState::Pending
    }

    /// Is it a new instance that is not known to be on the chain? A renewal is none: it runs already.
    pub(crate) fn waits(&self) -> bool {
        self.state != InstanceState::Active && self.registered.renews.is_none()
    }

    /// Blocks since its keys were anchored.
    pub(crate) fn age_blocks(&self, now: Anchor) -> u64 {
        now.block.saturating_sub(self.registered.created.anchorBlock)
    }
}

impl Roster {
    pub(crate) fn open(folder: &Path) -> Result<Self, HostError> {
        let file = folder.join("cryptlets.json");
        let saved = match files::read(&file, ROSTER_BYTES_MAX)? {
            Some(json) => serde_json::from_slice(&json).map_err(|error| HostError::damaged(&file, error))?,
            None => Saved::default(),
        };
        Ok(Self { file, state: Mutex::new(State { saved, ..State::default() }) })
    }

    /// The chain this host serves.
    pub(crate) fn domain(&self) -> Option<FabricDomain> {
        self.state.lock().saved.domain
    }

    /// Binds the host to a chain, for good.
    pub(crate) fn bind(&self, domain: FabricDomain) -> Result<(), HostError> {
        let mut state = self.state.lock();
        match state.saved.domain {
            Some(bound) if bound == domain => Ok(()),
            Some(bound) => Err(HostError::OtherChain { bound, given: domain }),
            None => self.save(&mut state, |saved| saved.domain = Some(domain)),
        }
    }

    pub(crate) fn cryptlet(&self, id: CryptletId) -> Option<Cryptlet> {
        self.state.lock().saved.cryptlets.get(&id).cloned()
    }

    pub(crate) fn cryptlets(&self) -> Vec<Cryptlet> {
        self.state.lock().saved.cryptlets.values().cloned().collect()
    }

    pub(crate) fn running(&self, id: CryptletId) -> Vec<Running> {
        self.state.lock().running.get(&id).cloned().unwrap_or_default()
    }

    pub(crate) fn instances(&self) -> usize {
        self.state.lock().running.values().map(Vec::len).sum()
    }

    /// Adds a running instance, with its cryptlet as it now is. Instances of earlier epochs stop; if this one waits to be
    /// confirmed, they stop when it is.
    pub(crate) fn add(&self, cryptlet: Cryptlet, running: Running) -> Result<(), HostError> {
        let mut state = self.state.lock();
        let (id, epoch) = (cryptlet.id, cryptlet.key_epoch);
        self.save(&mut state, |saved| {
            saved.cryptlets.insert(id, cryptlet);
        })?;
        let instances = state.running.entry(id).or_default();
        if running.answers() {
            instances.retain(|instance| instance.registered.created.keyEpoch >= epoch);
        }
        instances.push(running);
        Ok(())
    }

    /// Stops an instance.
    pub(crate) fn remove(&self, registration: RegistrationId) {
        for instances in self.state.lock().running.values_mut() {
            instances.retain(|instance| instance.registered.registration_id != registration);
        }
    }

    /// Lets an instance answer that was just handed to the contract which will register it.
    pub(crate) fn presume(&self, registration: RegistrationId) {
        for instance in self.state.lock().running.values_mut().flatten() {
            if instance.registered.registration_id == registration && instance.state == InstanceState::Pending {
                instance.state = InstanceState::Presumed;
            }
        }
    }

    /// Lets an instance answer. Those of earlier epochs stop: the chain accepts nothing from them any more. What it renews stops too:
    /// it is the same instance.
    pub(crate) fn activate(&self, registration: RegistrationId) -> Result<(), HostError> {
        let mut state = self.state.lock();
        for instances in state.running.values_mut() {
            let found = instances.iter_mut().find(|instance| instance.registered.registration_id == registration);
            if let Some(found) = found {
                found.state = InstanceState::Active;
                let (epoch, signer) = (found.registered.created.keyEpoch, found.registered.created.signer);
                instances.retain(|instance| {
                    let (id, created) = (instance.registered.registration_id, &instance.registered.created);
                    created.keyEpoch >= epoch && (created.signer != signer || id == registration)
                });
                return Ok(());
            }
        }
        Err(HostError::NoRegistration(registration))
    }

    /// Registrations that somebody has to send to the chain. The first instance of a Contract Cryptlet is not among them: its
    /// contract's constructor does that.
    pub(crate) fn pending(&self) -> Vec<Registered> {
        let state = self.state.lock();
        let is_pending = |instance: &&Running| match instance.state {
            InstanceState::Pending => true,
            InstanceState::Presumed => instance.registered.bound_contract.is_zero(),
            InstanceState::Active => false,
        };
        state.running.values().flatten().filter(is_pending).map(|instance| instance.registered.clone()).collect()
    }

    /// Is this an instance that answers?
    pub(crate) fn answers(&self, cryptlet: CryptletId, registration: RegistrationId) -> bool {
        let state = self.state.lock();
        let instances = state.running.get(&cryptlet).map(Vec::as_slice).unwrap_or_default();
        instances.iter().any(|instance| instance.registered.registration_id == registration && instance.answers())
    }

    /// Picks an instance for a call, in turn. An instance that is not registered must not answer: the first answer to a call
    /// is final, and one signed with an unregistered key would be lost for ever.
    pub(crate) fn route(&self, id: CryptletId, code: CodeDigest, mode: InvocationMode) -> Result<Running, FabricFault> {
        let mut state = self.state.lock();
        let State { saved, running, turn } = &mut *state;
        let cryptlet = saved.cryptlets.get(&id).ok_or_else(|| {
            FabricFault::new(UnavailableReason::NoInstance, format!("this host does not run cryptlet {id}"))
        })?;
        if cryptlet.code_digest != code {
            let (name, runs) = (&cryptlet.name, cryptlet.code_digest);
            let detail = format!("the call is for code {code} of cryptlet {name:?} ({id}); this host runs {runs}");
            return Err(FabricFault::new(UnavailableReason::Refused, detail));
        }
        let instances = running.entry(id).or_default();
        let is_empty = instances.is_empty();
        let mut able: Vec<&mut Running> = instances.iter_mut().filter(|instance| instance.answers()).collect();
        *turn = turn.wrapping_add(1);
        match able.len() {
            0 if is_empty => Err(no_instance(cryptlet, "was not started again since the host was")),
            0 => Err(no_instance(cryptlet, "runs, but its registration is not confirmed to be on the chain")),
            count => {
                let chosen = &mut able[*turn % count];
                if mode == InvocationMode::Live {
                    chosen.state = InstanceState::Active;
                }
                Ok(chosen.clone())
            }
        }
    }

    fn save(&self, state: &mut State, change: impl FnOnce(&mut Saved)) -> Result<(), HostError> {
        let mut changed = state.saved.clone();
        change(&mut changed);
        let json = serde_json::to_vec_pretty(&changed).expect("the list is JSON");
        files::write_private(&self.file, &json)?;
        state.saved = changed;
        Ok(())
    }
}

fn no_instance(cryptlet: &Cryptlet, why: &str) -> FabricFault {
    let Cryptlet { name, id, key_epoch, .. } = cryptlet;
    FabricFault::new(UnavailableReason::NoInstance, format!("cryptlet {name:?} ({id}), key epoch {key_epoch}, {why}"))
}
