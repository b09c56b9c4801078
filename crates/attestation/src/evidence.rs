//! Evidence → claims (RATS: the Verifier). One driver per provider, one file per driver; each is a pure function of the
//! bytes and of the terms it is given, among them the time.
//!
//! Evidence is `abi.encode` of a structure whose first field is the provider's number, so the second word says which
//! driver reads it.

mod dcap;
mod fault;
pub mod sgx;
pub mod software;
mod tcb;
pub mod tdx;
pub mod tpm;

pub use dcap::encode_collateral;
pub use fault::{EvidenceFault, QuoteFault, TpmFault};
pub use tcb::{TcbStatus, ToleratedTcb};

use alloy_primitives::{B256, U256};
use alloy_sol_types::SolValue;
use cryptlet_primitives::{FabricDomain, RegistrationId, abi::Claims};

/// The provider that says `software` and means it.
pub const PROVIDER_SOFTWARE: u16 = 1;
/// Intel SGX enclaves.
pub const PROVIDER_SGX: u16 = 2;
/// Intel TDX trust domains.
pub const PROVIDER_TDX: u16 = 3;
/// Machines whose boot a TPM 2.0 measured.
pub const PROVIDER_TPM: u16 = 6;

/// Evidence longer than this is not read, in bytes. A TDX quote with its collateral fits twice.
pub const EVIDENCE_BYTES_MAX: usize = 64 * 1024;

/// Isolation that only hardware evidence can claim.
const ISOLATION_ENCLAVE: u8 = 3;
/// Most that anything but an enclave's hardware can claim: a virtual machine (0 none, 1 process, 2 vm, 3 enclave).
const ISOLATION_VM: u8 = 2;

/// Under which circumstances evidence is looked at.
#[derive(Clone, Copy, Debug)]
pub struct AppraisalTerms<'a> {
    /// The chain that the evidence must be for.
    pub domain: &'a FabricDomain,
    /// Unix seconds: the block's timestamp on chain.
    pub now_s: u64,
    /// Platforms that are not up to date, but accepted all the same. On chain the policy says which.
    pub tolerated_tcb: ToleratedTcb,
}

/// Verifies evidence and says what it proves, where nothing but a platform that is up to date will do.
pub fn appraise(
    evidence: &[u8],
    collateral: &[u8],
    domain: &FabricDomain,
    now_s: u64,
) -> Result<Claims, EvidenceFault> {
    let tolerated_tcb = ToleratedTcb::default();
    appraise_under(evidence, collateral, &AppraisalTerms { domain, now_s, tolerated_tcb })
}

/// Verifies evidence and says what it proves. Whom the evidence is about is the caller's to check: see [`require_binding`].
pub fn appraise_under(evidence: &[u8], collateral: &[u8], terms: &AppraisalTerms<'_>) -> Result<Claims, EvidenceFault> {
    let bytes = evidence.len().saturating_add(collateral.len());
    if bytes > EVIDENCE_BYTES_MAX {
        return Err(EvidenceFault::TooLong { bytes, bytes_max: EVIDENCE_BYTES_MAX });
    }
    match provider(evidence)? {
        PROVIDER_SOFTWARE => software::appraise(evidence, collateral, terms.domain, terms.now_s),
        PROVIDER_SGX => sgx::appraise(evidence, collateral, terms),
        PROVIDER_TDX => tdx::appraise(evidence, collateral, terms),
        PROVIDER_TPM => tpm::appraise(evidence, collateral, terms),
        other => Err(EvidenceFault::UnknownProvider(other)),
    }
}

/// Is this evidence about these keys? Evidence that holds, but was made for another instance, is a replay.
pub fn require_binding(claims: &Claims, registration: RegistrationId) -> Result<(), EvidenceFault> {
    if claims.reportData == registration.0 {
        return Ok(());
    }
    Err(EvidenceFault::OtherKeys { found: claims.reportData, expected: registration })
}

/// Number of the provider that evidence says it is of.
pub fn provider(evidence: &[u8]) -> Result<u16, EvidenceFault> {
    let word = |index: usize| evidence.get(32 * index..32 * index + 32).map(B256::from_slice);
    let (Some(offset), Some(number)) = (word(0), word(1)) else {
        return Err(EvidenceFault::Malformed);
    };
    if offset != B256::from(U256::from(32)) {
        return Err(EvidenceFault::Malformed);
    }
    u16::try_from(U256::from_be_bytes(number.0)).map_err(|_| EvidenceFault::Malformed)
}

/// Only the canonical encoding is read: one statement has one form.
fn decode<T: SolValue + From<<T::SolType as alloy_sol_types::SolType>::RustType>>(bytes: &[u8]) -> Option<T> {
    let value = T::abi_decode_validate(bytes).ok()?;
    (value.abi_encode() == bytes).then_some(value)
}
