//! A host on a folder of its own, guests written in WAT, and calls of them.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use alloy_primitives::{Address, B256, Bytes, keccak256};
use cryptlet_attestation::signature::{dry_run_result_digest, recover, result_digest};
use cryptlet_host::{
    Anchor, ChainFacts, Clock, Durability, FileVault, Host, HostConfig, HostParts, Package, PackageRef, RegionLauncher,
    Registered, SystemEntropy, launch::Launcher,
};
use cryptlet_primitives::{CryptletRequest, FabricAnswer, FabricDomain, Invocation, InvocationMode, ResultStatus};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

pub const DOMAIN: FabricDomain = FabricDomain { chain_id: 31337, genesis_hash: B256::repeat_byte(0x11) };
pub const PUBLISHER: Address = Address::repeat_byte(0xAB);
pub const CALLER: Address = Address::repeat_byte(0xCA);

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct TestClock(AtomicU64);

impl TestClock {
    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn unix_seconds(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

pub struct Fixture {
    pub folder: tempfile::TempDir,
    pub clock: Arc<TestClock>,
    pub config: HostConfig,
    pub launcher: Arc<dyn Launcher>,
}

impl Fixture {
    pub fn new() -> Self {
        Self::with_launcher(Arc::new(RegionLauncher::insecure_in_process().unwrap()))
    }

    pub fn with_launcher(launcher: Arc<dyn Launcher>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Certificates are checked against the machine's time by peers, so the clock begins there.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let mut config = HostConfig::new(folder.path().join("host"));
        config.durability = Durability::Process;
        config.call_timeout = Duration::from_secs(20);
        Self { folder, clock: Arc::new(TestClock(now.into())), config, launcher }
    }

    pub fn parts(&self) -> HostParts {
        let vault = FileVault::open_insecure_dev(&self.config.folder, &SystemEntropy).unwrap();
        HostParts {
            launcher: Arc::clone(&self.launcher),
            vault: Arc::new(vault),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// Starts the host, or starts it again: the folder stays.
    pub fn start(&self) -> Host {
        Host::start(self.config.clone(), self.parts()).unwrap()
    }
}

pub fn chain_at(block: u64) -> ChainFacts {
    ChainFacts { domain: DOMAIN, anchor: Anchor { block, hash: B256::with_last_byte(block as u8) } }
}

pub fn package(name: &str, code: Vec<u8>) -> Package {
    let config = format!(r#"{{"name":"{name}","publicKey":""}}"#);
    Package::new(config.into_bytes().into(), code.into(), Bytes::from_static(b"// header"), Bytes::from_static(b"[]"))
        .unwrap()
}

/// Publishes and registers a guest.
pub fn register(host: &Host, name: &str, code: Vec<u8>) -> Registered {
    let digest = host.publish(&package(name, code)).unwrap();
    host.register(&PackageRef::Digest(digest), PUBLISHER, chain_at(5)).unwrap()
}

/// A live call under a key made of `number`.
pub fn call(registered: &Registered, number: u64, input: &[u8]) -> Invocation {
    let created = &registered.created;
    Invocation {
        request: CryptletRequest {
            key: keccak256(number.to_be_bytes()),
            cryptletId: created.cryptletId,
            caller: CALLER,
            codeDigest: created.codeDigest,
            inputHash: keccak256(input),
            anchorBlock: 9,
            anchorHash: B256::repeat_byte(0x66),
            policyVersion: 1,
        },
        input: Bytes::copy_from_slice(input),
        sequence: 0,
        is_static: false,
        units_max: 100_000,
        output_bytes_max: 4096,
        mode: InvocationMode::Live,
    }
}

pub fn at_anchor(mut invocation: Invocation, block: u64) -> Invocation {
    invocation.request.anchorBlock = block;
    invocation
}

pub fn dry_run(mut invocation: Invocation) -> Invocation {
    invocation.mode = InvocationMode::DryRun;
    invocation
}

/// Asserts that this is a good answer to the call, signed by this instance, in the right domain and no other.
pub fn assert_signed(invocation: &Invocation, answer: &FabricAnswer, registered: &Registered) {
    assert_eq!(answer.result.requestHash, invocation.request_hash());
    assert_eq!(answer.result.outputHash, keccak256(&answer.output));
    assert_eq!(answer.result.registrationId, registered.registration_id.0);
    assert_eq!(answer.result.keyEpoch, registered.created.keyEpoch);
    assert_eq!(answer.result.notBefore, invocation.request.anchorBlock);
    assert!(answer.result.expires <= invocation.request.anchorBlock + 256);
    let live = recover(result_digest(&answer.result, &DOMAIN), &answer.signature);
    let dry = recover(dry_run_result_digest(&answer.result, &DOMAIN), &answer.signature);
    let is_live = invocation.mode == InvocationMode::Live;
    assert_eq!(live == Ok(registered.created.signer), is_live);
    assert_eq!(dry == Ok(registered.created.signer), !is_live);
}

pub fn status(answer: &FabricAnswer) -> ResultStatus {
    answer.result.status.try_into().unwrap()
}

/// Returns its input.
pub fn echo() -> Vec<u8> {
    component("(call $ok (local.get $at) (local.get $len))")
}

/// Returns the time as it was told.
pub fn clock_reader() -> Vec<u8> {
    component("(i64.store (i32.const 64) (call $observed_at)) (call $ok (i32.const 64) (i32.const 8))")
}

/// Returns eight random bytes.
pub fn dice() -> Vec<u8> {
    component(
        "(call $random (i32.const 8) (i32.const 64))
         (call $ok (i32.load (i32.const 64)) (i32.load (i32.const 68)))",
    )
}

/// Never ends by itself.
pub fn endless() -> Vec<u8> {
    component("(loop $again (br $again)) (unreachable)")
}

/// A component around the body of `handle`, which gets (pointer, length) and returns a pointer to {tag, pointer, length}.
fn component(body: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
  (import "cryptlet:fabric/host@1.0.0" (instance $host
    (export "observed-at" (func (result u64)))
    (export "random" (func (param "len" u32) (result (list u8))))))
  (type $failure' (list u8))
  (import "failure" (type $failure (eq $failure')))
  (core module $heap-module
    (memory (export "memory") 4)
    (global $next (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
      (global.set $next (i32.add (local.get $at) (local.get $size)))
      (local.get $at)))
  (core instance $heap (instantiate $heap-module))
  (core func $observed-at (canon lower (func $host "observed-at")))
  (core func $random (canon lower (func $host "random") (memory (core memory $heap "memory")) (realloc (core func $heap "realloc"))))
  (core instance $imports (export "observed-at" (func $observed-at)) (export "random" (func $random)))
  (core module $main-module
    (import "heap" "memory" (memory 4))
    (import "host" "observed-at" (func $observed_at (result i64)))
    (import "host" "random" (func $random (param i32 i32)))
    (func $ok (param $at i32) (param $len i32) (result i32)
      (i32.store8 (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (local.get $at))
      (i32.store (i32.const 24) (local.get $len))
      (i32.const 16))
    (func (export "handle") (param $at i32) (param $len i32) (result i32)
      {body}))
  (core instance $main (instantiate $main-module
    (with "heap" (instance $heap)) (with "host" (instance $imports))))
  (func (export "handle") (param "input" (list u8)) (result (result (list u8) (error $failure)))
    (canon lift (core func $main "handle") (memory (core memory $heap "memory")) (realloc (core func $heap "realloc")))))"#
    );
    wat::parse_str(text).unwrap()
}
