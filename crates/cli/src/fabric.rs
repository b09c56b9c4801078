//! The fabric as this process reaches it: a host embedded in it, or one elsewhere over mutual TLS. The same client either way.

use crate::{
    args::{FabricArgs, NodeArgs},
    registry::{self, UtilityTerms},
    rpc::Chain,
};
use alloy::primitives::{Address, B256};
use anyhow::{Context, Result};
use cryptlet_container::WorkerCommand;
use cryptlet_host::{
    ChainFacts, ClientIdentity, ClientOptions, DESCRIPTOR_PATH, FACTORY_NAME, FabricClient, FileVault, Host,
    HostConfig, HostParts, Package, PackageRef, Registered, Role, ScryptCost, SecretString, Server, SystemClock,
    SystemEntropy, Vault, WasmLauncher, fetch_descriptor,
};
use cryptlet_node::Fabric;
use cryptlet_primitives::{CryptletId, FabricAnswer, FabricDomain, FabricFault, Invocation, RegistrationId};
use futures::future::BoxFuture;
use jsonrpsee::{Methods, RpcModule, types::ErrorObjectOwned};
use serde::{Deserialize, Serialize};
use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
    time::Duration,
};

/// JSON-RPC method of a dev node: how to reach its embedded host as an operator.
const DEV_DOOR_METHOD: &str = "cryptlet_insecureDevHost";

/// A way to the fabric, as an operator has it.
pub(crate) struct FabricAccess {
    client: FabricClient,
    embedded: Option<Embedded>,
}

/// A host of this process. Its workers and its doors end with it.
struct Embedded {
    door: DevDoor,
    _servers: [Server; 2],
    _host: Host,
}

/// How `cryptlet register` reaches the host embedded in a dev node: like any other host, but the node hands out the
/// certificate to whoever asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DevDoor {
    /// URL of the descriptor.
    descriptor: String,
    /// Who signs it.
    signature: String,
    /// An operator's certificate and key, as a PEM bundle.
    identity: String,
}

impl FabricAccess {
    /// The fabric a node was told to use: the one its flags point to, or on a dev chain a host of its own.
    pub(crate) async fn open(args: &NodeArgs, domain: FabricDomain, folder: &Path) -> Result<Option<Self>> {
        let options =
            ClientOptions { call_timeout: Duration::from_millis(args.call_timeout_ms), ..ClientOptions::default() };
        if let Some(access) = Self::elsewhere(&args.fabric, domain, options.clone()).await? {
            return Ok(Some(access));
        }
        if !args.dev {
            return Ok(None);
        }
        let host = listening_host(folder, args.workers)?;
        let client = FabricClient::in_process(&host.host, options);
        Ok(Some(Self { client, embedded: Some(host.open().await?) }))
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

    /// JSON-RPC methods that a dev node offers for its embedded host.
    pub(crate) fn extensions(&self) -> Result<Methods> {
        let Some(embedded) = &self.embedded else { return Ok(Methods::new()) };
        let mut module = RpcModule::new(embedded.door.clone());
        module.register_method(DEV_DOOR_METHOD, |_, door, _| Ok::<_, ErrorObjectOwned>(door.clone()))?;
        Ok(module.into())
    }

    /// The fabric that `--crypto-delegate-path` points to, if it is given. Nothing is trusted before its signature holds.
    pub(crate) async fn elsewhere(
        args: &FabricArgs,
        domain: FabricDomain,
        options: ClientOptions,
    ) -> Result<Option<Self>> {
        let (Some(url), Some(pin)) = (&args.crypto_delegate_path, &args.crypto_delegate_signature) else {
            return Ok(None);
        };
        let descriptor = fetch_descriptor(url, pin.parse()?, options.clock.as_ref()).await?;
        descriptor.check_chain(domain)?;
        let file = args.crypto_delegate_identity.as_ref().context(
            "--crypto-delegate-identity FILE is missing: the fabric asks for a client certificate, which its operator makes \
             with `cryptlet host enroll`",
        )?;
        let bundle = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let identity = ClientIdentity::from_pem_bundle(&bundle).with_context(|| format!("{}", file.display()))?;
        Ok(Some(Self { client: FabricClient::connect(&descriptor, &identity, options)?, embedded: None }))
    }

    /// Hands a package to the host.
    pub(crate) async fn publish(&self, package: &Package) -> Result<B256> {
        Ok(self.client.publish(package).await?)
    }

    /// Has the host start an instance of a package and puts it on the chain.
    pub(crate) async fn register_package(&self, chain: &Chain, package: &Package) -> Result<CryptletId> {
        let reference = PackageRef::Digest(package.digest());
        let started = self.client.register(&reference, chain.address(), facts(chain).await?).await?;
        let default = UtilityTerms::default();
        let terms = UtilityTerms {
            units_max: package.config().units_max.unwrap_or(default.units_max),
            output_bytes_max: package.config().output_bytes_max.unwrap_or(default.output_bytes_max),
            isolation: u8::from(package.config().isolation),
        };
        let id = registry::register_utility(chain, &started, terms).await?;
        self.confirm(started.registration_id).await?;
        Ok(id)
    }

    /// Has the host start its factory.
    pub(crate) async fn register_factory(&self, chain: &Chain) -> Result<Registered> {
        Ok(self.client.register_factory(chain.address(), facts(chain).await?).await?)
    }

    /// Id of the factory that this publisher registers.
    pub(crate) fn factory_id(&self, publisher: Address) -> CryptletId {
        CryptletId::utility(publisher, FACTORY_NAME)
    }

    /// Has the host start again what it ran before it was last stopped; gives the registrations to send.
    pub(crate) async fn restart(&self, chain: &Chain) -> Result<Vec<Registered>> {
        Ok(self.client.restart(facts(chain).await?).await?)
    }

    /// Tells the host that a registration is on the chain.
    pub(crate) async fn confirm(&self, registration: RegistrationId) -> Result<()> {
        Ok(self.client.confirm_registration(registration).await?)
    }
}

/// A host with a port of its own, not yet listening on it.
struct ListeningHost {
    host: Host,
    listen: SocketAddr,
}

fn listening_host(folder: &Path, workers: Option<usize>) -> Result<ListeningHost> {
    let listen = free_port(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let config = HostConfig { endpoints: vec![listen.to_string()], ..HostConfig::new(folder) };
    let host = Host::start(config, host_parts(folder, None, workers)?)?;
    Ok(ListeningHost { host, listen })
}

impl ListeningHost {
    async fn open(self) -> Result<Embedded> {
        let Self { host, listen } = self;
        let door = host.serve_tls(listen).await?;
        let plate = host.serve_descriptor(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let identity = host.enroll("dev-operator", Role::Operator)?;
        let dev_door = DevDoor {
            descriptor: format!("http://{}{DESCRIPTOR_PATH}", plate.address()),
            signature: host.address().to_string(),
            identity: identity.to_pem_bundle().to_string(),
        };
        Ok(Embedded { door: dev_door, _servers: [door, plate], _host: host })
    }
}

/// The address with a port that was free a moment ago in place of port 0.
pub(crate) fn free_port(listen: SocketAddr) -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind(listen)?.local_addr()?)
}

async fn facts(chain: &Chain) -> Result<ChainFacts> {
    let anchor = chain.anchor().await?;
    Ok(ChainFacts {
        domain: chain.domain().await?,
        anchor: cryptlet_host::Anchor { block: anchor.number, hash: anchor.hash },
    })
}

/// What a host of this process runs on: workers of this very binary, the system's clock and randomness, and its keystore.
pub(crate) fn host_parts(folder: &Path, passphrase: Option<SecretString>, workers: Option<usize>) -> Result<HostParts> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let entropy = Arc::new(SystemEntropy);
    let vault = open_vault(folder, passphrase)?;
    let workers = match workers {
        Some(workers) => NonZeroUsize::new(workers).context("--workers must be at least 1")?,
        None => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    let command = WorkerCommand { program: std::env::current_exe()?, arguments: vec!["worker".into()] };
    let launcher =
        WasmLauncher::in_processes(command, workers, &folder.join("compiled"), vault.as_ref(), entropy.as_ref())?;
    Ok(HostParts { launcher: Arc::new(launcher), vault, clock: Arc::new(SystemClock), entropy })
}

/// A host's keystore; without a passphrase, one whose passphrase lies beside it.
pub(crate) fn open_vault(folder: &Path, passphrase: Option<SecretString>) -> Result<Arc<dyn Vault>> {
    Ok(Arc::new(match passphrase {
        Some(passphrase) => FileVault::open(&folder.join("vault.age"), passphrase, ScryptCost::INTERACTIVE)?,
        None => FileVault::open_insecure_dev(folder, &SystemEntropy)?,
    }))
}

/// The node's seam, in front of a client.
pub(crate) struct FabricSeam(FabricClient);

impl FabricSeam {
    pub(crate) fn new(access: &FabricAccess) -> Self {
        Self(access.client.clone())
    }
}

impl Fabric for FabricSeam {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'static, Result<FabricAnswer, FabricFault>> {
        let client = self.0.clone();
        Box::pin(async move { client.invoke(invocation).await })
    }
}
