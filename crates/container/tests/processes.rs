//! Processes that die, are slow, or are kept busy; and the walls around them.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use cryptlet_container::{
    ArtefactCache, Configured, ContainerFault, IsolationProvider, ProcessProvider, Protection, SandboxPolicy, Silent,
    WorkerCommand,
};
use cryptlet_primitives::UnavailableReason;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use support::*;

/// Units for several seconds of work: only the clock or a signal ends such a call.
const LONG: u64 = 50_000_000;

fn kill(process: u32) {
    assert!(Command::new("kill").args(["-KILL", &process.to_string()]).status().unwrap().success());
}

#[test]
fn a_worker_killed_in_mid_call_gives_a_fault_and_is_replaced() {
    let provider = provider(1);
    let slow = start(&provider, component(LOOP));
    let quick = start(&provider, echo());
    call(&quick, b"warm");
    let mut endless = invocation(&slow, b"");
    endless.units_max = LONG;
    let before = provider.worker_ids();
    thread::scope(|scope| {
        let victim = scope.spawn(|| slow.call(&endless, &TERMS));
        thread::sleep(Duration::from_millis(200));
        before.iter().for_each(|process| kill(*process));
        let fault = victim.join().unwrap().unwrap_err();
        assert!(matches!(fault, ContainerFault::ProcessLost { role: "worker", .. }), "{fault}");
        assert!(fault.to_string().contains("SIGKILL"), "{fault}");
        assert_eq!(fault.reason(), UnavailableReason::NoInstance);
    });
    assert_eq!(&call(&quick, b"recovered").output[..], b"recovered");
    assert_ne!(provider.worker_ids(), before);
}

#[test]
fn a_worker_that_died_at_rest_is_noticed_before_it_is_used() {
    let provider = provider(1);
    let container = start(&provider, echo());
    for round in 0..3 {
        provider.worker_ids().iter().for_each(|process| kill(*process));
        thread::sleep(Duration::from_millis(50));
        assert_eq!(&call(&container, &[round]).output[..], [round]);
    }
}

#[test]
fn keys_die_with_their_signer_and_a_new_instance_gets_new_ones() {
    let provider = provider(1);
    let old = start(&provider, echo());
    call(&old, b"hello");
    for process in provider.signer_ids() {
        let inner = first_child_of(process);
        kill(process);
        assert!((0..100).any(|_| !is_running_after_10_ms(inner)));
    }
    for _ in 0..2 {
        let fault = old.call(&invocation(&old, b"hello"), &TERMS).unwrap_err();
        assert!(matches!(fault, ContainerFault::ProcessLost { role: "signer", .. }), "{fault}");
    }
    let new = start(&provider, echo());
    assert_ne!(new.keys().signer, old.keys().signer);
    assert_eq!(&call(&new, b"hello").output[..], b"hello");
}

#[test]
fn a_call_over_its_time_is_a_fault_and_the_others_do_not_wait_for_it() {
    let mut config = config(2);
    config.pool.call_ms_max = 3_000;
    let provider = ProcessProvider::start(config).unwrap();
    let (slow, quick) = (start(&provider, component(LOOP)), start(&provider, echo()));
    let mut endless = invocation(&slow, b"");
    endless.units_max = LONG;
    thread::scope(|scope| {
        let late = scope.spawn(|| slow.call(&endless, &TERMS));
        thread::sleep(Duration::from_millis(50));
        let since = Instant::now();
        for round in 0..20 {
            assert_eq!(&call(&quick, &[round]).output[..], [round]);
        }
        assert!(since.elapsed() < Duration::from_millis(2_000), "{:?}", since.elapsed());
        let fault = late.join().unwrap().unwrap_err();
        assert!(matches!(fault, ContainerFault::DeadlineExceeded { limit_ms: 3_000 }), "{fault}");
    });
    assert_eq!(&call(&quick, b"recovered").output[..], b"recovered");
}

#[test]
fn too_many_calls_are_refused_and_patience_ends() {
    let mut config = config(1);
    config.pool.waiting_max = 1;
    config.pool.queue_ms_max = 300;
    config.pool.call_ms_max = 1_500;
    let provider = ProcessProvider::start(config).unwrap();
    let slow = start(&provider, component(LOOP));
    let mut endless = invocation(&slow, b"");
    endless.units_max = LONG;
    thread::scope(|scope| {
        let running = scope.spawn(|| slow.call(&endless, &TERMS));
        thread::sleep(Duration::from_millis(100));
        let waiting = scope.spawn(|| slow.call(&endless, &TERMS));
        thread::sleep(Duration::from_millis(100));
        let refused = slow.call(&endless, &TERMS).unwrap_err();
        assert!(matches!(refused, ContainerFault::Overloaded { waiting: 1 }), "{refused}");
        assert_eq!(refused.reason(), UnavailableReason::Overloaded);
        let waited = waiting.join().unwrap().unwrap_err();
        assert!(matches!(waited, ContainerFault::QueueTimeout { waited_ms: 300 }), "{waited}");
        assert!(matches!(running.join().unwrap().unwrap_err(), ContainerFault::DeadlineExceeded { .. }));
    });
}

#[test]
fn many_threads_call_many_cryptlets_at_once() {
    let provider = provider(2);
    let containers: Vec<_> = (0..6)
        .map(|extra| {
            let body = format!("(drop (i32.const {extra})) (call $ok (local.get $at) (local.get $len))");
            start(&provider, component(&body))
        })
        .collect();
    thread::scope(|scope| {
        for (number, container) in containers.iter().enumerate() {
            scope.spawn(move || {
                for round in 0..50_usize {
                    let input = [number as u8, round as u8];
                    assert_eq!(&call(container, &input).output[..], input);
                }
            });
        }
    });
    assert_eq!(provider.worker_ids().len(), 2);
}

#[test]
fn a_worker_that_is_no_worker_is_told_apart() {
    for (program, words) in [("/bin/false", "died"), ("/no/such/binary", "/no/such/binary")] {
        let mut config = config(1);
        config.command = WorkerCommand { program: program.into(), arguments: Vec::new() };
        let fault = ProcessProvider::start(config).err().unwrap();
        assert!(fault.to_string().contains(words), "{fault}");
    }
}

#[test]
fn a_worker_that_talks_nonsense_is_told_apart() {
    let cases = [("\\377\\377\\377\\377", "a frame of 4294967295 bytes"), ("\\001\\000\\000\\000\\377", "no message")];
    for (says, words) in cases {
        let mut config = config(1);
        let script = format!("printf '{says}' >&0; sleep 5");
        config.command = WorkerCommand { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] };
        let fault = ProcessProvider::start(config).err().unwrap();
        assert!(matches!(fault, ContainerFault::Misbehaved { .. }), "{fault}");
        assert!(fault.to_string().contains(words), "{fault}");
    }
}

#[test]
fn a_person_who_runs_the_worker_is_told_that_it_is_not_for_them() {
    let output = Command::new(worker().program).stdin(std::process::Stdio::null()).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("started by a cryptlet host"));
}

#[test]
fn the_walls_are_up() {
    let provider = provider(1);
    for report in [&provider.stack().worker_sandbox, &provider.stack().signer_sandbox] {
        for protection in Protection::INDISPENSABLE {
            assert!(report.in_force.contains(&protection), "{protection}: {report:?}");
        }
    }
    let process = provider.worker_ids()[0];
    let status = fs::read_to_string(format!("/proc/{}/status", first_child_of(process))).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {status}"));
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(field("Seccomp:"), "2");
    assert_eq!(field("NoNewPrivs:"), "1");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_ne!(field("Uid:"), "0");
}

/// The process that is locked in: the child of the one that waits, if there is one, else that one.
fn first_child_of(process: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    children.split_whitespace().next().map_or(process, |child| child.parse().unwrap())
}

#[test]
fn killing_the_one_that_waits_kills_the_worker() {
    let provider = provider(1);
    let process = provider.worker_ids()[0];
    let inner = first_child_of(process);
    kill(process); // Its channel stays open here: only the signal can reach it.
    assert!((0..100).any(|_| !is_running_after_10_ms(inner)), "process {inner} outlived the one that waits for it");
}

#[test]
fn nothing_outlives_the_provider() {
    let provider = provider(2);
    let _container = start(&provider, echo());
    let inner: Vec<u32> = provider.worker_ids().into_iter().map(first_child_of).collect();
    drop((_container, provider));
    for process in inner {
        assert!((0..100).any(|_| !is_running_after_10_ms(process)), "process {process} outlived its provider");
    }
}

/// A process that ended may wait for its new parent to notice.
fn is_running_after_10_ms(process: u32) -> bool {
    thread::sleep(Duration::from_millis(10));
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with(['Z', 'X']))
}

#[test]
fn strict_policy_is_met_or_says_what_is_missing() {
    let mut config = config(1);
    config.policy = SandboxPolicy::strict();
    match ProcessProvider::start(config) {
        Ok(provider) => {
            assert!(provider.stack().worker_sandbox.missing.is_empty());
            assert_eq!(provider.stack().worker_sandbox.in_force.len(), Protection::ALL.len());
        }
        Err(ContainerFault::SandboxTooWeak(missing)) => {
            eprintln!("NOT IN FORCE on this machine: {missing:?}");
            assert!(!missing.is_empty());
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn an_ordinary_user_is_locked_in_as_well_as_root() {
    let folder = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir_in("/tmp").unwrap();
    let binary = folder.path().join("cryptlet-worker");
    fs::copy(worker().program, &binary).unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if !is_root || !fs::exists("/usr/bin/setpriv").unwrap() {
        eprintln!("SKIPPED: an_ordinary_user_is_locked_in_as_well_as_root: needs root and /usr/bin/setpriv");
        return;
    }
    let mut config = config(1);
    let arguments = ["--reuid=1000", "--regid=1000", "--clear-groups", binary.to_str().unwrap()];
    config.command =
        WorkerCommand { program: "/usr/bin/setpriv".into(), arguments: arguments.map(Into::into).to_vec() };
    let provider = ProcessProvider::start(config).unwrap();
    eprintln!("as an ordinary user, missing: {:?}", provider.stack().worker_sandbox.missing);
    for protection in Protection::INDISPENSABLE {
        assert!(provider.stack().worker_sandbox.in_force.contains(&protection), "{protection}");
    }
    assert_eq!(&call(&start(&provider, echo()), b"hello").output[..], b"hello");
}

#[test]
fn compiled_code_is_kept_and_a_touched_file_is_compiled_anew() {
    let folder = tempfile::tempdir().unwrap();
    let start_provider = || {
        let mut config = config(1);
        config.cache = Some(ArtefactCache::open(folder.path(), [9; 32]).unwrap());
        ProcessProvider::start(config).unwrap()
    };
    let run = |provider: &ProcessProvider| {
        let measured = Configured::new(echo().into()).measure(provider).unwrap();
        let container = measured.start(provider, &instance_terms(measured.code()), Arc::new(Silent)).unwrap();
        assert_eq!(&call(&container, b"hello").output[..], b"hello");
    };
    let files = || fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>();
    run(&start_provider());
    let [file] = &files()[..] else { panic!("{:?}", files()) };
    let good = fs::read(file).unwrap();
    run(&start_provider());
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(file, bad).unwrap();
    run(&start_provider());
    assert_eq!(fs::read(file).unwrap(), good, "written anew");
}

#[test]
fn compiling_is_bounded() {
    // Many functions: seconds of work for the compiler.
    let functions: String = (0..60_000)
        .map(|n| format!("(func (param i64) (result i64) (i64.mul (local.get 0) (i64.const {n})))"))
        .collect();
    let large = component_with(&functions, "(i32.const 0)");
    let mut config = config(1);
    config.compile.wall_ms_max = 50;
    let provider = ProcessProvider::start(config).unwrap();
    let fault = Configured::new(large.into()).measure(&provider).unwrap_err();
    assert!(fault.to_string().contains("took more than the limit"), "{fault}");
}

#[test]
fn two_sides_agree_on_a_secret() {
    let provider = provider(1);
    let container = start(&provider, echo());
    let client = x25519_dalek::StaticSecret::from([5; 32]);
    let client_key = x25519_dalek::PublicKey::from(&client).to_bytes();
    let context = alloy_primitives::B256::repeat_byte(7);
    let own = container.keys().hpkeKey;
    let shared = client.diffie_hellman(&x25519_dalek::PublicKey::from(own.0));
    let parts: [&[u8]; 5] =
        [b"cryptlet/channel/v1", shared.as_bytes(), &client_key, own.as_slice(), context.as_slice()];
    assert_eq!(container.agree(client_key, context).unwrap(), alloy_primitives::keccak256(parts.concat()));
}
