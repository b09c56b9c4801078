//! Guests written in WAT, and what is needed to call them.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use alloy_primitives::{Address, B256, Bytes, keccak256};
use cryptlet_container::{
    CallTerms, Configured, Container, ContainerFault, InstanceTerms, IsolationProvider, ProcessConfig, ProcessProvider,
    Silent, VmProvider, WorkerCommand,
};
use cryptlet_primitives::{
    CryptletId, CryptletRequest, FabricAnswer, FabricDomain, Invocation, InvocationMode, ResultStatus,
};
use std::{io::Write, num::NonZeroUsize, sync::Arc};

pub const DOMAIN: FabricDomain = FabricDomain { chain_id: 31337, genesis_hash: B256::repeat_byte(0x11) };
pub const TERMS: CallTerms = CallTerms { observed_at_s: 1_700_000_000, not_before: 10, expires: 20 };

/// A component around the body of `handle`, which gets (pointer, length) and returns a pointer to {tag, pointer, length}.
/// The body finds the imports `$random`, `$log`, `$observed_at`, `$context`, a memory with a bump allocator, and `$ok` and
/// `$err`, which wrap bytes as a result.
pub fn component_with(items: &str, body: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
  (import "cryptlet:fabric/host@1.0.0" (instance $host
    (type $bytes (list u8))
    (type $context-def (record (field "caller" (list u8)) (field "cryptlet" (list u8)) (field "call-key" (list u8))
      (field "is-static" bool) (field "dry-run" bool)))
    (export "call-context" (type $context (eq $context-def)))
    (export "context" (func (result $context)))
    (export "observed-at" (func (result u64)))
    (export "random" (func (param "len" u32) (result $bytes)))
    (export "log" (func (param "message" string)))))
  (type $failure' (list u8))
  (import "failure" (type $failure (eq $failure')))
  (core module $heap-module
    (memory (export "memory") 2)
    (global $next (mut i32) (i32.const 65536))
    (func (export "realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (block $enough
        (br_if $enough (i32.le_u (global.get $next) (i32.shl (memory.size) (i32.const 16))))
        (br_if $enough (i32.ne (i32.const -1)
          (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 16))))))
        unreachable)
      (local.get $at)))
  (core instance $heap (instantiate $heap-module))
  (core func $context (canon lower (func $host "context") (memory (core memory $heap "memory")) (realloc (core func $heap "realloc"))))
  (core func $observed-at (canon lower (func $host "observed-at")))
  (core func $random (canon lower (func $host "random") (memory (core memory $heap "memory")) (realloc (core func $heap "realloc"))))
  (core func $log (canon lower (func $host "log") (memory (core memory $heap "memory"))))
  (core instance $imports
    (export "context" (func $context))
    (export "observed-at" (func $observed-at))
    (export "random" (func $random))
    (export "log" (func $log)))
  (core module $main-module
    (import "heap" "memory" (memory 2))
    (import "heap" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
    (import "host" "context" (func $context (param i32)))
    (import "host" "observed-at" (func $observed_at (result i64)))
    (import "host" "random" (func $random (param i32 i32)))
    (import "host" "log" (func $log (param i32 i32)))
    (func $ok (param $at i32) (param $len i32) (result i32)
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (local.get $at))
      (i32.store (i32.const 24) (local.get $len))
      (i32.const 16))
    (func $err (param $at i32) (param $len i32) (result i32)
      (drop (call $ok (local.get $at) (local.get $len)))
      (i32.store8 (i32.const 16) (i32.const 1))
      (i32.const 16))
    {items}
    (func (export "handle") (param $at i32) (param $len i32) (result i32)
      {body}))
  (core instance $main (instantiate $main-module
    (with "heap" (instance $heap)) (with "host" (instance $imports))))
  (func (export "handle") (param "input" (list u8)) (result (result (list u8) (error $failure)))
    (canon lift (core func $main "handle") (memory (core memory $heap "memory")) (realloc (core func $heap "realloc")))))"#
    );
    wat::parse_str(text).unwrap()
}

pub fn component(body: &str) -> Vec<u8> {
    component_with("", body)
}

pub fn echo() -> Vec<u8> {
    component("(call $ok (local.get $at) (local.get $len))")
}

pub const LOOP: &str = "(loop $again (br $again)) (unreachable)";

pub fn worker() -> WorkerCommand {
    WorkerCommand { program: env!("CARGO_BIN_EXE_cryptlet-worker").into(), arguments: Vec::new() }
}

/// Strict where the machine allows it; what it cannot give is printed, so that a weaker run does not look like a full one.
pub fn config(workers: usize) -> ProcessConfig {
    let mut config = ProcessConfig::new(worker());
    config.pool.workers = NonZeroUsize::new(workers).unwrap();
    config.signers = NonZeroUsize::MIN;
    config.policy = cryptlet_container::SandboxPolicy::dangerous_best_effort();
    config
}

pub fn provider(workers: usize) -> ProcessProvider {
    let provider = ProcessProvider::start(config(workers)).unwrap();
    for (protection, why) in &provider.stack().worker_sandbox.missing {
        eprintln!("NOT IN FORCE on this machine: {protection}: {why}");
    }
    provider
}

/// Isolation `vm`, if this machine has it; else says that it was not run, and why.
pub fn vm_provider(workers: usize) -> Option<VmProvider> {
    let image = VmProvider::image_beside(&worker().program);
    let outcome = match image.exists() {
        true => VmProvider::check_machine(),
        false => Err(ContainerFault::NoMachines(format!("no `{}`: run scripts/build-vm-guest", image.display()))),
    };
    if let Err(fault) = outcome {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        say_skipped(&format!("{test} in virtual machines: {fault}"));
        return None;
    }
    let provider = VmProvider::start(config(workers)).unwrap();
    for (protection, why) in &provider.stack().worker_sandbox.missing {
        eprintln!("NOT IN FORCE on this machine: {protection}: {why}");
    }
    Some(provider)
}

/// In one piece, and past the harness, which keeps what passing tests print.
pub fn say_skipped(what: &str) {
    std::io::stderr().write_all(format!("SKIPPED {what}\n").as_bytes()).unwrap();
}

pub fn instance_terms(code: cryptlet_primitives::CodeDigest) -> InstanceTerms {
    InstanceTerms {
        domain: DOMAIN,
        cryptlet: CryptletId(B256::repeat_byte(0x22)),
        code,
        container: cryptlet_primitives::ContainerKind::Wasm,
        manifest_digest: B256::repeat_byte(0x33),
        key_epoch: 3,
        anchor_block: 5,
        anchor_hash: B256::repeat_byte(0x44),
        not_after_block: 1_000,
    }
}

pub fn start(provider: &dyn IsolationProvider, component: Vec<u8>) -> Container {
    let measured = Configured::new(component.into()).measure(provider).unwrap();
    measured.start(provider, &instance_terms(measured.code()), Arc::new(Silent)).unwrap()
}

pub fn invocation(container: &Container, input: &[u8]) -> Invocation {
    let keys = container.keys();
    let request = CryptletRequest {
        key: keccak256(input),
        cryptletId: keys.cryptletId,
        caller: Address::repeat_byte(0x55),
        codeDigest: keys.codeDigest,
        inputHash: keccak256(input),
        anchorBlock: 9,
        anchorHash: B256::repeat_byte(0x66),
        policyVersion: 1,
    };
    Invocation {
        request,
        input: Bytes::copy_from_slice(input),
        sequence: 0,
        is_static: false,
        units_max: 100_000,
        output_bytes_max: 4096,
        mode: InvocationMode::Live,
    }
}

pub fn call(container: &Container, input: &[u8]) -> FabricAnswer {
    container.call(&invocation(container, input), &TERMS).unwrap()
}

/// The reason of a trap, from a result that must be an `Error`.
pub fn trap_of(answer: &FabricAnswer) -> String {
    use alloy_sol_types::SolError;
    assert_eq!(answer.result.status, ResultStatus::Error as u8);
    cryptlet_container::trap::CryptletTrap::abi_decode(&answer.output).unwrap().reason
}
