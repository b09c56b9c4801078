//! The hostile corpus: modules that someone wrote to harm whoever compiles or runs them. Each ends in a typed error within its
//! budget; the processes that ran it live, or were replaced; their memory returns to where it was.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use cryptlet_container::{Configured, ContainerFault, InsecureInProcess, IsolationProvider};
use cryptlet_primitives::ResultStatus;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use support::*;

/// What it is, how it is made, and words of what becomes of it.
type Case = (&'static str, fn() -> Vec<u8>, &'static str);

/// Refused when it is made ready, with words of which these are some.
const REFUSED: &[Case] = &[
    ("nothing", Vec::new, "not a component"),
    ("no magic", || b"hello, I am a component".to_vec(), "not a component"),
    ("only magic", || b"\0asm".to_vec(), "not a component"),
    ("a core module", || text("(module)"), "not a component"),
    ("an unknown version", || b"\0asm\x63\0\x01\0".to_vec(), "not a component"),
    (
        "half a component",
        || {
            let whole = echo();
            whole[..whole.len() / 2].to_vec()
        },
        "not a component",
    ),
    ("a section longer than the file", || b"\0asm\x0d\0\x01\0\x01\xff\xff\xff\xff\x0f".to_vec(), "not a component"),
    ("a name that is not UTF-8", || [&b"\0asm\x0d\0\x01\0"[..], &[0, 3, 2, 0xff, 0xfe]].concat(), "not a component"),
    ("no export", || text("(component)"), "handle"),
    (
        "another export",
        || {
            text(
                r#"(component (core module $m (func (export "f"))) (core instance $i (instantiate $m))
        (func (export "handle") (canon lift (core func $i "f"))))"#,
            )
        },
        "handle",
    ),
    (
        "an import of WASI",
        || text(r#"(component (import "wasi:filesystem/types@0.2.0" (instance)))"#),
        "wasi:filesystem",
    ),
    ("threads", || core("(memory 1 1 shared)"), "not a component"),
    ("atomics", || core("(memory 1 1 shared) (func (drop (i32.atomic.load (i32.const 0))))"), "not a component"),
    (
        "relaxed SIMD",
        || core("(func (drop (i8x16.relaxed_swizzle (v128.const i64x2 0 0) (v128.const i64x2 0 0))))"),
        "not a component",
    ),
    ("a memory of 64 bits", || core("(memory i64 1)"), "not a component"),
    ("two memories", || core("(memory 1) (memory 1)"), "not a component"),
    ("exceptions", || core("(tag) (func (throw 0))"), "not a component"),
    ("garbage collection", || core("(type (struct (field i32)))"), "not a component"),
    ("a memory of 4 GiB", || core("(memory 65536)"), "memory"),
    ("a table of ten million", || core("(table 10000000 funcref)"), "table"),
    ("a hundred tables", || core(&"(table 1 funcref)".repeat(100)), "table"),
    ("a thousand instances", || instances(1_000), "instance"),
    ("too many locals", || core(&format!("(func (local {}))", "i64 ".repeat(50_001))), "not a component"),
    (
        "a function of eight million bytes",
        || core(&format!("(func {})", "i32.const 0 drop ".repeat(2_700_000))),
        "not a component",
    ),
    ("a start that traps", || core("(func $s unreachable) (start $s)"), "at start: unreachable"),
    ("a start that loops", || core("(func $s (loop (br 0))) (start $s)"), "at start: out of compute units"),
    ("a start that recurses", || core("(func $s (call $s)) (start $s)"), "at start: stack overflow"),
    ("data outside of memory", || core("(memory 1) (data (i32.const 65536) \"x\")"), "at start"),
    ("an element outside of its table", || core("(table 1 funcref) (func $f) (elem (i32.const 9) $f)"), "at start"),
];

/// Accepted, and stopped when it is called, with these words.
const TRAPPED: &[Case] = &[
    ("a loop", || component(LOOP), "out of compute units"),
    (
        "a loop of calls",
        || component_with("(func $f)", "(loop $l (call $f) (br $l)) (unreachable)"),
        "out of compute units",
    ),
    (
        "a bomb of memory",
        || component("(loop $l (drop (memory.grow (i32.const 1))) (br $l)) (unreachable)"),
        "out of compute units",
    ),
    (
        "a fill of all memory, again and again",
        || {
            component(
                "(drop (memory.grow (i32.const 1000))) (loop $l (memory.fill (i32.const 0) (i32.const 7) (i32.const 65536000)) (br $l)) (unreachable)",
            )
        },
        "out of compute units",
    ),
    (
        "a bomb of stack",
        || {
            component_with(
                "(func $f (param i64) (call $f (i64.add (local.get 0) (i64.const 1))))",
                "(call $f (i64.const 0)) (unreachable)",
            )
        },
        "stack overflow",
    ),
    (
        "a bomb of wide frames",
        || component_with(&format!("(func $f (local {}) (call $f))", "i64 ".repeat(1_000)), "(call $f) (unreachable)"),
        "stack overflow",
    ),
    (
        "recursion through a table",
        || {
            component_with(
                "(type $t (func)) (table 1 funcref) (elem (i32.const 0) $f) (func $f (call_indirect (type $t) (i32.const 0)))",
                "(call $f) (unreachable)",
            )
        },
        "stack overflow",
    ),
    (
        "a bomb of a table",
        || {
            component_with(
                "(table $t 1 funcref)",
                "(loop $l (drop (table.grow $t (ref.null func) (i32.const 1000))) (br $l)) (unreachable)",
            )
        },
        "out of compute units",
    ),
    (
        "many locals, many times",
        || {
            component_with(
                &format!("(func $f (local {}))", "i64 ".repeat(40_000)),
                "(loop $l (call $f) (br $l)) (unreachable)",
            )
        },
        "",
    ),
    (
        "a flood of log",
        || component("(loop $l (call $log (i32.const 0) (i32.const 60)) (br $l)) (unreachable)"),
        "too much logged",
    ),
    (
        "log that is not UTF-8",
        || component("(i32.store (i32.const 0) (i32.const -1)) (call $log (i32.const 0) (i32.const 4)) (unreachable)"),
        "canonical ABI violated",
    ),
    (
        "log outside of memory",
        || component("(call $log (i32.const -4) (i32.const 8)) (unreachable)"),
        "canonical ABI violated",
    ),
    ("an output outside of memory", || component("(call $ok (i32.const -8) (i32.const 64))"), "canonical ABI violated"),
    ("an output of 4 GiB", || component("(call $ok (i32.const 0) (i32.const -1))"), "canonical ABI violated"),
    (
        "an answer that is no answer",
        || component("(i32.store8 (i32.const 16) (i32.const 9)) (i32.const 16)"),
        "canonical ABI violated",
    ),
    ("an answer at an odd place", || component("(i32.const 17)"), "canonical ABI violated"),
    ("division by zero", || component("(i32.div_u (local.get $at) (i32.const 0))"), "integer division by zero"),
    ("an overflow", || component("(i32.div_s (i32.const 0x80000000) (i32.const -1))"), "integer overflow"),
    ("a conversion of NaN", || component("(i32.trunc_f64_s (f64.const nan))"), "invalid conversion to integer"),
    (
        "a wild call",
        || {
            component_with(
                "(type $t (func)) (table 1 funcref)",
                "(call_indirect (type $t) (local.get $len)) (unreachable)",
            )
        },
        "",
    ),
];

fn text(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).unwrap()
}

/// A component around one core module, which is instantiated.
fn core(items: &str) -> Vec<u8> {
    text(&format!("(component (core module $evil {items}) (core instance (instantiate $evil)))"))
}

fn instances(count: usize) -> Vec<u8> {
    let one = "(core instance (instantiate $m))";
    text(&format!("(component (core module $m) {})", one.repeat(count)))
}

/// Resident memory of the processes, in KiB, with their children.
fn resident_kib(processes: &[u32]) -> u64 {
    let of = |process: u32| -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()
    };
    let children = |process: u32| {
        let list = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
        list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()
    };
    processes.iter().flat_map(|process| children(*process).into_iter().chain([*process])).filter_map(of).sum()
}

#[test]
fn the_corpus_has_its_size() {
    assert!(REFUSED.len() + TRAPPED.len() >= 40, "{}", REFUSED.len() + TRAPPED.len());
}

/// A provider, and how to ask it for its workers.
type Supervised = (Arc<dyn IsolationProvider>, Box<dyn Fn() -> Vec<u32>>);

/// One with worker processes, and one with virtual machines in them.
fn supervised() -> Vec<Supervised> {
    let processes = Arc::new(provider(1));
    let mut all: Vec<Supervised> = vec![(Arc::clone(&processes) as _, Box::new(move || processes.worker_ids()))];
    if let Some(machines) = vm_provider(1).map(Arc::new) {
        all.push((Arc::clone(&machines) as _, Box::new(move || machines.worker_ids())));
    }
    all
}

#[test]
fn what_must_not_run_is_refused_with_the_reason_and_the_jail_is_gone() {
    for (provider, _) in supervised() {
        refuses_what_must_not_run(&*provider);
    }
}

fn refuses_what_must_not_run(provider: &dyn IsolationProvider) {
    for (name, make, expected) in REFUSED {
        let since = Instant::now();
        let fault = Configured::new(make().into()).measure(provider).map(|_| ()).unwrap_err();
        assert!(matches!(fault, ContainerFault::Guest(_)), "{name}: {fault}");
        assert!(fault.to_string().contains(expected), "{name}: {fault}");
        assert!(since.elapsed() < Duration::from_secs(60), "{name}: {:?}", since.elapsed());
    }
    assert_eq!(&call(&start(provider, echo()), b"still here").output[..], b"still here");
}

#[test]
fn what_misbehaves_is_stopped_within_its_budget_by_the_same_workers_whose_memory_returns() {
    for (provider, workers_of) in supervised() {
        stops_what_misbehaves(&*provider, &*workers_of);
    }
}

fn stops_what_misbehaves(provider: &dyn IsolationProvider, workers_of: &dyn Fn() -> Vec<u32>) {
    let witness = start(provider, echo());
    call(&witness, b"warm");
    let workers = workers_of();
    let before = resident_kib(&workers);
    for (name, make, expected) in TRAPPED {
        let container = start(provider, make());
        let since = Instant::now();
        let answer = call(&container, b"input");
        assert_eq!(answer.result.status, ResultStatus::Error as u8, "{name}");
        let reason = trap_of(&answer);
        assert!(reason.contains(expected) && !reason.is_empty(), "{name}: {reason}");
        assert!(answer.result.units <= 100_000, "{name}: {}", answer.result.units);
        assert!(since.elapsed() < Duration::from_secs(20), "{name}: {:?}", since.elapsed());
        assert_eq!(&call(&witness, b"next").output[..], b"next", "after {name}");
    }
    assert_eq!(workers_of(), workers, "no worker died of any of them");
    let after = resident_kib(&workers);
    // Code of the corpus stays loaded; the hundreds of megabytes that it asked for do not.
    assert!(after < before + 32 * 1024, "{before} KiB before, {after} KiB after");
}

#[test]
fn every_run_of_the_corpus_ends_the_same_in_workers_in_machines_and_in_process() {
    let (workers, machines) = (provider(1), vm_provider(1));
    let here = InsecureInProcess::insecure_new().unwrap();
    for (name, make, _) in TRAPPED {
        let run = |provider: &dyn IsolationProvider| {
            let answer = call(&start(provider, make()), b"input");
            (answer.output, answer.result.units, answer.result.status)
        };
        let (one, two, three) = (run(&workers), run(&workers), run(&here));
        assert_eq!(one, two, "{name}: two runs");
        assert_eq!(one, three, "{name}: pooled and fresh");
        if let Some(machines) = &machines {
            assert_eq!(one, run(machines), "{name}: in a process and in a virtual machine");
            assert_eq!(one, run(machines), "{name}: in a virtual machine, again");
        }
    }
}

#[test]
fn nan_payloads_do_not_show() {
    let provider = provider(1);
    let payloads = ["f64.const nan:0x4000000000001", "f64.const -nan:0xfffffffffffff", "f64.const nan"];
    let mut seen = std::collections::BTreeSet::new();
    for payload in payloads {
        let body = format!(
            "(i64.store (i32.const 64) (i64.reinterpret_f64 (f64.add ({payload}) (f64.const 1)))) (call $ok (i32.const 64) (i32.const 8))"
        );
        seen.insert(call(&start(&provider, component(&body)), b"").output);
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}
