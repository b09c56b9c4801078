//! The one verifier of records. Admission, block builder, follower, RPC and auditor call the same function with the same
//! plain values, so they cannot disagree.
//!
//! It comes in two steps. [`RecoveredRecord::recover`] does what costs time and needs no state (hashes and the signer),
//! once per record, in parallel if the caller wants; [`verify_record`] compares the result with the registry and costs
//! nothing, so a transaction may be run again without paying for signatures again.

use crate::{
    registry::{AcceptedVersions, CryptletEntry, CryptletStatus, InstanceEntry, InstanceStatus, PolicyEntry},
    signature::{SignatureFault, digest_of, recover},
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::SolStruct;
use cryptlet_primitives::{
    CodeDigest, CryptletId, CryptletResult, FabricDomain, FabricLimits, FabricVersion, Record, RegistrationId,
    ResultStatus, UnavailableReason,
};

/// Oldest block that an anchor may name, counted back from the block that includes the call (EIP-2: `BLOCKHASH`).
pub const ANCHOR_DEPTH_MAX: u64 = 256;

/// A record whose hashes are computed and whose signer is recovered in the live domain. Built in one way only, so
/// whoever holds it need not ask whether that has been done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredRecord {
    record: Record,
    request_hash: B256,
    result_hash: B256,
    output_hash: B256,
    signer: Result<Address, SignatureFault>,
}

impl RecoveredRecord {
    /// Computes the hashes and recovers the signer. Judges nothing: [`verify_record`] does.
    pub fn recover(record: Record, domain: &FabricDomain) -> Self {
        let result_hash = record.result.eip712_hash_struct();
        let signer = if record.signature.is_none() {
            Err(SignatureFault::Absent)
        } else {
            recover(digest_of(domain.live().separator(), result_hash), &record.signature)
        };
        Self {
            request_hash: record.request.eip712_hash_struct(),
            output_hash: keccak256(&record.output),
            record,
            result_hash,
            signer,
        }
    }

    /// The record itself.
    pub const fn record(&self) -> &Record {
        &self.record
    }

    /// Gives the record back.
    pub fn into_record(self) -> Record {
        self.record
    }

    /// EIP-712 struct hash of the request.
    pub const fn request_hash(&self) -> B256 {
        self.request_hash
    }

    /// EIP-712 struct hash of the result.
    pub const fn result_hash(&self) -> B256 {
        self.result_hash
    }

    /// Who signed the result in the live domain.
    pub const fn signer(&self) -> Result<Address, SignatureFault> {
        self.signer
    }
}

/// What the verifier must know of the block that includes a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockFacts {
    /// Number of that block.
    pub number: u64,
    /// Hash of its ancestor at the height that the record's request names as anchor; `None` if that is not in reach.
    pub canonical_anchor: Option<B256>,
}

/// Why a record may not be part of a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum RecordFault {
    #[error("the result answers request {found}, but the record's request hashes to {expected}")]
    RequestHash { expected: B256, found: B256 },
    #[error("the output hashes to {expected}, but the result signs {found}")]
    OutputHash { expected: B256, found: B256 },
    #[error("the record calls cryptlet {found}, but the registry entry is of {expected}")]
    Cryptlet { expected: CryptletId, found: CryptletId },
    #[error("cryptlet {cryptlet} is {status:?}")]
    CryptletInactive { cryptlet: CryptletId, status: CryptletStatus },
    #[error("the record asks for code {found}, but the registry has {expected}")]
    RequestCode { expected: CodeDigest, found: CodeDigest },
    #[error("the request names policy version {found}; the parent state has version {expected}")]
    PolicyVersion { expected: u32, found: u32 },
    #[error("the anchor, block {anchor}, is not one of the 256 blocks before block {block}")]
    AnchorOutOfReach { anchor: u64, block: u64 },
    #[error("the anchor, block {anchor}, has hash {found} in the record, but {expected} on this chain")]
    AnchorHash { anchor: u64, expected: B256, found: B256 },
    #[error("status {0} is not a status of a result")]
    UnknownStatus(u8),
    #[error("the signature is refused: {0}")]
    Signature(SignatureFault),
    #[error("the result was signed by {found}; instance {instance} signs as {expected}")]
    WrongSigner { instance: RegistrationId, expected: Address, found: Address },
    #[error("cryptlet {0} is not registered")]
    UnknownCryptlet(CryptletId),
    #[error("instance {0} is not registered")]
    UnknownInstance(RegistrationId),
    #[error("instance {0} waits to be activated")]
    InstancePending(RegistrationId),
    #[error("instance {instance} is {status:?}")]
    InstanceInactive { instance: RegistrationId, status: InstanceStatus },
    #[error("instance {instance} runs cryptlet {found}, not {expected}")]
    InstanceOfOther { instance: RegistrationId, expected: CryptletId, found: CryptletId },
    #[error("instance {instance} runs code {found}, not {expected}")]
    InstanceCode { instance: RegistrationId, expected: CodeDigest, found: CodeDigest },
    #[error("the keys of instance {instance} hold until block {not_after_block}; this is block {block}")]
    InstanceExpired { instance: RegistrationId, not_after_block: u64, block: u64 },
    #[error("the result names key epoch {found}; the registry has {expected}")]
    KeyEpoch { expected: u64, found: u64 },
    #[error("keys of epoch {found} were rotated out; they held until block {until}, and this is block {block}")]
    GraceOver { found: u64, until: u64, block: u64 },
    #[error("instance {instance} was attested by provider {provider}, which the policy does not accept")]
    ProviderNotAccepted { instance: RegistrationId, provider: u16 },
    #[error("instance {instance} runs measurement {measurement}, which the policy does not accept")]
    MeasurementNotAccepted { instance: RegistrationId, measurement: B256 },
    #[error("instance {instance} was vouched for by {endorser}, whom the policy does not accept")]
    EndorserNotAccepted { instance: RegistrationId, endorser: Address },
    #[error(
        "instance {instance} runs in version {version} of the fabric; of this kind of container the policy accepts {accepted}"
    )]
    VersionNotAccepted { instance: RegistrationId, version: FabricVersion, accepted: AcceptedVersions },
    #[error("instance {instance} was attested with isolation {isolation}; {needed} is needed")]
    IsolationTooWeak { instance: RegistrationId, isolation: u8, needed: u8 },
    #[error("the result holds from block {not_before} to block {expires}; this is block {block}")]
    OutsideWindow { not_before: u64, expires: u64, block: u64 },
    #[error("the result claims {units} compute units; the call paid for {units_max}")]
    TooManyUnits { units: u64, units_max: u64 },
    #[error("the output has {bytes} bytes; the call paid for {bytes_max}")]
    OutputTooLong { bytes: usize, bytes_max: u32 },
    #[error("an `Unavailable` record must be unsigned and blank but for its reason; {0} is not")]
    UnavailableNotBlank(&'static str),
    #[error("`{0:?}` is not the one-byte reason of an `Unavailable` record")]
    UnavailableReason(Bytes),
    #[error("the call has waited {waited} blocks since its anchor; `Unavailable` needs {needed}")]
    UnavailableTooEarly { waited: u64, needed: u32 },
}

impl RecordFault {
    /// What a contract is told if a host keeps giving answers with this fault until the call's time is over.
    pub const fn reason(&self) -> UnavailableReason {
        match self {
            Self::RequestHash { .. }
            | Self::Cryptlet { .. }
            | Self::RequestCode { .. }
            | Self::PolicyVersion { .. }
            | Self::AnchorOutOfReach { .. }
            | Self::AnchorHash { .. } => UnavailableReason::WrongRequest,
            Self::OutputHash { .. }
            | Self::UnknownStatus(_)
            | Self::UnavailableNotBlank(_)
            | Self::UnavailableReason(_)
            | Self::UnavailableTooEarly { .. } => UnavailableReason::Malformed,
            Self::Signature(_)
            | Self::WrongSigner { .. }
            | Self::UnknownInstance(_)
            | Self::InstanceInactive { .. }
            | Self::InstanceOfOther { .. }
            | Self::InstanceCode { .. }
            | Self::KeyEpoch { .. }
            | Self::ProviderNotAccepted { .. }
            | Self::MeasurementNotAccepted { .. }
            | Self::EndorserNotAccepted { .. }
            | Self::VersionNotAccepted { .. }
            | Self::InstancePending(_)
            | Self::IsolationTooWeak { .. } => UnavailableReason::BadSignature,
            Self::OutsideWindow { .. } | Self::InstanceExpired { .. } | Self::GraceOver { .. } => {
                UnavailableReason::Expired
            }
            Self::TooManyUnits { .. } | Self::OutputTooLong { .. } => UnavailableReason::OverLimit,
            Self::CryptletInactive { .. } | Self::UnknownCryptlet(_) => UnavailableReason::Refused,
        }
    }
}

/// May this record be part of the block? `cryptlet`, `instance` (`None` if the registry has none under the record's
/// registration id) and `policy` are what the parent block's state says.
pub fn verify_record(
    record: &RecoveredRecord,
    cryptlet: &CryptletEntry,
    instance: Option<&InstanceEntry>,
    policy: &PolicyEntry,
    block: &BlockFacts,
    limits: &FabricLimits,
) -> Result<(), RecordFault> {
    verify_request(record, cryptlet, policy, block)?;
    let status = record.record.result.status;
    match ResultStatus::try_from(status).map_err(RecordFault::UnknownStatus)? {
        ResultStatus::Ok | ResultStatus::Error => {
            verify_bounds(record, cryptlet, limits)?;
            verify_signed(record, cryptlet, instance, policy, block.number)
        }
        ResultStatus::Unavailable => verify_unavailable(record, block, limits),
    }
}

/// Is the result signed by a registered, accepted instance of the cryptlet, and does it hold in this block? This is the
/// part of [`verify_record`] that does not depend on when the call was made: what an envelope must pass that a contract
/// presents later.
pub fn verify_signed(
    record: &RecoveredRecord,
    cryptlet: &CryptletEntry,
    instance: Option<&InstanceEntry>,
    policy: &PolicyEntry,
    block_number: u64,
) -> Result<(), RecordFault> {
    let result = &record.record.result;
    verify_content(record)?;
    verify_cryptlet(record, cryptlet)?;
    let id = RegistrationId(result.registrationId);
    let instance = instance.filter(|entry| entry.id == id).ok_or(RecordFault::UnknownInstance(id))?;
    let signer = record.signer.map_err(RecordFault::Signature)?;
    if signer != instance.signer {
        return Err(RecordFault::WrongSigner { instance: id, expected: instance.signer, found: signer });
    }
    verify_instance(instance, cryptlet, policy, block_number)?;
    if result.keyEpoch != instance.key_epoch {
        return Err(RecordFault::KeyEpoch { expected: instance.key_epoch, found: result.keyEpoch });
    }
    if !(result.notBefore..=result.expires).contains(&block_number) {
        let (not_before, expires) = (result.notBefore, result.expires);
        return Err(RecordFault::OutsideWindow { not_before, expires, block: block_number });
    }
    Ok(())
}

/// May this instance answer for the cryptlet in this block?
pub fn verify_instance(
    instance: &InstanceEntry,
    cryptlet: &CryptletEntry,
    policy: &PolicyEntry,
    block_number: u64,
) -> Result<(), RecordFault> {
    let id = instance.id;
    match instance.status {
        InstanceStatus::Active | InstanceStatus::Renewed => {}
        InstanceStatus::Pending => return Err(RecordFault::InstancePending(id)),
        status => return Err(RecordFault::InstanceInactive { instance: id, status }),
    }
    if instance.cryptlet != cryptlet.id {
        return Err(RecordFault::InstanceOfOther { instance: id, expected: cryptlet.id, found: instance.cryptlet });
    }
    if instance.code_digest != cryptlet.code_digest {
        let (expected, found) = (cryptlet.code_digest, instance.code_digest);
        return Err(RecordFault::InstanceCode { instance: id, expected, found });
    }
    if !cryptlet.is_epoch_in_force(instance.key_epoch, block_number) {
        if instance.key_epoch == cryptlet.previous_epoch {
            let (found, until) = (instance.key_epoch, cryptlet.previous_epoch_until);
            return Err(RecordFault::GraceOver { found, until, block: block_number });
        }
        return Err(RecordFault::KeyEpoch { expected: cryptlet.key_epoch, found: instance.key_epoch });
    }
    if instance.not_after_block < block_number {
        let not_after_block = instance.not_after_block;
        return Err(RecordFault::InstanceExpired { instance: id, not_after_block, block: block_number });
    }
    if !policy.accepts(instance.provider) {
        return Err(RecordFault::ProviderNotAccepted { instance: id, provider: instance.provider });
    }
    if !policy.accepts_measurement(instance) {
        return Err(RecordFault::MeasurementNotAccepted { instance: id, measurement: instance.measurement });
    }
    if !policy.accepts_endorser(instance) {
        let endorser = instance.endorser.unwrap_or_default();
        return Err(RecordFault::EndorserNotAccepted { instance: id, endorser });
    }
    if !instance.accepted_versions.accepts(instance.version) {
        let (version, accepted) = (instance.version, instance.accepted_versions);
        return Err(RecordFault::VersionNotAccepted { instance: id, version, accepted });
    }
    let needed = cryptlet.isolation.max(policy.minimum_isolation);
    if instance.isolation < needed {
        return Err(RecordFault::IsolationTooWeak { instance: id, isolation: instance.isolation, needed });
    }
    Ok(())
}

fn verify_content(record: &RecoveredRecord) -> Result<(), RecordFault> {
    let result = &record.record.result;
    if result.requestHash != record.request_hash {
        return Err(RecordFault::RequestHash { expected: record.request_hash, found: result.requestHash });
    }
    if result.outputHash != record.output_hash {
        return Err(RecordFault::OutputHash { expected: record.output_hash, found: result.outputHash });
    }
    Ok(())
}

fn verify_cryptlet(record: &RecoveredRecord, cryptlet: &CryptletEntry) -> Result<(), RecordFault> {
    let request = &record.record.request;
    if request.cryptletId != cryptlet.id.0 {
        return Err(RecordFault::Cryptlet { expected: cryptlet.id, found: CryptletId(request.cryptletId) });
    }
    if cryptlet.status != CryptletStatus::Active {
        return Err(RecordFault::CryptletInactive { cryptlet: cryptlet.id, status: cryptlet.status });
    }
    if request.codeDigest != cryptlet.code_digest.0 {
        let found = CodeDigest(request.codeDigest);
        return Err(RecordFault::RequestCode { expected: cryptlet.code_digest, found });
    }
    Ok(())
}

fn verify_request(
    record: &RecoveredRecord,
    cryptlet: &CryptletEntry,
    policy: &PolicyEntry,
    block: &BlockFacts,
) -> Result<(), RecordFault> {
    let request = &record.record.request;
    verify_content(record)?;
    verify_cryptlet(record, cryptlet)?;
    if request.policyVersion != policy.version {
        return Err(RecordFault::PolicyVersion { expected: policy.version, found: request.policyVersion });
    }
    let anchor = request.anchorBlock;
    let age = block.number.checked_sub(anchor).filter(|age| (1..=ANCHOR_DEPTH_MAX).contains(age));
    let (Some(_), Some(expected)) = (age, block.canonical_anchor) else {
        return Err(RecordFault::AnchorOutOfReach { anchor, block: block.number });
    };
    if request.anchorHash != expected {
        return Err(RecordFault::AnchorHash { anchor, expected, found: request.anchorHash });
    }
    Ok(())
}

fn verify_bounds(record: &RecoveredRecord, cryptlet: &CryptletEntry, limits: &FabricLimits) -> Result<(), RecordFault> {
    let units_max = cryptlet.units_max.min(limits.units_per_call_max);
    let bytes_max = cryptlet.output_bytes_max.min(limits.output_bytes_max);
    let (units, bytes) = (record.record.result.units, record.record.output.len());
    if units > units_max {
        return Err(RecordFault::TooManyUnits { units, units_max });
    }
    if bytes > bytes_max as usize {
        return Err(RecordFault::OutputTooLong { bytes, bytes_max });
    }
    Ok(())
}

/// No one signs an `Unavailable` record, so it must have one form only.
fn verify_unavailable(record: &RecoveredRecord, block: &BlockFacts, limits: &FabricLimits) -> Result<(), RecordFault> {
    let Record { request, result, output, signature } = &record.record;
    let blank = CryptletResult {
        requestHash: result.requestHash,
        outputHash: result.outputHash,
        status: ResultStatus::Unavailable as u8,
        registrationId: B256::ZERO,
        keyEpoch: 0,
        units: 0,
        observedAt: 0,
        notBefore: 0,
        expires: 0,
    };
    if *result != blank {
        return Err(RecordFault::UnavailableNotBlank("its result"));
    }
    if !signature.is_none() {
        return Err(RecordFault::UnavailableNotBlank("its signature"));
    }
    if unavailable_reason(output).is_none() {
        return Err(RecordFault::UnavailableReason(output.clone()));
    }
    let waited = block.number.saturating_sub(request.anchorBlock);
    if waited < u64::from(limits.unavailable_after_blocks) {
        return Err(RecordFault::UnavailableTooEarly { waited, needed: limits.unavailable_after_blocks });
    }
    Ok(())
}

/// The reason that the output of an `Unavailable` record states.
pub fn unavailable_reason(output: &[u8]) -> Option<UnavailableReason> {
    match output {
        [reason] => UnavailableReason::try_from(*reason).ok(),
        _ => None,
    }
}
