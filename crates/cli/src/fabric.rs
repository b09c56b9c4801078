//! The fabric as this process reaches it: a host embedded in it, or one elsewhere over mutual TLS. The same client either way.

mod embedded;

use crate::{
    args::{FabricArgs, NodeArgs},
    registry::{self, UtilityTerms},
    rpc::Chain,
};
use alloy::primitives::B256;
use anyhow::{Context, Result};
use cryptlet_attestation::InstanceStatus;
use cryptlet_host::{
    Anchor, ChainFacts, ClientIdentity, ClientOptions, FACTORY_NAME, FACTORY_OUTPUT_BYTES_MAX, FACTORY_UNITS,
    FabricClient, Package, PackageRef, Registered, fetch_descriptor,
};
use cryptlet_node::Fabric;
use cryptlet_primitives::{CryptletId, FabricAnswer, FabricDomain, FabricFault, Invocation, RegistrationId};
use embedded::{DevDoor, Embedded};
use futures::future::BoxFuture;
use jsonrpsee::{
    Methods, RpcModule,
    types::{ErrorObject, error::METHOD_NOT_FOUND_CODE},
};
use std::{path::Path, sync::Arc, time::Duration};
use tokio::sync::SetOnce;

/// JSON-RPC method of a dev node: how to reach its embedded host as an operator.
const DEV_DOOR_METHOD: &str = "cryptlet_insecureDevHost";
/// How a host says that an instance waits to be confirmed.
const PENDING: &str = "pending";
const NO_EMBEDDED_HOST: &str = "this node's fabric is elsewhere";

/// A way to the fabric, as an operator has it.
pub(crate) struct FabricAccess {
    client: FabricClient,
    embedded: Option<Embedded>,
}

impl FabricAccess {
    /// The fabric a node was told to use: the one its flags point to, or on a dev chain a host of its own.
    pub(crate) async fn open(args: &NodeArgs, domain: FabricDomain, folder: &Path) -> Result<Self> {
        let options =
            ClientOptions { call_timeout: Duration::from_millis(args.call_timeout_ms), ..ClientOptions::default() };
        if let Some(access) = Self::elsewhere(&args.fabric, domain, options.clone()).await? {
            return Ok(access);
        }
        let embedded = Embedded::start(folder, args.workers, args.isolation).await?;
        let client = FabricClient::in_process(&embedded.host, options);
        Ok(Self { client, embedded: Some(embedded) })
    }

    /// The host embedded in the dev node at this address.
    pub(crate) async fn of_dev_node(chain: &Chain) -> Result<Self> {
        let door: DevDoor = chain.raw(DEV_DOOR_METHOD, [(); 0]).await.context(
            "this node has no embedded host; name one with --crypto-delegate-path and --crypto-delegate-signature",
        )?;
        let options = ClientOptions::default();
        let descriptor = fetch_descriptor(&door.descriptor, door.signature.parse()?, options.clock.as_ref()).await?;
        let identity = ClientIdentity::from_pem_bundle(&door.identity)?;
        Ok(Self { client: FabricClient::connect(&descriptor, &identity, options)?, embedded: None })
    }

    /// The fabric that `--crypto-delegate-path` points to, if it is given. Nothing is trusted before its signature holds.
    pub(crate) async fn elsewhere(
        args: &FabricArgs,
        domain: FabricDomain,
        options: ClientOptions,
    ) -> Result<Option<Self>> {
        let client = Self::dial(args, Some(domain), options).await?;
        Ok(client.map(Self::over))
    }

    /// The same for an operator, who need not know the chain.
    pub(crate) async fn client_elsewhere(args: &FabricArgs, options: ClientOptions) -> Result<Option<FabricClient>> {
        Self::dial(args, None, options).await
    }

    /// Through a client.
    pub(crate) fn over(client: FabricClient) -> Self {
        Self { client, embedded: None }
    }

    async fn dial(
        args: &FabricArgs,
        domain: Option<FabricDomain>,
        options: ClientOptions,
    ) -> Result<Option<FabricClient>> {
        let (Some(url), Some(pin)) = (&args.crypto_delegate_path, &args.crypto_delegate_signature) else {
            return Ok(None);
        };
        let descriptor = fetch_descriptor(url, pin.parse()?, options.clock.as_ref()).await?;
        if let Some(domain) = domain {
            descriptor.check_chain(domain)?;
        }
        let file = args.crypto_delegate_identity.as_ref().context(
            "--crypto-delegate-identity FILE is missing: the fabric asks for a client certificate, which its operator makes \
             with `cryptlet host enroll`",
        )?;
        let bundle = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let identities =
            ClientIdentity::all_from_pem_bundles(&bundle).with_context(|| format!("{}", file.display()))?;
        Ok(Some(FabricClient::connect_all(&descriptor, &identities, options)?))
    }

    /// Hands a package to every host.
    pub(crate) async fn publish(&self, package: &Package) -> Result<B256> {
        for host in self.client.hosts() {
            host.publish(package).await?;
        }
        Ok(package.digest())
    }

    /// Has every host start an instance of a package and puts them on the chain.
    pub(crate) async fn register_package(&self, chain: &Chain, package: &Package) -> Result<(CryptletId, Entered)> {
        let mut entered = Entered::default();
        for host in self.client.hosts() {
            let started = register_on(&host, chain, package).await?;
            confirm(&host, chain, started, &mut entered).await?;
        }
        Ok((CryptletId::utility(chain.address(), package.name()), entered))
    }

    /// Makes the host's factory the one behind `ICryptoDelegate.create`, unless it is already.
    pub(crate) async fn install_factory(&self, chain: &Chain) -> Result<(CryptletId, Entered)> {
        let mut entered = Entered::default();
        let id = CryptletId::utility(chain.address(), FACTORY_NAME);
        if !registry::is_active(chain, id).await? {
            let started = self.client.register_factory(chain.address(), facts(chain).await?).await?;
            // Its container is the host itself, and it says so: isolation `none`.
            let terms =
                UtilityTerms { units_max: FACTORY_UNITS, output_bytes_max: FACTORY_OUTPUT_BYTES_MAX, isolation: 0 };
            registry::register_utility(chain, &started, terms).await?;
            confirm(&self.client, chain, started.registration_id, &mut entered).await?;
        }
        registry::set_factory(chain, id).await?;
        Ok((id, entered))
    }

    /// Has the host start again what it ran before it was last stopped, and puts the new instances on the chain: keys do not
    /// outlive their process.
    pub(crate) async fn resume(&self, chain: &Chain) -> Result<Entered> {
        let started = self.client.restart(facts(chain).await?).await?;
        self.register_all(chain, &started, 0).await
    }

    /// Has the host make new keys for all its instances, and puts them on the chain. The old ones count for so many blocks more.
    pub(crate) async fn rotate_instances(&self, chain: &Chain, grace_blocks: u32) -> Result<Entered> {
        let started = self.client.rotate_instances(facts(chain).await?).await?;
        self.register_all(chain, &started, grace_blocks).await
    }

    /// Has the host prolong those of its instances that have at most so many blocks left, and puts that on the chain. What is there
    /// already of earlier attempts comes first: the host would give it up and make another.
    pub(crate) async fn renew_instances(&self, chain: &Chain, within_blocks: u64) -> Result<Entered> {
        let mut entered = self.confirm_what_arrived(chain).await?;
        let started = self.client.renew_instances(facts(chain).await?, within_blocks).await?;
        let Entered { active, pending } = self.register_all(chain, &started, 0).await?;
        entered.active.extend(active);
        entered.pending.extend(pending);
        Ok(entered)
    }

    /// Tells the host which of its instances that wait for it have come to count on the chain meanwhile.
    async fn confirm_what_arrived(&self, chain: &Chain) -> Result<Entered> {
        let mut entered = Entered::default();
        for cryptlet in self.client.cryptlets().await? {
            for waiting in cryptlet.instances.iter().filter(|instance| instance.state == PENDING) {
                let id = waiting.registration_id;
                if registry::instance_status(chain, id).await? == InstanceStatus::Active {
                    self.client.confirm_registration(id).await?;
                    entered.active.push(id);
                }
            }
        }
        Ok(entered)
    }

    /// Puts on the chain what is not there, and tells the host what counts. May be asked again until all does.
    async fn register_all(&self, chain: &Chain, started: &[Registered], grace_blocks: u32) -> Result<Entered> {
        let mut entered = Entered::default();
        for started in started {
            // An instance the chain never knew belongs to a transaction that was lost; its contract will ask again.
            if registry::is_active(chain, CryptletId(started.created.cryptletId)).await? {
                registry::register_instance(chain, started, grace_blocks).await?;
                confirm(&self.client, chain, started.registration_id, &mut entered).await?;
            }
        }
        Ok(entered)
    }
}

/// What was put on the chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entered {
    /// Counts from the next block on.
    pub(crate) active: Vec<RegistrationId>,
    /// Waits for the administrator.
    pub(crate) pending: Vec<RegistrationId>,
}

impl Entered {
    /// What to do for those that wait; empty if none does.
    pub(crate) fn advice(&self) -> String {
        self.pending.iter().map(|id| format!("\n  {}", how_to_activate(id))).collect()
    }
}

/// What is to be done before a new instance counts.
pub(crate) fn how_to_activate(id: &RegistrationId) -> String {
    format!("instance {id} waits to be activated: cryptlet registry activate {id}")
}

/// Tells a host that an instance may answer, if the chain lets it count. One that may not would only spend calls.
async fn confirm(host: &FabricClient, chain: &Chain, id: RegistrationId, entered: &mut Entered) -> Result<()> {
    match registry::instance_status(chain, id).await? {
        InstanceStatus::Active => {
            host.confirm_registration(id).await?;
            entered.active.push(id);
        }
        InstanceStatus::Pending => entered.pending.push(id),
        // Somebody ended it meanwhile. The others must not wait for that.
        other => tracing::warn!(instance = %id, status = ?other, "an instance of the host does not count any more"),
    }
    Ok(())
}

/// Has one host start an instance of a package that it has, and puts that on the chain.
async fn register_on(host: &FabricClient, chain: &Chain, package: &Package) -> Result<RegistrationId> {
    let reference = PackageRef::Digest(package.digest());
    let started = host.register(&reference, chain.address(), facts(chain).await?).await?;
    let default = UtilityTerms::default();
    let terms = UtilityTerms {
        units_max: package.config().units_max.unwrap_or(default.units_max),
        output_bytes_max: package.config().output_bytes_max.unwrap_or(default.output_bytes_max),
        isolation: u8::from(package.config().isolation),
    };
    registry::register_utility(chain, &started, terms).await?;
    Ok(started.registration_id)
}

async fn facts(chain: &Chain) -> Result<ChainFacts> {
    let anchor = chain.anchor().await?;
    Ok(ChainFacts { domain: chain.domain().await?, anchor: Anchor { block: anchor.number, hash: anchor.hash } })
}

/// The node's seam, in front of a client that is there later: calls wait for it within their own patience.
#[derive(Clone, Default)]
pub(crate) struct LateFabric(Arc<SetOnce<Reached>>);

struct Reached {
    client: FabricClient,
    /// Of the embedded host, if it is one.
    door: Option<DevDoor>,
}

impl LateFabric {
    /// Calls go there from now on.
    pub(crate) fn is_reached(&self, access: &FabricAccess) {
        let door = access.embedded.as_ref().map(|embedded| embedded.door.clone());
        // It is reached once.
        let _ = self.0.set(Reached { client: access.client.clone(), door });
    }

    /// JSON-RPC methods that a dev node offers for its embedded host.
    pub(crate) fn extensions(&self) -> Result<Methods> {
        let mut module = RpcModule::new(self.clone());
        module.register_method(DEV_DOOR_METHOD, |_, late, _| {
            let door = late.0.get().and_then(|reached| reached.door.clone());
            door.ok_or_else(|| ErrorObject::owned(METHOD_NOT_FOUND_CODE, NO_EMBEDDED_HOST, None::<()>))
        })?;
        Ok(module.into())
    }
}

impl Fabric for LateFabric {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'static, Result<FabricAnswer, FabricFault>> {
        let late = self.clone();
        Box::pin(async move { late.0.wait().await.client.invoke(invocation).await })
    }
}
