//! `CryptletRegistry` as it stands at the head, read through its own view functions.

use super::{Rpc, RpcError};
use crate::service::{CallResult, SimulationRequest};
use alloy::{
    eips::BlockId,
    rpc::types::{TransactionInput, TransactionRequest},
    sol,
    sol_types::SolCall,
};
use alloy_primitives::{Address, B256, U256};
use cryptlet_primitives::{
    CryptletId, FabricVersion,
    names::{self, name_of},
    system::CRYPTLET_REGISTRY,
};
use serde::Serialize;

sol! {
    #[allow(missing_docs)] // documented in Solidity
    ICryptletRegistry,
    "../../contracts/artifacts/ICryptletRegistry.json"
}

type Cryptlet = <ICryptletRegistry::cryptletCall as SolCall>::Return;
type Instance = <ICryptletRegistry::instanceCall as SolCall>::Return;

/// Cryptlets that a search by name looks at.
const CRYPTLETS_SEARCHED_MAX: u64 = 10_000;
/// Instances shown of one cryptlet, the newest.
const INSTANCES_SHOWN_MAX: usize = 256;

/// A cryptlet and its instances.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CryptletView {
    cryptlet_id: CryptletId,
    name: String,
    kind: &'static str,
    status: &'static str,
    publisher: Address,
    /// The only contract that may call it; `null` for a utility cryptlet.
    bound_contract: Option<Address>,
    code_digest: B256,
    manifest_digest: B256,
    header_digest: B256,
    config_digest: B256,
    identity_key: Address,
    isolation: &'static str,
    simulation_policy: &'static str,
    minimum_instances: u16,
    maximum_instances: u16,
    active_instances: u32,
    units_max: u64,
    output_bytes_max: u32,
    key_epoch: u64,
    /// The epoch before, if its keys were rotated with a grace period; 0 if not.
    previous_epoch: u64,
    /// Last block in which that epoch counts.
    previous_epoch_until: u64,
    registered_block: u64,
    /// How many there ever were; below are the newest of them.
    instances_total: usize,
    instances: Vec<InstanceView>,
}

/// An instance of a cryptlet.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstanceView {
    registration_id: B256,
    signer: Address,
    status: &'static str,
    /// Does a result of it count, as the registry stands?
    is_active: bool,
    /// What it runs in.
    container: &'static str,
    /// Version of the fabric that runs it.
    version: String,
    provider: &'static str,
    isolation: &'static str,
    key_epoch: u64,
    code_digest: B256,
    measurement: B256,
    hpke_key: B256,
    endorser: Address,
    evidence_hash: B256,
    endorsements_hash: B256,
    policy_version: u32,
    registered_block: u64,
    not_after_block: u64,
    /// Unix seconds until which the evidence's collateral holds.
    evidence_expires: u64,
}

impl Rpc {
    /// Finds a cryptlet by its id or its name.
    pub(super) async fn find_cryptlet(&self, id_or_name: &str) -> Result<CryptletView, RpcError> {
        if self.node.spec().limits().is_none() {
            return Err(RpcError::refused("this chain has no delegate: its genesis has no config.cryptletFabric"));
        }
        match id_or_name.parse::<CryptletId>() {
            Ok(id) => match self.cryptlet(id).await? {
                Some(cryptlet) => self.with_instances(id, cryptlet).await,
                None => Err(RpcError::NotFound(format!("no cryptlet has the id {id}"))),
            },
            Err(_) => self.find_by_name(id_or_name).await,
        }
    }

    async fn find_by_name(&self, name: &str) -> Result<CryptletView, RpcError> {
        let (first, count) = (U256::ZERO, U256::from(CRYPTLETS_SEARCHED_MAX));
        let ids = self.read(ICryptletRegistry::cryptletIdsCall { first, countMax: count }).await?;
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for id in ids.into_iter().map(CryptletId) {
            match self.cryptlet(id).await? {
                Some(cryptlet) if cryptlet.name == name => found.push((id, cryptlet)),
                Some(cryptlet) => others.push(cryptlet.name),
                None => {}
            }
        }
        // A name is unique per publisher only; one that can be called goes before one that no longer can.
        if found.len() > 1 {
            found.retain(|(_, cryptlet)| cryptlet.status == 1);
        }
        match found.len() {
            1 => {
                let (id, cryptlet) = found.remove(0);
                self.with_instances(id, cryptlet).await
            }
            0 => {
                others.sort();
                others.dedup();
                others.truncate(20);
                let known = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
                Err(RpcError::NotFound(format!("no cryptlet has the name {name:?}; registered are: {known}")))
            }
            _ => {
                let ids: Vec<_> = found.iter().map(|(id, _)| id.to_string()).collect();
                Err(RpcError::invalid(format!(
                    "several cryptlets have the name {name:?}; give the id: {}",
                    ids.join(", ")
                )))
            }
        }
    }

    async fn cryptlet(&self, id: CryptletId) -> Result<Option<Cryptlet>, RpcError> {
        let cryptlet = self.read(ICryptletRegistry::cryptletCall { cryptletId: id.0 }).await?;
        Ok((cryptlet.status != 0).then_some(cryptlet))
    }

    async fn with_instances(&self, id: CryptletId, cryptlet: Cryptlet) -> Result<CryptletView, RpcError> {
        let registrations = self.read(ICryptletRegistry::instancesOfCall { cryptletId: id.0 }).await?;
        let mut instances = Vec::new();
        for registration in registrations.iter().rev().take(INSTANCES_SHOWN_MAX) {
            let registration_id = *registration;
            let instance = self.read(ICryptletRegistry::instanceCall { registrationId: registration_id }).await?;
            let active = ICryptletRegistry::isInstanceActiveCall { registrationId: registration_id };
            instances.push(instance_view(registration_id, instance, self.read(active).await?));
        }
        Ok(cryptlet_view(id, cryptlet, registrations.len(), instances))
    }

    async fn read<C: SolCall>(&self, call: C) -> Result<C::Return, RpcError> {
        let request = TransactionRequest {
            to: Some(CRYPTLET_REGISTRY.into()),
            input: TransactionInput::new(call.abi_encode().into()),
            ..Default::default()
        };
        let outcome = self.simulate(SimulationRequest::new(request, BlockId::latest())).await?;
        match outcome.result {
            CallResult::Success(output) => C::abi_decode_returns(&output)
                .map_err(|error| RpcError::internal(format!("the registry answered {} with {error}", C::SIGNATURE))),
            other => Err(RpcError::internal(format!("the registry did not answer {}: {other:?}", C::SIGNATURE))),
        }
    }
}

fn cryptlet_view(id: CryptletId, cryptlet: Cryptlet, total: usize, instances: Vec<InstanceView>) -> CryptletView {
    CryptletView {
        cryptlet_id: id,
        name: cryptlet.name,
        kind: name_of(&["none", "utility", "contract"], cryptlet.kind.into()),
        status: name_of(&["none", "active", "suspended", "revoked"], cryptlet.status.into()),
        publisher: cryptlet.publisher,
        bound_contract: (!cryptlet.boundContract.is_zero()).then_some(cryptlet.boundContract),
        code_digest: cryptlet.codeDigest,
        manifest_digest: cryptlet.manifestDigest,
        header_digest: cryptlet.headerDigest,
        config_digest: cryptlet.configDigest,
        identity_key: cryptlet.identityKey,
        isolation: name_of(&names::ISOLATIONS, cryptlet.isolation.into()),
        simulation_policy: name_of(&["live", "memo", "stub", "deny"], cryptlet.simulationPolicy.into()),
        minimum_instances: cryptlet.minimumInstances,
        maximum_instances: cryptlet.maximumInstances,
        active_instances: cryptlet.activeInstances,
        units_max: cryptlet.unitsMax,
        output_bytes_max: cryptlet.outputBytesMax,
        key_epoch: cryptlet.keyEpoch,
        previous_epoch: cryptlet.previousEpoch,
        previous_epoch_until: cryptlet.previousEpochUntil,
        registered_block: cryptlet.registeredBlock,
        instances_total: total,
        instances,
    }
}

fn instance_view(registration_id: B256, instance: Instance, is_active: bool) -> InstanceView {
    InstanceView {
        registration_id,
        signer: instance.signer,
        status: name_of(&["none", "active", "revoked", "retired", "renewed", "pending"], instance.status.into()),
        is_active,
        container: name_of(&names::CONTAINERS, instance.container.into()),
        version: FabricVersion(instance.version).to_string(),
        provider: name_of(&names::PROVIDERS, instance.provider),
        isolation: name_of(&names::ISOLATIONS, instance.isolation.into()),
        key_epoch: instance.keyEpoch,
        code_digest: instance.codeDigest,
        measurement: instance.measurement,
        hpke_key: instance.hpkeKey,
        endorser: instance.endorser,
        evidence_hash: instance.evidenceHash,
        endorsements_hash: instance.endorsementsHash,
        policy_version: instance.policyVersion,
        registered_block: instance.registeredBlock,
        not_after_block: instance.notAfterBlock,
        evidence_expires: instance.evidenceExpires,
    }
}
