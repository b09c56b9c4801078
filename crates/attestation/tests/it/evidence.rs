use super::support::*;
use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::SolValue;
use cryptlet_attestation::{
    EvidenceFault, SignatureFault, appraise, evidence::software::statement, signature::software_statement_digest,
};
use cryptlet_primitives::{FabricDomain, abi::SoftwareEvidence};
use proptest::prelude::*;

pub const NOW: u64 = 1_700_000_000;

pub fn evidence(change: impl FnOnce(&mut SoftwareEvidence)) -> Vec<u8> {
    let mut evidence = SoftwareEvidence {
        provider: 1,
        isolation: 1,
        measurement: B256::repeat_byte(1),
        reportData: B256::repeat_byte(2),
        host: address_of(&key()),
        issuedAt: NOW - 100,
        expires: NOW + 100,
        signature: Bytes::new(),
    };
    change(&mut evidence);
    let digest = software_statement_digest(&statement(&evidence), &DOMAIN);
    evidence.signature = Bytes::copy_from_slice(sign(&key(), digest).0.as_slice());
    evidence.abi_encode()
}

#[test]
fn honest_evidence_becomes_claims_that_say_software() {
    let claims = appraise(&evidence(|_| {}), &[], &DOMAIN, NOW).unwrap();
    assert_eq!((claims.provider, claims.isolation), (1, 1));
    assert_eq!((claims.measurement, claims.reportData), (B256::repeat_byte(1), B256::repeat_byte(2)));
    assert_eq!((claims.endorser, claims.expires), (address_of(&key()), NOW + 100));
}

#[test]
fn time_is_an_argument() {
    let evidence = evidence(|_| {});
    let at = |now_s| appraise(&evidence, &[], &DOMAIN, now_s);
    assert!(at(NOW - 100).is_ok() && at(NOW + 100).is_ok());
    assert_eq!(at(NOW - 101), Err(EvidenceFault::NotYetValid { issued_at: NOW - 100, now_s: NOW - 101 }));
    assert_eq!(at(NOW + 101), Err(EvidenceFault::Expired { expires: NOW + 100, now_s: NOW + 101 }));
}

#[test]
fn software_cannot_claim_an_enclave() {
    let fault = appraise(&evidence(|evidence| evidence.isolation = 3), &[], &DOMAIN, NOW);
    assert_eq!(fault, Err(EvidenceFault::IsolationNotCredible(3)));
}

#[test]
fn other_providers_are_named_not_guessed() {
    for provider in [0, 4, 5, 7, u16::MAX] {
        let fault = appraise(&evidence(|evidence| evidence.provider = provider), &[], &DOMAIN, NOW);
        assert_eq!(fault, Err(EvidenceFault::UnknownProvider(provider)));
    }
}

#[test]
fn an_endorsement_is_the_named_hosts() {
    let stranger = alloy_primitives::Address::repeat_byte(9);
    let fault = appraise(&evidence(|evidence| evidence.host = stranger), &[], &DOMAIN, NOW);
    assert_eq!(fault, Err(EvidenceFault::WrongSigner { named: stranger, signer: address_of(&key()) }));
    let other_chain = FabricDomain { chain_id: 1, ..DOMAIN };
    let fault = appraise(&evidence(|_| {}), &[], &other_chain, NOW);
    assert!(matches!(fault, Err(EvidenceFault::WrongSigner { .. })), "{fault:?}");
}

#[test]
fn collateral_and_length_are_bounded() {
    let fault = appraise(&evidence(|_| {}), b"certificates", &DOMAIN, NOW);
    assert_eq!(fault, Err(EvidenceFault::UnexpectedCollateral(12)));
    let fault = appraise(&[0; 40_000], &[0; 40_000], &DOMAIN, NOW);
    assert_eq!(fault, Err(EvidenceFault::TooLong { bytes: 80_000, bytes_max: 65_536 }));
}

#[test]
fn only_the_canonical_encoding_is_read() {
    let good = evidence(|_| {});
    let mut longer = good.clone();
    longer.extend([0; 32]);
    let mut padded = good.clone();
    *padded.last_mut().unwrap() = 1;
    let mut provider = good.clone();
    provider[32..64].copy_from_slice(&U256::from(65_537).to_be_bytes::<32>());
    for bytes in [&good[..good.len() - 1], &longer, &padded, &provider, &good[..63], b""] {
        assert_eq!(appraise(bytes, &[], &DOMAIN, NOW), Err(EvidenceFault::Malformed));
    }
}

proptest! {
    #[test]
    fn any_altered_byte_is_refused(position: prop::sample::Index, flip in 1u8..) {
        let mut bytes = evidence(|_| {});
        let position = position.index(bytes.len());
        bytes[position] ^= flip;
        prop_assert!(appraise(&bytes, &[], &DOMAIN, NOW).is_err());
    }

    #[test]
    fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(appraise(&bytes, &[], &DOMAIN, NOW).is_err());
    }
}

#[test]
fn faults_say_what_was_wrong() {
    let fault = EvidenceFault::Signature(SignatureFault::HighS).to_string();
    assert!(fault.contains("upper half"), "{fault}");
}
