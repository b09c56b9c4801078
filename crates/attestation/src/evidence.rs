//! Evidence → claims (RATS: the Verifier). One driver per provider, one file per driver; each is a pure function of the
//! bytes and of the time it is given.
//!
//! Evidence is `abi.encode` of a structure whose first field is the provider's number, so the second word says which
//! driver reads it.

pub mod software;

use crate::signature::SignatureFault;
use alloy_primitives::{Address, B256, U256};
use cryptlet_primitives::{FabricDomain, abi::Claims};

/// The provider that says `software` and means it.
pub const PROVIDER_SOFTWARE: u16 = 1;

/// Evidence longer than this is not read, in bytes. A TDX quote with its collateral fits four times.
pub const EVIDENCE_BYTES_MAX: usize = 64 * 1024;

/// Why evidence was not accepted. The text reaches contracts in `CryptletError(13, abi.encode(string))`, so it is consensus.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceFault {
    /// Too much to read.
    #[error("evidence and collateral take {bytes} bytes; at most {bytes_max} are read")]
    TooLong {
        /// Bytes given.
        bytes: usize,
        /// Bytes that are read.
        bytes_max: usize,
    },
    /// Not `abi.encode` of a structure that starts with a provider number, or not the canonical encoding of it.
    #[error("evidence is not the canonical ABI encoding of a provider's evidence")]
    Malformed,
    /// A provider this version has no driver for.
    #[error("provider {0} has no verifier here; known: 1 (software)")]
    UnknownProvider(u16),
    /// The software provider needs no collateral.
    #[error("software evidence came with {0} bytes of collateral; it takes none")]
    UnexpectedCollateral(usize),
    /// Software cannot vouch for an enclave.
    #[error("software evidence claims isolation {0}; it can claim at most 2 (vm)")]
    IsolationNotCredible(u8),
    /// From the future.
    #[error("evidence was issued at {issued_at}, after now, {now_s}")]
    NotYetValid {
        /// Unix seconds.
        issued_at: u64,
        /// Unix seconds.
        now_s: u64,
    },
    /// From the past.
    #[error("evidence expired at {expires}, before now, {now_s}")]
    Expired {
        /// Unix seconds.
        expires: u64,
        /// Unix seconds.
        now_s: u64,
    },
    /// The endorsement is not a signature.
    #[error("the host's signature of the evidence is refused: {0}")]
    Signature(#[from] SignatureFault),
    /// The endorsement is someone else's.
    #[error("evidence names host {named} but was signed by {signer}")]
    WrongSigner {
        /// Host that the evidence names.
        named: Address,
        /// Who signed.
        signer: Address,
    },
}

/// Verifies evidence and says what it proves. `now_s` is Unix time in seconds: the block's timestamp on chain.
pub fn appraise(
    evidence: &[u8],
    collateral: &[u8],
    domain: &FabricDomain,
    now_s: u64,
) -> Result<Claims, EvidenceFault> {
    let bytes = evidence.len().saturating_add(collateral.len());
    if bytes > EVIDENCE_BYTES_MAX {
        return Err(EvidenceFault::TooLong { bytes, bytes_max: EVIDENCE_BYTES_MAX });
    }
    match provider(evidence)? {
        PROVIDER_SOFTWARE => software::appraise(evidence, collateral, domain, now_s),
        other => Err(EvidenceFault::UnknownProvider(other)),
    }
}

fn provider(evidence: &[u8]) -> Result<u16, EvidenceFault> {
    let word = |index: usize| evidence.get(32 * index..32 * index + 32).map(B256::from_slice);
    let (Some(offset), Some(number)) = (word(0), word(1)) else {
        return Err(EvidenceFault::Malformed);
    };
    if offset != B256::from(U256::from(32)) {
        return Err(EvidenceFault::Malformed);
    }
    u16::try_from(U256::from_be_bytes(number.0)).map_err(|_| EvidenceFault::Malformed)
}
