use super::support::*;
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::{Decodable, Encodable};
use cryptlet_attestation::{BlockFacts, RecordFault, RecoveredRecord, verify_record};
use cryptlet_primitives::{FabricDomain, FabricLimits, Record, RegistrationId, UnavailableReason};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_altered_byte_is_refused(output in prop::collection::vec(any::<u8>(), 0..100), position: prop::sample::Index, flip in 1u8..) {
        let record = record(output.into());
        prop_assert_eq!(verify(record.clone()), Ok(()));
        let mut bytes = Vec::new();
        record.encode(&mut bytes);
        let position = position.index(bytes.len());
        bytes[position] ^= flip;
        let mut rest = &bytes[..];
        match Record::decode(&mut rest) {
            // Whoever changes the request's key, caller or input also changes its hash, which the result signs.
            Ok(altered) if rest.is_empty() => prop_assert!(verify(altered).is_err()),
            _ => {}
        }
    }

    #[test]
    fn any_altered_signature_is_refused(position in 0usize..65, flip in 1u8..) {
        let mut record = record(Bytes::from_static(b"output"));
        record.signature.0[position] ^= flip;
        let fault = verify(record).unwrap_err();
        let is_refused_for_its_signer = matches!(fault, RecordFault::Signature(_) | RecordFault::WrongSigner { .. });
        prop_assert!(is_refused_for_its_signer, "{}", fault);
    }
}

#[test]
fn a_record_of_another_chain_is_refused() {
    for domain in [FabricDomain { chain_id: 1, ..DOMAIN }, FabricDomain { genesis_hash: B256::ZERO, ..DOMAIN }] {
        let recovered = RecoveredRecord::recover(record(Bytes::new()), &domain);
        assert_ne!(recovered.signer(), Ok(address_of(&key())));
    }
}

#[test]
fn the_hashes_are_those_of_eip712() {
    use alloy_sol_types::SolStruct;
    let record = record(Bytes::new());
    let recovered = RecoveredRecord::recover(record.clone(), &DOMAIN);
    assert_eq!(recovered.request_hash(), record.request.eip712_hash_struct());
    assert_eq!(recovered.result_hash(), record.result.eip712_hash_struct());
    assert_eq!(recovered.signer(), Ok(address_of(&key())));
    assert_eq!(recovered.into_record(), record);
}

#[test]
fn an_instance_must_be_the_one_that_is_named() {
    let recovered = RecoveredRecord::recover(record(Bytes::new()), &DOMAIN);
    let block = BlockFacts { number: BLOCK, canonical_anchor: Some(anchor_hash()) };
    let (cryptlet, policy, limits) = (cryptlet(), policy(), FabricLimits::default());
    let verify = |instance| verify_record(&recovered, &cryptlet, instance, &policy, &block, &limits);
    let other = cryptlet_attestation::InstanceEntry { id: RegistrationId(B256::ZERO), ..instance() };
    assert_eq!(verify(Some(&other)), Err(RecordFault::UnknownInstance(instance().id)));
    assert_eq!(verify(None), Err(RecordFault::UnknownInstance(instance().id)));
}

#[test]
fn limits_of_the_chain_bind_generous_registry_entries() {
    let recovered = RecoveredRecord::recover(record(Bytes::from_static(b"eleven bytes")), &DOMAIN);
    let block = BlockFacts { number: BLOCK, canonical_anchor: Some(anchor_hash()) };
    let (cryptlet, instance, policy) = (cryptlet(), instance(), policy());
    let verify = |limits| verify_record(&recovered, &cryptlet, Some(&instance), &policy, &block, &limits);
    let few_units = FabricLimits { units_per_call_max: 9, ..Default::default() };
    assert_eq!(verify(few_units), Err(RecordFault::TooManyUnits { units: 10, units_max: 9 }));
    let few_bytes = FabricLimits { output_bytes_max: 10, ..Default::default() };
    assert_eq!(verify(few_bytes), Err(RecordFault::OutputTooLong { bytes: 12, bytes_max: 10 }));
}

#[test]
fn an_anchor_out_of_reach_is_refused_before_its_hash_is_looked_at() {
    let recovered = RecoveredRecord::recover(record(Bytes::new()), &DOMAIN);
    let verify = |number, canonical_anchor| {
        let block = BlockFacts { number, canonical_anchor };
        verify_record(&recovered, &cryptlet(), Some(&instance()), &policy(), &block, &FabricLimits::default())
    };
    let out_of_reach = |block| Err(RecordFault::AnchorOutOfReach { anchor: BLOCK - 1, block });
    assert_eq!(verify(BLOCK, None), out_of_reach(BLOCK));
    assert_eq!(verify(BLOCK - 1, Some(anchor_hash())), out_of_reach(BLOCK - 1));
    assert_eq!(verify(BLOCK + 256, Some(anchor_hash())), out_of_reach(BLOCK + 256));
    let wrong = verify(BLOCK, Some(keccak256("fork")));
    assert!(matches!(wrong, Err(RecordFault::AnchorHash { .. })), "{wrong:?}");
}

#[test]
fn every_fault_has_a_reason_for_the_contract() {
    let faults = [
        (RecordFault::UnknownStatus(7), UnavailableReason::Malformed),
        (RecordFault::TooManyUnits { units: 2, units_max: 1 }, UnavailableReason::OverLimit),
        (RecordFault::UnknownInstance(RegistrationId(B256::ZERO)), UnavailableReason::BadSignature),
        (RecordFault::PolicyVersion { expected: 1, found: 2 }, UnavailableReason::WrongRequest),
        (RecordFault::OutsideWindow { not_before: 1, expires: 2, block: 3 }, UnavailableReason::Expired),
    ];
    faults.into_iter().for_each(|(fault, reason)| assert_eq!(fault.reason(), reason));
}
