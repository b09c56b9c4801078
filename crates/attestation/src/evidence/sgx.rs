//! Intel SGX: an enclave, measured by its `MRENCLAVE`. The first half of its report data names the instance's keys; the second half
//! is the launcher's to use.

use super::{AppraisalTerms, EvidenceFault, ISOLATION_ENCLAVE, PROVIDER_SGX, QuoteFault, dcap};
use alloy_primitives::{Address, B256};
use cryptlet_primitives::abi::Claims;

/// The TEE type in a quote's header.
const TEE_TYPE: u32 = 0;

/// Verifies `abi.encode(QuoteEvidence)` with `abi.encode(QuoteCollateral)`.
pub fn appraise(evidence: &[u8], collateral: &[u8], terms: &AppraisalTerms<'_>) -> Result<Claims, EvidenceFault> {
    let quote = dcap::verify(evidence, collateral, TEE_TYPE, terms)?;
    let enclave = quote.report.as_sgx().ok_or(QuoteFault::Unsupported)?;
    Ok(Claims {
        provider: PROVIDER_SGX,
        isolation: ISOLATION_ENCLAVE,
        measurement: enclave.mr_enclave.into(),
        reportData: B256::from_slice(&enclave.report_data[..32]),
        endorser: Address::ZERO,
        expires: quote.earliest_expiration_date,
    })
}
