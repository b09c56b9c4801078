//! Registry and policy as the delegate reads them, by JSON-RPC: so that the same verifier can be asked.

use crate::{
    registry::{CryptletPolicy, CryptletRegistry},
    rpc::Chain,
};
use alloy::primitives::{Address, B256};
use anyhow::{Context, Result};
use cryptlet_attestation::{
    AcceptedVersions, CryptletEntry, CryptletStatus, InstanceEntry, InstanceStatus, Listing, PolicyEntry,
    SimulationPolicy, ToleratedTcb,
};
use cryptlet_primitives::{
    CodeDigest, CryptletId, FabricVersion, RegistrationId,
    system::{CRYPTLET_POLICY, CRYPTLET_REGISTRY},
};

/// Instances of one cryptlet that are looked at, the newest.
const INSTANCES_MAX: usize = 256;

/// A cryptlet with its newest instances, as the delegate would read them.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) publisher: Address,
    pub(crate) cryptlet: CryptletEntry,
    /// Each with the Unix second until which the collateral of its evidence holds.
    pub(crate) instances: Vec<(InstanceEntry, u64)>,
}

pub(crate) async fn facts(chain: &Chain, id: CryptletId) -> Result<Facts> {
    let read = chain.call(CRYPTLET_REGISTRY, &CryptletRegistry::cryptletCall { cryptletId: id.0 }).await?;
    let cryptlet = CryptletEntry {
        id,
        status: CryptletStatus::try_from(read.status).unwrap_or(CryptletStatus::Revoked),
        code_digest: CodeDigest(read.codeDigest),
        bound_contract: (!read.boundContract.is_zero()).then_some(read.boundContract),
        units_max: read.unitsMax,
        output_bytes_max: read.outputBytesMax,
        key_epoch: read.keyEpoch,
        previous_epoch: read.previousEpoch,
        previous_epoch_until: read.previousEpochUntil,
        isolation: read.isolation,
        active_instances: read.activeInstances,
        simulation: SimulationPolicy::try_from(read.simulationPolicy).unwrap_or(SimulationPolicy::Deny),
    };
    let ids = chain.call(CRYPTLET_REGISTRY, &CryptletRegistry::instancesOfCall { cryptletId: id.0 }).await?;
    let mut instances = Vec::new();
    for registration in ids.iter().rev().take(INSTANCES_MAX) {
        instances.push(instance(chain, *registration).await?);
    }
    Ok(Facts { name: read.name, publisher: read.publisher, cryptlet, instances })
}

/// An instance, and until when the collateral of its evidence holds, in Unix seconds.
async fn instance(chain: &Chain, id: B256) -> Result<(InstanceEntry, u64)> {
    let read = chain.call(CRYPTLET_REGISTRY, &CryptletRegistry::instanceCall { registrationId: id }).await?;
    let of_measurement =
        CryptletPolicy::measurementListingCall { provider: read.provider, measurement: read.measurement };
    let of_endorser = CryptletPolicy::endorserListingCall { endorser: read.endorser };
    let of_container = CryptletPolicy::acceptedVersionsCall { container: read.container };
    let versions = chain.call(CRYPTLET_POLICY, &of_container).await?;
    let listing = |number: u8| Listing::try_from(number).unwrap_or(Listing::Revoked);
    let entry = InstanceEntry {
        id: RegistrationId(id),
        status: InstanceStatus::try_from(read.status).unwrap_or(InstanceStatus::Revoked),
        cryptlet: CryptletId(read.cryptletId),
        code_digest: CodeDigest(read.codeDigest),
        signer: read.signer,
        key_epoch: read.keyEpoch,
        not_after_block: read.notAfterBlock,
        provider: read.provider,
        isolation: read.isolation,
        measurement: read.measurement,
        endorser: (!read.endorser.is_zero()).then_some(read.endorser),
        measurement_listing: listing(chain.call(CRYPTLET_POLICY, &of_measurement).await?),
        endorser_listing: listing(chain.call(CRYPTLET_POLICY, &of_endorser).await?),
        container: read.container,
        version: FabricVersion(read.version),
        accepted_versions: AcceptedVersions {
            minimum: FabricVersion(versions.minimum),
            maximum: FabricVersion(versions.maximum),
        },
    };
    Ok((entry, read.evidenceExpires))
}

pub(crate) async fn policy(chain: &Chain) -> Result<PolicyEntry> {
    let accepted_providers = chain
        .call(CRYPTLET_POLICY, &CryptletPolicy::acceptedProvidersCall {})
        .await
        .context("this chain has no CryptletPolicy")?;
    let mut restricted_providers = 0;
    for provider in 0..32u16 {
        let call = CryptletPolicy::isMeasurementRestrictedCall { provider };
        // Only what is accepted is asked about: it is one call each.
        if accepted_providers >> provider & 1 == 1 && chain.call(CRYPTLET_POLICY, &call).await? {
            restricted_providers |= 1 << provider;
        }
    }
    Ok(PolicyEntry {
        version: chain.call(CRYPTLET_POLICY, &CryptletPolicy::versionCall {}).await?,
        accepted_providers,
        minimum_isolation: chain.call(CRYPTLET_POLICY, &CryptletPolicy::minimumIsolationCall {}).await?,
        restricted_providers,
        is_endorser_restricted: chain.call(CRYPTLET_POLICY, &CryptletPolicy::isEndorserRestrictedCall {}).await?,
        tolerated_tcb: ToleratedTcb(chain.call(CRYPTLET_POLICY, &CryptletPolicy::toleratedTcbCall {}).await?),
    })
}
