//! What registrars and identity keys sign: no other structure, domain, chain or signature passes for it. Every field and every byte is
//! changed in turn.

use super::support::*;
use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::{Eip712Domain, SolStruct};
use cryptlet_attestation::{
    recover,
    signature::{authorization_digest, keys_digest, recover_struct, utility_digest},
};
use cryptlet_primitives::{
    FabricDomain, InstanceAuthorization, InstanceKeys, Signature65, abi::CreatedInstance,
    typed_data::UtilityRegistration,
};

pub fn authorization() -> InstanceAuthorization {
    InstanceAuthorization {
        registrationId: B256::repeat_byte(1),
        previous: B256::repeat_byte(2),
        graceBlocks: 3,
        deadlineBlock: 4,
    }
}

pub fn utility() -> UtilityRegistration {
    UtilityRegistration {
        publisher: Address::repeat_byte(1),
        name: "tools".to_owned(),
        codeDigest: B256::repeat_byte(2),
        manifestDigest: B256::repeat_byte(3),
        headerDigest: B256::repeat_byte(4),
        configDigest: B256::repeat_byte(5),
        identityKey: Address::repeat_byte(6),
        isolation: 1,
        minimumInstances: 1,
        maximumInstances: 2,
        unitsMax: 7,
        outputBytesMax: 8,
        simulationPolicy: 0,
        simulationStub: Bytes::from_static(b"stub"),
        deadlineBlock: 9,
    }
}

pub fn keys() -> InstanceKeys {
    InstanceKeys {
        cryptletId: B256::repeat_byte(1),
        codeDigest: B256::repeat_byte(2),
        manifestDigest: B256::repeat_byte(3),
        signer: address_of(&key()),
        hpkeKey: B256::repeat_byte(5),
        keyEpoch: 6,
        anchorBlock: 7,
        anchorHash: B256::repeat_byte(8),
        notAfterBlock: 9,
        container: 1,
        version: 1_002,
    }
}

/// Does the registrar's signature of one digest pass for another?
fn passes(digest: B256, signature: &Signature65) -> bool {
    recover(digest, signature) == Ok(address_of(&key()))
}

macro_rules! changed {
    ($value:expr; $($field:ident = $other:expr),+ $(,)?) => {
        vec![$({
            let mut value = $value;
            value.$field = $other;
            (stringify!($field), value)
        }),+]
    };
}

#[test]
fn a_changed_field_is_something_else_that_nobody_signed() {
    let good = authorization_digest(&authorization(), &DOMAIN);
    let signature = sign(&key(), good);
    assert!(passes(good, &signature));
    let changes = changed!(authorization();
        registrationId = B256::ZERO, previous = B256::ZERO, graceBlocks = 4, deadlineBlock = 5);
    assert_eq!(changes.len(), 4);
    for (field, changed) in changes {
        assert!(!passes(authorization_digest(&changed, &DOMAIN), &signature), "{field}");
    }

    let good = utility_digest(&utility(), &DOMAIN);
    let signature = sign(&key(), good);
    assert!(passes(good, &signature));
    let changes = changed!(utility();
        publisher = Address::ZERO, name = "tool".to_owned(), codeDigest = B256::ZERO, manifestDigest = B256::ZERO,
        headerDigest = B256::ZERO, configDigest = B256::ZERO, identityKey = Address::ZERO, isolation = 0,
        minimumInstances = 2, maximumInstances = 3, unitsMax = 8, outputBytesMax = 9, simulationPolicy = 1,
        simulationStub = Bytes::new(), deadlineBlock = 10);
    assert_eq!(changes.len(), 15);
    for (field, changed) in changes {
        assert!(!passes(utility_digest(&changed, &DOMAIN), &signature), "{field}");
    }

    let good = keys_digest(&keys(), &DOMAIN);
    let signature = sign(&key(), good);
    let changes = changed!(keys();
        cryptletId = B256::ZERO, codeDigest = B256::ZERO, manifestDigest = B256::ZERO, signer = Address::ZERO,
        hpkeKey = B256::ZERO, keyEpoch = 7, anchorBlock = 8, anchorHash = B256::ZERO, notAfterBlock = 10, container = 2,
        version = 1_003);
    assert_eq!(changes.len(), 11);
    for (field, changed) in changes {
        assert!(!passes(keys_digest(&changed, &DOMAIN), &signature), "{field}");
        assert_ne!(changed.registration_id(), keys().registration_id(), "{field}");
    }
}

#[test]
fn no_byte_of_a_signature_may_be_another() {
    let digest = authorization_digest(&authorization(), &DOMAIN);
    let good = sign(&key(), digest);
    let mut accepted = 0;
    for position in 0..65 {
        for value in 0..=255 {
            let mut bad = good;
            bad.0[position] = value;
            accepted += usize::from(passes(digest, &bad));
        }
    }
    assert_eq!(accepted, 65, "each byte as it was, and nothing else");
}

#[test]
fn what_is_signed_for_the_registry_is_signed_for_nothing_else() {
    let hash = authorization().eip712_hash_struct();
    let signature = sign(&key(), authorization_digest(&authorization(), &DOMAIN));
    let recovered = |domain: &Eip712Domain| recover_struct(domain, hash, &signature);
    assert_eq!(recovered(&DOMAIN.registry()), Ok(address_of(&key())));
    let other_chain = FabricDomain { chain_id: DOMAIN.chain_id + 1, ..DOMAIN };
    let other_genesis = FabricDomain { genesis_hash: B256::ZERO, ..DOMAIN };
    for domain in [DOMAIN.live(), DOMAIN.dry_run(), other_chain.registry(), other_genesis.registry()] {
        assert_ne!(recovered(&domain), Ok(address_of(&key())), "{domain:?}");
    }
    // One structure never has another's hash, whatever is in it.
    assert_ne!(authorization().eip712_type_hash(), utility().eip712_type_hash());
}

#[test]
fn keys_are_the_same_on_the_way_to_the_registry_and_back() {
    let signature = sign(&key(), keys_digest(&keys(), &DOMAIN));
    let created = CreatedInstance::new(&keys(), signature, Bytes::from_static(b"e"), Bytes::from_static(b"c"));
    assert_eq!(created.keys(), keys());
    assert_eq!(created.registration_id(), keys().registration_id());
    assert_eq!(created.keysSignature.as_ref(), signature.0.as_slice());
}
