//! Putting what a host has started on the chain: `CryptletRegistry`, as a publisher and an operator use it.

use crate::{council, rpc::Chain};
use alloy::{
    primitives::{B256, Bytes},
    sol,
    sol_types::SolCall,
};
use anyhow::{Context, Result, anyhow};
use cryptlet_attestation::{
    InstanceStatus,
    signature::{authorization_digest, utility_digest},
};
use cryptlet_host::Registered;
use cryptlet_primitives::{
    CryptletId, InstanceAuthorization, RegistrationId,
    abi::{Authorization, CreatedInstance, ICryptletRegistry, UtilityRegistration},
    system::CRYPTLET_REGISTRY,
};
use serde::Deserialize;

sol! {
    #[derive(Debug)]
    CryptletRegistry,
    "../../contracts/artifacts/CryptletRegistry.json"
}

sol! {
    #[derive(Debug)]
    Administrators,
    "../../contracts/artifacts/Administrators.json"
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
/// Blocks in which a signed registration may be sent: an hour of blocks of 12 s.
const DEADLINE_BLOCKS: u64 = 300;
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

/// How an instance stands in the registry.
pub(crate) async fn instance_status(chain: &Chain, id: RegistrationId) -> Result<InstanceStatus> {
    let call = CryptletRegistry::instanceCall { registrationId: id.0 };
    let number = chain.call(CRYPTLET_REGISTRY, &call).await?.status;
    InstanceStatus::try_from(number)
        .map_err(|number| anyhow!("the registry knows a status {number}, this version does not"))
}

/// Registers a utility cryptlet, unless it is there already, and then the instance that was started of it.
pub(crate) async fn register_utility(chain: &Chain, started: &Registered, terms: UtilityTerms) -> Result<CryptletId> {
    let created = &started.created;
    let id = CryptletId(created.cryptletId);
    if status(chain, id).await? == STATUS_NONE {
        let identity = chain.author()?.identity_key(id)?;
        let registration = UtilityRegistration {
            name: started.name.clone(),
            codeDigest: created.codeDigest,
            manifestDigest: created.manifestDigest,
            headerDigest: started.header_digest,
            configDigest: started.config_digest,
            identityKey: identity.address(),
            isolation: terms.isolation.min(started.isolation),
            minimumInstances: 1,
            maximumInstances: INSTANCES_MAX,
            unitsMax: terms.units_max,
            outputBytesMax: terms.output_bytes_max,
            simulationPolicy: 0,
            simulationStub: Bytes::new(),
        };
        let deadline = deadline(chain).await?;
        let digest = utility_digest(&registration.signed_by(chain.address(), deadline), &chain.domain().await?);
        let call = ICryptletRegistry::registerUtilityCall {
            registration,
            authorization: authorize(chain, deadline, digest)?,
            identitySignature: identity.sign_bytes(digest)?,
        };
        chain.transact(CRYPTLET_REGISTRY, &call).await.with_context(|| format!("registering {}", started.name))?;
    }
    register_instance(chain, started, 0).await?;
    Ok(id)
}

/// Registers an instance of a cryptlet that is on the chain, unless it is there already; anew if it is a renewal. Where it begins an epoch,
/// the one before counts for so many blocks more.
pub(crate) async fn register_instance(chain: &Chain, started: &Registered, grace_blocks: u32) -> Result<()> {
    if instance_status(chain, started.registration_id).await? != InstanceStatus::Unknown {
        return Ok(());
    }
    let created = started.created.clone();
    let previous = match started.renews {
        Some(renews) => to_be_renewed(chain, &created, renews).await?.0,
        None => B256::ZERO,
    };
    let epoch = chain
        .call(CRYPTLET_REGISTRY, &CryptletRegistry::cryptletCall { cryptletId: created.cryptletId })
        .await?
        .keyEpoch;
    let grace_blocks = if started.renews.is_none() && created.keyEpoch > epoch { grace_blocks } else { 0 };
    let deadline = deadline(chain).await?;
    let asked = InstanceAuthorization {
        registrationId: started.registration_id.0,
        previous,
        graceBlocks: grace_blocks,
        deadlineBlock: deadline,
    };
    let authorization = authorize(chain, deadline, authorization_digest(&asked, &chain.domain().await?))?;
    let context = || format!("registering an instance of {}", started.name);
    match (started.renews, grace_blocks) {
        (Some(_), _) => {
            let call = ICryptletRegistry::renewInstanceCall { previous, created, authorization };
            chain.transact(CRYPTLET_REGISTRY, &call).await
        }
        (None, 0) => {
            let call = ICryptletRegistry::registerInstanceCall { created, authorization };
            chain.transact(CRYPTLET_REGISTRY, &call).await
        }
        (None, _) => {
            let call = ICryptletRegistry::rotateKeysCall { created, graceBlocks: grace_blocks, authorization };
            chain.transact(CRYPTLET_REGISTRY, &call).await
        }
    }
    .with_context(context)?;
    Ok(())
}

/// The registration that a renewal takes the place of: the one that the host answers under; or, if that was renewed by a transaction
/// that the host had given up waiting for, the one that the chain has in its place. They are of the same keys.
async fn to_be_renewed(chain: &Chain, created: &CreatedInstance, renews: RegistrationId) -> Result<RegistrationId> {
    if instance_status(chain, renews).await? != InstanceStatus::Renewed {
        return Ok(renews);
    }
    let call = CryptletRegistry::instanceOfSignerCall { _0: created.cryptletId, signer: created.signer };
    let newest = RegistrationId(chain.call(CRYPTLET_REGISTRY, &call).await?);
    tracing::info!(instance = %renews, by = %newest, "an earlier renewal reached the chain after all; this one goes on from it");
    Ok(newest)
}

/// Last block in which what is signed now may be sent.
async fn deadline(chain: &Chain) -> Result<u64> {
    Ok(chain.anchor().await?.number + DEADLINE_BLOCKS)
}

/// The author's word.
fn authorize(chain: &Chain, deadline_block: u64, digest: B256) -> Result<Authorization> {
    let account = &chain.author()?.account;
    let signature = account.sign_bytes(digest)?;
    Ok(Authorization { registrar: account.address(), deadlineBlock: deadline_block, signature })
}

/// Names the cryptlet behind `ICryptoDelegate.create`. That is the administrator's word; the council's members vote on it.
pub(crate) async fn set_factory(chain: &Chain, id: CryptletId) -> Result<()> {
    let known = chain.call(CRYPTLET_REGISTRY, &CryptletRegistry::factoryCall {}).await?;
    if known != id.0 {
        let data = CryptletRegistry::setFactoryCall { cryptletId: id.0 }.abi_encode().into();
        let asked = council::ask(chain, CryptletRegistry::setFactoryCall::SIGNATURE, CRYPTLET_REGISTRY, data).await;
        let later =
            || format!("the factory is registered; an administrator names it with `cryptlet registry factory {id}`");
        if !asked.with_context(later)?.done {
            tracing::warn!(
                "the chain has no new factory yet: other administrators approve with `cryptlet registry factory {id}`"
            );
        }
    }
    Ok(())
}
