//! The papers' Cryptlet Factory: the host's own utility cryptlet, which creates Contract Cryptlets for contracts.
//!
//! Its input is `abi.encode(CreateConfig)`, its output `abi.encode(CreatedInstance)`, signed like any other result with a key
//! of its own, which is registered like any other. Its container is this process, and its evidence says so: isolation none.
//! What cannot be granted (a malformed configuration, an isolation this host does not have, a package it does not know, code
//! the engine refuses) is a signed result of status `Error`, whose output is revert data, `Error(string)`.

use crate::{
    error::HostError,
    identity::DigestSigner,
    launch::{Anchor, Instance, LaunchFault, Launched, Validity},
    package::Package,
    registration::{ChainFacts, ContractOrder, Registered, Registrar},
    roster::{Cryptlet, Kind},
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::{Revert, SolError, SolValue};
use cryptlet_attestation::signature::{dry_run_result_digest, keys_digest, result_digest};
use cryptlet_primitives::{
    CodeDigest, ContainerKind, CryptletId, CryptletResult, FabricAnswer, FabricDomain, FabricFault, FabricVersion,
    InstanceKeys, Invocation, InvocationMode, Measurement, ResultStatus, UnavailableReason, abi::CreateConfig,
};
use std::sync::{Arc, Weak};

/// Name of the factory, from which its id is made.
pub const FACTORY_NAME: &str = "cryptlet-factory";
/// Compute units of every call of the factory.
pub const FACTORY_UNITS: u64 = 1_000;
/// Longest output of the factory, in bytes.
pub const FACTORY_OUTPUT_BYTES_MAX: u32 = 8 * 1024;

/// What the factory's code is; changes when its behaviour does.
const FACTORY_CODE: &str = "cryptlet/factory/v1";
/// Longest reason in a refusal, in bytes.
const REASON_BYTES_MAX: usize = 512;

/// Identity of the factory's code. It is part of the host, so no engine runs it.
pub fn factory_code_digest() -> CodeDigest {
    CodeDigest(keccak256(FACTORY_CODE))
}

/// The factory, alive.
#[derive(Debug)]
pub(crate) struct Factory {
    registrar: Weak<Registrar>,
    domain: FabricDomain,
    keys: InstanceKeys,
    signer: DigestSigner,
}

/// The factory as an entry of the list.
pub(crate) fn cryptlet(publisher: Address) -> Cryptlet {
    let digest = |what: &str| keccak256(format!("{FACTORY_CODE}/{what}"));
    Cryptlet {
        id: CryptletId::utility(publisher, FACTORY_NAME),
        kind: Kind::Factory { publisher },
        name: FACTORY_NAME.to_owned(),
        package: digest("package"),
        code_digest: factory_code_digest(),
        header_digest: digest("header"),
        config_digest: digest("config"),
        isolation: 0,
        key_epoch: 1,
    }
}

impl Factory {
    pub(crate) fn launch(
        registrar: Weak<Registrar>,
        cryptlet: &Cryptlet,
        chain: ChainFacts,
        not_after_block: u64,
        signer: DigestSigner,
    ) -> Result<Launched, HostError> {
        let keys = InstanceKeys {
            cryptletId: cryptlet.id.0,
            codeDigest: cryptlet.code_digest.0,
            manifestDigest: cryptlet.package,
            signer: signer.address(),
            hpkeKey: B256::ZERO,
            keyEpoch: cryptlet.key_epoch,
            anchorBlock: chain.anchor.block,
            anchorHash: chain.anchor.hash,
            notAfterBlock: not_after_block,
            container: ContainerKind::Host as u8,
            version: FabricVersion::CURRENT.0,
        };
        Self { registrar, domain: chain.domain, keys, signer }.launched()
    }

    /// Signs its keys as they are now.
    fn launched(self) -> Result<Launched, HostError> {
        let keys = self.keys;
        let keys_signature = self.signer.sign(keys_digest(&keys, &self.domain))?;
        let measurement = Measurement(keys.codeDigest);
        Ok(Launched { instance: Arc::new(self), keys, keys_signature, measurement })
    }

    /// The output, and how it ended.
    fn answer(&self, invocation: &Invocation) -> Result<(ResultStatus, Bytes), FabricFault> {
        let registrar = self
            .registrar
            .upgrade()
            .ok_or_else(|| FabricFault::new(UnavailableReason::HostUnreachable, "the host is shutting down"))?;
        match self.create(&registrar, invocation) {
            Ok(registered) => Ok((ResultStatus::Ok, registered.created.abi_encode().into())),
            Err(Refusal::Signed(why)) => Ok((ResultStatus::Error, revert_data(&why))),
            Err(Refusal::Machine(error)) => {
                let reason = match error {
                    HostError::Full(_) => UnavailableReason::Overloaded,
                    _ => UnavailableReason::HostUnreachable,
                };
                Err(FabricFault::new(reason, format!("the factory could not create the cryptlet: {error}")))
            }
        }
    }

    fn create(&self, registrar: &Registrar, invocation: &Invocation) -> Result<Registered, Refusal> {
        let order = order(registrar, invocation)?;
        let anchor = Anchor { block: invocation.request.anchorBlock, hash: invocation.request.anchorHash };
        let chain = ChainFacts { domain: self.domain, anchor };
        Ok(match invocation.mode {
            InvocationMode::Live => registrar.create(&order, chain)?,
            InvocationMode::DryRun => registrar.rehearse(&order, chain)?,
        })
    }
}

impl Instance for Factory {
    fn call(&self, invocation: &Invocation, observed_at: u64, validity: Validity) -> Result<FabricAnswer, FabricFault> {
        let (status, output) = if invocation.units_max < FACTORY_UNITS {
            (ResultStatus::Error, revert_data(&format!("creating a cryptlet takes {FACTORY_UNITS} compute units")))
        } else {
            self.answer(invocation)?
        };
        let (status, output) = fit(status, output, invocation.output_bytes_max);
        let result = CryptletResult {
            requestHash: invocation.request_hash(),
            registrationId: self.keys.registration_id().0,
            keyEpoch: self.keys.keyEpoch,
            status: status as u8,
            outputHash: keccak256(&output),
            units: FACTORY_UNITS.min(invocation.units_max),
            observedAt: observed_at,
            notBefore: validity.not_before,
            expires: validity.expires,
        };
        let digest = match invocation.mode {
            InvocationMode::Live => result_digest(&result, &self.domain),
            InvocationMode::DryRun => dry_run_result_digest(&result, &self.domain),
        };
        let signature = self.signer.sign(digest).map_err(|error| {
            FabricFault::new(UnavailableReason::HostUnreachable, format!("the factory could not sign: {error}"))
        })?;
        Ok(FabricAnswer { result, output, signature })
    }

    fn renew(&self, anchor: Anchor, not_after_block: u64) -> Result<Launched, LaunchFault> {
        let keys = InstanceKeys {
            anchorBlock: anchor.block,
            anchorHash: anchor.hash,
            notAfterBlock: not_after_block,
            ..self.keys
        };
        let renewed =
            Self { keys, registrar: self.registrar.clone(), domain: self.domain, signer: self.signer.clone() };
        renewed.launched().map_err(|error| LaunchFault::Machine(error.to_string()))
    }
}

/// Why nothing was created.
enum Refusal {
    /// It would be refused every time: said in a signed result.
    Signed(String),
    /// It may work another time.
    Machine(HostError),
}

impl From<HostError> for Refusal {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Package { .. } | HostError::NoPackage(_) | HostError::NameTaken(_) => {
                Self::Signed(error.to_string())
            }
            other => Self::Machine(other),
        }
    }
}

/// What the contract asks for, checked against what this host gives.
fn order(registrar: &Registrar, invocation: &Invocation) -> Result<ContractOrder, Refusal> {
    let refuse = |why: String| Err(Refusal::Signed(why));
    let Ok(config) = CreateConfig::abi_decode_validate(&invocation.input) else {
        return refuse("the configuration is not abi.encode(CreateConfig)".to_owned());
    };
    let limits = &registrar.config;
    if config.minimumInstances == 0 || config.minimumInstances > config.maximumInstances {
        let (minimum, maximum) = (config.minimumInstances, config.maximumInstances);
        return refuse(format!(
            "minimumInstances is {minimum} and maximumInstances {maximum}; 1 <= minimum <= maximum is needed"
        ));
    }
    if config.minimumInstances > limits.instances_per_contract_max {
        let (asked, most) = (config.minimumInstances, limits.instances_per_contract_max);
        return refuse(format!(
            "minimumInstances is {asked}; this host starts at most {most} of a contract's cryptlet"
        ));
    }
    let (given, asked) = (registrar.launcher.isolation(), config.isolation.max(limits.isolation_min));
    if asked > given {
        return refuse(format!(
            "isolation {asked} is asked for; this host gives {given} (0 none, 1 process, 2 vm, 3 enclave)"
        ));
    }
    let package = match (config.packageDigest, config.code.is_empty()) {
        (B256::ZERO, false) => Package::inline(config.code, &config.configJson)?,
        (B256::ZERO, true) => return refuse("neither packageDigest nor code is given".to_owned()),
        (_, false) => return refuse("both packageDigest and code are given; one is needed".to_owned()),
        (digest, true) => registrar.packages.get(&digest.into())?,
    };
    if package.config().isolation && given == 0 {
        return refuse("the package's config asks for isolation; this host has none".to_owned());
    }
    let code_digest = registrar.launcher.code_digest(&package.guest_code());
    Ok(ContractOrder {
        contract: invocation.request.caller,
        package,
        code_digest,
        instances_min: config.minimumInstances,
    })
}

fn revert_data(why: &str) -> Bytes {
    let mut end = why.len().min(REASON_BYTES_MAX);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    Revert::from(&why[..end]).abi_encode().into()
}

/// What is longer than was paid for becomes a refusal that fits.
fn fit(status: ResultStatus, output: Bytes, output_bytes_max: u32) -> (ResultStatus, Bytes) {
    let room = output_bytes_max as usize;
    if output.len() <= room {
        return (status, output);
    }
    let short = revert_data(&format!("{} bytes of output were paid for", room));
    (ResultStatus::Error, if short.len() <= room { short } else { Bytes::new() })
}
