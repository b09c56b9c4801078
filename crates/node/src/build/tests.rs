//! The machine, fed by hand.

use super::{Anchor, Backoff, Cadence, Effect, Input, Machine, MachineConfig, Moment, SealKind};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use cryptlet_attestation::RecoveredRecord;
use cryptlet_primitives::{
    CryptletRequest, FabricDomain, FabricFault, Invocation, InvocationMode, Record, ResultStatus, UnavailableReason,
};

const DOMAIN: FabricDomain = FabricDomain { chain_id: 1, genesis_hash: B256::ZERO };
const TX: B256 = B256::repeat_byte(1);
const OTHER: B256 = B256::repeat_byte(2);

fn machine() -> Machine {
    machine_with(Cadence::default(), 2)
}

fn machine_with(cadence: Cadence, in_flight_max: usize) -> Machine {
    let backoff = Backoff { base_ms: 100, max_ms: 1_000 };
    let config =
        MachineConfig { domain: DOMAIN, unavailable_after_blocks: 3, patience_ms: 0, backoff, in_flight_max, cadence };
    Machine::new(config, 0)
}

fn at(now_ms: u64) -> Moment {
    Moment { now_ms, jitter_per_mille: 1_000 }
}

fn block(number: u64) -> Anchor {
    Anchor { number, hash: B256::with_last_byte(number as u8) }
}

fn call(transaction: B256, sequence: u32) -> Invocation {
    call_with(transaction, sequence, b"input")
}

fn call_with(transaction: B256, sequence: u32, input: &'static [u8]) -> Invocation {
    let key = keccak256([transaction.as_slice(), &sequence.to_be_bytes(), input].concat());
    let request = CryptletRequest {
        key,
        cryptletId: B256::ZERO,
        caller: Address::ZERO,
        codeDigest: B256::ZERO,
        inputHash: keccak256(input),
        anchorBlock: 0,
        anchorHash: B256::ZERO,
        policyVersion: 1,
    };
    Invocation {
        request,
        input: Bytes::from_static(input),
        sequence,
        is_static: false,
        units_max: 1,
        output_bytes_max: 1,
        mode: InvocationMode::Live,
    }
}

/// Some record; the machine does not look into it.
fn record_of(invocation: &Invocation) -> Box<RecoveredRecord> {
    let record = Record::unavailable(invocation, UnavailableReason::Overloaded);
    Box::new(RecoveredRecord::recover(record, &DOMAIN))
}

fn fault(reason: UnavailableReason) -> FabricFault {
    FabricFault::new(reason, "test")
}

fn dispatched(effects: &[Effect]) -> Vec<(B256, u32)> {
    let sent = effects.iter().filter_map(|effect| match effect {
        Effect::Dispatch { transaction, attempt, .. } => Some((*transaction, *attempt)),
        _ => None,
    });
    sent.collect()
}

/// The machine has ordered a block; the run of `TX` in it meets a call.
fn park(machine: &mut Machine, transaction: B256, invocation: Invocation, parent: u64) -> Vec<Effect> {
    assert_eq!(machine.handle(Input::Arrived, at(0)), [Effect::Seal(SealKind::One)]);
    let (again, effects) = machine.suspend(transaction, invocation, block(parent), 0);
    assert!(!again);
    assert_eq!(machine.handle(Input::NothingToSeal, at(0)), []);
    effects
}

#[test]
fn an_arrival_makes_a_block_and_nothing_to_seal_ends_it() {
    let mut machine = machine();
    assert_eq!(machine.handle(Input::Arrived, at(0)), [Effect::Seal(SealKind::One)]);
    // While one is being made, no other is ordered.
    assert_eq!(machine.handle(Input::Arrived, at(0)), []);
    let sealed = Input::Sealed { number: 1, included: vec![TX] };
    assert_eq!(machine.handle(sealed, at(1)), [Effect::Seal(SealKind::One)]);
    assert_eq!(machine.handle(Input::NothingToSeal, at(1)), []);
    assert_eq!(machine.handle(Input::Tick, at(100_000)), []);
    assert_eq!(machine.wake_at_ms(), None);
}

#[test]
fn a_parked_transaction_is_asked_for_once_and_runs_again_with_its_answer() {
    let mut machine = machine();
    let invocation = call(TX, 0);
    let effects = park(&mut machine, TX, invocation.clone(), 7);
    assert_eq!(dispatched(&effects), [(TX, 0)]);
    let Effect::Dispatch { invocation: asked, .. } = &effects[0] else { panic!("{effects:?}") };
    assert_eq!((asked.request.anchorBlock, asked.request.anchorHash), (7, block(7).hash));
    assert_eq!(machine.waiting(), 1);

    let answered = Input::Answered { key: invocation.key(), outcome: Ok(record_of(&invocation)) };
    let effects = machine.handle(answered.clone(), at(5));
    assert_eq!(effects, [Effect::Resume { transaction: TX }, Effect::Seal(SealKind::One)]);
    assert_eq!(machine.transcript(TX).len(), 1);
    // The same answer again is nobody's.
    assert_eq!(machine.handle(answered, at(6)), []);
    assert_eq!(machine.transcript(TX).len(), 1);
}

#[test]
fn faults_back_off_and_the_last_reason_stands_in_the_end() {
    let mut machine = machine();
    let invocation = call(TX, 0);
    park(&mut machine, TX, invocation.clone(), 7);
    let failed = |reason| Input::Answered { key: invocation.key(), outcome: Err(fault(reason)) };
    assert_eq!(machine.handle(failed(UnavailableReason::HostUnreachable), at(10)), []);
    assert_eq!(machine.wake_at_ms(), Some(110));
    assert_eq!(dispatched(&machine.handle(Input::Tick, at(109))), []);
    assert_eq!(dispatched(&machine.handle(Input::Tick, at(110))), [(TX, 1)]);
    machine.handle(failed(UnavailableReason::BadSignature), at(120));
    assert_eq!(machine.wake_at_ms(), Some(320));

    // Block 10 is three after the anchor; until then the call waits.
    let effects = machine.handle(Input::Sealed { number: 8, included: vec![] }, at(130));
    assert_eq!(effects, [Effect::Seal(SealKind::One)]);
    assert!(machine.transcript(TX).is_empty());
    machine.handle(Input::NothingToSeal, at(130));
    let effects = machine.handle(Input::Sealed { number: 9, included: vec![] }, at(140));
    assert_eq!(effects, [Effect::Resume { transaction: TX }, Effect::Seal(SealKind::One)]);
    assert_eq!(machine.transcript(TX)[0].record().output[..], [UnavailableReason::BadSignature as u8]);
}

#[test]
fn a_call_is_answered_unavailable_when_its_blocks_are_over() {
    let mut machine = machine();
    let invocation = call(TX, 0);
    park(&mut machine, TX, invocation.clone(), 7);
    assert_eq!(machine.handle(Input::Sealed { number: 8, included: vec![] }, at(1)).len(), 1);
    let effects = machine.handle(Input::Sealed { number: 9, included: vec![] }, at(2));
    let expected =
        [Effect::Cancel { key: invocation.key() }, Effect::Resume { transaction: TX }, Effect::Seal(SealKind::One)];
    assert_eq!(effects, expected);
    let record = machine.transcript(TX)[0].record();
    assert_eq!(record.status(), Some(ResultStatus::Unavailable));
    assert_eq!(record.output[..], [UnavailableReason::DeadlineExceeded as u8]);
    assert_eq!(record.request.anchorBlock, 7);
    assert_eq!(machine.waiting(), 0);
}

#[test]
fn patience_outlasts_fast_blocks_but_not_the_reach_of_an_anchor() {
    let backoff = Backoff::default();
    let (domain, cadence) = (DOMAIN, Cadence::default());
    let config =
        MachineConfig { domain, unavailable_after_blocks: 3, patience_ms: 1_000, backoff, in_flight_max: 1, cadence };
    let mut machine = Machine::new(config, 0);
    park(&mut machine, TX, call(TX, 0), 7);
    let resumes = |machine: &mut Machine, number, now_ms| {
        let effects = machine.handle(Input::Sealed { number, included: vec![] }, at(now_ms));
        effects.contains(&Effect::Resume { transaction: TX })
    };
    assert!(!resumes(&mut machine, 9, 1));
    assert!(!resumes(&mut machine, 200, 999));
    assert!(resumes(&mut machine, 248, 999));
}

#[test]
fn a_call_that_changes_keeps_the_anchor_of_its_position() {
    let mut machine = machine();
    park(&mut machine, TX, call_with(TX, 0, b"first"), 7);
    let (again, effects) = machine.suspend(TX, call_with(TX, 0, b"second"), block(8), 0);
    assert!(!again);
    assert!(matches!(effects[0], Effect::Cancel { .. }));
    let Effect::Dispatch { invocation, .. } = &effects[1] else { panic!("{effects:?}") };
    assert_eq!(invocation.request.anchorBlock, 7);
    // Its time is over at block 10, whatever it calls by then.
    let (again, effects) = machine.suspend(TX, call_with(TX, 0, b"third"), block(9), 0);
    assert!(again);
    assert!(matches!(effects[..], [Effect::Cancel { .. }]));
    assert_eq!(machine.transcript(TX).len(), 1);
    // The next position starts its own clock.
    let (again, _) = machine.suspend(TX, call(TX, 1), block(9), 0);
    assert!(!again);
}

#[test]
fn only_so_many_calls_are_in_flight_and_the_others_follow() {
    let mut machine = machine_with(Cadence::default(), 1);
    let (first, second) = (call(TX, 0), call(OTHER, 0));
    assert_eq!(dispatched(&park(&mut machine, TX, first.clone(), 1)), [(TX, 0)]);
    assert_eq!(dispatched(&park(&mut machine, OTHER, second, 1)), []);
    let effects = machine.handle(Input::Answered { key: first.key(), outcome: Ok(record_of(&first)) }, at(1));
    assert_eq!(dispatched(&effects), [(OTHER, 0)]);
}

#[test]
fn a_heartbeat_block_comes_while_something_is_parked_and_only_then() {
    let mut machine = machine();
    park(&mut machine, TX, call(TX, 0), 1);
    assert_eq!(machine.wake_at_ms(), Some(1_000));
    assert_eq!(machine.handle(Input::Tick, at(999)), []);
    assert_eq!(machine.handle(Input::Tick, at(1_000)), [Effect::Seal(SealKind::All)]);
    machine.handle(Input::Gone { transactions: vec![TX] }, at(1_001));
    machine.handle(Input::Sealed { number: 2, included: vec![] }, at(1_002));
    machine.handle(Input::NothingToSeal, at(1_002));
    assert_eq!(machine.handle(Input::Tick, at(60_000)), []);
}

#[test]
fn an_interval_makes_blocks_whether_or_not_there_is_anything() {
    let cadence = Cadence { automine: false, interval_ms: Some(500), parked_block_interval_ms: 1_000 };
    let mut machine = machine_with(cadence, 1);
    assert_eq!(machine.handle(Input::Arrived, at(100)), []);
    assert_eq!(machine.handle(Input::Tick, at(500)), [Effect::Seal(SealKind::All)]);
    // Making a block takes its time out of the interval, not out of the next one.
    machine.handle(Input::Sealed { number: 1, included: vec![TX] }, at(520));
    assert_eq!(machine.wake_at_ms(), Some(1_000));
    // A block that could not be made does not make the machine spin.
    assert_eq!(machine.handle(Input::Tick, at(1_020)), [Effect::Seal(SealKind::All)]);
    assert_eq!(machine.handle(Input::NothingToSeal, at(1_020)), []);
    assert_eq!(machine.wake_at_ms(), Some(1_520));
    // Nor does one that took longer than an interval.
    assert_eq!(machine.handle(Input::Tick, at(1_520)), [Effect::Seal(SealKind::All)]);
    machine.handle(Input::Sealed { number: 2, included: vec![TX] }, at(2_100));
    assert_eq!(machine.wake_at_ms(), Some(2_600));
}

#[test]
fn a_transaction_that_is_gone_is_forgotten_with_its_call() {
    let mut machine = machine();
    let invocation = call(TX, 0);
    park(&mut machine, TX, invocation.clone(), 1);
    let effects = machine.handle(Input::Gone { transactions: vec![TX] }, at(1));
    assert_eq!(effects, [Effect::Cancel { key: invocation.key() }]);
    let late = Input::Answered { key: invocation.key(), outcome: Ok(record_of(&invocation)) };
    assert_eq!(machine.handle(late, at(2)), []);
    assert!(machine.transcript(TX).is_empty() && machine.parked(TX).is_none());
}
