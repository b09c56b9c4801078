//! How long one call takes: `cargo run --release -p cryptlet-container --example call_speed -- WORKER COMPONENT.wasm [INPUT-HEX]`.
//! `WORKER` is the `cryptlet-worker` binary. Prints microseconds per signed call, on one thread and on one per core.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program for people

use alloy_primitives::{Address, B256, Bytes, hex, keccak256};
use cryptlet_container::{
    CallTerms, Configured, Container, InsecureInProcess, InstanceTerms, IsolationProvider, ProcessConfig,
    ProcessProvider, SandboxPolicy, Silent, WorkerCommand,
};
use cryptlet_primitives::{CryptletId, CryptletRequest, FabricDomain, Invocation, InvocationMode};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

const TERMS: CallTerms = CallTerms { observed_at_s: 1_700_000_000, not_before: 1, expires: 2 };
const CALLS: u32 = 5_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: call_speed WORKER COMPONENT.wasm [INPUT-HEX]";
    let worker = arguments.next().expect(usage);
    let component = std::fs::read(arguments.next().expect(usage)).unwrap();
    let input = arguments.next().map(|text| hex::decode(text).unwrap()).unwrap_or_default();

    let mut config = ProcessConfig::new(WorkerCommand { program: worker.into(), arguments: Vec::new() });
    config.policy = SandboxPolicy::dangerous_best_effort();
    let cores = config.pool.workers.get();
    let process = timed("start the processes", || ProcessProvider::start(config).unwrap());
    println!("missing in this sandbox: {:?}", process.stack().worker_sandbox.missing);
    let in_process = InsecureInProcess::insecure_new().unwrap();
    for (name, provider) in [("in process", &in_process as &dyn IsolationProvider), ("worker processes", &process)] {
        println!("{name}:");
        let container = timed("  compile and start", || start(provider, &component));
        let invocation = invocation(&container, &input);
        container.call(&invocation, &TERMS).unwrap();
        for threads in [1, cores] {
            println!("  {threads} threads, {}", rate(threads, || drop(container.call(&invocation, &TERMS).unwrap())));
        }
    }
}

fn rate(threads: usize, call: impl Fn() + Sync) -> String {
    let since = Instant::now();
    let mut durations: Vec<Duration> = thread::scope(|scope| {
        let one = || (0..CALLS).map(|_| duration_of(&call)).collect::<Vec<_>>();
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let per_second = f64::from(CALLS) * threads as f64 / since.elapsed().as_secs_f64();
    durations.sort();
    let at = |percent: usize| durations[durations.len() * percent / 100].as_micros();
    format!("signed calls: p50 {} µs, p95 {} µs, {per_second:.0} per second", at(50), at(95))
}

fn duration_of(call: impl Fn()) -> Duration {
    let since = Instant::now();
    call();
    since.elapsed()
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let since = Instant::now();
    let outcome = work();
    println!("{what}: {} ms", since.elapsed().as_millis());
    outcome
}

fn start(provider: &dyn IsolationProvider, component: &[u8]) -> Container {
    let measured = Configured::new(component.to_vec().into()).measure(provider).unwrap();
    let terms = InstanceTerms {
        domain: FabricDomain { chain_id: 31_337, genesis_hash: B256::ZERO },
        cryptlet: CryptletId(B256::repeat_byte(1)),
        code: measured.code(),
        manifest_digest: B256::ZERO,
        key_epoch: 1,
        anchor_block: 1,
        anchor_hash: B256::ZERO,
        not_after_block: 1_000,
    };
    measured.start(provider, &terms, Arc::new(Silent)).unwrap()
}

fn invocation(container: &Container, input: &[u8]) -> Invocation {
    let request = CryptletRequest {
        key: B256::repeat_byte(2),
        cryptletId: container.keys().cryptletId,
        caller: Address::ZERO,
        codeDigest: container.keys().codeDigest,
        inputHash: keccak256(input),
        anchorBlock: 1,
        anchorHash: B256::ZERO,
        policyVersion: 1,
    };
    Invocation {
        request,
        input: Bytes::copy_from_slice(input),
        sequence: 0,
        is_static: false,
        units_max: 10_000_000,
        output_bytes_max: 64 * 1024,
        mode: InvocationMode::Live,
    }
}
