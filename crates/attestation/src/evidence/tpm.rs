//! TPM 2.0: a machine whose boot its TPM measured. The TPM signs its platform registers and the instance's `RegistrationId` with a
//! restricted attestation key, which signs nothing but what the TPM made itself. That the key is in a real TPM an endorser
//! says, who enrolled the machine; the policy lists the endorsers it believes, and for this provider believes no others.
//!
//! The measurement binds which registers were quoted as well as their values: otherwise a register that software can reset could
//! stand for one that only a reboot clears.

mod wire;

use super::{AppraisalTerms, EvidenceFault, ISOLATION_VM, PROVIDER_TPM, TpmFault, decode};
use crate::signature::{recover, tpm_key_digest};
use alloy_primitives::{B256, FixedBytes, Keccak256};
use cryptlet_primitives::{
    Signature65,
    abi::{Claims, TpmEndorsement, TpmEvidence, TpmKeyStatement},
};
use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier};
use sha2::{Digest, Sha256};
use wire::{AttestationKey, Quote};

/// Verifies `abi.encode(TpmEvidence)` with `abi.encode(TpmEndorsement)`.
pub fn appraise(evidence: &[u8], collateral: &[u8], terms: &AppraisalTerms<'_>) -> Result<Claims, EvidenceFault> {
    let evidence: TpmEvidence = decode(evidence).ok_or(EvidenceFault::Malformed)?;
    let endorsement: TpmEndorsement = decode(collateral).ok_or(EvidenceFault::MalformedCollateral)?;
    require_endorsed(&endorsement, key_name(&evidence.attestationKey), terms)?;
    let key = AttestationKey::parse(&evidence.attestationKey)?;
    require_signed(&key, &evidence)?;
    let quote = Quote::parse(&evidence.attest)?;
    Ok(Claims {
        provider: PROVIDER_TPM,
        isolation: endorsement.isolation,
        measurement: measurement(&quote),
        reportData: quote.nonce,
        endorser: endorsement.endorser,
        expires: endorsement.expires,
    })
}

/// Name of a key, without the number of its algorithm (TCG part 1, §16): SHA-256 of its `TPMT_PUBLIC`.
pub fn key_name(public_area: &[u8]) -> B256 {
    B256::from_slice(&Sha256::digest(public_area))
}

/// What the endorser signs.
pub fn statement(endorsement: &TpmEndorsement) -> TpmKeyStatement {
    TpmKeyStatement {
        keyName: endorsement.keyName,
        isolation: endorsement.isolation,
        endorser: endorsement.endorser,
        issuedAt: endorsement.issuedAt,
        expires: endorsement.expires,
    }
}

fn require_endorsed(
    endorsement: &TpmEndorsement,
    key_name: B256,
    terms: &AppraisalTerms<'_>,
) -> Result<(), EvidenceFault> {
    let (issued_at, expires, now_s) = (endorsement.issuedAt, endorsement.expires, terms.now_s);
    if endorsement.isolation > ISOLATION_VM {
        return Err(EvidenceFault::IsolationNotCredible(endorsement.isolation));
    }
    if issued_at > now_s {
        return Err(EvidenceFault::NotYetValid { issued_at, now_s });
    }
    if expires < now_s {
        return Err(EvidenceFault::Expired { expires, now_s });
    }
    if endorsement.keyName != key_name {
        return Err(TpmFault::OtherKey { endorsed: endorsement.keyName, found: key_name }.into());
    }
    let signature = FixedBytes::<65>::try_from(&endorsement.signature[..]);
    let signature = signature.map_err(|_| EvidenceFault::MalformedCollateral)?;
    let signer = recover(tpm_key_digest(&statement(endorsement), terms.domain), &Signature65(signature))?;
    if signer != endorsement.endorser {
        return Err(EvidenceFault::WrongSigner { named: endorsement.endorser, signer });
    }
    Ok(())
}

fn require_signed(key: &AttestationKey, evidence: &TpmEvidence) -> Result<(), TpmFault> {
    let key = VerifyingKey::from_sec1_bytes(&key.sec1).map_err(|_| TpmFault::KeyAlgorithm)?;
    let signature = wire::parse_signature(&evidence.signature)?;
    let signature = Signature::from_slice(&signature).map_err(|_| TpmFault::Signature)?;
    key.verify(&evidence.attest, &signature).map_err(|_| TpmFault::Signature)
}

/// `keccak256("cryptlet/tpm/v1" ‖ TPML_PCR_SELECTION ‖ pcrDigest)`
fn measurement(quote: &Quote<'_>) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(b"cryptlet/tpm/v1");
    hasher.update(quote.selection);
    hasher.update(quote.pcr_digest);
    hasher.finalize()
}
