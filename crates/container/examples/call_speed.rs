//! How long one call takes:
//! `cargo run --release -p cryptlet-container --example call_speed -- [--provider none|process|vm] WORKER COMPONENT.wasm [INPUT-HEX]`.
//! `WORKER` is the `cryptlet-worker` binary; `cryptlet-vm-guest` lies beside it. Prints microseconds per signed call, on one thread and
//! on one per core, for every provider or the one that is named.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // a program for people

use alloy_primitives::{Address, B256, Bytes, hex, keccak256};
use cryptlet_container::{
    CallTerms, Configured, Container, InsecureInProcess, InstanceTerms, IsolationProvider, Measured, ProcessConfig,
    ProcessProvider, SandboxPolicy, Silent, VmProvider, WorkerCommand,
};
use cryptlet_primitives::{CryptletId, CryptletRequest, FabricDomain, Invocation, InvocationMode};
use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

const TERMS: CallTerms = CallTerms { observed_at_s: 1_700_000_000, not_before: 1, expires: 2 };
const CALLS: u32 = 5_000;
const USAGE: &str = "usage: call_speed [--provider none|process|vm] WORKER COMPONENT.wasm [INPUT-HEX]";

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut names = vec!["none".to_owned(), "process".to_owned(), "vm".to_owned()];
    if arguments.first().is_some_and(|first| first == "--provider") {
        names = vec![arguments.drain(..2).next_back().expect(USAGE)];
    }
    let mut arguments = arguments.into_iter();
    let worker = arguments.next().expect(USAGE);
    let component = std::fs::read(arguments.next().expect(USAGE)).unwrap();
    let input = arguments.next().map(|text| hex::decode(text).unwrap()).unwrap_or_default();
    let cores = config(&worker).pool.workers.get();
    for name in names {
        println!("{name}:");
        let provider = timed("  start the provider", || provider(&name, &worker));
        println!("  missing in its sandbox: {:?}", provider.stack().worker_sandbox.missing);
        let measured = timed("  compile", || Configured::new(component.clone().into()).measure(&*provider).unwrap());
        let container = timed("  make keys", || start(&*provider, &measured));
        let invocation = invocation(&container, &input);
        timed("  first call", || container.call(&invocation, &TERMS).unwrap());
        for threads in [1, cores] {
            println!("  {threads} threads, {}", rate(threads, || drop(container.call(&invocation, &TERMS).unwrap())));
        }
    }
}

fn config(worker: &str) -> ProcessConfig {
    let mut config = ProcessConfig::new(WorkerCommand { program: worker.into(), arguments: Vec::new() });
    config.policy = SandboxPolicy::dangerous_best_effort();
    config
}

fn provider(name: &str, worker: &str) -> Box<dyn IsolationProvider> {
    match name {
        "none" => Box::new(InsecureInProcess::insecure_new().unwrap()),
        "process" => Box::new(ProcessProvider::start(config(worker)).unwrap()),
        "vm" => Box::new(VmProvider::start(config(worker)).unwrap()),
        other => panic!("no provider {other:?}; {USAGE}"),
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
    format!("signed calls: p50 {} µs, p99 {} µs, {per_second:.0} per second", at(50), at(99))
}

fn duration_of(call: impl Fn()) -> Duration {
    let since = Instant::now();
    call();
    since.elapsed()
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let since = Instant::now();
    let outcome = work();
    println!("{what}: {:.1} ms", since.elapsed().as_secs_f64() * 1e3);
    outcome
}

fn start(provider: &dyn IsolationProvider, measured: &Measured) -> Container {
    let terms = InstanceTerms {
        domain: FabricDomain { chain_id: 31_337, genesis_hash: B256::ZERO },
        cryptlet: CryptletId(B256::repeat_byte(1)),
        code: measured.code(),
        container: cryptlet_primitives::ContainerKind::Wasm,
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
