//! Putting what a host has started on the chain: `CryptletRegistry`, as a publisher and an operator use it.

use crate::rpc::Chain;
use alloy::{
    primitives::{B256, Bytes},
    sol,
};
use anyhow::{Context, Result};
use cryptlet_host::Registered;
use cryptlet_primitives::{CryptletId, abi::CreatedInstance, system::CRYPTLET_REGISTRY};
use serde::Deserialize;

sol! {
    #[derive(Debug)]
    CryptletRegistry,
    "../../contracts/artifacts/CryptletRegistry.json"
}

sol! {
    #[derive(Debug)]
    CryptletPolicy,
    "../../contracts/artifacts/CryptletPolicy.json"
}

/// `CryptletStatus.Active` of the registry.
const STATUS_ACTIVE: u8 = 1;
/// `CryptletStatus.None`: there is no such cryptlet.
const STATUS_NONE: u8 = 0;
/// How many instances a utility cryptlet may have at one time.
const INSTANCES_MAX: u16 = 16;

/// What a publisher says of a utility cryptlet beyond what the host says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UtilityTerms {
    /// Compute units of one call, at most.
    pub(crate) units_max: u64,
    /// Bytes of output of one call, at most.
    pub(crate) output_bytes_max: u32,
    /// The least isolation an instance must have (0 none, 1 process, 2 vm, 3 enclave).
    pub(crate) isolation: u8,
}

impl Default for UtilityTerms {
    fn default() -> Self {
        Self { units_max: 1_000_000, output_bytes_max: 16 * 1024, isolation: 1 }
    }
}

/// A cryptlet as `cryptlet_getCryptlet` shows it, as far as it is needed here.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CryptletView {
    pub(crate) cryptlet_id: CryptletId,
}

/// Tells a new chain's registry the hash of its genesis block, which genesis could not contain.
pub(crate) async fn initialize(chain: &Chain) -> Result<()> {
    let known = chain.call(CRYPTLET_REGISTRY, &CryptletRegistry::genesisHashCall {}).await?;
    if known == B256::ZERO {
        let genesis_hash = chain.domain().await?.genesis_hash;
        chain.transact(CRYPTLET_REGISTRY, &CryptletRegistry::initializeCall { genesisHash_: genesis_hash }).await?;
    }
    Ok(())
}

/// Is this cryptlet on the chain, and may it be called?
pub(crate) async fn is_active(chain: &Chain, id: CryptletId) -> Result<bool> {
    Ok(status(chain, id).await? == STATUS_ACTIVE)
}

async fn status(chain: &Chain, id: CryptletId) -> Result<u8> {
    Ok(chain.call(CRYPTLET_REGISTRY, &CryptletRegistry::cryptletCall { cryptletId: id.0 }).await?.status)
}

/// Registers a utility cryptlet, unless it is there already, and then the instance that was started of it.
pub(crate) async fn register_utility(chain: &Chain, started: &Registered, terms: UtilityTerms) -> Result<CryptletId> {
    let created = &started.created;
    let id = CryptletId(created.cryptletId);
    if status(chain, id).await? == STATUS_NONE {
        let registration = CryptletRegistry::UtilityRegistration {
            name: started.name.clone(),
            codeDigest: created.codeDigest,
            manifestDigest: created.manifestDigest,
            headerDigest: started.header_digest,
            configDigest: started.config_digest,
            identityKey: created.signer,
            isolation: terms.isolation.min(started.isolation),
            minimumInstances: 1,
            maximumInstances: INSTANCES_MAX,
            unitsMax: terms.units_max,
            outputBytesMax: terms.output_bytes_max,
            simulationPolicy: 0,
            simulationStub: Bytes::new(),
        };
        let call = CryptletRegistry::registerUtilityCall { registration };
        chain.transact(CRYPTLET_REGISTRY, &call).await.with_context(|| format!("registering {}", started.name))?;
    }
    register_instance(chain, started).await?;
    Ok(id)
}

/// Registers an instance of a cryptlet that is on the chain.
pub(crate) async fn register_instance(chain: &Chain, started: &Registered) -> Result<()> {
    let call = CryptletRegistry::registerInstanceCall { created: for_registry(&started.created) };
    let context = || format!("registering an instance of {}", started.name);
    chain.transact(CRYPTLET_REGISTRY, &call).await.with_context(context)?;
    Ok(())
}

/// Names the cryptlet behind `ICryptoDelegate.create`.
pub(crate) async fn set_factory(chain: &Chain, id: CryptletId) -> Result<()> {
    let known = chain.call(CRYPTLET_REGISTRY, &CryptletRegistry::factoryCall {}).await?;
    if known != id.0 {
        chain.transact(CRYPTLET_REGISTRY, &CryptletRegistry::setFactoryCall { cryptletId: id.0 }).await?;
    }
    Ok(())
}

/// The same structure under the name that the registry's ABI gives it.
fn for_registry(created: &CreatedInstance) -> CryptletRegistry::CreatedInstance {
    CryptletRegistry::CreatedInstance {
        cryptletId: created.cryptletId,
        codeDigest: created.codeDigest,
        manifestDigest: created.manifestDigest,
        signer: created.signer,
        hpkeKey: created.hpkeKey,
        keyEpoch: created.keyEpoch,
        anchorBlock: created.anchorBlock,
        anchorHash: created.anchorHash,
        notAfterBlock: created.notAfterBlock,
        keysSignature: created.keysSignature.clone(),
        evidence: created.evidence.clone(),
        collateral: created.collateral.clone(),
    }
}
