//! Intel quotes (DCAP, ECDSA): what SGX and TDX have in common.
//!
//! `dcap-qvl` checks the cryptography and the chain of trust: quote → attestation key → quoting enclave → platform
//! certificate → Intel's root, with the revocation lists and ratings of the collateral, at the time it is told. It reads no
//! clock, no file and no network. What is looked at here before that only finds better words for a refusal: nothing is
//! accepted that the library refuses. Its words are mapped to ours, because ours are consensus; therefore its version is pinned.

use super::{AppraisalTerms, EvidenceFault, QuoteFault, decode};
use alloy_sol_types::SolValue;
use cryptlet_primitives::abi::{QuoteCollateral, QuoteEvidence};
use dcap_qvl::{
    Policy, QuoteClaims, QuoteCollateralV3,
    configs::RingConfig,
    quote::{AuthData, AuthDataV3, Quote, Report},
    verify::QuoteVerifier,
};

/// Characters of a date or an identifier out of unverified collateral that a refusal repeats.
const REPEATED_CHARS_MAX: usize = 32;
/// Bytes of a quote between its body and the signature data: the length of the latter.
const SIGNATURE_LENGTH_BYTES: usize = 4;
/// Bytes before certification data: its type and its length.
const CERTIFICATION_HEADER_BYTES: usize = 6;
/// The type of the outer certification data from version 4 on of Intel's format.
const QE_REPORT_CERTIFICATION_DATA: u16 = 6;

/// A quote whose signatures and chain hold, whose platform is rated well enough and whose collateral is in force.
pub(super) fn verify(
    evidence: &[u8],
    collateral: &[u8],
    tee_type: u32,
    terms: &AppraisalTerms<'_>,
) -> Result<QuoteClaims, EvidenceFault> {
    let evidence: QuoteEvidence = decode(evidence).ok_or(EvidenceFault::Malformed)?;
    let collateral: QuoteCollateral = decode(collateral).ok_or(EvidenceFault::MalformedCollateral)?;
    Ok(verify_quote(&evidence.quote, to_library(collateral), tee_type, terms)?)
}

fn verify_quote(
    raw: &[u8],
    collateral: QuoteCollateralV3,
    tee_type: u32,
    terms: &AppraisalTerms<'_>,
) -> Result<QuoteClaims, QuoteFault> {
    let quote = parse(raw)?;
    if quote.header.tee_type != tee_type {
        return Err(QuoteFault::OtherTee { expected: tee_type, found: quote.header.tee_type });
    }
    if is_debug(&quote.report) {
        return Err(QuoteFault::Debug);
    }
    let now_s = terms.now_s;
    let verifier = QuoteVerifier::new_prod().with_config::<RingConfig>();
    let claims = verifier
        .verify_with_policy(raw, &collateral, now_s, &JudgedBelow)
        .map_err(|error| translate(&format!("{error:#}"), &quote, &collateral, now_s))?;
    // The library enforces the ends of all these windows, but not the beginnings of revocation lists.
    if now_s < claims.latest_issue_date {
        let issued = claims.latest_issue_date.to_string();
        return Err(QuoteFault::CollateralNotYetValid { what: "newest part", issued, now_s });
    }
    if now_s > claims.earliest_expiration_date {
        let expires = claims.earliest_expiration_date.to_string();
        return Err(QuoteFault::CollateralExpired { what: "oldest part", expires, now_s });
    }
    let status = claims.tcb.status.into();
    if !terms.tolerated_tcb.accepts(status) {
        let ids = &claims.tcb.advisory_ids;
        let advisories = if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
        return Err(QuoteFault::Tcb { status, advisories });
    }
    Ok(claims)
}

/// The library's own policies read more than is needed here: what is left to judge is judged in [`verify_quote`].
struct JudgedBelow;

impl Policy for JudgedBelow {
    fn validate(&self, _: &QuoteClaims) -> anyhow::Result<()> {
        Ok(())
    }
}

fn parse(raw: &[u8]) -> Result<Quote, QuoteFault> {
    let unreadable = || QuoteFault::Unreadable { bytes: raw.len() };
    let quote = Quote::parse(raw).map_err(|_| unreadable())?;
    let auth_data_bytes = match &quote.auth_data {
        AuthData::V3(auth) => bytes_of_v3(auth),
        // The library does not read what the outer certification data says it is.
        AuthData::V4(auth) if auth.certification_data.cert_type != QE_REPORT_CERTIFICATION_DATA => {
            return Err(QuoteFault::Unsupported);
        }
        AuthData::V4(auth) => CERTIFICATION_HEADER_BYTES + bytes_of_v3(&auth.clone().into_v3()),
    };
    // A quote has one form: nothing may follow it, nor stand unread in it.
    if quote.signed_length() + SIGNATURE_LENGTH_BYTES + auth_data_bytes != raw.len() {
        return Err(unreadable());
    }
    Ok(quote)
}

/// Bytes of the signature data of version 3, which are all but a header of those of version 4.
fn bytes_of_v3(auth: &AuthDataV3) -> usize {
    let signatures = auth.ecdsa_signature.len() + auth.ecdsa_attestation_key.len();
    let quoting_enclave = auth.qe_report.len() + auth.qe_report_signature.len();
    let qe_auth_data = size_of::<u16>() + auth.qe_auth_data.data.len();
    signatures + quoting_enclave + qe_auth_data + CERTIFICATION_HEADER_BYTES + auth.certification_data.body.data.len()
}

/// SGX: bit 1 of the enclave's attributes; TDX: bit 0 of the trust domain's.
fn is_debug(report: &Report) -> bool {
    match report {
        Report::SgxEnclave(enclave) => enclave.attributes[0] & 0b10 != 0,
        other => other.as_td10().is_some_and(|domain| domain.td_attributes[0] & 1 != 0),
    }
}

/// The library's refusal in this crate's words.
fn translate(said: &str, quote: &Quote, collateral: &QuoteCollateralV3, now_s: u64) -> QuoteFault {
    let says = |words: &str| said.contains(words);
    let dated = |json: &str, field: &str| field_of(json, field);
    let (tcb, qe) = (&collateral.tcb_info, &collateral.qe_identity);
    if says("TCBInfo issue date is in the future") {
        return QuoteFault::CollateralNotYetValid { what: "TCB info", issued: dated(tcb, "issueDate"), now_s };
    }
    if says("TCBInfo expired") {
        return QuoteFault::CollateralExpired { what: "TCB info", expires: dated(tcb, "nextUpdate"), now_s };
    }
    if says("QE Identity issue date is in the future") {
        return QuoteFault::CollateralNotYetValid { what: "QE identity", issued: dated(qe, "issueDate"), now_s };
    }
    if says("QE Identity expired") {
        return QuoteFault::CollateralExpired { what: "QE identity", expires: dated(qe, "nextUpdate"), now_s };
    }
    if says("Fmspc mismatch") {
        let unknown = |_| "unknown".to_owned();
        let quote = dcap_qvl::intel::quote_fmspc(quote).map_or_else(unknown, alloy_primitives::hex::encode_upper);
        return QuoteFault::OtherPlatform { quote, collateral: field_of(tcb, "fmspc").to_uppercase() };
    }
    let table: [(&str, QuoteFault); 30] = [
        ("Debug mode is enabled", QuoteFault::Debug),
        ("TCB status is invalid: Revoked", QuoteFault::TcbRevoked),
        ("No matching TCB level found", QuoteFault::TcbUnknown),
        ("below minimum required", QuoteFault::TcbUnknown),
        ("No TDX module identity", QuoteFault::TcbUnknown),
        ("with non-TDX TCB info", QuoteFault::OtherCollateral),
        ("with non-SGX TCB info", QuoteFault::OtherCollateral),
        ("Unsupported QE Identity id/version", QuoteFault::OtherCollateral),
        ("Signature is invalid for tcb_info", QuoteFault::CollateralSignature("TCB info")),
        ("Signature is invalid for qe_identity", QuoteFault::CollateralSignature("QE identity")),
        ("Failed to decode TcbInfo", QuoteFault::CollateralUnreadable("TCB info")),
        ("TCB Info issue date", QuoteFault::CollateralUnreadable("TCB info")),
        ("TCB Info next update", QuoteFault::CollateralUnreadable("TCB info")),
        ("Failed to decode QeIdentity", QuoteFault::CollateralUnreadable("QE identity")),
        ("Failed to parse root CA CRL", QuoteFault::CollateralSignature("root CA revocation list")),
        ("Failed to parse PCK CRL", QuoteFault::CollateralUnreadable("PCK revocation list")),
        ("Failed to parse certs", QuoteFault::CollateralUnreadable("certificates")),
        ("ertificate chain is too short", QuoteFault::CertificateChain { now_s }),
        ("Failed to verify certificate chain", QuoteFault::CertificateChain { now_s }),
        ("Too many intermediate certificates", QuoteFault::CertificateChain { now_s }),
        ("issued directly by the root CA", QuoteFault::CertificateChain { now_s }),
        ("Signature is invalid for qe_report", QuoteFault::QeSignature),
        ("QE report hash mismatch", QuoteFault::QeReport),
        ("Invalid QE auth data length", QuoteFault::QeReport),
        ("QE MRSIGNER mismatch", QuoteFault::QeIdentity),
        ("QE ISVPRODID mismatch", QuoteFault::QeIdentity),
        ("QE MISCSELECT mismatch", QuoteFault::QeIdentity),
        ("QE ATTRIBUTES mismatch", QuoteFault::QeIdentity),
        ("ISV enclave report signature is invalid", QuoteFault::Signature),
        ("TDX module", QuoteFault::TdxModule),
    ];
    if let Some((_, fault)) = table.into_iter().find(|(words, _)| says(words)) {
        return fault;
    }
    let is_about_attributes =
        ["TD profiling", "TD migration", "SERVTD_EXT", "SEPT_VE_DISABLE", "Reserved bits", "MR service TD"];
    match quote.report.as_td10() {
        Some(domain) if is_about_attributes.into_iter().any(says) => QuoteFault::Attributes(domain.td_attributes),
        _ => QuoteFault::Unsupported,
    }
}

/// A text field of unverified JSON, cut short.
fn field_of(json: &str, field: &str) -> String {
    let quoted = format!("\"{field}\"");
    let value = json.split_once(&quoted).map_or("", |(_, rest)| rest);
    let value = value.split('"').nth(1).unwrap_or_default();
    value.chars().take(REPEATED_CHARS_MAX).collect()
}

/// Collateral as evidence takes it, out of the form in which `dcap-qvl` and Intel's services have it.
pub fn encode_collateral(collateral: QuoteCollateralV3) -> Vec<u8> {
    QuoteCollateral {
        pckCrlIssuerChain: collateral.pck_crl_issuer_chain,
        rootCaCrl: collateral.root_ca_crl.into(),
        pckCrl: collateral.pck_crl.into(),
        tcbInfoIssuerChain: collateral.tcb_info_issuer_chain,
        tcbInfo: collateral.tcb_info,
        tcbInfoSignature: collateral.tcb_info_signature.into(),
        qeIdentityIssuerChain: collateral.qe_identity_issuer_chain,
        qeIdentity: collateral.qe_identity,
        qeIdentitySignature: collateral.qe_identity_signature.into(),
        pckCertificateChain: collateral.pck_certificate_chain.unwrap_or_default(),
    }
    .abi_encode()
}

fn to_library(collateral: QuoteCollateral) -> QuoteCollateralV3 {
    let chain = collateral.pckCertificateChain;
    QuoteCollateralV3 {
        pck_crl_issuer_chain: collateral.pckCrlIssuerChain,
        root_ca_crl: collateral.rootCaCrl.to_vec(),
        pck_crl: collateral.pckCrl.to_vec(),
        tcb_info_issuer_chain: collateral.tcbInfoIssuerChain,
        tcb_info: collateral.tcbInfo,
        tcb_info_signature: collateral.tcbInfoSignature.to_vec(),
        qe_identity_issuer_chain: collateral.qeIdentityIssuerChain,
        qe_identity: collateral.qeIdentity,
        qe_identity_signature: collateral.qeIdentitySignature.to_vec(),
        pck_certificate_chain: (!chain.is_empty()).then_some(chain),
    }
}
