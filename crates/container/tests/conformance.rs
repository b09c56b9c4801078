//! What guests can do, and what they cannot: the same table in worker processes, in virtual machines and in process.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use cryptlet_container::{
    Configured, ContainerFault, GuestRefusal, InsecureInProcess, IsolationProvider, check_signature, engine,
};
use cryptlet_primitives::{InvocationMode, ResultStatus};
use std::sync::Arc;
use support::*;

/// All providers; whatever holds for one must hold for the others.
fn providers() -> Vec<Box<dyn IsolationProvider>> {
    let mut all: Vec<Box<dyn IsolationProvider>> =
        vec![Box::new(provider(1)), Box::new(InsecureInProcess::insecure_new().unwrap())];
    all.extend(vm_provider(1).map(|vm| Box::new(vm) as Box<dyn IsolationProvider>));
    all
}

fn trap(provider: &dyn IsolationProvider, component: Vec<u8>) -> String {
    trap_of(&call(&start(provider, component), b"input"))
}

#[test]
fn an_answer_is_the_output_signed_by_the_instance() {
    for provider in providers() {
        let container = start(&*provider, echo());
        let invocation = invocation(&container, b"hello");
        let answer = container.call(&invocation, &TERMS).unwrap();

        assert_eq!(&answer.output[..], b"hello");
        assert_eq!(answer.result.status, ResultStatus::Ok as u8);
        assert_eq!(answer.result.requestHash, invocation.request_hash());
        assert_eq!(answer.result.registrationId, container.keys().registration_id().0);
        assert_eq!(answer.result.units, 1);
        assert_eq!((answer.result.observedAt, answer.result.notBefore, answer.result.expires), (1_700_000_000, 10, 20));
        let digest = container.digest();
        assert_eq!(digest.measurement, provider.stack().measurement());
        let is_signed = |mode| check_signature(&digest, &DOMAIN, &answer.result, mode, &answer.signature);
        assert!(is_signed(InvocationMode::Live));
        assert!(!is_signed(InvocationMode::DryRun), "a live answer is none of a dry run");
    }
}

#[test]
fn a_dry_run_is_signed_in_another_domain() {
    let provider = provider(1);
    let container = start(&provider, echo());
    let mut invocation = invocation(&container, b"hello");
    invocation.mode = InvocationMode::DryRun;
    let answer = container.call(&invocation, &TERMS).unwrap();
    let is_signed = |mode| check_signature(&container.digest(), &DOMAIN, &answer.result, mode, &answer.signature);
    assert!(is_signed(InvocationMode::DryRun));
    assert!(!is_signed(InvocationMode::Live));
}

#[test]
fn the_keys_are_signed_with_themselves() {
    use alloy_sol_types::SolStruct;
    let provider = provider(1);
    let container = start(&provider, echo());
    let digest = container.keys().eip712_signing_hash(&DOMAIN.live());
    let signature = alloy_primitives::Signature::from_raw(container.keys_signature().0.as_slice()).unwrap();
    assert_eq!(signature.recover_address_from_prehash(&digest).unwrap(), container.keys().signer);
}

#[test]
fn a_failure_of_the_guest_is_a_signed_error_with_its_own_data() {
    for provider in providers() {
        let container = start(&*provider, component("(call $err (local.get $at) (local.get $len))"));
        let answer = call(&container, b"why not");
        assert_eq!(answer.result.status, ResultStatus::Error as u8);
        assert_eq!(&answer.output[..], b"why not");
    }
}

#[test]
fn guests_that_misbehave_end_in_fixed_words() {
    let grow_for_ever = "(loop $again (drop (i32.eqz (memory.grow (i32.const 16)))) (br $again)) (unreachable)";
    let grow_and_give_up = "(loop $again
        (br_if $again (i32.ne (i32.const -1) (memory.grow (i32.const 16))))) (unreachable)";
    let flood_log = "(loop $again (call $log (i32.const 0) (i32.const 8)) (br $again)) (unreachable)";
    let huge_log = "(call $log (i32.const 0) (i32.const 131072)) (unreachable)";
    let flood_random = "(loop $again (call $random (i32.const 16) (i32.const 32)) (br $again)) (unreachable)";
    let huge_random = "(call $random (i32.const -1) (i32.const 32)) (unreachable)";
    let much_random = "(call $random (i32.const 1048577) (i32.const 32)) (unreachable)";
    let flood_time = "(loop $again (drop (call $observed_at)) (br $again)) (unreachable)";
    let bad_text =
        "(i32.store (i32.const 0) (i32.const 0xffffffff)) (call $log (i32.const 0) (i32.const 4)) (unreachable)";
    let wild_output = "(call $ok (i32.const -16) (i32.const 1024))";
    let recursion = "(func $deep (param i64) (result i64)
        (i64.add (call $deep (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))";

    let cases: [(&str, Vec<u8>, &str); 15] = [
        ("loops", component(LOOP), "out of compute units"),
        ("grows for ever", component(grow_for_ever), "out of compute units"),
        ("grows and gives up", component(grow_and_give_up), "out of memory: the limit is 134217728 bytes"),
        (
            "recurses",
            component_with(recursion, "(drop (call $deep (i64.const 0))) (unreachable)"),
            "stack overflow: the limit is 1048576 bytes",
        ),
        ("gives up", component("unreachable"), "unreachable code reached"),
        ("divides by zero", component("(i32.div_u (local.get $at) (i32.const 0))"), "integer division by zero"),
        ("reads outside", component("(i32.load (i32.const -8))"), "memory access out of bounds"),
        (
            "returns too much",
            component("(call $ok (i32.const 0) (i32.const 4097))"),
            "output too long: 4096 bytes were paid for",
        ),
        (
            "fails with too much",
            component("(call $err (i32.const 0) (i32.const 4097))"),
            "output too long: 4096 bytes were paid for",
        ),
        ("floods the log", component(flood_log), "too much logged"),
        ("logs too much at once", component(huge_log), "too much logged"),
        ("floods randomness", component(flood_random), "too many host calls"),
        ("asks for all randomness", component(much_random), "too much randomness asked for"),
        ("asks for the time", component(flood_time), "too many host calls"),
        ("logs what is no text", component(bad_text), "canonical ABI violated"),
    ];
    for provider in providers() {
        for (what, component, reason) in &cases {
            assert_eq!(trap(&*provider, component.clone()), *reason, "a guest that {what}");
        }
        assert_eq!(trap(&*provider, component(huge_random)), "out of compute units");
        assert_eq!(trap(&*provider, component(wild_output)), "canonical ABI violated");
        // And after all that the provider still serves.
        assert_eq!(&call(&start(&*provider, echo()), b"still here").output[..], b"still here");
    }
}

#[test]
fn a_call_that_runs_out_of_units_has_used_them_all_and_no_more() {
    let provider = provider(1);
    let container = start(&provider, component(LOOP));
    for units_max in [0, 1, 1_000] {
        let mut invocation = invocation(&container, b"");
        invocation.units_max = units_max;
        let answer = container.call(&invocation, &TERMS).unwrap();
        assert_eq!(answer.result.units, units_max);
        assert_eq!(trap_of(&answer), "out of compute units");
    }
}

#[test]
fn the_output_of_a_trap_fits_in_what_was_paid_for() {
    let provider = provider(1);
    let container = start(&provider, component("unreachable"));
    for (output_bytes_max, expected) in [(0, 0), (3, 0), (4, 4), (99, 4), (100, 100), (4096, 100)] {
        let mut invocation = invocation(&container, b"");
        invocation.output_bytes_max = output_bytes_max;
        assert_eq!(container.call(&invocation, &TERMS).unwrap().output.len(), expected, "{output_bytes_max}");
    }
}

#[test]
fn what_will_not_run_is_refused_before_it_is_registered() {
    let start_traps = component_with("(start $boom) (func $boom unreachable)", "(i32.const 0)");
    let start_asks = component_with("(start $ask) (func $ask (drop (call $observed_at)))", "(i32.const 0)");
    let start_loops = component_with("(start $spin) (func $spin (loop $again (br $again)))", "(i32.const 0)");
    let foreign = wat::parse_str(r#"(component (import "wasi:cli/environment@0.2.0" (instance)))"#).unwrap();
    let cases = [
        ("text", b"(component)".to_vec(), "not a component"),
        ("a module", wat::parse_str("(module)").unwrap(), "not a component"),
        ("a foreign import", foreign, "imports `wasi:cli/environment@0.2.0`"),
        ("no handle", wat::parse_str("(component)").unwrap(), "`handle`"),
        ("a start that traps", start_traps, "at start: unreachable code reached"),
        ("a start that asks the host", start_asks, "host called while the component was being instantiated"),
        ("a start without end", start_loops, "at start: out of compute units"),
        (
            "too much memory",
            wat::parse_str("(component (core module $m (memory 2049)) (core instance (instantiate $m)))").unwrap(),
            "memory",
        ),
        (
            "two memories",
            wat::parse_str("(component (core module $m (memory 1)) (core instance (instantiate $m)) (core instance (instantiate $m)))")
                .unwrap(),
            "memor",
        ),
        (
            "threads",
            wat::parse_str("(component (core module $m (memory 1 1 shared)) (core instance (instantiate $m)))").unwrap(),
            "not a component the engine accepts",
        ),
        (
            "relaxed SIMD",
            wat::parse_str(
                "(component (core module $m (func (param v128 v128) (result v128)
                   (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))))",
            )
            .unwrap(),
            "not a component the engine accepts",
        ),
    ];
    for provider in providers() {
        for (what, component, words) in &cases {
            let fault = Configured::new(component.clone().into()).measure(&*provider).unwrap_err();
            assert!(matches!(fault, ContainerFault::Guest(_)), "{what}: {fault}");
            assert!(fault.to_string().contains(words), "{what}: {fault}");
        }
    }
}

#[test]
fn a_component_over_the_limit_is_not_even_compiled() {
    let mut config = config(1);
    config.compile.component_bytes_max = 100;
    let provider = cryptlet_container::ProcessProvider::start(config).unwrap();
    let fault = Configured::new(echo().into()).measure(&provider).unwrap_err();
    assert!(matches!(fault, ContainerFault::Guest(GuestRefusal::TooLong { .. })), "{fault}");
}

#[test]
fn not_a_number_is_one_number() {
    // 0/0 from operands whose payload bits would otherwise show through.
    let body = "(i64.store (i32.const 0) (i64.reinterpret_f64 (f64.add
            (f64.reinterpret_i64 (i64.const 0xfff4deadbeef0001)) (f64.const 1))))
        (i32.store (i32.const 8) (i32.reinterpret_f32 (f32.div (f32.const -0) (f32.const 0))))
        (call $ok (i32.const 0) (i32.const 12))";
    for provider in providers() {
        let answer = call(&start(&*provider, component(body)), b"");
        let expected =
            [0x7ff8_0000_0000_0000_u64.to_le_bytes().to_vec(), 0x7fc0_0000_u32.to_le_bytes().to_vec()].concat();
        assert_eq!(answer.output.to_vec(), expected);
    }
}

#[test]
fn the_same_call_costs_the_same_in_every_instance_and_process() {
    let body = "(local $i i32) (local $sum i64)
        (loop $again
          (local.set $sum (i64.add (i64.mul (local.get $sum) (i64.const 31)) (i64.extend_i32_u (local.get $i))))
          (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100000))))
        (i64.store (i32.const 0) (local.get $sum))
        (call $ok (i32.const 0) (i32.const 8))";
    let mut seen = Vec::new();
    for provider in providers() {
        for _ in 0..2 {
            let container = start(&*provider, component(body));
            for _ in 0..3 {
                let answer = call(&container, b"same");
                seen.push((answer.result.units, answer.output));
            }
        }
    }
    assert!(seen[0].0 > 100, "{seen:?}");
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}

#[test]
fn nothing_is_kept_from_one_call_to_the_next() {
    let body = "(i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))
        (call $ok (i32.const 0) (i32.const 4))";
    for provider in providers() {
        let container = start(&*provider, component(body));
        for _ in 0..3 {
            assert_eq!(&call(&container, b"").output[..], [1, 0, 0, 0]);
        }
    }
}

#[test]
fn time_and_context_are_inputs_of_the_call() {
    let body = "(i64.store (i32.const 64) (call $observed_at))
        (call $context (i32.const 128))
        (memory.copy (i32.const 72) (i32.load (i32.const 128)) (i32.const 20))
        (memory.copy (i32.const 92) (i32.load (i32.const 136)) (i32.const 32))
        (i32.store8 (i32.const 124) (i32.load8_u (i32.const 152)))
        (i32.store8 (i32.const 125) (i32.load8_u (i32.const 153)))
        (call $ok (i32.const 64) (i32.const 62))";
    for provider in providers() {
        let container = start(&*provider, component(body));
        let mut invocation = invocation(&container, b"");
        invocation.is_static = true;
        let output = container.call(&invocation, &TERMS).unwrap().output;
        assert_eq!(output[..8], 1_700_000_000_u64.to_le_bytes());
        assert_eq!(output[8..28], [0x55; 20]);
        assert_eq!(output[28..60], [0x22; 32]);
        assert_eq!(output[60..], [1, 0], "static, live");
    }
}

#[test]
fn randomness_is_the_same_for_a_call_and_different_otherwise() {
    let body = "(call $random (i32.const 40) (i32.const 32)) (call $ok (i32.load (i32.const 32)) (i32.const 40))";
    for provider in providers() {
        let (one, other) = (start(&*provider, component(body)), start(&*provider, component(body)));
        let first = call(&one, b"first").output;
        assert_eq!(first.len(), 40);
        assert_eq!(first, call(&one, b"first").output, "the same call");
        assert_ne!(first, call(&one, b"second").output, "another call");
        assert_ne!(first, call(&other, b"first").output, "another instance");
        let mut dry_run = invocation(&one, b"first");
        dry_run.mode = InvocationMode::DryRun;
        assert_ne!(first, one.call(&dry_run, &TERMS).unwrap().output, "a dry run");
    }
}

#[test]
fn log_lines_reach_the_host() {
    #[derive(Default)]
    struct Lines(std::sync::Mutex<Vec<String>>);
    impl cryptlet_container::CallOut for Lines {
        fn log(&self, _call_key: alloy_primitives::B256, message: &str) {
            self.0.lock().unwrap().push(message.to_owned());
        }
    }
    for provider in providers() {
        let lines = Arc::new(Lines::default());
        let code = component("(call $log (local.get $at) (local.get $len)) (call $ok (i32.const 0) (i32.const 0))");
        let measured = Configured::new(code.into()).measure(&*provider).unwrap();
        let out = Arc::clone(&lines) as Arc<dyn cryptlet_container::CallOut>;
        let container = measured.start(&*provider, &instance_terms(measured.code()), out).unwrap();
        call(&container, "grüß Gott".as_bytes());
        assert_eq!(*lines.0.lock().unwrap(), ["grüß Gott"]);
    }
}

#[test]
fn an_invocation_for_someone_else_is_not_answered() {
    let provider = InsecureInProcess::insecure_new().unwrap();
    let container = start(&provider, echo());
    let good = invocation(&container, b"input");
    let refused = |change: &dyn Fn(&mut cryptlet_primitives::Invocation)| {
        let mut bad = good.clone();
        change(&mut bad);
        container.call(&bad, &TERMS).unwrap_err().to_string()
    };
    assert!(refused(&|i| i.request.cryptletId.0[0] ^= 1).contains("is for cryptlet"));
    assert!(refused(&|i| i.request.codeDigest.0[0] ^= 1).contains("is for code"));
    assert!(refused(&|i| i.input = b"other".into()).contains("hashes to"));
    let late = cryptlet_container::CallTerms { expires: 1_001, ..TERMS };
    assert!(container.call(&good, &late).unwrap_err().to_string().contains("until block 1000"));
    assert!(container.call(&good, &TERMS).is_ok());
}

#[test]
fn other_code_cannot_be_started_under_this_codes_name() {
    let provider = InsecureInProcess::insecure_new().unwrap();
    let measured = Configured::new(echo().into()).measure(&provider).unwrap();
    let terms = instance_terms(engine::code_digest(b"other"));
    assert!(matches!(
        measured.start(&provider, &terms, Arc::new(cryptlet_container::Silent)),
        Err(ContainerFault::WrongCode { .. })
    ));
}
