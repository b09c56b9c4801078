//! What can be wrong with evidence. The texts reach contracts in `CryptletError(13, abi.encode(string))`, so they are
//! consensus: none of them repeats what a library says.

use super::TcbStatus;
use crate::signature::SignatureFault;
use alloy_primitives::{Address, B256, hex};
use cryptlet_primitives::RegistrationId;

/// Why evidence was not accepted.
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
    /// Not `abi.encode` of what the provider's evidence is checked with.
    #[error("collateral is not the canonical ABI encoding of what this provider's evidence is checked with")]
    MalformedCollateral,
    /// A provider this version has no driver for.
    #[error("provider {0} has no verifier here; known: 1 (software), 2 (sgx), 3 (tdx), 6 (tpm)")]
    UnknownProvider(u16),
    /// The software provider needs no collateral.
    #[error("software evidence came with {0} bytes of collateral; it takes none")]
    UnexpectedCollateral(usize),
    /// Only the hardware of an enclave can vouch for one.
    #[error("evidence claims isolation {0}; this provider can claim at most 2 (vm)")]
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
    #[error("the endorser's signature of the evidence is refused: {0}")]
    Signature(#[from] SignatureFault),
    /// The endorsement is someone else's.
    #[error("evidence names endorser {named} but was signed by {signer}")]
    WrongSigner {
        /// Endorser that the evidence names.
        named: Address,
        /// Who signed.
        signer: Address,
    },
    /// It holds, for somebody else.
    #[error("evidence is about keys {found}; the instance's are {expected}")]
    OtherKeys {
        /// What the evidence binds.
        found: B256,
        /// What it should bind.
        expected: RegistrationId,
    },
    /// An Intel quote does not hold.
    #[error("the quote is refused: {0}")]
    Quote(#[from] QuoteFault),
    /// A TPM's quote does not hold.
    #[error("the TPM's quote is refused: {0}")]
    Tpm(#[from] TpmFault),
}

/// Why an Intel SGX or TDX quote was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum QuoteFault {
    #[error("its {bytes} bytes are not a quote of version 3, 4 or 5 that ends where they do")]
    Unreadable { bytes: usize },
    #[error("it is of TEE type {found:#x}; this provider's is {expected:#x}")]
    OtherTee { expected: u32, found: u32 },
    #[error("its enclave or trust domain runs in debug mode, in which its operator reads its memory")]
    Debug,
    #[error("its trust domain has attributes {} (profiled, migratable, served by another, or reserved bits set)", hex::encode_prefixed(.0))]
    Attributes([u8; 8]),
    #[error("its platform is {status}, which the policy does not tolerate; advisories: {advisories}")]
    Tcb { status: TcbStatus, advisories: String },
    #[error("its platform's keys are revoked")]
    TcbRevoked,
    #[error("its platform has a version that the collateral does not rate")]
    TcbUnknown,
    #[error("its platform is of family {quote}, the collateral of {collateral} (FMSPC)")]
    OtherPlatform { quote: String, collateral: String },
    #[error("the collateral is of another kind of TEE than the quote")]
    OtherCollateral,
    #[error("the collateral's {0} cannot be read")]
    CollateralUnreadable(&'static str),
    #[error("the collateral's {0} is not signed by Intel as it stands")]
    CollateralSignature(&'static str),
    #[error("the collateral's {what} is from {issued}, after now, {now_s}")]
    CollateralNotYetValid { what: &'static str, issued: String, now_s: u64 },
    #[error("the collateral's {what} held until {expires}, before now, {now_s}")]
    CollateralExpired { what: &'static str, expires: String, now_s: u64 },
    #[error("a chain of certificates does not lead to Intel's root, is not valid at {now_s}, or is revoked")]
    CertificateChain { now_s: u64 },
    #[error("the quoting enclave's report is not signed by the platform's key")]
    QeSignature,
    #[error("the quoting enclave does not vouch for the key that signed the quote")]
    QeReport,
    #[error("the quoting enclave is not the one that the collateral names")]
    QeIdentity,
    #[error("its signature does not fit what it signs")]
    Signature,
    #[error("the module that hosts the trust domain is not Intel's")]
    TdxModule,
    #[error("it does not follow Intel's format")]
    Unsupported,
}

/// Why a TPM's quote was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the messages say what the fields are
pub enum TpmFault {
    #[error("{0} is not in the TPM's encoding, or goes on after its end")]
    Unreadable(&'static str),
    #[error("it begins with {0:#010x}; what a TPM makes itself begins with 0xff544347")]
    NotByTpm(u32),
    #[error("it attests {0:#06x}; a quote is 0x8018")]
    NotAQuote(u16),
    #[error("it binds {0} bytes; a registration id has 32")]
    Nonce(usize),
    #[error("it must quote one bank, SHA-256, and at least one of the registers 0 to 15, which only a reset clears")]
    Selection,
    #[error(
        "the attestation key must be a restricted P-256 signing key, born in its TPM and fixed there (attributes {0:#010x})"
    )]
    KeyAttributes(u32),
    #[error("the attestation key is not an ECDSA key on P-256 with SHA-256")]
    KeyAlgorithm,
    #[error("its signature is not the attestation key's")]
    Signature,
    #[error("the endorsement is for key {endorsed}, but {found} signed")]
    OtherKey { endorsed: B256, found: B256 },
}
