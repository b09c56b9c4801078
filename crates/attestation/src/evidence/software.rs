//! The software provider: the host itself states what it runs, and signs that. It proves who said it, not that it is so;
//! therefore its claims say `software`, and production policy must name it to accept it.

use super::{EvidenceFault, ISOLATION_VM, PROVIDER_SOFTWARE, decode};
use crate::signature::{recover, software_statement_digest};
use alloy_primitives::FixedBytes;
use cryptlet_primitives::{
    FabricDomain, Signature65,
    abi::{Claims, SoftwareEvidence, SoftwareStatement},
};

/// Verifies `abi.encode(SoftwareEvidence)`. It takes no collateral: the host's key is endorsed on chain, by policy.
pub fn appraise(
    evidence: &[u8],
    collateral: &[u8],
    domain: &FabricDomain,
    now_s: u64,
) -> Result<Claims, EvidenceFault> {
    let evidence: SoftwareEvidence = decode(evidence).ok_or(EvidenceFault::Malformed)?;
    if !collateral.is_empty() {
        return Err(EvidenceFault::UnexpectedCollateral(collateral.len()));
    }
    if evidence.isolation > ISOLATION_VM {
        return Err(EvidenceFault::IsolationNotCredible(evidence.isolation));
    }
    if evidence.issuedAt > now_s {
        return Err(EvidenceFault::NotYetValid { issued_at: evidence.issuedAt, now_s });
    }
    if evidence.expires < now_s {
        return Err(EvidenceFault::Expired { expires: evidence.expires, now_s });
    }
    let signature = FixedBytes::<65>::try_from(&evidence.signature[..]).map_err(|_| EvidenceFault::Malformed)?;
    let signer = recover(software_statement_digest(&statement(&evidence), domain), &Signature65(signature))?;
    if signer != evidence.host {
        return Err(EvidenceFault::WrongSigner { named: evidence.host, signer });
    }
    Ok(Claims {
        provider: PROVIDER_SOFTWARE,
        isolation: evidence.isolation,
        measurement: evidence.measurement,
        reportData: evidence.reportData,
        endorser: evidence.host,
        expires: evidence.expires,
    })
}

/// What the host signed.
pub fn statement(evidence: &SoftwareEvidence) -> SoftwareStatement {
    SoftwareStatement {
        provider: evidence.provider,
        isolation: evidence.isolation,
        measurement: evidence.measurement,
        reportData: evidence.reportData,
        host: evidence.host,
        issuedAt: evidence.issuedAt,
        expires: evidence.expires,
    }
}
