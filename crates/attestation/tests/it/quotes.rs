//! Recorded quotes of real hardware: the good verify at the time they were made, and each of the bad ones, which are made from
//! them here, fails for its own reason. Where they are from: `tests/vectors/quotes/README.md`.

use super::support::DOMAIN;
use alloy_primitives::{B256, Bytes, hex};
use alloy_sol_types::SolValue;
use cryptlet_attestation::{
    AppraisalTerms, EvidenceFault, ToleratedTcb, appraise, appraise_under,
    evidence::{QuoteFault, TcbStatus, encode_collateral, require_binding},
};
use cryptlet_primitives::{
    RegistrationId,
    abi::{Claims, QuoteCollateral, QuoteEvidence},
};
use proptest::prelude::*;
use std::{path::PathBuf, sync::LazyLock};

const SGX: u16 = 2;
const TDX: u16 = 3;
/// 1 July 2025: the collateral of `sgx_quote` and `tdx_quote` is in force.
pub const JULY_2025: u64 = 1_751_328_000;
/// 1 March 2026: that of `tdx_quote_outdated` is.
const MARCH_2026: u64 = 1_772_323_200;
/// 20 October 2026: that of `tdx_quote_td15ex` is.
const OCTOBER_2026: u64 = 1_792_454_400;
/// Offset of the report in a quote of version 3 or 4.
const REPORT: usize = 48;

/// A recorded quote with its collateral, and the provider that it is of.
#[derive(Clone)]
pub struct Recorded {
    provider: u16,
    quote: Vec<u8>,
    pub collateral: QuoteCollateral,
}

pub static SGX_QUOTE: LazyLock<Recorded> = LazyLock::new(|| Recorded::read(SGX, "sgx_quote"));
pub static TDX_QUOTE: LazyLock<Recorded> = LazyLock::new(|| Recorded::read(TDX, "tdx_quote"));
static OUTDATED: LazyLock<Recorded> = LazyLock::new(|| Recorded::read(TDX, "tdx_quote_outdated"));
static EXTENDED: LazyLock<Recorded> = LazyLock::new(|| Recorded::read(TDX, "tdx_quote_td15ex"));

impl Recorded {
    fn read(provider: u16, name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/quotes");
        let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
        let mut quote = read(name);
        if name == "tdx_quote" {
            quote.truncate(4936);
        }
        let collateral = serde_json::from_slice(&read(&format!("{name}_collateral.json"))).unwrap();
        let collateral = QuoteCollateral::abi_decode(&encode_collateral(collateral)).unwrap();
        Self { provider, quote, collateral }
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    pub fn evidence(&self) -> Vec<u8> {
        QuoteEvidence { provider: self.provider, quote: self.quote.clone().into() }.abi_encode()
    }

    fn appraise(&self, now_s: u64) -> Result<Claims, EvidenceFault> {
        appraise(&self.evidence(), &self.collateral.abi_encode(), &DOMAIN, now_s)
    }

    fn appraise_tolerating(&self, now_s: u64, status: TcbStatus) -> Result<Claims, EvidenceFault> {
        let terms = AppraisalTerms { domain: &DOMAIN, now_s, tolerated_tcb: ToleratedTcb::default().with(status) };
        appraise_under(&self.evidence(), &self.collateral.abi_encode(), &terms)
    }

    fn fault(&self, now_s: u64) -> QuoteFault {
        match self.appraise(now_s) {
            Err(EvidenceFault::Quote(fault)) => fault,
            other => panic!("not a fault of the quote: {other:?}"),
        }
    }
}

/// What evidence of the recorded SGX platform means where its state is tolerated.
pub fn tolerated_claims(evidence: &[u8], collateral: &[u8]) -> Option<Vec<u8>> {
    let tolerated_tcb = ToleratedTcb::default().with(TcbStatus::ConfigurationAndSwHardeningNeeded);
    let terms = AppraisalTerms { domain: &DOMAIN, now_s: JULY_2025, tolerated_tcb };
    appraise_under(evidence, collateral, &terms).ok().map(|claims| claims.abi_encode())
}

#[test]
fn a_trust_domain_on_a_platform_that_is_up_to_date_is_believed() {
    let claims = TDX_QUOTE.appraise(JULY_2025).unwrap();
    assert_eq!((claims.provider, claims.isolation), (TDX, 3));
    assert_eq!(claims.endorser, alloy_primitives::Address::ZERO);
    assert_eq!(claims.reportData.as_slice(), &TDX_QUOTE.quote[REPORT + 520..REPORT + 552]);
    // 2025-07-19T10:16:03Z, when its TCB info ends, which is before all else does.
    assert!(claims.expires > JULY_2025 && claims.expires <= 1_752_920_163, "{}", claims.expires);
    let measured: Vec<u8> = [
        &b"cryptlet/tdx/v1"[..],
        &TDX_QUOTE.quote[REPORT + 136..REPORT + 184],
        &TDX_QUOTE.quote[REPORT + 328..REPORT + 520],
    ]
    .concat();
    assert_eq!(claims.measurement, alloy_primitives::keccak256(measured));
}

#[test]
fn an_enclave_is_measured_by_its_mrenclave_and_its_platform_by_what_the_policy_tolerates() {
    let fault = SGX_QUOTE.fault(JULY_2025);
    let status = TcbStatus::ConfigurationAndSwHardeningNeeded;
    assert_eq!(fault, QuoteFault::Tcb { status, advisories: "INTEL-SA-00289, INTEL-SA-00615".into() });
    assert!(SGX_QUOTE.appraise_tolerating(JULY_2025, TcbStatus::OutOfDate).is_err());
    let claims = SGX_QUOTE.appraise_tolerating(JULY_2025, status).unwrap();
    assert_eq!((claims.provider, claims.isolation), (SGX, 3));
    assert_eq!(claims.measurement.as_slice(), &SGX_QUOTE.quote[REPORT + 64..REPORT + 96]);
    assert_eq!(&claims.reportData[..14], b"Hello, world!\0");
}

#[test]
fn a_platform_older_than_all_that_intel_rates_is_refused_whatever_the_policy_tolerates() {
    assert_eq!(OUTDATED.fault(MARCH_2026), QuoteFault::TcbUnknown);
    assert!(OUTDATED.appraise_tolerating(MARCH_2026, TcbStatus::OutOfDate).is_err());
}

#[test]
fn a_quote_of_the_newest_version_is_believed() {
    let claims = EXTENDED.appraise(OCTOBER_2026).unwrap();
    assert_eq!((claims.provider, claims.isolation), (TDX, 3));
    // A field that only this version has is signed like the others.
    let fault = flip(&EXTENDED, REPORT + 6 + 649, 1).fault(OCTOBER_2026);
    assert_eq!(fault, QuoteFault::Signature);
}

#[test]
fn a_quote_binds_the_keys_it_was_made_for_and_no_others() {
    let claims = TDX_QUOTE.appraise(JULY_2025).unwrap();
    assert_eq!(require_binding(&claims, RegistrationId(claims.reportData)), Ok(()));
    let other = RegistrationId(B256::repeat_byte(1));
    let fault = EvidenceFault::OtherKeys { found: claims.reportData, expected: other };
    assert_eq!(require_binding(&claims, other), Err(fault));
}

/// Changes a byte of the quote.
fn flip(recorded: &Recorded, position: usize, bits: u8) -> Recorded {
    recorded.with(|changed| changed.quote[position] ^= bits)
}

/// One byte more in a quote of version 4, within all the lengths that it gives.
fn pad_inside(quote: &mut Vec<u8>) {
    for length in [REPORT + 584, REPORT + 584 + 4 + 64 + 64 + 2] {
        let bytes = quote[length..length + 4].first_chunk_mut().expect("four bytes");
        *bytes = (u32::from_le_bytes(*bytes) + 1).to_le_bytes();
    }
    quote.push(0);
}

#[test]
fn each_bad_quote_fails_for_its_own_reason() {
    let tdx = &*TDX_QUOTE;
    // Where the signature data of a TDX quote of version 4 begins, after its length.
    let signature = REPORT + 584 + 4;
    let bad: Vec<(&str, Recorded, QuoteFault)> = vec![
        ("flipped signature", flip(tdx, signature, 1), QuoteFault::Signature),
        ("other report data", flip(tdx, REPORT + 520, 1), QuoteFault::Signature),
        ("other measurement", flip(tdx, REPORT + 136, 1), QuoteFault::Signature),
        ("other attestation key", flip(tdx, signature + 64, 1), QuoteFault::QeReport),
        ("other quoting enclave", flip(tdx, signature + 64 + 64 + 6 + 128, 1), QuoteFault::QeSignature),
        ("debug trust domain", flip(tdx, REPORT + 120, 1), QuoteFault::Debug),
        ("debug enclave", flip(&SGX_QUOTE, REPORT + 48, 2), QuoteFault::Debug),
        ("truncated", tdx.with(|changed| changed.quote.truncate(4935)), QuoteFault::Unreadable { bytes: 4935 }),
        ("padded", tdx.with(|changed| changed.quote.push(0)), QuoteFault::Unreadable { bytes: 4937 }),
        ("padded inside", tdx.with(|changed| pad_inside(&mut changed.quote)), QuoteFault::Unreadable { bytes: 4937 }),
        ("other kind of certification data", flip(tdx, signature + 64 + 64, 1), QuoteFault::Unsupported),
        (
            "of SGX, said to be TDX",
            SGX_QUOTE.with(|changed| changed.provider = TDX),
            QuoteFault::OtherTee { expected: 0x81, found: 0 },
        ),
        (
            "of TDX, said to be SGX",
            tdx.with(|changed| changed.provider = SGX),
            QuoteFault::OtherTee { expected: 0, found: 0x81 },
        ),
        (
            "swapped collateral",
            tdx.with(|changed| changed.collateral = SGX_QUOTE.collateral.clone()),
            QuoteFault::OtherCollateral,
        ),
        (
            "QE identity of another TEE",
            tdx.with(|changed| {
                changed.collateral.qeIdentity = SGX_QUOTE.collateral.qeIdentity.clone();
                changed.collateral.qeIdentitySignature = SGX_QUOTE.collateral.qeIdentitySignature.clone();
            }),
            QuoteFault::OtherCollateral,
        ),
        (
            "edited QE identity",
            tdx.with(|changed| {
                changed.collateral.qeIdentity =
                    changed.collateral.qeIdentity.replace("\"isvprodid\":2", "\"isvprodid\":3")
            }),
            QuoteFault::CollateralSignature("QE identity"),
        ),
        (
            "TCB info made to say up to date",
            SGX_QUOTE.with(|changed| {
                changed.collateral.tcbInfo =
                    changed.collateral.tcbInfo.replace("ConfigurationAndSWHardeningNeeded", "UpToDate");
            }),
            QuoteFault::CollateralSignature("TCB info"),
        ),
        (
            "TCB info that is no JSON",
            tdx.with(|changed| changed.collateral.tcbInfo.truncate(100)),
            QuoteFault::CollateralUnreadable("TCB info"),
        ),
        (
            "revocation list of somebody else",
            tdx.with(|changed| changed.collateral.rootCaCrl = changed.collateral.pckCrl.clone()),
            QuoteFault::CollateralSignature("root CA revocation list"),
        ),
        (
            "no revocation list of the platform's issuer",
            tdx.with(|changed| changed.collateral.pckCrl = changed.collateral.rootCaCrl.clone()),
            QuoteFault::CertificateChain { now_s: JULY_2025 },
        ),
        (
            "no certificate of the signer",
            tdx.with(|changed| changed.collateral.tcbInfoIssuerChain = String::new()),
            QuoteFault::CertificateChain { now_s: JULY_2025 },
        ),
        (
            "platform certificate of another machine",
            tdx.with(|changed| changed.collateral.pckCertificateChain = pck_chain(&SGX_QUOTE)),
            QuoteFault::CertificateChain { now_s: JULY_2025 },
        ),
    ];
    for (what, recorded, expected) in bad {
        assert_eq!(recorded.fault(JULY_2025), expected, "{what}");
    }
}

/// The PEM chain inside a quote.
fn pck_chain(recorded: &Recorded) -> String {
    let text = String::from_utf8_lossy(&recorded.quote);
    let begin = text.find("-----BEGIN").unwrap();
    let end = text.rfind("-----END CERTIFICATE-----").unwrap() + "-----END CERTIFICATE-----".len();
    text[begin..end].to_owned()
}

#[test]
fn collateral_of_another_family_of_platforms_is_refused_by_its_name() {
    let other = OUTDATED.with(|changed| {
        changed.quote = TDX_QUOTE.quote.clone();
    });
    let fault = QuoteFault::OtherPlatform { quote: "B0C06F000000".into(), collateral: "90C06F000000".into() };
    assert_eq!(other.fault(MARCH_2026), fault);
}

#[test]
fn collateral_counts_within_its_window_only() {
    let expired = TDX_QUOTE.fault(JULY_2025 + 60 * 86_400);
    let what = "TCB info";
    let expires = "2025-07-19T10:16:03Z".to_owned();
    assert_eq!(expired, QuoteFault::CollateralExpired { what, expires, now_s: JULY_2025 + 60 * 86_400 });
    let early = TDX_QUOTE.fault(JULY_2025 - 60 * 86_400);
    let issued = "2025-06-19T10:16:03Z".to_owned();
    assert_eq!(early, QuoteFault::CollateralNotYetValid { what, issued, now_s: JULY_2025 - 60 * 86_400 });
    let claims = TDX_QUOTE.appraise(JULY_2025).unwrap();
    assert!(TDX_QUOTE.appraise(claims.expires - 1).is_ok());
    assert!(TDX_QUOTE.appraise(claims.expires + 1).is_err());
}

#[test]
fn both_encodings_are_canonical() {
    let (evidence, collateral) = (TDX_QUOTE.evidence(), TDX_QUOTE.collateral.abi_encode());
    let longer = [&evidence[..], &[0; 32]].concat();
    assert_eq!(appraise(&longer, &collateral, &DOMAIN, JULY_2025), Err(EvidenceFault::Malformed));
    let longer = [&collateral[..], &[0; 32]].concat();
    assert_eq!(appraise(&evidence, &longer, &DOMAIN, JULY_2025), Err(EvidenceFault::MalformedCollateral));
    assert_eq!(appraise(&evidence, &[], &DOMAIN, JULY_2025), Err(EvidenceFault::MalformedCollateral));
}

#[test]
fn refusals_repeat_little_of_what_they_were_given() {
    let long = "9".repeat(20_000);
    let edited = TDX_QUOTE.with(|changed| {
        changed.collateral.tcbInfo = changed.collateral.tcbInfo.replace("B0C06F000000", &long);
    });
    let text = edited.fault(JULY_2025 + 60 * 86_400).to_string();
    assert!(text.len() < 200, "{} bytes: {text}", text.len());
}

/// All of a quote is signed, by the attestation key, by the platform or by Intel, or has one form; but for the certificates,
/// which may be taken from the collateral as well, and of which the root is not read.
#[test]
fn any_altered_byte_of_a_quote_is_refused() {
    for position in 0..REPORT + 584 + 4 + 64 + 64 + 6 + 384 + 64 {
        for bits in [1, 0x80, 0xff] {
            assert!(flip(&TDX_QUOTE, position, bits).appraise(JULY_2025).is_err(), "byte {position}, bits {bits:#x}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn altered_collateral_never_gives_other_claims(position in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut collateral = TDX_QUOTE.collateral.abi_encode();
        let position = position.index(collateral.len());
        collateral[position] ^= flip;
        if let Ok(claims) = appraise(&TDX_QUOTE.evidence(), &collateral, &DOMAIN, JULY_2025) {
            let honest = TDX_QUOTE.appraise(JULY_2025).unwrap();
            prop_assert_eq!(claims, honest, "byte {}", position);
        }
    }
}

#[test]
fn what_intel_signs_is_what_was_recorded() {
    assert_eq!(hex::encode(&SGX_QUOTE.quote[REPORT + 320..REPORT + 333]), hex::encode("Hello, world!"));
    assert_eq!(Bytes::from(SGX_QUOTE.quote.clone()).len(), 4600);
}
