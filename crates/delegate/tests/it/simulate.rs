//! Rehearsals: the same execution, answers of another type.

use super::{
    asm::{Asm, Kind},
    world::*,
};
use alloy_evm::Evm;
use alloy_primitives::{B256, Bytes};
use alloy_sol_types::SolValue;
use cryptlet_delegate::{DryRunAnswer, DryRunOutcome, Rehearsal, SimulateOutcome, SimulationGas, simulate_transaction};
use cryptlet_primitives::{
    Invocation, InvocationMode, RefusalCode, ResultStatus, UnavailableReason, system::CRYPTO_DELEGATE,
};
use revm::context::TxEnv;

fn simulate(
    world: &World,
    transaction: &TxEnv,
    gas: SimulationGas,
    mut answer: impl FnMut(&Invocation) -> DryRunAnswer,
) -> Run {
    let mut rehearsal = Rehearsal::new();
    let mut evm = world.evm();
    loop {
        match simulate_transaction(&mut evm, &mut rehearsal, gas, |evm| evm.transact_raw(transaction.clone())) {
            SimulateOutcome::Finished(run) => return run,
            SimulateOutcome::Suspended(invocation) => rehearsal.push(answer(&invocation)),
            other => panic!("{other:?}"),
        }
    }
}

fn two_calls() -> (World, TxEnv) {
    let world = World::new();
    let code = Asm::new()
        .call(Kind::Call, CRYPTO_DELEGATE, &world.invoke_data(b"first"))
        .pop()
        .call(Kind::Call, CRYPTO_DELEGATE, &world.invoke_data(b"second"))
        .pop();
    let world = world.with_code(OUTER, code.return_returned());
    (world, tx(OUTER, Bytes::new(), GAS))
}

#[test]
fn a_rehearsal_shows_what_the_transaction_will_do() {
    let (world, transaction) = two_calls();
    let from_fabric =
        |invocation: &Invocation| DryRunAnswer::from_fabric(invocation, world.answer(invocation)).unwrap();
    let rehearsed = simulate(&world, &transaction, SimulationGas::Settled, from_fabric);
    let (real, ..) = world.build_and_replay(&transaction);
    assert_eq!(rehearsed.result.output(), real.result.output());
    assert_eq!(rehearsed.result.tx_gas_used(), real.result.tx_gas_used());
    assert_eq!(rehearsed.result.logs().len(), 2);
}

#[test]
fn an_estimate_covers_the_maximum() {
    let (world, transaction) = two_calls();
    let answer = |invocation: &Invocation| {
        DryRunAnswer::new(invocation, DryRunOutcome::Returned(Bytes::from_static(b"short")), 0)
    };
    let estimated = simulate(&world, &transaction, SimulationGas::Maximum, answer).result.tx_gas_used();
    let (real, ..) = world.build_and_replay(&transaction);
    assert!(estimated >= real.result.tx_gas_used() + 2 * 1_900);
    // And a transaction with exactly that limit has enough.
    let (run, records, _) = world.build_and_replay(&tx(OUTER, Bytes::new(), estimated));
    assert!(run.result.is_success() && records.len() == 2);
}

#[test]
fn a_dry_run_is_another_call_than_the_live_one() {
    let (world, transaction) = two_calls();
    let mut seen = Vec::new();
    simulate(&world, &transaction, SimulationGas::Settled, |invocation| {
        seen.push(invocation.clone());
        DryRunAnswer::new(invocation, DryRunOutcome::Returned(Bytes::new()), 1)
    });
    assert!(seen.iter().all(|invocation| invocation.mode == InvocationMode::DryRun));
    let live = world.first_invocation(&transaction);
    assert_eq!(seen[0].input, live.input);
    assert_ne!(seen[0].key(), live.key());
}

#[test]
fn each_outcome_reaches_the_contract() {
    let world = World::new();
    let transaction = tx(CRYPTO_DELEGATE, world.invoke_data(b"x"), GAS);
    let ending = |outcome: DryRunOutcome| {
        let answer = |invocation: &Invocation| DryRunAnswer::new(invocation, outcome.clone(), 1);
        simulate(&world, &transaction, SimulationGas::Settled, answer).result
    };
    let output = Bytes::from_static(b"out");
    let returned = ending(DryRunOutcome::Returned(output.clone()));
    assert_eq!(Bytes::abi_decode(returned.output().unwrap()).unwrap(), output);
    let code = |outcome| refusal(&ending(outcome)).unwrap().0;
    assert_eq!(code(DryRunOutcome::Failed(output)), RefusalCode::CryptletFailed);
    assert_eq!(code(DryRunOutcome::Unavailable(UnavailableReason::Overloaded)), RefusalCode::Unavailable);
    let (denied, data) = refusal(&ending(DryRunOutcome::Denied)).unwrap();
    assert_eq!((denied, data), (RefusalCode::SimulationDenied, world.cryptlet.0.abi_encode().into()));
}

#[test]
fn answers_of_the_fabric_are_checked_against_the_call() {
    let (world, transaction) = two_calls();
    let mut invocation = world.first_invocation(&transaction);
    invocation.mode = InvocationMode::DryRun;
    let reason = |answer| DryRunAnswer::from_fabric(&invocation, answer).unwrap_err().reason;
    let mut answer = world.answer(&invocation);
    answer.result.requestHash = B256::ZERO;
    assert_eq!(reason(answer), UnavailableReason::WrongRequest);
    let mut answer = world.answer(&invocation);
    answer.output = Bytes::new();
    assert_eq!(reason(answer), UnavailableReason::Malformed);
    let long = world.answer_with(&invocation, ResultStatus::Ok, vec![0; 257].into(), 1);
    assert_eq!(reason(long), UnavailableReason::OverLimit);
    let greedy = world.answer_with(&invocation, ResultStatus::Ok, Bytes::new(), 2_001);
    assert_eq!(reason(greedy), UnavailableReason::OverLimit);
    let odd = world.answer_with(&invocation, ResultStatus::Unavailable, Bytes::new(), 1);
    assert_eq!(reason(odd), UnavailableReason::Malformed);
}
