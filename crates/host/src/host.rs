//! The CryptletHostContainerService: many containers behind four doors.

use crate::{
    Clock, Entropy,
    answers::AnswerLog,
    config::HostConfig,
    descriptor::{DESCRIPTOR_VERSION, Descriptor, SignedDescriptor},
    dispatch::{Dispatcher, Load},
    error::HostError,
    files,
    identity::{Authority, ClientIdentity, DigestSigner, Peer, Peers, Role},
    launch::Launcher,
    package::{Package, PackageRef, PackageStore},
    registration::{ChainFacts, Registered, Registrar},
    roster::{InstanceState, Roster},
    server::TlsDoor,
    vault::Vault,
};
use alloy_primitives::{Address, B256};
use cryptlet_attestation::evidence::PROVIDER_SOFTWARE;
use cryptlet_primitives::{
    CodeDigest, CryptletId, FabricAnswer, FabricDomain, FabricFault, Invocation, RegistrationId,
};
use std::{path::Path, sync::Arc};

const DESCRIPTOR_FILE: &str = "descriptor.json";
const DESCRIPTOR_FILE_BYTES_MAX: u64 = 64 * 1024;

/// A host. Cheap to clone: every clone is the same host.
#[derive(Clone, Debug)]
pub struct Host(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registrar: Arc<Registrar>,
    dispatcher: Dispatcher,
    authority: Authority,
    peers: Peers,
    descriptor: parking_lot::Mutex<Option<SignedDescriptor>>,
    tls: parking_lot::Mutex<Option<TlsDoor>>,
    vault: Arc<dyn Vault>,
}

/// What a host runs on.
#[derive(Clone, Debug)]
pub struct HostParts {
    /// Starts cryptlets.
    pub launcher: Arc<dyn Launcher>,
    /// Keeps the host's secrets.
    pub vault: Arc<dyn Vault>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Gives randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// A cryptlet that runs here, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CryptletSummary {
    /// Its identifier.
    pub id: CryptletId,
    /// Its name.
    pub name: String,
    /// The code it runs.
    pub code_digest: CodeDigest,
    /// The package that came from.
    pub package: B256,
    /// How its instances are kept apart: 0 none, 1 process, 2 vm, 3 enclave.
    pub isolation: u8,
    /// Its contract, if it is a Contract Cryptlet.
    pub bound_contract: Option<Address>,
    /// Its instances.
    pub instances: Vec<InstanceSummary>,
}

/// An instance that runs here, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceSummary {
    /// Its identifier.
    pub registration_id: RegistrationId,
    /// The address it signs with.
    pub signer: Address,
    /// Generation of its keys.
    pub key_epoch: u64,
    /// Block after which its keys no longer count.
    pub not_after_block: u64,
    /// May it answer?
    pub state: InstanceState,
}

impl Host {
    /// Starts a host on its folder. Nothing runs in it until something is registered, or [`restart`](Self::restart) starts
    /// again what ran before.
    pub fn start(config: HostConfig, parts: HostParts) -> Result<Self, HostError> {
        config.validate()?;
        check_isolation(&config, parts.launcher.as_ref())?;
        files::create_dir(&config.folder)?;
        let host_key = DigestSigner::host_key(parts.vault.as_ref(), parts.entropy.as_ref())?;
        let authority = Authority::open(
            &config.folder,
            parts.vault.as_ref(),
            Arc::clone(&parts.clock),
            Arc::clone(&parts.entropy),
        )?;
        let peers = Peers::open(config.folder.join("peers.json"))?;
        let packages = PackageStore::open(&config.folder.join("packages"))?;
        let roster = Roster::open(&config.folder)?;
        let answers = AnswerLog::open(&config.folder.join("answers"), config.answers_bytes_max, config.durability)?;
        let registrar = Arc::new_cyclic(|me| Registrar {
            config,
            packages,
            roster,
            launcher: parts.launcher,
            host_key,
            clock: parts.clock,
            entropy: parts.entropy,
            me: me.clone(),
            starting: parking_lot::Mutex::new(()),
        });
        let dispatcher = Dispatcher::new(Arc::clone(&registrar), answers);
        let descriptor = parking_lot::Mutex::new(None);
        let (tls, vault) = (parking_lot::Mutex::new(None), parts.vault);
        let host = Self(Arc::new(Inner { registrar, dispatcher, authority, peers, descriptor, tls, vault }));
        host.descriptor()?;
        Ok(host)
    }

    /// Answers a call: the first answer for a live call key is final.
    pub async fn invoke(&self, invocation: Invocation) -> Result<FabricAnswer, FabricFault> {
        self.0.dispatcher.invoke(invocation).await
    }

    /// Address of the host's key: it endorses software evidence and signs the descriptor.
    pub fn address(&self) -> Address {
        self.0.registrar.host_key.address()
    }

    /// Keeps a package; its digest is its identity.
    pub fn publish(&self, package: &Package) -> Result<B256, HostError> {
        package.accept()?;
        self.0.registrar.packages.add(package)
    }

    /// The packages kept here.
    pub fn packages(&self) -> &PackageStore {
        &self.0.registrar.packages
    }

    /// Identity of a package's code as it would run here.
    pub fn code_digest(&self, package: &Package) -> CodeDigest {
        self.0.registrar.launcher.code_digest(&package.guest_code())
    }

    /// Starts an instance of a utility cryptlet. Blocks while the container starts. Asked again before the registration is
    /// on the chain, gives the same instance; after that, another one.
    pub fn register(
        &self,
        package: &PackageRef,
        publisher: Address,
        chain: ChainFacts,
    ) -> Result<Registered, HostError> {
        let registered = self.0.registrar.register(package, publisher, chain)?;
        self.renew_descriptor()?;
        Ok(registered)
    }

    /// Starts the factory, the utility cryptlet behind `ICryptoDelegate.create`.
    pub fn register_factory(&self, publisher: Address, chain: ChainFacts) -> Result<Registered, HostError> {
        let registered = self.0.registrar.register_factory(publisher, chain)?;
        self.renew_descriptor()?;
        Ok(registered)
    }

    /// Starts again everything that ran before the host was stopped, with new keys of the next epoch, and gives all
    /// registrations that must be sent. Each instance answers once it is [confirmed](Self::confirm_registration). Blocks.
    pub fn restart(&self, chain: ChainFacts) -> Result<Vec<Registered>, HostError> {
        self.0.registrar.restart(chain)
    }

    /// Registrations that are not known to be on the chain and that an operator has to send.
    pub fn pending_registrations(&self) -> Vec<Registered> {
        self.0.registrar.roster.pending()
    }

    /// Says that a registration is on the chain: the instance may answer.
    pub fn confirm_registration(&self, registration: RegistrationId) -> Result<(), HostError> {
        self.0.registrar.roster.activate(registration)
    }

    /// What runs here.
    pub fn cryptlets(&self) -> Vec<CryptletSummary> {
        self.0.registrar.roster.cryptlets().into_iter().map(|cryptlet| self.summary(cryptlet)).collect()
    }

    /// One cryptlet that runs here.
    pub fn cryptlet(&self, id: CryptletId) -> Option<CryptletSummary> {
        self.0.registrar.roster.cryptlet(id).map(|cryptlet| self.summary(cryptlet))
    }

    /// How busy it is.
    pub fn load(&self) -> Load {
        self.0.dispatcher.load()
    }

    /// Instances that run.
    pub fn instances(&self) -> usize {
        self.0.registrar.roster.instances()
    }

    /// From now on refuses new calls, with a fault after which a client goes to another host, or takes them again. Calls under
    /// way end, and answers that are kept are given.
    pub fn drain(&self, is_draining: bool) {
        self.0.dispatcher.drain(is_draining);
        tracing::info!(is_draining, "draining");
    }

    /// Ends when no call runs or waits.
    pub async fn idle(&self) {
        self.0.dispatcher.idle().await;
    }

    /// What Prometheus reads.
    pub fn metrics(&self) -> String {
        self.0.dispatcher.metrics()
    }

    /// Where its keys are, for people.
    pub fn vault(&self) -> String {
        self.0.vault.describe()
    }

    /// How its containers are kept apart: 0 none, 1 process, 2 vm, 3 enclave.
    pub fn isolation(&self) -> u8 {
        self.0.registrar.launcher.isolation()
    }

    /// The chain it serves.
    pub fn domain(&self) -> Option<FabricDomain> {
        self.0.registrar.roster.domain()
    }

    /// Makes the door's certificate anew; gives its SHA-256 and the Unix time at which it ends. Connections that are open stay.
    pub fn rotate_certificate(&self) -> Result<(B256, u64), HostError> {
        let fresh = TlsDoor::new(self)?;
        let told = (fresh.fingerprint, fresh.expires);
        *self.0.tls.lock() = Some(fresh);
        tracing::info!(fingerprint = %told.0, "made the door's certificate anew");
        Ok(told)
    }

    /// Starts, beside every registered instance, one with the next key epoch, and gives all registrations that must be sent. The
    /// old ones answer until the new ones are [confirmed](Self::confirm_registration). Blocks.
    pub fn rotate_instances(&self, chain: ChainFacts) -> Result<Vec<Registered>, HostError> {
        self.0.registrar.rotate(chain)
    }

    /// Has every registered instance that has at most so many blocks left sign its keys for longer, makes fresh evidence, and gives all
    /// registrations that must be sent. An instance answers under its old registration until the new one is
    /// [confirmed](Self::confirm_registration). Blocks.
    pub fn renew_instances(&self, chain: ChainFacts, within_blocks: u64) -> Result<Vec<Registered>, HostError> {
        self.0.registrar.renew(chain, within_blocks)
    }

    /// Issues a client certificate for a node or an operator, and lets it in.
    pub fn enroll(&self, name: &str, role: Role) -> Result<ClientIdentity, HostError> {
        enroll(&self.0.authority, &self.0.peers, name, role)
    }

    /// Shuts a peer out: all certificates issued under this name. Says how many there were.
    pub fn expel(&self, name: &str) -> Result<usize, HostError> {
        self.0.peers.remove(name)
    }

    /// The signed descriptor. It stays the same, over restarts too, until what it says changes or half its time is over.
    pub fn descriptor(&self) -> Result<SignedDescriptor, HostError> {
        if let Some(descriptor) = self.0.descriptor.lock().clone()
            && !self.is_ageing(&descriptor)
        {
            return Ok(descriptor);
        }
        self.renew_descriptor()
    }

    pub(crate) fn config(&self) -> &HostConfig {
        &self.0.registrar.config
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.registrar.clock
    }

    /// What the door is opened with; made anew when half of its certificate's time is over.
    pub(crate) fn tls(&self) -> Result<TlsDoor, HostError> {
        let current = self.0.tls.lock().clone();
        let ages_from = self.clock().unix_seconds() + self.0.authority.server_certificate_seconds() / 2;
        match current {
            Some(tls) if tls.expires > ages_from => Ok(tls),
            _ => {
                self.rotate_certificate()?;
                self.0.tls.lock().clone().ok_or_else(|| HostError::Tls("the door has no certificate".to_owned()))
            }
        }
    }

    pub(crate) fn host_key(&self) -> &DigestSigner {
        &self.0.registrar.host_key
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.0.authority
    }

    pub(crate) fn find_peer(&self, certificate: &[u8]) -> Option<Peer> {
        self.0.peers.find(certificate)
    }

    fn renew_descriptor(&self) -> Result<SignedDescriptor, HostError> {
        let mut current = self.0.descriptor.lock();
        let registrar = &self.0.registrar;
        let now = registrar.clock.unix_seconds();
        let domain = registrar.roster.domain();
        let fresh = Descriptor {
            version: DESCRIPTOR_VERSION,
            chain_id: domain.map(|domain| domain.chain_id),
            genesis_hash: domain.map(|domain| domain.genesis_hash),
            endpoints: registrar.config.endpoints.clone(),
            ca_certificate: self.0.authority.pem().to_owned(),
            host_key: self.address(),
            engine_profile: registrar.launcher.engine_profile(),
            providers: vec![PROVIDER_SOFTWARE],
            hosts: Vec::new(),
            issued_at: now,
            expires: now.saturating_add(registrar.config.descriptor_lifetime_seconds),
        };
        let file = registrar.config.folder.join(DESCRIPTOR_FILE);
        let on_disk = files::read(&file, DESCRIPTOR_FILE_BYTES_MAX)?;
        let on_disk = on_disk.and_then(|json| serde_json::from_slice::<SignedDescriptor>(&json).ok());
        let signed = match on_disk {
            Some(kept)
                if kept.descriptor.says_the_same_as(&fresh) && self.is_genuine(&kept) && !self.is_ageing(&kept) =>
            {
                kept
            }
            _ => {
                let signed = fresh.sign(&registrar.host_key)?;
                files::write_public(&file, signed.to_json().as_bytes())?;
                signed
            }
        };
        *current = Some(signed.clone());
        Ok(signed)
    }

    fn is_genuine(&self, signed: &SignedDescriptor) -> bool {
        cryptlet_attestation::recover(signed.descriptor.digest(), &signed.signature) == Ok(self.address())
    }

    fn is_ageing(&self, signed: &SignedDescriptor) -> bool {
        let registrar = &self.0.registrar;
        let left = signed.descriptor.expires.saturating_sub(registrar.clock.unix_seconds());
        left < registrar.config.descriptor_lifetime_seconds / 2
    }

    fn summary(&self, cryptlet: crate::roster::Cryptlet) -> CryptletSummary {
        let running = self.0.registrar.roster.running(cryptlet.id);
        let instances = running.into_iter().map(|running| InstanceSummary {
            registration_id: running.registered.registration_id,
            signer: running.registered.created.signer,
            key_epoch: running.registered.created.keyEpoch,
            not_after_block: running.registered.created.notAfterBlock,
            state: running.state,
        });
        CryptletSummary {
            id: cryptlet.id,
            code_digest: cryptlet.code_digest,
            package: cryptlet.package,
            isolation: cryptlet.isolation,
            bound_contract: match cryptlet.kind {
                crate::roster::Kind::Contract { contract } => Some(contract),
                _ => None,
            },
            instances: instances.collect(),
            name: cryptlet.name,
        }
    }
}

/// Enrols a peer of a host that need not run in this process: it sees the new peer at the peer's first knock.
pub fn enroll_offline(
    folder: &Path,
    vault: &dyn Vault,
    (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
    name: &str,
    role: Role,
) -> Result<ClientIdentity, HostError> {
    let authority = Authority::open(folder, vault, clock, entropy)?;
    let peers = Peers::open(folder.join("peers.json"))?;
    enroll(&authority, &peers, name, role)
}

/// Signs, with a host's key, a descriptor of the fabric that it forms with others. The host need not run in this process, but
/// must have been started once. Whoever is given the document must be enrolled with each of the hosts.
pub fn federate_offline(
    folder: &Path,
    vault: &dyn Vault,
    clock: &dyn Clock,
    others: &[SignedDescriptor],
) -> Result<SignedDescriptor, HostError> {
    let file = folder.join(DESCRIPTOR_FILE);
    let json = files::read(&file, DESCRIPTOR_FILE_BYTES_MAX)?.ok_or(HostError::NoChain)?;
    let own: SignedDescriptor = serde_json::from_slice(&json).map_err(|error| HostError::damaged(&file, error))?;
    let key = DigestSigner::host_key_of(vault)?;
    let (now, lifetime) = (clock.unix_seconds(), own.descriptor.expires.saturating_sub(own.descriptor.issued_at));
    let fresh =
        Descriptor { issued_at: now, expires: now.saturating_add(lifetime), host_key: key.address(), ..own.descriptor };
    fresh.with_hosts_of(others)?.sign(&key)
}

fn enroll(authority: &Authority, peers: &Peers, name: &str, role: Role) -> Result<ClientIdentity, HostError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
        return Err(HostError::Setting {
            setting: "the peer's name",
            value: format!("{name:?}"),
            expected: "it must be 1 to 64 letters, digits, '-', '_' or '.'",
        });
    }
    let identity = authority.client_identity(name)?;
    let certificate = crate::identity::certificate_der(&identity.certificate)?;
    peers.add(&certificate, Peer { name: name.to_owned(), role })?;
    Ok(identity)
}

fn check_isolation(config: &HostConfig, launcher: &dyn Launcher) -> Result<(), HostError> {
    if launcher.isolation() >= config.isolation_min {
        return Ok(());
    }
    Err(HostError::Setting {
        setting: "isolation_min",
        value: format!("{}, while the containers of this host give {}", config.isolation_min, launcher.isolation()),
        expected: "lower it, or run containers that isolate more (0 none, 1 process, 2 vm, 3 enclave)",
    })
}
