//! Intel TDX: a virtual machine whose memory its operator cannot read, measured by what was loaded at first (`MRTD`) and by what that
//! loaded after it (`RTMR` 0 to 3). The first half of its report data names the instance's keys; the second half is the launcher's to use.

use super::{AppraisalTerms, EvidenceFault, ISOLATION_ENCLAVE, PROVIDER_TDX, QuoteFault, dcap};
use alloy_primitives::{Address, B256, Keccak256};
use cryptlet_primitives::abi::Claims;
use dcap_qvl::quote::TDReport10;

/// The TEE type in a quote's header.
const TEE_TYPE: u32 = 0x81;

/// Verifies `abi.encode(QuoteEvidence)` with `abi.encode(QuoteCollateral)`.
pub fn appraise(evidence: &[u8], collateral: &[u8], terms: &AppraisalTerms<'_>) -> Result<Claims, EvidenceFault> {
    let quote = dcap::verify(evidence, collateral, TEE_TYPE, terms)?;
    let domain = quote.report.as_td10().ok_or(QuoteFault::Unsupported)?;
    Ok(Claims {
        provider: PROVIDER_TDX,
        isolation: ISOLATION_ENCLAVE,
        measurement: measurement(domain),
        reportData: B256::from_slice(&domain.report_data[..32]),
        endorser: Address::ZERO,
        expires: quote.earliest_expiration_date,
    })
}

/// `keccak256("cryptlet/tdx/v1" ‖ MRTD ‖ RTMR0 ‖ RTMR1 ‖ RTMR2 ‖ RTMR3)`
fn measurement(domain: &TDReport10) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(b"cryptlet/tdx/v1");
    for register in [&domain.mr_td, &domain.rt_mr0, &domain.rt_mr1, &domain.rt_mr2, &domain.rt_mr3] {
        hasher.update(register);
    }
    hasher.finalize()
}
