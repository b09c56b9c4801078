//! The messages of `proto/fabric.proto`, and the way from them to the words of the fabric and back.

#[allow(missing_docs, unreachable_pub, clippy::all)]
pub(crate) mod proto {
    tonic::include_proto!("cryptlet.fabric.v1");
}

use crate::{
    error::HostError,
    launch::Anchor,
    registration::{ChainFacts, Registered},
};
use alloy_primitives::{Address, B256, Bytes, FixedBytes};
use alloy_sol_types::SolValue;
use cryptlet_primitives::{
    CryptletRequest, CryptletResult, FabricAnswer, FabricDomain, FabricFault, Invocation, InvocationMode,
    RegistrationId, Signature65, UnavailableReason, abi::CreatedInstance,
};
use proto::invoke_response::Outcome;

/// A message that does not say what it should. Names the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct WireError {
    /// The field, as the proto file calls it.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}

type Wire<T> = Result<T, WireError>;

fn wrong<T>(field: &'static str, why: impl Into<String>) -> Wire<T> {
    Err(WireError { field, why: why.into() })
}

fn fixed<const N: usize>(field: &'static str, bytes: &[u8]) -> Wire<FixedBytes<N>> {
    match FixedBytes::try_from(bytes) {
        Ok(fixed) => Ok(fixed),
        Err(_) => wrong(field, format!("has {} bytes; it must have {N}", bytes.len())),
    }
}

pub(crate) fn word(field: &'static str, bytes: &[u8]) -> Wire<B256> {
    fixed(field, bytes)
}

pub(crate) fn address(field: &'static str, bytes: &[u8]) -> Wire<Address> {
    fixed(field, bytes).map(Address)
}

fn there<T>(field: &'static str, value: Option<T>) -> Wire<T> {
    value.map_or_else(|| wrong(field, "is missing"), Ok)
}

pub(crate) fn raw(word: impl AsRef<[u8]>) -> prost::bytes::Bytes {
    prost::bytes::Bytes::copy_from_slice(word.as_ref())
}

impl From<&Invocation> for proto::InvokeRequest {
    fn from(invocation: &Invocation) -> Self {
        let request = &invocation.request;
        Self {
            request: Some(proto::CryptletRequest {
                key: raw(request.key),
                cryptlet_id: raw(request.cryptletId),
                caller: raw(request.caller),
                code_digest: raw(request.codeDigest),
                input_hash: raw(request.inputHash),
                anchor_block: request.anchorBlock,
                anchor_hash: raw(request.anchorHash),
                policy_version: request.policyVersion,
            }),
            input: invocation.input.0.clone(),
            sequence: invocation.sequence,
            is_static: invocation.is_static,
            units_max: invocation.units_max,
            output_bytes_max: invocation.output_bytes_max,
            mode: match invocation.mode {
                InvocationMode::Live => proto::Mode::Live,
                InvocationMode::DryRun => proto::Mode::DryRun,
            }
            .into(),
        }
    }
}

impl TryFrom<proto::InvokeRequest> for Invocation {
    type Error = WireError;

    fn try_from(message: proto::InvokeRequest) -> Wire<Self> {
        let mode = match message.mode() {
            proto::Mode::Live => InvocationMode::Live,
            proto::Mode::DryRun => InvocationMode::DryRun,
            proto::Mode::Unspecified => return wrong("mode", format!("{} is neither live nor dry run", message.mode)),
        };
        let request = there("request", message.request)?;
        Ok(Self {
            request: CryptletRequest {
                key: word("request.key", &request.key)?,
                cryptletId: word("request.cryptlet_id", &request.cryptlet_id)?,
                caller: address("request.caller", &request.caller)?,
                codeDigest: word("request.code_digest", &request.code_digest)?,
                inputHash: word("request.input_hash", &request.input_hash)?,
                anchorBlock: request.anchor_block,
                anchorHash: word("request.anchor_hash", &request.anchor_hash)?,
                policyVersion: request.policy_version,
            },
            input: Bytes(message.input),
            sequence: message.sequence,
            is_static: message.is_static,
            units_max: message.units_max,
            output_bytes_max: message.output_bytes_max,
            mode,
        })
    }
}

impl From<Result<FabricAnswer, FabricFault>> for proto::InvokeResponse {
    fn from(reply: Result<FabricAnswer, FabricFault>) -> Self {
        let outcome = match reply {
            Ok(answer) => Outcome::Answer(proto::Answer {
                result: Some((&answer.result).into()),
                output: answer.output.0,
                signature: raw(answer.signature.0),
            }),
            Err(fault) => Outcome::Fault(proto::Fault { reason: u32::from(fault.reason as u8), detail: fault.detail }),
        };
        Self { outcome: Some(outcome) }
    }
}

impl From<&CryptletResult> for proto::CryptletResult {
    fn from(result: &CryptletResult) -> Self {
        Self {
            request_hash: raw(result.requestHash),
            registration_id: raw(result.registrationId),
            key_epoch: result.keyEpoch,
            status: u32::from(result.status),
            output_hash: raw(result.outputHash),
            units: result.units,
            observed_at: result.observedAt,
            not_before: result.notBefore,
            expires: result.expires,
        }
    }
}

impl TryFrom<proto::Answer> for FabricAnswer {
    type Error = WireError;

    fn try_from(answer: proto::Answer) -> Wire<Self> {
        let result = there("result", answer.result)?;
        let Ok(status) = u8::try_from(result.status) else {
            return wrong("result.status", format!("{} is not a status", result.status));
        };
        Ok(Self {
            result: CryptletResult {
                requestHash: word("result.request_hash", &result.request_hash)?,
                registrationId: word("result.registration_id", &result.registration_id)?,
                keyEpoch: result.key_epoch,
                status,
                outputHash: word("result.output_hash", &result.output_hash)?,
                units: result.units,
                observedAt: result.observed_at,
                notBefore: result.not_before,
                expires: result.expires,
            },
            output: Bytes(answer.output),
            signature: Signature65(fixed("signature", &answer.signature)?),
        })
    }
}

/// The fault in a response; what makes no sense is a fault of its own.
pub(crate) fn fault(message: proto::Fault) -> FabricFault {
    let reason = u8::try_from(message.reason).ok().and_then(|number| UnavailableReason::try_from(number).ok());
    match reason {
        Some(reason) => FabricFault::new(reason, message.detail),
        None => FabricFault::new(
            UnavailableReason::Malformed,
            format!("the host gave reason {}, which is none: {}", message.reason, message.detail),
        ),
    }
}

pub(crate) fn domain_message(domain: FabricDomain) -> proto::Domain {
    proto::Domain { chain_id: domain.chain_id, genesis_hash: raw(domain.genesis_hash) }
}

pub(crate) fn domain(message: proto::Domain) -> Wire<FabricDomain> {
    let genesis_hash = word("domain.genesis_hash", &message.genesis_hash)?;
    Ok(FabricDomain { chain_id: message.chain_id, genesis_hash })
}

pub(crate) fn anchor_message(anchor: Anchor) -> proto::Anchor {
    proto::Anchor { block: anchor.block, hash: raw(anchor.hash) }
}

pub(crate) fn chain_facts(domain: Option<proto::Domain>, anchor: Option<proto::Anchor>) -> Wire<ChainFacts> {
    let (domain_message, anchor) = (there("domain", domain)?, there("anchor", anchor)?);
    Ok(ChainFacts {
        domain: self::domain(domain_message)?,
        anchor: Anchor { block: anchor.block, hash: word("anchor.hash", &anchor.hash)? },
    })
}

impl From<&Registered> for proto::Registered {
    fn from(registered: &Registered) -> Self {
        Self {
            registration_id: raw(registered.registration_id.0),
            created_instance: registered.created.abi_encode().into(),
            name: registered.name.clone(),
            publisher: raw(registered.publisher),
            bound_contract: raw(registered.bound_contract),
            header_digest: raw(registered.header_digest),
            config_digest: raw(registered.config_digest),
            isolation: u32::from(registered.isolation),
            renews: registered.renews.map(|renews| raw(renews.0)).unwrap_or_default(),
        }
    }
}

impl TryFrom<proto::Registered> for Registered {
    type Error = WireError;

    fn try_from(message: proto::Registered) -> Wire<Self> {
        let created = CreatedInstance::abi_decode_validate(&message.created_instance);
        let Ok(created) = created else { return wrong("created_instance", "is not abi.encode(CreatedInstance)") };
        let Ok(isolation) = u8::try_from(message.isolation) else {
            return wrong("isolation", format!("{} is none", message.isolation));
        };
        let renews = match message.renews.is_empty() {
            true => None,
            false => Some(RegistrationId(word("renews", &message.renews)?)),
        };
        Ok(Self {
            renews,
            registration_id: RegistrationId(word("registration_id", &message.registration_id)?),
            created,
            name: message.name,
            publisher: address("publisher", &message.publisher)?,
            bound_contract: address("bound_contract", &message.bound_contract)?,
            header_digest: word("header_digest", &message.header_digest)?,
            config_digest: word("config_digest", &message.config_digest)?,
            isolation,
        })
    }
}

impl From<WireError> for tonic::Status {
    fn from(error: WireError) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

impl From<WireError> for HostError {
    fn from(error: WireError) -> Self {
        Self::Refused(format!("its answer makes no sense: {error}"))
    }
}
