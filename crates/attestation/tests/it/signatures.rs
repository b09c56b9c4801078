use super::support::*;
use alloy_primitives::{B256, U256, keccak256};
use cryptlet_attestation::{SignatureFault, recover};
use cryptlet_primitives::Signature65;
use proptest::prelude::*;

/// Order of secp256k1.
fn order() -> U256 {
    "0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141".parse().unwrap()
}

fn with(signature: Signature65, r: Option<U256>, s: Option<U256>, v: Option<u8>) -> Signature65 {
    let mut bytes = signature.0;
    if let Some(r) = r {
        bytes[..32].copy_from_slice(&r.to_be_bytes::<32>());
    }
    if let Some(s) = s {
        bytes[32..64].copy_from_slice(&s.to_be_bytes::<32>());
    }
    bytes[64] = v.unwrap_or(bytes[64]);
    Signature65(bytes)
}

proptest! {
    #[test]
    fn recovery_finds_the_signer(digest: [u8; 32]) {
        let digest = B256::from(digest);
        prop_assert_eq!(recover(digest, &sign(&key(), digest)), Ok(address_of(&key())));
    }

    #[test]
    fn garbage_never_panics(digest: [u8; 32], bytes in prop::collection::vec(any::<u8>(), 65)) {
        let signature = Signature65(alloy_primitives::FixedBytes::from_slice(&bytes));
        let _ = recover(B256::from(digest), &signature);
    }
}

#[test]
fn each_signature_has_one_form() {
    let digest = keccak256("digest");
    let good = sign(&key(), digest);
    let s = U256::from_be_slice(&good.0[32..64]);
    let twin = with(good, None, Some(order() - s), Some(55 - good.0[64]));
    assert_eq!(recover(digest, &twin), Err(SignatureFault::HighS));
    for v in [0, 1, 2, 26, 29, 35, 255] {
        assert_eq!(recover(digest, &with(good, None, None, Some(v))), Err(SignatureFault::RecoveryByte(v)));
    }
    assert_eq!(recover(digest, &with(good, Some(U256::ZERO), None, None)), Err(SignatureFault::Zero));
    assert_eq!(recover(digest, &with(good, None, Some(U256::ZERO), None)), Err(SignatureFault::Zero));
    assert_eq!(recover(digest, &Signature65::NONE), Err(SignatureFault::Absent));
    for r in [order(), order() + U256::ONE, U256::MAX] {
        assert_eq!(recover(digest, &with(good, Some(r), None, None)), Err(SignatureFault::Unrecoverable));
    }
}

#[test]
fn the_bound_of_s_is_half_the_order() {
    let half = order() >> 1;
    let digest = keccak256("digest");
    let good = sign(&key(), digest);
    assert!(recover(digest, &with(good, None, Some(half), None)).is_ok());
    assert_eq!(recover(digest, &with(good, None, Some(half + U256::ONE), None)), Err(SignatureFault::HighS));
}
