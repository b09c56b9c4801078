//! Who signed: recovery of the signer's address from a canonical secp256k1 signature, and the digests that are signed.
//!
//! Recovery runs on libsecp256k1, which the EVM itself uses for `ecrecover`: five times as fast as a recovery in pure Rust.

use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::{Eip712Domain, SolStruct};
use cryptlet_primitives::{
    CryptletResult, FabricDomain, InstanceAuthorization, InstanceKeys, Signature65,
    abi::{SoftwareStatement, TpmKeyStatement},
    typed_data::UtilityRegistration,
};
use secp256k1::{
    Message, SECP256K1,
    ecdsa::{RecoverableSignature, RecoveryId},
};

/// Half of the order of secp256k1, big-endian. A canonical `s` is not above it (EIP-2, BIP-62).
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e,
    0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// Why 65 bytes are not a signature that this chain accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SignatureFault {
    /// All bytes are zero.
    #[error("there is no signature")]
    Absent,
    /// `v` is the last byte; Ethereum knows two values of it.
    #[error("v is {0}; it must be 27 or 28")]
    RecoveryByte(u8),
    /// `r` or `s` is zero.
    #[error("r or s is zero")]
    Zero,
    /// The other `s` of the same signature is the canonical one.
    #[error("s is in the upper half of the group order; the canonical signature has the lower one")]
    HighS,
    /// No public key fits: `r` or `s` is not below the group order, or `r` is not on the curve.
    #[error("no public key can have made this signature")]
    Unrecoverable,
}

/// The address whose key signed `digest`. Accepts exactly one form of each signature, so that it cannot be altered
/// without being refused or naming another signer.
pub fn recover(digest: B256, signature: &Signature65) -> Result<Address, SignatureFault> {
    let (r, s, v) = (&signature.0[..32], &signature.0[32..64], signature.0[64]);
    if signature.is_none() {
        return Err(SignatureFault::Absent);
    }
    if v != 27 && v != 28 {
        return Err(SignatureFault::RecoveryByte(v));
    }
    if r.iter().all(|byte| *byte == 0) || s.iter().all(|byte| *byte == 0) {
        return Err(SignatureFault::Zero);
    }
    if s > &HALF_ORDER[..] {
        return Err(SignatureFault::HighS);
    }
    let parity = RecoveryId::try_from(i32::from(v - 27)).map_err(|_| SignatureFault::RecoveryByte(v))?;
    let compact =
        RecoverableSignature::from_compact(&signature.0[..64], parity).map_err(|_| SignatureFault::Unrecoverable)?;
    let key =
        SECP256K1.recover_ecdsa(Message::from_digest(digest.0), &compact).map_err(|_| SignatureFault::Unrecoverable)?;
    Ok(Address::from_raw_public_key(&key.serialize_uncompressed()[1..]))
}

/// What an instance signs for a result that may enter a block.
pub fn result_digest(result: &CryptletResult, domain: &FabricDomain) -> B256 {
    result.eip712_signing_hash(&domain.live())
}

/// What an instance signs for the answer to a dry run. No verifier of records computes this digest.
pub fn dry_run_result_digest(result: &CryptletResult, domain: &FabricDomain) -> B256 {
    result.eip712_signing_hash(&domain.dry_run())
}

/// What an instance signs when it registers its keys.
pub fn keys_digest(keys: &InstanceKeys, domain: &FabricDomain) -> B256 {
    keys.eip712_signing_hash(&domain.live())
}

/// What a registrar signs for an instance.
pub fn authorization_digest(authorization: &InstanceAuthorization, domain: &FabricDomain) -> B256 {
    authorization.eip712_signing_hash(&domain.registry())
}

/// What publisher and identity key sign for a utility cryptlet.
pub fn utility_digest(registration: &UtilityRegistration, domain: &FabricDomain) -> B256 {
    registration.eip712_signing_hash(&domain.registry())
}

/// What a host signs for the software provider's evidence.
pub fn software_statement_digest(statement: &SoftwareStatement, domain: &FabricDomain) -> B256 {
    statement.eip712_signing_hash(&domain.live())
}

/// What an endorser signs for a TPM's attestation key.
pub fn tpm_key_digest(statement: &TpmKeyStatement, domain: &FabricDomain) -> B256 {
    statement.eip712_signing_hash(&domain.live())
}

/// Who signed a structure whose hash is known already, in a domain.
pub fn recover_struct(
    domain: &Eip712Domain,
    struct_hash: B256,
    signature: &Signature65,
) -> Result<Address, SignatureFault> {
    recover(digest_of(domain.separator(), struct_hash), signature)
}

/// The digest of a structure whose hash is known already (EIP-712: `keccak256(0x1901 ‖ domain ‖ struct)`).
pub(crate) fn digest_of(domain_separator: B256, struct_hash: B256) -> B256 {
    let mut preimage = [0u8; 66];
    preimage[..2].copy_from_slice(&[0x19, 0x01]);
    preimage[2..34].copy_from_slice(domain_separator.as_slice());
    preimage[34..].copy_from_slice(struct_hash.as_slice());
    keccak256(preimage)
}
