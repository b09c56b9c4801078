//! What happened to registrations, collected from the events of blocks that were re-executed.

use alloy_primitives::{Address, B256, Bytes, Log};
use alloy_sol_types::SolEventInterface;
use cryptlet_attestation::{AcceptedVersions, ToleratedTcb};
use cryptlet_node::types::ExecutedBlock;
use cryptlet_primitives::{
    FabricVersion,
    abi::{
        Authorization, CreatedInstance, ICryptletPolicy::ICryptletPolicyEvents as PolicyEvents,
        ICryptletRegistry::ICryptletRegistryEvents as RegistryEvents,
    },
    system::{CRYPTLET_POLICY, CRYPTLET_REGISTRY},
};
use std::collections::BTreeMap;

/// A registration, as its block took it.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) id: B256,
    pub(super) created: CreatedInstance,
    pub(super) block: u64,
    /// Unix seconds.
    pub(super) timestamp: u64,
    /// Platforms that the policy tolerated in that block's parent.
    pub(super) tolerated_tcb: ToleratedTcb,
    /// Who answers for it; none if its contract registered it by calling.
    pub(super) authority: Option<Authority>,
    /// From this block on it may count; none if nobody has activated it.
    pub(super) activated_block: Option<u64>,
    /// Records that it signed.
    pub(super) records: u64,
    /// What ended it, in words, and whether that was a judgement.
    pub(super) ended: Option<Ending>,
}

/// Who registered an instance, and in which way.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    /// The registration that it renews; zero if none.
    pub(super) previous: B256,
    pub(super) grace_blocks: u32,
    pub(super) authorization: Authorization,
}

/// Who registered a utility cryptlet, and what was signed.
#[derive(Clone, Debug)]
pub(super) struct Publication {
    pub(super) block: u64,
    pub(super) registration_hash: B256,
    pub(super) authorization: Authorization,
    pub(super) identity_signature: Bytes,
}

/// Why a registration does not count any more.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub(super) reason: String,
    /// Revoked; otherwise its time was over.
    pub(super) is_judgement: bool,
}

/// A cryptlet's epochs and end.
#[derive(Debug, Default)]
pub(super) struct CryptletLife {
    pub(super) name: String,
    pub(super) key_epoch: u64,
    /// An earlier epoch that counts until this block.
    pub(super) grace: Option<(u64, u64)>,
    pub(super) revoked: Option<String>,
    /// None of a Contract Cryptlet, whose contract is its publisher.
    pub(super) publication: Option<Publication>,
}

/// Everything that the audit needs of a chain.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) registrations: Vec<Registration>,
    pub(super) cryptlets: BTreeMap<B256, CryptletLife>,
    /// What the policy refuses at the head although it accepted it once; the values say since when and why.
    pub(super) refused_providers: BTreeMap<u16, String>,
    pub(super) refused_measurements: BTreeMap<(u16, B256), String>,
    pub(super) refused_endorsers: BTreeMap<Address, String>,
    pub(super) tolerated_tcb: ToleratedTcb,
    /// By kind of container.
    pub(super) accepted_versions: BTreeMap<u8, AcceptedVersions>,
    /// Read before the registration they belong to, in the same transaction.
    authorities: BTreeMap<B256, Authority>,
    index: BTreeMap<B256, usize>,
    pub(super) unavailable: u64,
}

impl History {
    /// Takes what a block says. The policy counts from the next block on, as for the delegate.
    pub(super) fn take(&mut self, block: &ExecutedBlock) {
        let policy_before = self.tolerated_tcb;
        let mut policy_after = policy_before;
        for log in block.receipts.iter().flat_map(|receipt| receipt.logs()) {
            if log.address == CRYPTLET_REGISTRY {
                self.take_registry(block, log, policy_before);
            } else if log.address == CRYPTLET_POLICY {
                self.take_policy(block.block.header.number, log, &mut policy_after);
            }
        }
        self.tolerated_tcb = policy_after;
        for record in block.records.0.iter().flat_map(|group| &group.records) {
            match self.index.get(&record.result.registrationId) {
                Some(position) => self.registrations[*position].records += 1,
                None => self.unavailable += 1,
            }
        }
    }

    fn take_registry(&mut self, block: &ExecutedBlock, log: &Log, tolerated_tcb: ToleratedTcb) {
        let header = &block.block.header;
        let Ok(event) = RegistryEvents::decode_log(log) else { return };
        match event.data {
            RegistryEvents::CryptletRegistered(event) => {
                self.cryptlets.entry(event.cryptletId).or_default().name = event.name;
            }
            RegistryEvents::CryptletAuthorized(event) => {
                let publication = Publication {
                    block: header.number,
                    registration_hash: event.registrationHash,
                    authorization: event.authorization,
                    identity_signature: event.identitySignature,
                };
                self.cryptlets.entry(event.cryptletId).or_default().publication = Some(publication);
            }
            RegistryEvents::CryptletRevoked(event) => {
                let reason = format!("its cryptlet was revoked in block {}: {:?}", header.number, event.reason);
                self.cryptlets.entry(event.cryptletId).or_default().revoked = Some(reason);
            }
            RegistryEvents::KeyEpochAdvanced(event) => {
                let cryptlet = self.cryptlets.entry(event.cryptletId).or_default();
                (cryptlet.key_epoch, cryptlet.grace) = (event.keyEpoch, None);
            }
            RegistryEvents::GracePeriodBegan(event) => {
                self.cryptlets.entry(event.cryptletId).or_default().grace = Some((event.keyEpoch, event.untilBlock));
            }
            RegistryEvents::InstanceAuthorized(event) => {
                let (previous, grace_blocks) = (event.previous, event.graceBlocks);
                let authority = Authority { previous, grace_blocks, authorization: event.authorization };
                self.authorities.insert(event.registrationId, authority);
            }
            RegistryEvents::InstanceActivated(event) => {
                if let Some(position) = self.index.get(&event.registrationId) {
                    self.registrations[*position].activated_block = Some(header.number + 1);
                }
            }
            RegistryEvents::InstanceEvidence(event) => {
                self.index.insert(event.registrationId, self.registrations.len());
                self.registrations.push(Registration {
                    id: event.registrationId,
                    created: event.created,
                    block: header.number,
                    timestamp: header.timestamp,
                    tolerated_tcb,
                    authority: self.authorities.remove(&event.registrationId),
                    activated_block: None,
                    records: 0,
                    ended: None,
                });
            }
            // Until its last block the old registration counts; after that it is over by itself.
            RegistryEvents::InstanceRenewed(_) => {}
            RegistryEvents::InstanceRevoked(event) => {
                let reason = format!("revoked in block {} by {}: {:?}", header.number, event.by, event.reason);
                self.end(event.registrationId, Ending { reason, is_judgement: true });
            }
            RegistryEvents::InstanceRetired(event) => {
                let reason = format!("retired in block {}", header.number);
                self.end(event.registrationId, Ending { reason, is_judgement: false });
            }
        }
    }

    fn end(&mut self, registration: B256, ending: Ending) {
        if let Some(position) = self.index.get(&registration) {
            self.registrations[*position].ended = Some(ending);
        }
    }

    fn take_policy(&mut self, block: u64, log: &Log, tolerated: &mut ToleratedTcb) {
        let Ok(event) = PolicyEvents::decode_log(log) else { return };
        let since = |what: &str, why: String| format!("{what} was revoked by the policy in block {block}: {why:?}");
        let unlisted = |what: &str| format!("{what} was taken off the policy's list in block {block}");
        match event.data {
            PolicyEvents::ProviderAcceptanceChanged(event) => {
                let reason = unlisted("its provider");
                set(&mut self.refused_providers, event.provider, event.isAccepted, reason);
            }
            PolicyEvents::ProviderRevoked(event) => {
                self.refused_providers.insert(event.provider, since("its provider", event.reason));
            }
            PolicyEvents::TcbToleranceChanged(event) => {
                let bit = 1u8.checked_shl(event.status.into()).unwrap_or_default();
                tolerated.0 = if event.isTolerated { tolerated.0 | bit } else { tolerated.0 & !bit };
            }
            PolicyEvents::MeasurementAcceptanceChanged(event) => {
                let key = (event.provider, event.measurement);
                set(&mut self.refused_measurements, key, event.isAccepted, unlisted("its measurement"));
            }
            PolicyEvents::MeasurementRevoked(event) => {
                let key = (event.provider, event.measurement);
                self.refused_measurements.insert(key, since("its measurement", event.reason));
            }
            PolicyEvents::EndorserAcceptanceChanged(event) => {
                set(&mut self.refused_endorsers, event.endorser, event.isAccepted, unlisted("its endorser"));
            }
            PolicyEvents::EndorserRevoked(event) => {
                self.refused_endorsers.insert(event.endorser, since("its endorser", event.reason));
            }
            PolicyEvents::AcceptedVersionsChanged(event) => {
                let (minimum, maximum) = (FabricVersion(event.minimum), FabricVersion(event.maximum));
                self.accepted_versions.insert(event.container, AcceptedVersions { minimum, maximum });
            }
            // What an activation needs is in the registry's own event of it.
            PolicyEvents::ActivationChanged(_) => {}
        }
    }
}

fn set<K: Ord>(refused: &mut BTreeMap<K, String>, key: K, is_accepted: bool, reason: String) {
    if is_accepted {
        refused.remove(&key);
    } else {
        refused.insert(key, reason);
    }
}
