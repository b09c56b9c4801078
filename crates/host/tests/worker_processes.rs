//! The host with its guests and keys in sandboxed processes: this very binary, started again as `worker`, as `cryptlet` is.
//!
//! No test harness: `main` must be able to become a worker.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod support;

use cryptlet_container::{ProcessConfig, SandboxPolicy, WorkerCommand};
use cryptlet_host::{ClientOptions, FabricClient, Host, RegionLauncher};
use cryptlet_primitives::{ResultStatus, UnavailableReason};
use std::{num::NonZeroUsize, process::ExitCode, sync::Arc};
use support::*;

type Test = (&'static str, fn(&tokio::runtime::Runtime));

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        return cryptlet_container::worker::main();
    }
    let tests: [Test; 3] = [
        ("a_call_is_run_and_signed_in_processes_of_their_own", a_call_is_run_and_signed_in_processes_of_their_own),
        ("calls_in_number_are_all_answered_once", calls_in_number_are_all_answered_once),
        ("a_worker_that_is_killed_costs_no_answer", a_worker_that_is_killed_costs_no_answer),
    ];
    println!("\nrunning {} tests", tests.len());
    for (name, test) in tests {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        test(&runtime);
        println!("test {name} ... ok");
    }
    println!("\ntest result: ok. {} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n", tests.len());
    ExitCode::SUCCESS
}

fn fixture() -> Fixture {
    let command = WorkerCommand { program: std::env::current_exe().unwrap(), arguments: vec!["worker".into()] };
    let mut config = ProcessConfig::new(command);
    config.pool.workers = NonZeroUsize::new(2).unwrap();
    config.pool.call_ms_max = 2_000;
    config.signers = NonZeroUsize::MIN;
    // What this machine cannot give is reported by the container's own tests.
    config.policy = SandboxPolicy::dangerous_best_effort();
    Fixture::with_launcher(Arc::new(RegionLauncher::with_config(config).unwrap()))
}

fn client(host: &Host) -> FabricClient {
    FabricClient::in_process(host, ClientOptions::default())
}

fn a_call_is_run_and_signed_in_processes_of_their_own(runtime: &tokio::runtime::Runtime) {
    runtime.block_on(async {
        let mut fixture = fixture();
        fixture.config.isolation_min = 1;
        let host = fixture.start();
        let registered = register(&host, "echo", echo());
        assert_eq!(registered.isolation, 1, "the evidence says: process");
        let invocation = call(&registered, 1, b"hello");
        let answer = client(&host).invoke(invocation.clone()).await.unwrap();
        assert_eq!(&answer.output[..], b"hello");
        assert_signed(&invocation, &answer, &registered);
    });
}

fn calls_in_number_are_all_answered_once(runtime: &tokio::runtime::Runtime) {
    runtime.block_on(async {
        let host = fixture().start();
        let registered = register(&host, "dice", dice());
        let client = client(&host);
        let calls: Vec<_> = (0..400u64)
            .map(|number| {
                let (client, invocation) = (client.clone(), call(&registered, number % 100, b""));
                tokio::spawn(async move { (number % 100, client.invoke(invocation).await.unwrap()) })
            })
            .collect();
        let mut answers = std::collections::BTreeMap::new();
        for call in calls {
            let (number, answer) = call.await.unwrap();
            assert_eq!(answers.entry(number).or_insert_with(|| answer.clone()), &answer);
        }
        assert_eq!(host.load().answers_kept, 100);
    });
}

fn a_worker_that_is_killed_costs_no_answer(runtime: &tokio::runtime::Runtime) {
    runtime.block_on(async {
        let host = fixture().start();
        let registered = register(&host, "endless", endless());
        let client = client(&host);
        // More units than two seconds give: the pool kills the worker, and nothing was signed.
        let mut slow = call(&registered, 1, b"");
        slow.units_max = 50_000_000;
        let fault = client.invoke(slow).await.unwrap_err();
        assert_eq!(fault.reason, UnavailableReason::DeadlineExceeded, "{fault}");
        assert_eq!(host.load().answers_kept, 0);
        let mut short = call(&registered, 1, b"");
        short.units_max = 1_000;
        let answer = client.invoke(short).await.unwrap();
        assert_eq!(status(&answer), ResultStatus::Error, "the next worker answers, for the same key");
    });
}
