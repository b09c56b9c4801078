//! TPM evidence from a key in this test, encoded as a TPM encodes it: what must hold of it. A TPM itself is asked in `tests/tpm.rs`.

use super::support::{DOMAIN, address_of, key, sign};
use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolValue;
use cryptlet_attestation::{
    EvidenceFault, appraise,
    evidence::{
        TpmFault,
        tpm::{key_name, statement},
    },
    signature::tpm_key_digest,
};
use cryptlet_primitives::abi::{Claims, TpmEndorsement, TpmEvidence};
use p256::ecdsa::{Signature, SigningKey, signature::Signer};

pub const NOW: u64 = 1_700_000_000;
const NONCE: B256 = B256::repeat_byte(0x42);
/// fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign.
const ATTRIBUTES: u32 = 0x0005_0072;

/// What a quote is made of; each test changes a part.
#[derive(Clone)]
struct Parts {
    magic: u32,
    kind: u16,
    nonce: Vec<u8>,
    selection: Vec<u8>,
    attributes: u32,
    curve: u16,
    trailing: Vec<u8>,
    endorsement: TpmEndorsement,
}

fn parts() -> Parts {
    Parts {
        magic: 0xff54_4347,
        kind: 0x8018,
        nonce: NONCE.to_vec(),
        // One bank, SHA-256, three bytes of registers: 0 to 7.
        selection: vec![0, 0, 0, 1, 0, 0x0b, 3, 0xff, 0, 0],
        attributes: ATTRIBUTES,
        curve: 3,
        trailing: Vec::new(),
        endorsement: TpmEndorsement {
            keyName: B256::ZERO,
            isolation: 2,
            endorser: address_of(&key()),
            issuedAt: NOW - 100,
            expires: NOW + 100,
            signature: Bytes::new(),
        },
    }
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn attestation_key() -> SigningKey {
    SigningKey::from_slice(&[9; 32]).unwrap()
}

impl Parts {
    fn attest(&self) -> Vec<u8> {
        let clock_and_firmware = [0; 25];
        let signer = sized(&[0; 34]);
        let digest = sized(&[0xdd; 32]);
        [
            &self.magic.to_be_bytes()[..],
            &self.kind.to_be_bytes(),
            &signer,
            &sized(&self.nonce),
            &clock_and_firmware,
            &self.selection,
            &digest,
            &self.trailing,
        ]
        .concat()
    }

    fn public_area(&self) -> Vec<u8> {
        let point = attestation_key().verifying_key().to_encoded_point(false);
        let (x, y) = (sized(point.x().unwrap()), sized(point.y().unwrap()));
        let head = [&[0, 0x23, 0, 0x0b][..], &self.attributes.to_be_bytes(), &[0, 0]].concat();
        let parameters = [&[0, 0x10, 0, 0x18, 0, 0x0b][..], &self.curve.to_be_bytes(), &[0, 0x10]].concat();
        [head, parameters, x, y].concat()
    }

    fn evidence(&self) -> TpmEvidence {
        let attest = self.attest();
        let signature: Signature = attestation_key().sign(&attest);
        let (r, s) = signature.split_bytes();
        let signature = [&[0, 0x18, 0, 0x0b][..], &sized(&r), &sized(&s)].concat();
        let public = self.public_area();
        TpmEvidence { provider: 6, attest: attest.into(), signature: signature.into(), attestationKey: public.into() }
    }

    /// The endorsement, with the key's name unless it names another, signed.
    fn endorsement(&self) -> TpmEndorsement {
        let mut endorsement = self.endorsement.clone();
        if endorsement.keyName.is_zero() {
            endorsement.keyName = key_name(&self.public_area());
        }
        let digest = tpm_key_digest(&statement(&endorsement), &DOMAIN);
        endorsement.signature = Bytes::copy_from_slice(sign(&key(), digest).0.as_slice());
        endorsement
    }

    fn appraise(&self) -> Result<Claims, EvidenceFault> {
        appraise(&self.evidence().abi_encode(), &self.endorsement().abi_encode(), &DOMAIN, NOW)
    }
}

/// Evidence and endorsement that are believed.
pub fn encoded() -> (Vec<u8>, Vec<u8>) {
    (parts().evidence().abi_encode(), parts().endorsement().abi_encode())
}

fn fault(change: impl FnOnce(&mut Parts)) -> EvidenceFault {
    let mut parts = parts();
    change(&mut parts);
    parts.appraise().unwrap_err()
}

#[test]
fn an_endorsed_key_is_believed() {
    let claims = parts().appraise().unwrap();
    assert_eq!((claims.provider, claims.isolation, claims.reportData), (6, 2, NONCE));
    assert_eq!((claims.endorser, claims.expires), (address_of(&key()), NOW + 100));
}

#[test]
fn the_measurement_binds_which_registers_were_quoted() {
    let honest = parts().appraise().unwrap().measurement;
    let mut other = parts();
    other.selection[7] = 0x7f;
    assert_ne!(other.appraise().unwrap().measurement, honest);
}

#[test]
fn each_bad_part_is_refused_for_its_own_reason() {
    let tpm = EvidenceFault::Tpm;
    assert_eq!(fault(|parts| parts.magic = 1), tpm(TpmFault::NotByTpm(1)));
    assert_eq!(fault(|parts| parts.kind = 0x8017), tpm(TpmFault::NotAQuote(0x8017)));
    assert_eq!(fault(|parts| parts.nonce.truncate(20)), tpm(TpmFault::Nonce(20)));
    assert_eq!(fault(|parts| parts.trailing.push(0)), tpm(TpmFault::Unreadable("the attestation")));
    // Register 16 alone, which software resets; none at all; SHA-1; two banks.
    assert_eq!(fault(|parts| parts.selection[7..].copy_from_slice(&[0, 0, 1])), tpm(TpmFault::Selection));
    assert_eq!(fault(|parts| parts.selection[7] = 0), tpm(TpmFault::Selection));
    assert_eq!(fault(|parts| parts.selection[5] = 4), tpm(TpmFault::Selection));
    assert_eq!(fault(|parts| parts.selection[3] = 2), tpm(TpmFault::Selection));
    for bit in [1, 4, 5, 16, 17, 18] {
        let attributes = ATTRIBUTES ^ 1 << bit;
        assert_eq!(fault(|parts| parts.attributes = attributes), tpm(TpmFault::KeyAttributes(attributes)), "bit {bit}");
    }
    assert_eq!(fault(|parts| parts.curve = 4), tpm(TpmFault::KeyAlgorithm));
    let (endorsed, found) = (B256::repeat_byte(1), key_name(&parts().public_area()));
    assert_eq!(fault(|parts| parts.endorsement.keyName = endorsed), tpm(TpmFault::OtherKey { endorsed, found }));
    assert_eq!(fault(|parts| parts.endorsement.isolation = 3), EvidenceFault::IsolationNotCredible(3));
    assert!(matches!(fault(|parts| parts.endorsement.issuedAt = NOW + 1), EvidenceFault::NotYetValid { .. }));
    assert!(matches!(fault(|parts| parts.endorsement.expires = NOW - 1), EvidenceFault::Expired { .. }));
    let stranger = Address::repeat_byte(5);
    let fault = fault(|parts| parts.endorsement.endorser = stranger);
    assert_eq!(fault, EvidenceFault::WrongSigner { named: stranger, signer: address_of(&key()) });
}

#[test]
fn another_keys_signature_and_any_altered_byte_are_refused() {
    let (evidence, endorsement) = (parts().evidence().abi_encode(), parts().endorsement().abi_encode());
    for position in 0..evidence.len() {
        let mut altered = evidence.clone();
        altered[position] ^= 1;
        assert!(appraise(&altered, &endorsement, &DOMAIN, NOW).is_err(), "byte {position} of the evidence");
    }
    for position in 0..endorsement.len() {
        let mut altered = endorsement.clone();
        altered[position] ^= 1;
        assert!(appraise(&evidence, &altered, &DOMAIN, NOW).is_err(), "byte {position} of the endorsement");
    }
}
