//! Records that are not what execution asks for, or do not hold, make a block invalid; the error says which and why.

use super::{
    asm::{Asm, Kind},
    world::*,
};
use alloy_primitives::{B256, Bytes, FixedBytes, U256};
use cryptlet_attestation::{CryptletStatus, RecordFault, RecoveredRecord, SignatureFault};
use cryptlet_delegate::{
    BuildOutcome, DelegateError, ReplayError, Suspension, Transcript, build_transaction, registry_layout::slots,
};
use cryptlet_primitives::{
    CryptletId, FabricAnswer, Record, RefusalCode, RegistrationId, ResultStatus, Signature65, UnavailableReason,
    system::CRYPTO_DELEGATE,
};
use revm::context::TxEnv;

/// Two calls with different inputs, and their records.
fn two_calls() -> (World, TxEnv, Vec<RecoveredRecord>) {
    let world = World::new();
    let code = Asm::new()
        .call(Kind::Call, CRYPTO_DELEGATE, &world.invoke_data(b"first"))
        .pop()
        .call(Kind::Call, CRYPTO_DELEGATE, &world.invoke_data(b"second"))
        .pop();
    let world = world.with_code(OUTER, code.stop());
    let transaction = tx(OUTER, Bytes::new(), GAS);
    let (_, records, _) = world.build_and_replay(&transaction);
    (world, transaction, records)
}

fn one_call() -> (World, TxEnv, Record) {
    let world = World::new();
    let transaction = tx(CRYPTO_DELEGATE, world.invoke_data(b"only"), GAS);
    let (_, records, _) = world.build_and_replay(&transaction);
    let record = records[0].record().clone();
    (world, transaction, record)
}

#[track_caller]
fn import(world: &World, transaction: &TxEnv, records: Vec<RecoveredRecord>) -> DelegateError {
    match world.replay(&mut world.evm(), transaction, records) {
        Err(ReplayError::Delegate(error)) => error,
        other => panic!("imported, or refused for another reason: {other:?}"),
    }
}

/// Imports one altered record.
#[track_caller]
fn alter(change: impl FnOnce(&mut Record)) -> DelegateError {
    let (world, transaction, mut record) = one_call();
    change(&mut record);
    import(&world, &transaction, vec![world.recover(record)])
}

/// Imports a record that the instance signs anew after a change, so that only the change is wrong.
#[track_caller]
fn resign(change: impl FnOnce(&mut FabricAnswer)) -> RecordFault {
    let (world, transaction, record) = one_call();
    let mut answer = FabricAnswer { result: record.result, output: record.output, signature: record.signature };
    change(&mut answer);
    let FabricAnswer { result, output, signature } = world.signed(answer.result, answer.output);
    let record = Record { request: record.request, result, output, signature };
    fault(import(&world, &transaction, vec![world.recover(record)]))
}

#[track_caller]
fn fault(error: DelegateError) -> RecordFault {
    match error {
        DelegateError::InvalidRecord { sequence: 0, fault } => fault,
        other => panic!("another error: {other:?}"),
    }
}

#[test]
fn dropped_records_are_missed() {
    let (world, transaction, records) = two_calls();
    let without_last = import(&world, &transaction, vec![records[0].clone()]);
    assert!(matches!(without_last, DelegateError::MissingRecord { sequence: 1, .. }), "{without_last}");
    let without_first = import(&world, &transaction, vec![records[1].clone()]);
    assert!(matches!(without_first, DelegateError::RecordMismatch { sequence: 0, .. }), "{without_first}");
    let without_any = import(&world, &transaction, vec![]);
    assert!(matches!(without_any, DelegateError::MissingRecord { sequence: 0, .. }), "{without_any}");
}

#[test]
fn duplicated_records_are_refused() {
    let (world, transaction, records) = two_calls();
    let [first, second] = [&records[0], &records[1]].map(Clone::clone);
    let again = import(&world, &transaction, vec![first.clone(), first.clone(), second.clone()]);
    assert!(matches!(again, DelegateError::RecordMismatch { sequence: 1, field: "inputHash", .. }), "{again}");
    let extra = import(&world, &transaction, vec![first, second.clone(), second]);
    assert_eq!(extra, DelegateError::ExtraRecords { consumed: 2, given: 3 });
}

#[test]
fn reordered_records_are_refused() {
    let (world, transaction, mut records) = two_calls();
    records.reverse();
    let error = import(&world, &transaction, records);
    assert!(matches!(error, DelegateError::RecordMismatch { sequence: 0, field: "inputHash", .. }), "{error}");
}

#[test]
fn records_of_equal_calls_do_not_change_places() {
    let world = World::new();
    let data = world.invoke_data(b"same");
    let code = (0..2).fold(Asm::new(), |asm, _| asm.call(Kind::Call, CRYPTO_DELEGATE, &data).pop());
    let world = world.with_code(OUTER, code.stop());
    let transaction = tx(OUTER, Bytes::new(), GAS);
    let (_, mut records, _) = world.build_and_replay(&transaction);
    records.reverse();
    let error = import(&world, &transaction, records);
    assert!(matches!(error, DelegateError::RecordMismatch { sequence: 0, field: "key", .. }), "{error}");
}

#[test]
fn a_record_of_another_transaction_is_refused() {
    let (world, transaction, record) = one_call();
    let records = vec![world.recover(record)];
    let other = B256::repeat_byte(0x78);
    let result = cryptlet_delegate::replay_transaction(&mut world.evm(), other, records, |evm| {
        alloy_evm::Evm::transact_raw(evm, transaction)
    });
    let error = result.unwrap_err();
    assert!(matches!(error, ReplayError::Delegate(DelegateError::RecordMismatch { field: "key", .. })), "{error}");
}

#[test]
fn every_byte_of_the_signature_counts() {
    let (world, transaction, record) = one_call();
    for position in 0..65 {
        for bit in 0..8 {
            let mut bytes = record.signature.0;
            bytes[position] ^= 1 << bit;
            let altered = Record { signature: Signature65(bytes), ..record.clone() };
            let error = fault(import(&world, &transaction, vec![world.recover(altered)]));
            assert!(
                matches!(error, RecordFault::Signature(_) | RecordFault::WrongSigner { .. }),
                "byte {position}, bit {bit}: {error}"
            );
        }
    }
}

#[test]
fn every_byte_of_the_record_counts() {
    use alloy_rlp::{Decodable, Encodable};
    let (world, transaction, record) = one_call();
    let mut encoded = Vec::new();
    record.encode(&mut encoded);
    let mut decoded = 0;
    for position in 0..encoded.len() {
        let mut bytes = encoded.clone();
        bytes[position] ^= 1;
        let mut rest = &bytes[..];
        // What does not decode, or leaves bytes over, does not even reach the executor.
        let Ok(altered) = Record::decode(&mut rest) else { continue };
        if !rest.is_empty() {
            continue;
        }
        decoded += 1;
        let error = import(&world, &transaction, vec![world.recover(altered)]);
        assert!(
            matches!(error, DelegateError::InvalidRecord { .. } | DelegateError::RecordMismatch { .. }),
            "byte {position}: {error}"
        );
    }
    assert!(decoded > 300, "only {decoded} alterations decode");
}

#[test]
fn each_field_has_its_own_refusal() {
    use DelegateError::RecordMismatch;
    let word = B256::repeat_byte(1);
    let mismatch = |field: &str, change: fn(&mut Record)| match alter(change) {
        RecordMismatch { field: found, .. } => assert_eq!(found, field),
        other => panic!("{field}: {other}"),
    };
    mismatch("key", |record| record.request.key.0[0] ^= 1);
    mismatch("cryptletId", |record| record.request.cryptletId.0[0] ^= 1);
    mismatch("caller", |record| record.request.caller.0[0] ^= 1);
    mismatch("codeDigest", |record| record.request.codeDigest.0[0] ^= 1);
    mismatch("inputHash", |record| record.request.inputHash.0[0] ^= 1);

    let invalid = |change: fn(&mut Record)| fault(alter(change));
    assert!(matches!(invalid(|record| record.request.policyVersion = 4), RecordFault::RequestHash { .. }));
    assert!(matches!(invalid(|record| record.output = Bytes::new()), RecordFault::OutputHash { .. }));
    assert!(matches!(invalid(|record| record.signature = Signature65::NONE), RecordFault::Signature(_)));
    let absent = invalid(|record| record.signature = Signature65::NONE);
    assert_eq!(absent, RecordFault::Signature(SignatureFault::Absent));

    assert!(matches!(resign(|answer| answer.result.requestHash = word), RecordFault::RequestHash { .. }));
    assert!(matches!(resign(|answer| answer.result.outputHash = word), RecordFault::OutputHash { .. }));
    assert_eq!(
        resign(|answer| answer.result.registrationId = word),
        RecordFault::UnknownInstance(RegistrationId(word))
    );
    assert_eq!(resign(|answer| answer.result.keyEpoch = 2), RecordFault::KeyEpoch { expected: 1, found: 2 });
    assert_eq!(resign(|answer| answer.result.status = 9), RecordFault::UnknownStatus(9));
    assert_eq!(
        resign(|answer| answer.result.units = 2_001),
        RecordFault::TooManyUnits { units: 2_001, units_max: 2_000 }
    );
    let window = |not_before, expires| RecordFault::OutsideWindow { not_before, expires, block: PARENT_NUMBER + 1 };
    assert_eq!(resign(|answer| answer.result.expires = PARENT_NUMBER), window(PARENT_NUMBER, PARENT_NUMBER));
    assert_eq!(
        resign(|answer| answer.result.notBefore = PARENT_NUMBER + 2),
        window(PARENT_NUMBER + 2, PARENT_NUMBER + 100)
    );
    let long = resign(|answer| {
        answer.output = vec![0; 257].into();
        answer.result.outputHash = alloy_primitives::keccak256(&answer.output);
    });
    assert_eq!(long, RecordFault::OutputTooLong { bytes: 257, bytes_max: 256 });
}

#[test]
fn an_answer_to_a_dry_run_is_not_a_record() {
    let (world, transaction, record) = one_call();
    let digest = cryptlet_attestation::signature::dry_run_result_digest(&record.result, &world.domain);
    let signature = sign(&world.key, digest);
    let error = fault(import(&world, &transaction, vec![world.recover(Record { signature, ..record })]));
    assert!(matches!(error, RecordFault::WrongSigner { .. }), "{error}");
}

#[test]
fn a_stranger_cannot_sign() {
    let (mut world, transaction, record) = one_call();
    world.key = key(8);
    let FabricAnswer { result, output, signature } = world.signed(record.result, record.output);
    let altered = Record { request: record.request, result, output, signature };
    let error = fault(import(&world, &transaction, vec![world.recover(altered)]));
    assert!(matches!(error, RecordFault::WrongSigner { .. }), "{error}");
}

#[test]
fn the_registry_decides_who_may_answer() {
    use slots::{instance as at, rules};
    type Change = fn(&mut World);
    type Expected = fn(&RecordFault) -> bool;
    let cases: [(Change, Expected); 9] = [
        (|w| w.set_instance_field(w.instance, at::STATUS, 2), |f| matches!(f, RecordFault::InstanceInactive { .. })),
        (|w| w.set_instance_field(w.instance, at::STATUS, 0), |f| matches!(f, RecordFault::UnknownInstance(_))),
        (
            |w| w.set_instance_field(w.instance, at::CRYPTLET_ID, B256::ZERO),
            |f| matches!(f, RecordFault::InstanceOfOther { .. }),
        ),
        (
            |w| w.set_instance_field(w.instance, at::CODE_DIGEST, B256::ZERO),
            |f| matches!(f, RecordFault::InstanceCode { .. }),
        ),
        (
            |w| w.set_instance_field(w.instance, at::NOT_AFTER_BLOCK, PARENT_NUMBER),
            |f| matches!(f, RecordFault::InstanceExpired { .. }),
        ),
        (
            |w| w.set_cryptlet(w.cryptlet, slots::cryptlet::KEY_EPOCH, 2),
            |f| matches!(f, RecordFault::KeyEpoch { expected: 2, found: 1 }),
        ),
        (|w| w.set_rule(rules::ACCEPTED_PROVIDERS, 0b100), |f| matches!(f, RecordFault::ProviderNotAccepted { .. })),
        (
            |w| w.set_rule(rules::RESTRICTED_PROVIDERS, 0b10),
            |f| matches!(f, RecordFault::MeasurementNotAccepted { .. }),
        ),
        (|w| w.set_rule(rules::MINIMUM_ISOLATION, 2), |f| matches!(f, RecordFault::IsolationTooWeak { .. })),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        let (mut world, transaction, record) = one_call();
        change(&mut world);
        let error = fault(import(&world, &transaction, vec![world.recover(record)]));
        assert!(expected(&error), "case {index}: {error}");
    }
}

#[test]
fn a_changed_policy_or_code_asks_for_a_new_answer() {
    let (mut world, transaction, record) = one_call();
    world.set_rule(slots::rules::VERSION, 4);
    let error = fault(import(&world, &transaction, vec![world.recover(record.clone())]));
    assert_eq!(error, RecordFault::PolicyVersion { expected: 4, found: 3 });
    let (mut world, transaction, _) = one_call();
    world.set_cryptlet(world.cryptlet, slots::cryptlet::CODE_DIGEST, B256::repeat_byte(0xc1));
    let error = import(&world, &transaction, vec![world.recover(record)]);
    assert!(matches!(error, DelegateError::RecordMismatch { field: "codeDigest", .. }), "{error}");
}

#[test]
fn the_anchor_is_an_ancestor_within_reach() {
    let (world, transaction, record) = one_call();
    let anchored = |number: u64, hash: B256| {
        let mut invocation = world.first_invocation(&transaction);
        invocation.request.anchorBlock = number;
        invocation.request.anchorHash = hash;
        world.record(&invocation)
    };
    let result = |number, hash| world.replay(&mut world.evm(), &transaction, vec![anchored(number, hash)]);
    // EmptyDB's hash of block n is keccak256(decimal n), as `block_hash` says.
    assert!(result(PARENT_NUMBER, world.block_hash(PARENT_NUMBER)).is_ok());
    let oldest = world.block_number() - 256;
    let mut invocation = world.first_invocation(&transaction);
    invocation.request.anchorBlock = oldest;
    invocation.request.anchorHash = world.block_hash(oldest);
    let answer = world.answer(&invocation);
    let mut result_of_old = answer.result;
    result_of_old.expires = world.block_number();
    let old = Record::answered(&invocation, world.signed(result_of_old, answer.output));
    assert!(world.replay(&mut world.evm(), &transaction, vec![world.recover(old)]).is_ok());
    for number in [oldest - 1, world.block_number(), world.block_number() + 1] {
        let error = fault(import(&world, &transaction, vec![anchored(number, world.block_hash(number))]));
        assert!(matches!(error, RecordFault::AnchorOutOfReach { .. }), "{error}");
    }
    for number in [PARENT_NUMBER, PARENT_NUMBER - 5] {
        let error = fault(import(&world, &transaction, vec![anchored(number, B256::repeat_byte(2))]));
        assert!(matches!(error, RecordFault::AnchorHash { .. }), "{error}");
    }
    drop(record);
}

#[test]
fn unavailable_has_one_form_and_one_time() {
    let (mut world, transaction, _) = one_call();
    let invocation = world.first_invocation(&transaction);
    let record = Record::unavailable(&invocation, UnavailableReason::DeadlineExceeded);
    let early = fault(import(&world, &transaction, vec![world.recover(record.clone())]));
    assert_eq!(early, RecordFault::UnavailableTooEarly { waited: 1, needed: 15 });

    world.parent_number += 13;
    let early = fault(import(&world, &transaction, vec![world.recover(record.clone())]));
    assert_eq!(early, RecordFault::UnavailableTooEarly { waited: 14, needed: 15 });

    world.parent_number += 1;
    let mut evm = world.evm();
    let run = world.replay(&mut evm, &transaction, vec![world.recover(record.clone())]).unwrap();
    let expected = (RefusalCode::Unavailable, U256::from(1).to_be_bytes_vec().into());
    assert_eq!(refusal(&run.value.result), Some(expected));

    let altered = |change: fn(&mut Record)| {
        let mut record = record.clone();
        change(&mut record);
        if record.output != Record::unavailable(&invocation, UnavailableReason::DeadlineExceeded).output {
            record.result.outputHash = alloy_primitives::keccak256(&record.output);
        }
        fault(import(&world, &transaction, vec![world.recover(record)]))
    };
    let changes: [fn(&mut Record); 7] = [
        |record| record.result.registrationId = B256::repeat_byte(1),
        |record| record.result.keyEpoch = 1,
        |record| record.result.units = 1,
        |record| record.result.observedAt = 1,
        |record| record.result.notBefore = 1,
        |record| record.result.expires = 1,
        |record| record.signature = Signature65(FixedBytes::repeat_byte(1)),
    ];
    for change in changes {
        assert!(matches!(altered(change), RecordFault::UnavailableNotBlank(_)));
    }
    for output in [vec![], vec![10], vec![1, 1]] {
        let mut record = record.clone();
        record.output = output.into();
        record.result.outputHash = alloy_primitives::keccak256(&record.output);
        let error = fault(import(&world, &transaction, vec![world.recover(record)]));
        assert!(matches!(error, RecordFault::UnavailableReason(_)), "{error}");
    }
}

#[test]
fn a_builder_drops_answers_that_no_longer_hold() {
    // The second answer expires while the transaction waits: the builder learns which call needs a new one, and why.
    let (mut world, transaction, records) = two_calls();
    let mut second = records[1].record().clone();
    second.result.expires = PARENT_NUMBER + 1;
    let FabricAnswer { result, output, signature } = world.signed(second.result, second.output);
    let second = world.recover(Record { request: second.request, result, output, signature });
    world.parent_number += 3;
    let mut transcript = Transcript::from_answers(vec![records[0].clone(), second.clone()]);
    let outcome = build_transaction(&mut world.evm(), TX_HASH, &mut transcript, |evm| {
        alloy_evm::Evm::transact_raw(evm, transaction.clone())
    });
    let BuildOutcome::Suspended(suspension) = outcome else { panic!("{outcome:?}") };
    let Suspension { invocation, stale } = *suspension;
    let expected =
        RecordFault::OutsideWindow { not_before: PARENT_NUMBER, expires: PARENT_NUMBER + 1, block: PARENT_NUMBER + 4 };
    assert_eq!(stale, Some(DelegateError::InvalidRecord { sequence: 1, fault: expected }));
    assert_eq!(transcript.answers().len(), 1);
    // The same call with the same anchor: its time to live goes on.
    assert_eq!(invocation.request, second.record().request);
    assert_eq!(invocation.sequence, 1);
}

#[test]
fn a_builder_asks_anew_when_the_call_has_changed() {
    // The contract passes on its own call data, and the transaction is replaced by one with other data.
    let (world, transaction, records) = two_calls();
    let code = Asm::new().call(Kind::Call, CRYPTO_DELEGATE, &world.invoke_data(b"changed")).pop().stop();
    let world = world.with_code(OUTER, code);
    let mut transcript = Transcript::from_answers(records);
    let outcome = build_transaction(&mut world.evm(), TX_HASH, &mut transcript, |evm| {
        alloy_evm::Evm::transact_raw(evm, transaction.clone())
    });
    let BuildOutcome::Suspended(suspension) = outcome else { panic!("{outcome:?}") };
    assert!(matches!(suspension.stale, Some(DelegateError::RecordMismatch { sequence: 0, field: "inputHash", .. })));
    assert!(transcript.answers().is_empty());
    assert_eq!(suspension.invocation.request.anchorBlock, PARENT_NUMBER);
}

#[test]
fn a_builder_forgets_answers_that_nobody_asked_for() {
    let (world, transaction, records) = two_calls();
    let mut more = records.clone();
    more.push(records[1].clone());
    let mut transcript = Transcript::from_answers(more);
    let outcome = build_transaction(&mut world.evm(), TX_HASH, &mut transcript, |evm| {
        alloy_evm::Evm::transact_raw(evm, transaction.clone())
    });
    let BuildOutcome::Finished(executed) = outcome else { panic!("{outcome:?}") };
    assert_eq!(executed.records(), records);
    assert_eq!(transcript.answers(), records);
}

#[test]
fn having_checked_a_record_vouches_for_no_other() {
    // In one executor, so that what was checked is remembered.
    let (world, transaction, records) = two_calls();
    let mut evm = world.evm();
    let mut build = |records: Vec<RecoveredRecord>, hash: B256| {
        let mut transcript = Transcript::from_answers(records);
        build_transaction(&mut evm, hash, &mut transcript, |evm| alloy_evm::Evm::transact_raw(evm, transaction.clone()))
    };
    for _ in 0..2 {
        assert!(matches!(build(records.clone(), TX_HASH), BuildOutcome::Finished(_)));
    }
    let alterations: [fn(&mut Record); 4] = [
        |record| record.output = Bytes::from_static(b"other"),
        |record| record.result.units += 1,
        |record| record.signature.0[40] ^= 1,
        |record| record.request.anchorHash = B256::ZERO,
    ];
    for alter in alterations {
        let mut record = records[1].record().clone();
        alter(&mut record);
        let outcome = build(vec![records[0].clone(), world.recover(record)], TX_HASH);
        let BuildOutcome::Suspended(suspension) = outcome else { panic!("{outcome:?}") };
        assert!(matches!(suspension.stale, Some(DelegateError::InvalidRecord { sequence: 1, .. })));
    }
    let outcome = build(records, B256::repeat_byte(0x78));
    let BuildOutcome::Suspended(suspension) = outcome else { panic!("{outcome:?}") };
    assert!(matches!(suspension.stale, Some(DelegateError::RecordMismatch { sequence: 0, field: "key", .. })));
}

#[test]
fn statuses_and_ids_print_for_people() {
    let fault = RecordFault::CryptletInactive { cryptlet: CryptletId(B256::ZERO), status: CryptletStatus::Revoked };
    assert!(fault.to_string().ends_with("is Revoked"));
    assert_eq!(ResultStatus::try_from(3), Err(3));
}
