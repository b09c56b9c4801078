//! Starting instances so that they can be registered: the keys made in the container, the instance's signature over them,
//! and the host's evidence for it.

use crate::{
    Clock,
    config::HostConfig,
    error::HostError,
    factory::{self, Factory},
    identity::DigestSigner,
    launch::{Anchor, Birth, LaunchFault, Launched, Launcher},
    package::{Package, PackageRef, PackageStore},
    roster::{Cryptlet, InstanceState, Kind, Roster, Running},
};
use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolValue;
use cryptlet_attestation::{evidence::PROVIDER_SOFTWARE, signature::software_statement_digest};
use cryptlet_container::GuestCode;
use cryptlet_primitives::{
    CodeDigest, CryptletId, FabricDomain, Measurement, RegistrationId,
    abi::{CreatedInstance, SoftwareEvidence, SoftwareStatement},
};
use std::sync::Arc;

/// First key epoch of a cryptlet.
const FIRST_EPOCH: u64 = 1;
/// Evidence is dated this much back, so that a block whose clock is behind the host's accepts it.
const CLOCK_SKEW_SECONDS: u64 = 120;
/// A registration must anchor within 256 blocks; one older than this is not handed out again.
const ANCHOR_REUSE_BLOCKS: u64 = 128;

/// An instance that was started, and all that its registration transaction needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Its identifier: EIP-712 hash of its keys.
    pub registration_id: RegistrationId,
    /// What the registry takes.
    pub created: CreatedInstance,
    /// The cryptlet's name.
    pub name: String,
    /// Publisher of a utility cryptlet; zero for a Contract Cryptlet.
    pub publisher: Address,
    /// Contract of a Contract Cryptlet; zero for a utility cryptlet.
    pub bound_contract: Address,
    /// SHA-256 of `header.sol`.
    pub header_digest: B256,
    /// SHA-256 of the configuration.
    pub config_digest: B256,
    /// Isolation the host evidences: 0 none, 1 process, 2 vm, 3 enclave.
    pub isolation: u8,
    /// The registration of the same keys that this one is to renew.
    pub renews: Option<RegistrationId>,
}

/// Facts of the chain that a registration is for.
#[derive(Clone, Copy, Debug)]
pub struct ChainFacts {
    /// The chain.
    pub domain: FabricDomain,
    /// One of its newest blocks.
    pub anchor: Anchor,
}

/// What a contract asked for, checked.
#[derive(Clone, Debug)]
pub(crate) struct ContractOrder {
    pub(crate) contract: Address,
    pub(crate) package: Package,
    pub(crate) code_digest: CodeDigest,
    /// Instances the contract wants at least.
    pub(crate) instances_min: u16,
}

/// Starts instances, and knows all that run.
#[derive(Debug)]
pub(crate) struct Registrar {
    pub(crate) config: HostConfig,
    pub(crate) packages: PackageStore,
    pub(crate) roster: Roster,
    pub(crate) launcher: Arc<dyn Launcher>,
    pub(crate) host_key: DigestSigner,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn crate::Entropy>,
    /// For the factory, which is one of the instances listed here.
    pub(crate) me: std::sync::Weak<Self>,
    /// Starting and listing belong together: one at a time.
    pub(crate) starting: parking_lot::Mutex<()>,
}

impl Registrar {
    /// Starts an instance of a utility cryptlet. Asked again before it is registered, gives the same one.
    pub(crate) fn register(
        &self,
        wanted: &PackageRef,
        publisher: Address,
        chain: ChainFacts,
    ) -> Result<Registered, HostError> {
        let _one_at_a_time = self.starting.lock();
        self.roster.bind(chain.domain)?;
        let package = self.packages.get(wanted)?;
        let cryptlet = Cryptlet {
            id: CryptletId::utility(publisher, package.name()),
            kind: Kind::Utility { publisher },
            name: package.name().to_owned(),
            package: package.digest(),
            code_digest: self.launcher.code_digest(&package.guest_code()),
            header_digest: package.header_digest(),
            config_digest: package.config_digest(),
            isolation: self.launcher.isolation(),
            key_epoch: FIRST_EPOCH,
        };
        self.start_or_reuse(cryptlet, chain)
    }

    /// Starts the host's own factory.
    pub(crate) fn register_factory(&self, publisher: Address, chain: ChainFacts) -> Result<Registered, HostError> {
        let _one_at_a_time = self.starting.lock();
        self.roster.bind(chain.domain)?;
        self.start_or_reuse(factory::cryptlet(publisher), chain)
    }

    /// Starts a Contract Cryptlet, or gives the one this contract was given before. The first instance is registered by the
    /// contract's constructor; those beyond it, up to the minimum, wait for an operator.
    pub(crate) fn create(&self, order: &ContractOrder, chain: ChainFacts) -> Result<Registered, HostError> {
        let _one_at_a_time = self.starting.lock();
        self.packages.add(&order.package)?;
        let cryptlet = contract_cryptlet(order, self.launcher.isolation());
        let first = self.start_or_reuse(cryptlet.clone(), chain)?;
        // Its constructor registers it; nobody comes to confirm that.
        self.roster.presume(first.registration_id);
        while self.roster.running(cryptlet.id).len() < usize::from(order.instances_min) {
            self.start(cryptlet.clone(), chain, InstanceState::Pending)?;
        }
        Ok(first)
    }

    /// Starts a Contract Cryptlet for a simulation: the same steps, nothing listed, gone when dropped.
    pub(crate) fn rehearse(&self, order: &ContractOrder, chain: ChainFacts) -> Result<Registered, HostError> {
        let cryptlet = contract_cryptlet(order, self.launcher.isolation());
        let launched = self.launch_code(&cryptlet, &order.package.guest_code(), chain, chain.anchor.block + 256)?;
        // A simulated block may be as old as the newest one; evidence for it must not be from its future.
        self.describe(&cryptlet, &launched, chain.domain, 0)
    }

    /// Starts again all that ran before the host stopped: new keys, next epoch, to be registered and confirmed.
    pub(crate) fn restart(&self, chain: ChainFacts) -> Result<Vec<Registered>, HostError> {
        let _one_at_a_time = self.starting.lock();
        self.roster.bind(chain.domain)?;
        for cryptlet in self.roster.cryptlets() {
            if self.roster.running(cryptlet.id).is_empty() {
                let (id, next) = (cryptlet.id, Cryptlet { key_epoch: cryptlet.key_epoch + 1, ..cryptlet });
                // One that cannot start must not keep the others from it; calls of it are told that it did not start.
                if let Err(error) = self.start(next, chain, InstanceState::Pending) {
                    tracing::error!(cryptlet = %id, %error, "a cryptlet could not be started again");
                }
            }
        }
        Ok(self.roster.pending())
    }

    /// Starts an instance of the next key epoch beside those of every registered cryptlet, to be registered and confirmed. Asked
    /// again before that, starts none twice.
    pub(crate) fn rotate(&self, chain: ChainFacts) -> Result<Vec<Registered>, HostError> {
        let _one_at_a_time = self.starting.lock();
        self.roster.bind(chain.domain)?;
        for cryptlet in self.roster.cryptlets() {
            let running = self.roster.running(cryptlet.id);
            let waits = running.iter().any(Running::waits);
            if !running.is_empty() && !waits {
                let next = Cryptlet { key_epoch: cryptlet.key_epoch + 1, ..cryptlet };
                self.start(next, chain, InstanceState::Pending)?;
            }
        }
        Ok(self.roster.pending())
    }

    /// Has every registered instance that has at most so many blocks left sign its keys for longer. Asked again before that is
    /// confirmed, gives the same, unless its anchor is growing old.
    pub(crate) fn renew(&self, chain: ChainFacts, within_blocks: u64) -> Result<Vec<Registered>, HostError> {
        let _one_at_a_time = self.starting.lock();
        self.roster.bind(chain.domain)?;
        let not_after_block = chain.anchor.block.saturating_add(self.config.key_lifetime_blocks);
        for cryptlet in self.roster.cryptlets() {
            let running = self.roster.running(cryptlet.id);
            for instance in running.iter().filter(|instance| instance.state == InstanceState::Active) {
                let (id, last) = (instance.registered.registration_id, instance.registered.created.notAfterBlock);
                let is_due = last.saturating_sub(chain.anchor.block) <= within_blocks && last < not_after_block;
                let waiting = running.iter().find(|other| other.registered.renews == Some(id));
                let waits = waiting.is_some_and(|waiting| waiting.age_blocks(chain.anchor) <= ANCHOR_REUSE_BLOCKS);
                if !is_due || waits {
                    continue;
                }
                let launched = instance
                    .instance
                    .renew(chain.anchor, not_after_block)
                    .map_err(|fault| launch_error(&cryptlet, fault))?;
                let now = self.clock.unix_seconds();
                let registered =
                    Registered { renews: Some(id), ..self.describe(&cryptlet, &launched, chain.domain, now)? };
                tracing::info!(cryptlet = %cryptlet.id, registration = %id, not_after_block, "renewed an instance");
                if let Some(waiting) = waiting {
                    self.roster.remove(waiting.registered.registration_id);
                }
                let state = InstanceState::Pending;
                self.roster.add(cryptlet.clone(), Running { instance: launched.instance, registered, state })?;
            }
        }
        Ok(self.roster.pending())
    }

    /// Asked again for what was started but never registered, gives the same instance: the transaction may have been lost.
    fn start_or_reuse(&self, cryptlet: Cryptlet, chain: ChainFacts) -> Result<Registered, HostError> {
        let Some(known) = self.roster.cryptlet(cryptlet.id) else {
            return self.start(cryptlet, chain, InstanceState::Presumed);
        };
        let running = self.roster.running(known.id);
        let is_contract = matches!(known.kind, Kind::Contract { .. });
        let is_registered = running.iter().any(|instance| instance.state == InstanceState::Active);
        if (known.package, known.code_digest) != (cryptlet.package, cryptlet.code_digest) {
            // Until it is first called, a contract may change its mind: the transaction that asked before did not make it.
            return if is_contract && !is_registered {
                self.replace(cryptlet, chain, &running)
            } else {
                Err(HostError::NameTaken(cryptlet.id))
            };
        }
        if running.is_empty() {
            let next = Cryptlet { key_epoch: known.key_epoch + 1, ..known };
            return self.start(next, chain, InstanceState::Pending);
        }
        match running.iter().find(|instance| instance.waits()) {
            _ if is_contract && is_registered => Ok(running[0].registered.clone()),
            None => self.start(known, chain, InstanceState::Pending),
            Some(waiting) if waiting.age_blocks(chain.anchor) <= ANCHOR_REUSE_BLOCKS => Ok(waiting.registered.clone()),
            Some(waiting) => self.replace(known, chain, std::slice::from_ref(waiting)),
        }
    }

    /// Starts an instance in place of others that were never registered.
    fn replace(&self, cryptlet: Cryptlet, chain: ChainFacts, old: &[Running]) -> Result<Registered, HostError> {
        let state = old.first().map_or(InstanceState::Pending, |instance| instance.state);
        let fresh = self.start(cryptlet, chain, state)?;
        for instance in old {
            self.roster.remove(instance.registered.registration_id);
        }
        Ok(fresh)
    }

    fn start(&self, cryptlet: Cryptlet, chain: ChainFacts, state: InstanceState) -> Result<Registered, HostError> {
        if self.roster.instances() >= self.config.instances_max {
            return Err(HostError::Full(self.config.instances_max));
        }
        let not_after_block = chain.anchor.block.saturating_add(self.config.key_lifetime_blocks);
        let launched = match cryptlet.kind {
            Kind::Factory { .. } => Factory::launch(
                self.me.clone(),
                &cryptlet,
                chain,
                not_after_block,
                DigestSigner::generate(self.entropy.as_ref()),
            )?,
            Kind::Utility { .. } | Kind::Contract { .. } => {
                let package = self.packages.get(&cryptlet.package.into())?;
                self.launch_code(&cryptlet, &package.guest_code(), chain, not_after_block)?
            }
        };
        let registered = self.describe(&cryptlet, &launched, chain.domain, self.clock.unix_seconds())?;
        let (id, epoch) = (registered.registration_id, cryptlet.key_epoch);
        tracing::info!(cryptlet = %cryptlet.id, name = cryptlet.name, registration = %id, epoch, "started an instance");
        let running = Running { instance: launched.instance, registered: registered.clone(), state };
        self.roster.add(cryptlet, running)?;
        Ok(registered)
    }

    fn launch_code(
        &self,
        cryptlet: &Cryptlet,
        code: &GuestCode,
        chain: ChainFacts,
        not_after_block: u64,
    ) -> Result<Launched, HostError> {
        let birth = Birth {
            domain: chain.domain,
            cryptlet: cryptlet.id,
            manifest_digest: cryptlet.package,
            key_epoch: cryptlet.key_epoch,
            anchor: chain.anchor,
            not_after_block,
        };
        self.launcher.launch(code, &birth).map_err(|fault| launch_error(cryptlet, fault))
    }

    fn describe(
        &self,
        cryptlet: &Cryptlet,
        launched: &Launched,
        domain: FabricDomain,
        now: u64,
    ) -> Result<Registered, HostError> {
        let keys = &launched.keys;
        let registration_id = keys.registration_id();
        let evidence = self.evidence(cryptlet.isolation, launched.measurement, registration_id, domain, now)?;
        let created = CreatedInstance::new(keys, launched.keys_signature, evidence.abi_encode().into(), Bytes::new());
        let (publisher, bound_contract) = match cryptlet.kind {
            Kind::Utility { publisher } | Kind::Factory { publisher } => (publisher, Address::ZERO),
            Kind::Contract { contract } => (Address::ZERO, contract),
        };
        Ok(Registered {
            registration_id,
            created,
            name: cryptlet.name.clone(),
            publisher,
            bound_contract,
            header_digest: cryptlet.header_digest,
            config_digest: cryptlet.config_digest,
            isolation: cryptlet.isolation,
            renews: None,
        })
    }

    /// The software provider's evidence: the host's word, signed, and it says `software`.
    fn evidence(
        &self,
        isolation: u8,
        measurement: Measurement,
        registration: RegistrationId,
        domain: FabricDomain,
        now: u64,
    ) -> Result<SoftwareEvidence, HostError> {
        let statement = SoftwareStatement {
            provider: PROVIDER_SOFTWARE,
            isolation,
            measurement: measurement.0,
            reportData: registration.0,
            host: self.host_key.address(),
            issuedAt: now.saturating_sub(CLOCK_SKEW_SECONDS),
            expires: self.clock.unix_seconds().saturating_add(self.config.evidence_lifetime_seconds),
        };
        let signature = self.host_key.sign(software_statement_digest(&statement, &domain))?;
        Ok(SoftwareEvidence {
            provider: statement.provider,
            isolation: statement.isolation,
            measurement: statement.measurement,
            reportData: statement.reportData,
            host: statement.host,
            issuedAt: statement.issuedAt,
            expires: statement.expires,
            signature: Bytes::copy_from_slice(signature.0.as_slice()),
        })
    }
}

fn launch_error(cryptlet: &Cryptlet, fault: LaunchFault) -> HostError {
    match fault {
        LaunchFault::Code(why) => HostError::package(&cryptlet.name, why),
        LaunchFault::Machine(why) => {
            HostError::Container { cryptlet: format!("{:?} ({})", cryptlet.name, cryptlet.id), why }
        }
    }
}

fn contract_cryptlet(order: &ContractOrder, isolation: u8) -> Cryptlet {
    Cryptlet {
        id: CryptletId::contract(order.contract, order.code_digest),
        kind: Kind::Contract { contract: order.contract },
        name: order.package.name().to_owned(),
        package: order.package.digest(),
        code_digest: order.code_digest,
        header_digest: order.package.header_digest(),
        config_digest: order.package.config_digest(),
        isolation,
        key_epoch: FIRST_EPOCH,
    }
}
