//! One suite, run over every kind of container: what holds whatever a cryptlet is made of.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use cryptlet_container::{
    Configured, Container, ContainerFault, GuestCode, IsolationProvider, Kind, ProgramSpec, Runtime, Silent,
    check_signature,
};
use cryptlet_primitives::{FabricAnswer, InvocationMode, ResultStatus, UnavailableReason};
use std::sync::Arc;
use support::*;

/// The same five cryptlets, written for each kind.
struct Guests {
    kind: Kind,
    echo: GuestCode,
    /// Fails with its input.
    failing: GuestCode,
    /// Breaks down.
    crash: GuestCode,
    /// Never ends.
    endless: GuestCode,
    /// Returns 4097 bytes.
    long: GuestCode,
    /// Does not start.
    broken: GuestCode,
}

fn all() -> [Guests; 3] {
    let evm =
        |hex: &str| GuestCode::Evm { code: alloy_primitives::hex::decode(hex).unwrap().into(), is_creation: false };
    [
        Guests {
            kind: Kind::Wasm,
            echo: echo().into(),
            failing: component("(call $err (local.get $at) (local.get $len))").into(),
            crash: component("unreachable").into(),
            endless: component(LOOP).into(),
            long: component("(call $ok (i32.const 0) (i32.const 4097))").into(),
            broken: b"no component".to_vec().into(),
        },
        Guests {
            kind: Kind::Evm,
            echo: evm("365f5f37365ff3"),
            failing: evm("365f5f37365ffd"),
            crash: evm("fe"),
            endless: evm("5b5f56"),
            long: evm("6110015ff3"),
            broken: GuestCode::Evm { code: b"\x5f\x5f\xfd".to_vec().into(), is_creation: true },
        },
        Guests {
            kind: Kind::Process,
            echo: python("send(0x82, data)"),
            failing: python("send(0x83, data)"),
            crash: python("os._exit(7)"),
            endless: python("while True: pass"),
            long: python("send(0x82, bytes(4097))"),
            broken: python_text("raise SystemExit('no')"),
        },
    ]
}

fn python(body: &str) -> GuestCode {
    python_text(&format!(
        "import os, struct\n\
         def read(count):\n    data = b''\n    while len(data) < count:\n        more = os.read(0, count - len(data))\n        \
         if not more: os._exit(0)\n        data += more\n    return data\n\
         def frame(): return read(struct.unpack('>I', read(4))[0])\n\
         def send(kind, data):\n    data = struct.pack('>IB', len(data) + 1, kind) + data\n    \
         while data: data = data[os.write(1, data):]\n\
         frame(); send(0x81, b'\\0\\1')\nwhile True:\n    data = frame()[138:]\n    {body}\n"
    ))
}

fn python_text(text: &str) -> GuestCode {
    let mut spec = ProgramSpec::new(Runtime::Python);
    (spec.memory_bytes_max, spec.call_ms_max, spec.units_per_call) = (256 << 20, 500, 30);
    GuestCode::Process { program: text.as_bytes().to_vec().into(), spec }
}

fn run(provider: &dyn IsolationProvider, code: &GuestCode) -> Container {
    let measured = Configured::new(code.clone()).measure(provider).unwrap();
    measured.start(provider, &instance_terms(measured.code()), Arc::new(Silent)).unwrap()
}

fn ask(container: &Container, input: &[u8]) -> Result<FabricAnswer, ContainerFault> {
    container.call(&invocation(container, input), &TERMS)
}

/// Every kind in processes, and those that virtual machines take in these.
fn for_each(test: impl Fn(&dyn IsolationProvider, Guests)) {
    let processes = provider(2);
    for guests in all() {
        eprintln!("kind {}", guests.kind);
        test(&processes, guests);
    }
    if let Some(machines) = vm_provider(2) {
        for guests in all().into_iter().filter(|guests| guests.kind == Kind::Wasm) {
            eprintln!("kind {} in virtual machines", guests.kind);
            test(&machines, guests);
        }
    }
}

#[test]
fn every_kind_is_in_the_suite() {
    assert_eq!(all().map(|guests| guests.kind).len(), Kind::ALL.len());
    assert!(
        Kind::ALL.iter().all(|kind| all().iter().any(|guests| guests.kind == *kind && guests.echo.kind() == *kind))
    );
}

#[test]
fn an_echo_is_signed_by_a_key_that_the_guest_never_had() {
    for_each(|provider, guests| {
        let container = run(provider, &guests.echo);
        let invocation = invocation(&container, b"hello");
        let answer = container.call(&invocation, &TERMS).unwrap();
        assert_eq!((&answer.output[..], answer.result.status), (&b"hello"[..], ResultStatus::Ok as u8));
        assert_eq!(answer.result.requestHash, invocation.request_hash());
        assert!((1..=invocation.units_max).contains(&answer.result.units));
        let is_signed = |mode| check_signature(&container.digest(), &DOMAIN, &answer.result, mode, &answer.signature);
        assert!(is_signed(InvocationMode::Live) && !is_signed(InvocationMode::DryRun));
        assert_eq!(container.keys().codeDigest, guests.echo.digest().0);
    });
}

#[test]
fn an_empty_input_and_a_huge_one_are_inputs_like_any_other() {
    for_each(|provider, guests| {
        let container = run(provider, &guests.echo);
        for bytes in [0, 1, 4096, 200_000] {
            let input: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
            let mut invocation = invocation(&container, &input);
            (invocation.output_bytes_max, invocation.units_max) = (1 << 20, 10_000_000);
            assert_eq!(container.call(&invocation, &TERMS).unwrap().output[..], input[..], "{} {bytes}", guests.kind);
        }
        let too_long = vec![0; (8 << 20) + 1];
        let fault = ask(&container, &too_long).unwrap_err();
        assert!(matches!(fault, ContainerFault::BadInvocation(_)), "{}: {fault}", guests.kind);
    });
}

#[test]
fn a_failure_is_a_signed_error_with_the_guests_own_data() {
    for_each(|provider, guests| {
        let answer = ask(&run(provider, &guests.failing), b"why not").unwrap();
        assert_eq!((&answer.output[..], answer.result.status), (&b"why not"[..], ResultStatus::Error as u8));
    });
}

#[test]
fn a_crash_is_told_and_the_next_call_is_answered() {
    for_each(|provider, guests| {
        let (container, witness) = (run(provider, &guests.crash), run(provider, &guests.echo));
        for _ in 0..3 {
            match ask(&container, b"x") {
                // What would be the same everywhere is signed; what may be this machine's trouble is not.
                Ok(answer) => {
                    assert!(guests.kind.is_deterministic() && !trap_of(&answer).is_empty(), "{}", guests.kind)
                }
                Err(fault) => {
                    assert!(!guests.kind.is_deterministic(), "{}: {fault}", guests.kind);
                    assert_eq!(fault.reason(), UnavailableReason::NoInstance);
                }
            }
            assert_eq!(&ask(&witness, b"next").unwrap().output[..], b"next");
        }
    });
}

#[test]
fn what_never_ends_is_ended() {
    for_each(|provider, guests| {
        let (container, witness) = (run(provider, &guests.endless), run(provider, &guests.echo));
        match ask(&container, b"x") {
            Ok(answer) => {
                assert!(guests.kind.is_deterministic());
                assert_eq!((trap_of(&answer).as_str(), answer.result.units), ("out of compute units", 100_000));
            }
            Err(fault) => assert!(
                matches!(fault, ContainerFault::DeadlineExceeded { .. }) && !guests.kind.is_deterministic(),
                "{fault}"
            ),
        }
        assert_eq!(&ask(&witness, b"next").unwrap().output[..], b"next");
    });
}

#[test]
fn more_output_than_was_paid_for_is_an_error() {
    for_each(|provider, guests| {
        let answer = ask(&run(provider, &guests.long), b"x").unwrap();
        assert_eq!(trap_of(&answer), "output too long: 4096 bytes were paid for", "{}", guests.kind);
    });
}

#[test]
fn a_call_that_pays_too_little_gets_an_error_and_pays_what_it_had() {
    for_each(|provider, guests| {
        let container = run(provider, &guests.echo);
        let mut invocation = invocation(&container, &[1; 4096]);
        invocation.units_max = 0;
        let answer = container.call(&invocation, &TERMS).unwrap();
        assert_eq!((trap_of(&answer).as_str(), answer.result.units), ("out of compute units", 0), "{}", guests.kind);
    });
}

#[test]
fn what_does_not_start_is_refused_when_it_is_made_ready() {
    for_each(|provider, guests| {
        let fault = Configured::new(guests.broken).measure(provider).unwrap_err();
        assert!(matches!(fault, ContainerFault::Guest(_)), "{}: {fault}", guests.kind);
    });
}

#[test]
fn instances_come_and_go_and_each_has_a_key_of_its_own() {
    for_each(|provider, guests| {
        let mut signers = std::collections::BTreeSet::new();
        for round in 0..5u8 {
            let container = run(provider, &guests.echo);
            assert_eq!(ask(&container, &[round]).unwrap().output[..], [round]);
            signers.insert(container.keys().signer);
        }
        assert_eq!(signers.len(), 5);
    });
}

#[test]
fn kinds_that_claim_determinism_give_the_same_in_another_provider() {
    let here = cryptlet_container::InsecureInProcess::insecure_new().unwrap();
    for_each(|provider, guests| {
        if !guests.kind.is_deterministic() {
            return;
        }
        for code in [&guests.echo, &guests.failing, &guests.crash, &guests.endless, &guests.long] {
            let of = |provider: &dyn IsolationProvider| {
                let answer = ask(&run(provider, code), b"input").unwrap();
                (answer.output, answer.result.units, answer.result.status)
            };
            assert_eq!(of(provider), of(&here), "{}", guests.kind);
        }
    });
}

#[test]
fn a_contract_runs_from_the_snapshot_its_constructor_left_and_keeps_nothing() {
    // Constructor: sstore(0, 41). Run time: sstore(0, sload(0) + 1), return sload(0), number, timestamp, caller, chainid.
    let runtime = "60015f54015f555f545f524360205242604052336060524660805260a05ff3";
    let size = runtime.len() / 2;
    let creation = format!("60295f5560{size:02x}80600d5f395ff3{runtime}");
    let code = GuestCode::Evm { code: alloy_primitives::hex::decode(creation).unwrap().into(), is_creation: true };
    let provider = provider(1);
    let container = run(&provider, &code);
    let word = |bytes: &[u8], at: usize| alloy_primitives::U256::from_be_slice(&bytes[at * 32..][..32]);
    for _ in 0..3 {
        let answer = ask(&container, b"").unwrap();
        assert_eq!(answer.result.status, ResultStatus::Ok as u8, "{:?}", answer.output);
        assert_eq!(word(&answer.output, 0).to::<u64>(), 42, "fresh state in every call");
        assert_eq!(word(&answer.output, 1).to::<u64>(), 9, "the block is the request's anchor");
        assert_eq!(word(&answer.output, 2).to::<u64>(), TERMS.observed_at_s);
        assert_eq!(word(&answer.output, 3).to_be_bytes::<32>()[12..], [0x55; 20]);
        assert_eq!(word(&answer.output, 4).to::<u64>(), DOMAIN.chain_id);
    }
}

#[test]
fn a_contract_has_no_delegate_and_no_neighbours() {
    // Calls 0x…Cd00 with no input and returns (success, size of what came back, size of its code).
    let code = "5f5f5f5f5f61cd005af15f523d60205261cd003b60405260605ff3";
    let code = GuestCode::Evm { code: alloy_primitives::hex::decode(code).unwrap().into(), is_creation: false };
    let answer = ask(&run(&provider(1), &code), b"").unwrap();
    let mut nobody = [0; 96];
    nobody[31] = 1;
    assert_eq!(answer.output[..], nobody, "an account that is not there: the call does nothing");
}
