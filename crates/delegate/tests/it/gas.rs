//! Building and replaying agree on gas and state, whatever the gas limit.

use super::{
    asm::{Asm, Kind},
    world::*,
};
use alloy_primitives::Bytes;
use cryptlet_primitives::{ResultStatus, system::CRYPTO_DELEGATE};
use revm::context_interface::result::ExecutionResult;
use std::convert::Infallible;

/// A contract that calls another with all four call kinds, each of which calls the delegate twice, catches what goes
/// wrong, and writes down how each call ended.
fn nested() -> World {
    let world = World::new();
    let data = |text: &str| world.invoke_data(text.as_bytes());
    let inner = Asm::new()
        .call(Kind::Call, CRYPTO_DELEGATE, &data("first"))
        .pop()
        .call(Kind::StaticCall, CRYPTO_DELEGATE, &data("second"))
        .pop()
        .call(Kind::DelegateCall, CRYPTO_DELEGATE, &data("refused"))
        .pop()
        .return_returned();
    let outer = Kind::ALL.into_iter().enumerate().fold(Asm::new(), |asm, (index, kind)| {
        let slot = 2 * index as u64;
        asm.call(kind, INNER, &[]).store(slot).store_returned_hash(slot + 1)
    });
    let outer = outer.call(Kind::Call, CRYPTO_DELEGATE, &data("last")).store(8).return_returned();
    world.with_code(INNER, inner).with_code(OUTER, outer)
}

/// What a gas limit leads to, apart from the gas itself.
fn shape(world: &World, gas: u64) -> (u8, usize, usize) {
    let (run, records, runs) = world.build_and_replay(&tx(OUTER, Bytes::new(), gas));
    assert_eq!(runs as usize, records.len() + 1, "gas limit {gas}");
    assert!(run.result.tx_gas_used() <= gas);
    let kind = match run.result {
        ExecutionResult::Success { .. } => 0,
        ExecutionResult::Revert { .. } => 1,
        ExecutionResult::Halt { .. } => 2,
    };
    (kind, records.len(), run.result.logs().len())
}

#[test]
fn build_and_replay_agree_for_every_gas_limit() {
    let world = nested();
    let ample = world.build_and_replay(&tx(OUTER, Bytes::new(), GAS));
    assert_eq!(ample.1.len(), 9);
    let top = 2 * ample.0.result.tx_gas_used();
    // Coarse steps over the whole range; then, between steps that end differently, down to the single unit of gas.
    let coarse: Vec<u64> = (21_000..top).step_by(1_499).chain([top]).collect();
    let shapes: Vec<_> = coarse.iter().map(|gas| shape(&world, *gas)).collect();
    let mut boundaries = 0;
    for index in 1..coarse.len() {
        let (mut low, mut high) = (coarse[index - 1], coarse[index]);
        if shapes[index - 1] == shapes[index] {
            continue;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if shape(&world, middle) == shapes[index - 1] {
                low = middle;
            } else {
                high = middle;
            }
        }
        (low.saturating_sub(8).max(21_000)..high + 8).for_each(|gas| {
            shape(&world, gas);
        });
        boundaries += 1;
    }
    assert!(boundaries >= 9, "only {boundaries} boundaries: the sweep missed the interesting part");
    assert_eq!(shapes.last(), Some(&(0, 9, shapes.last().unwrap().2)));
}

#[test]
fn a_call_needs_gas_for_the_maximum_and_pays_for_what_it_used() {
    let world = World::new();
    let data = world.invoke_data(b"four");
    let limits = world.limits;
    let cost = |units, bytes| limits.invoke_gas(data.len(), units, bytes);
    let transaction = |gas| tx(CRYPTO_DELEGATE, data.clone(), gas);
    let intrinsic = {
        let (run, _, _) = world.build_and_replay(&transaction(GAS));
        run.result.tx_gas_used() - cost(100, 4)
    };
    assert!((21_000..24_000).contains(&intrinsic));
    let maximum = cost(2_000, 256);
    let (enough, ..) = world.build_and_replay(&transaction(intrinsic + maximum));
    assert!(enough.result.is_success());
    let (short, records, runs) = world.build_and_replay(&transaction(intrinsic + maximum - 1));
    assert!(matches!(short.result, ExecutionResult::Halt { .. }));
    assert_eq!((records.len(), runs), (0, 1));
}

#[test]
fn a_failing_cryptlet_is_paid_for() {
    use cryptlet_delegate::{Transcript, build_to_end};
    use cryptlet_primitives::{Invocation, Record, RefusalCode};
    let world = World::new();
    let transaction = tx(CRYPTO_DELEGATE, world.invoke_data(b"x"), GAS);
    let gas = |status, units| {
        let mut evm = world.evm();
        let answer = |invocation: &Invocation| {
            let answer = world.answer_with(invocation, status, Bytes::from_static(b"why"), units);
            Ok::<_, Infallible>(world.recover(Record::answered(invocation, answer)))
        };
        let execute = |evm: &mut TestEvm| alloy_evm::Evm::transact_raw(evm, transaction.clone());
        let built = build_to_end(&mut evm, TX_HASH, &mut Transcript::new(), execute, answer).unwrap();
        let (run, records) = built.executed.include(&mut evm);
        let mut other = world.evm();
        assert_eq!(world.replay(&mut other, &transaction, records).unwrap().value, run);
        run.result
    };
    let (failed, cheaper) = (gas(ResultStatus::Error, 1_000), gas(ResultStatus::Error, 0));
    assert_eq!(refusal(&failed), Some((RefusalCode::CryptletFailed, Bytes::from_static(b"why"))));
    assert!(failed.logs().is_empty());
    assert_eq!(failed.tx_gas_used(), gas(ResultStatus::Ok, 1_000).tx_gas_used());
    assert_eq!(failed.tx_gas_used() - cheaper.tx_gas_used(), 1_000);
}
