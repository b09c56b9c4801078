//! What a cryptlet call costs the executor: build (k + 1 runs) and replay, against the same code calling nothing.
//! Run: `cargo run --release -p cryptlet-delegate --example overhead`
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::print_stdout)]

#[path = "../tests/it/asm.rs"]
mod asm;
#[path = "../tests/it/world.rs"]
mod world;

use alloy_primitives::Bytes;
use asm::{Asm, Kind};
use cryptlet_delegate::{DelegateContext, DelegateSlot, Transcript, build_to_end};
use cryptlet_primitives::{Invocation, Record, system::CRYPTO_DELEGATE};
use std::{
    collections::HashMap,
    convert::Infallible,
    time::{Duration, Instant},
};
use world::{GAS, OUTER, TX_HASH, TestEvm, World, tx};

const ROUNDS: u32 = 2_000;

fn main() {
    println!("| calls | runs | plain µs | build µs | replay µs | replay, per call µs | recover, per record µs |");
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    for calls in [1u64, 4, 16] {
        row(calls);
    }
}

fn row(calls: u64) {
    let target = |address| {
        let world = World::new();
        let code = (0..calls)
            .fold(Asm::new(), |asm, i| asm.call(Kind::Call, address, &world.invoke_data(&i.to_be_bytes())).store(i));
        world.with_code(OUTER, code.stop())
    };
    let (world, empty) = (target(CRYPTO_DELEGATE), target(world::INNER));
    let transaction = tx(OUTER, Bytes::new(), GAS);
    let (_, records, runs) = world.build_and_replay(&transaction);
    let answers: HashMap<_, _> = records.iter().map(|record| (record.record().request.key, record.clone())).collect();

    let mut evm = empty.evm();
    let plain = time(|| drop(empty.replay(&mut evm, &transaction, vec![]).unwrap()));
    // Each round is a block of its own: nothing of the registry has been read, nothing checked.
    let scope = world.scope();
    let mut evm = world.evm();
    let build = time(|| {
        *evm.delegate_mut() = DelegateContext::new(scope.clone());
        let answer = |invocation: &Invocation| Ok::<_, Infallible>(answers[&invocation.request.key].clone());
        let execute = |evm: &mut TestEvm| alloy_evm::Evm::transact_raw(evm, transaction.clone());
        drop(build_to_end(&mut evm, TX_HASH, &mut Transcript::new(), execute, answer).unwrap());
    });
    let mut evm = world.evm();
    let replay = time(|| {
        *evm.delegate_mut() = DelegateContext::new(scope.clone());
        drop(world.replay(&mut evm, &transaction, records.clone()).unwrap());
    });
    let unrecovered: Vec<Record> = records.iter().map(|record| record.record().clone()).collect();
    let recover = time(|| unrecovered.iter().for_each(|record| drop(world.recover(record.clone()))));

    let (per_call, per_record) = (replay.saturating_sub(plain) / calls as u32, recover / calls as u32);
    let [plain, build, replay, per_call, per_record] =
        [plain, build, replay, per_call, per_record].map(|time| time.as_nanos() as f64 / 1e3);
    println!("| {calls} | {runs} | {plain:.1} | {build:.1} | {replay:.1} | {per_call:.1} | {per_record:.1} |");
}

/// Mean time of one round.
fn time(mut round: impl FnMut()) -> Duration {
    (0..ROUNDS / 10).for_each(|_| round());
    let start = Instant::now();
    (0..ROUNDS).for_each(|_| round());
    start.elapsed() / ROUNDS
}
