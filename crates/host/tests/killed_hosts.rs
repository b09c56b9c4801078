//! Hosts as processes of their own, killed with SIGKILL under load: no call is lost, and none is answered twice differently.
//!
//! The cryptlet returns the time it was told, so that an answer made anew, and not kept, would differ. (What a cryptlet draws at
//! random cannot be signed again by the keys of after a restart; such a call is refused, ADR 0007.)
//!
//! No test harness: `main` must be able to become a host. `CRYPTLET_KILLS` says how often a host is killed (8; the long run: 200).
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod support;

use alloy_primitives::Address;
use cryptlet_host::{
    ClientIdentity, ClientOptions, Clock, Entropy, FabricClient, FileVault, Host, HostConfig, HostParts,
    RegionLauncher, Role, SignedDescriptor, SystemClock, SystemEntropy, enroll_offline, federate_offline,
};
use cryptlet_primitives::{FabricAnswer, Invocation};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use support::*;

type Test = (&'static str, fn(&tokio::runtime::Runtime));

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).map(String::as_str) == Some("host") {
        return be_a_host(Path::new(&arguments[2]), &arguments[3]);
    }
    let tests: [Test; 2] = [
        ("a_host_killed_at_random_points_loses_no_call_and_changes_no_answer", killed_again_and_again),
        ("killing_any_of_several_hosts_loses_no_call", one_of_several),
    ];
    println!("\nrunning {} tests", tests.len());
    for (name, test) in tests {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        test(&runtime);
        println!("test {name} ... ok");
    }
    println!("\ntest result: ok. {} passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n", tests.len());
    ExitCode::SUCCESS
}

// ---- the host's side ----

fn vault(folder: &Path) -> FileVault {
    FileVault::open_insecure_dev(folder, &SystemEntropy).unwrap()
}

/// Serves, with one cryptlet that returns the time it was told, until it is killed. Starts again what it ran before.
fn be_a_host(folder: &Path, listen: &str) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let config = HostConfig {
            endpoints: vec![listen.to_owned()],
            durability: cryptlet_host::Durability::Process,
            ..HostConfig::new(folder)
        };
        let parts = HostParts {
            launcher: Arc::new(RegionLauncher::insecure_in_process().unwrap()),
            vault: Arc::new(vault(folder)),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        };
        let host = Host::start(config, parts).unwrap();
        let registered = match host.restart(chain_at(8)).ok().and_then(|again| again.into_iter().next()) {
            Some(again) => again,
            None => register(&host, "clock", clock_reader()),
        };
        // What an operator says when the registration is on the chain.
        host.confirm_registration(registered.registration_id).unwrap();
        let _server = host.serve_tls(listen.parse().unwrap()).await.unwrap();
        println!("{}", registered.created.signer);
        std::future::pending::<()>().await;
    });
    ExitCode::SUCCESS
}

// ---- the node's side ----

struct HostProcess {
    folder: PathBuf,
    listen: String,
    child: Child,
    signers: BTreeSet<Address>,
}

impl HostProcess {
    fn start(folder: PathBuf) -> Self {
        let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (child, signer) = spawn(&folder, &listen);
        Self { folder, listen, child, signers: [signer].into() }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn start_again(&mut self) {
        let (child, signer) = spawn(&self.folder, &self.listen);
        self.child = child;
        self.signers.insert(signer);
    }

    fn descriptor(&self) -> SignedDescriptor {
        serde_json::from_slice(&std::fs::read(self.folder.join("descriptor.json")).unwrap()).unwrap()
    }

    fn identity(&self) -> ClientIdentity {
        let around = (Arc::new(SystemClock) as Arc<dyn Clock>, Arc::new(SystemEntropy) as _);
        enroll_offline(&self.folder, &vault(&self.folder), around, "node", Role::Node).unwrap()
    }
}

impl Drop for HostProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the process and waits until it serves.
fn spawn(folder: &Path, listen: &str) -> (Child, Address) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["host".as_ref(), folder.as_os_str(), listen.as_ref()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().parse().unwrap())
}

fn options() -> ClientOptions {
    ClientOptions {
        call_timeout: Duration::from_secs(10),
        reconnect_pause_max: Duration::from_millis(200),
        ..ClientOptions::default()
    }
}

/// A call of it. Its id and code are the same on every host.
fn ask(number: u64) -> Invocation {
    static REGISTERED: std::sync::OnceLock<cryptlet_host::Registered> = std::sync::OnceLock::new();
    let registered = REGISTERED.get_or_init(|| register(&Fixture::new().start(), "clock", clock_reader()));
    call(registered, number, b"")
}

/// What must never differ: status, output, and the time the cryptlet was told.
type Outcome = (u8, Vec<u8>, u64);

fn outcome(answer: &FabricAnswer) -> Outcome {
    (answer.result.status, answer.output.to_vec(), answer.result.observedAt)
}

#[derive(Default)]
struct Load {
    next: AtomicU64,
    is_over: AtomicBool,
    outcomes: Mutex<BTreeMap<u64, Outcome>>,
    signers: Mutex<BTreeSet<Address>>,
    retries: AtomicU64,
    /// Ask again for calls that somebody made already? Only one host at a time can tell what it answered.
    asks_again: bool,
}

impl Load {
    /// One of many callers: calls, and asks again for calls that were answered.
    async fn call(self: Arc<Self>, client: FabricClient, retries_max: u64) {
        while !self.is_over.load(Ordering::SeqCst) {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            // Every third time a call that somebody may have made already, under way or answered.
            let number = if self.asks_again && number % 3 == 2 { number.saturating_sub(7) } else { number };
            self.answer(&client, number, retries_max).await;
        }
    }

    async fn answer(&self, client: &FabricClient, number: u64, retries_max: u64) {
        let invocation = ask(number);
        let mut tries = 0;
        let answer = loop {
            match client.invoke(invocation.clone()).await {
                Ok(answer) => break answer,
                Err(fault) => {
                    tries += 1;
                    self.retries.fetch_add(1, Ordering::SeqCst);
                    assert!(tries <= retries_max, "call {number} is lost: {fault}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        let digest = cryptlet_attestation::signature::result_digest(&answer.result, &DOMAIN);
        self.signers.lock().insert(cryptlet_attestation::recover(digest, &answer.signature).unwrap());
        let outcome = outcome(&answer);
        let first = self.outcomes.lock().entry(number).or_insert_with(|| outcome.clone()).clone();
        assert_eq!(first, outcome, "call {number} was answered twice, differently");
    }
}

fn random_ms(most: u64) -> Duration {
    let mut bytes = [0; 8];
    SystemEntropy.fill(&mut bytes);
    Duration::from_millis(u64::from_be_bytes(bytes) % most)
}

fn killed_again_and_again(runtime: &tokio::runtime::Runtime) {
    let kills = std::env::var("CRYPTLET_KILLS").map_or(8, |kills| kills.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut host = HostProcess::start(folder.path().join("host"));
    runtime.block_on(async {
        let client = FabricClient::connect(&host.descriptor(), &host.identity(), options()).unwrap();
        let load = Arc::new(Load { asks_again: true, ..Load::default() });
        let callers: Vec<_> = (0..8).map(|_| tokio::spawn(Arc::clone(&load).call(client.clone(), 1000))).collect();
        for _ in 0..kills {
            let before = load.outcomes.lock().len();
            while load.outcomes.lock().len() < before + 10 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            tokio::time::sleep(random_ms(100)).await;
            host.kill();
            host.start_again();
        }
        load.is_over.store(true, Ordering::SeqCst);
        for caller in callers {
            caller.await.unwrap();
        }
        let numbers: Vec<u64> = load.outcomes.lock().keys().copied().collect();
        assert!(numbers.len() >= kills * 10 && load.retries.load(Ordering::SeqCst) > 0, "{} calls", numbers.len());
        for number in &numbers {
            load.answer(&client, *number, 100).await;
        }
        assert!(load.signers.lock().iter().all(|signer| host.signers.contains(signer)), "only registered keys signed");
        println!("{} calls over {kills} kills, {} tries failed", numbers.len(), load.retries.load(Ordering::SeqCst));
    });
}

fn one_of_several(runtime: &tokio::runtime::Runtime) {
    let folder = tempfile::tempdir().unwrap();
    let mut hosts: Vec<HostProcess> =
        (0..3).map(|number| HostProcess::start(folder.path().join(format!("host-{number}")))).collect();
    runtime.block_on(async {
        let others: Vec<SignedDescriptor> = hosts[1..].iter().map(HostProcess::descriptor).collect();
        let fabric = federate_offline(&hosts[0].folder, &vault(&hosts[0].folder), &SystemClock, &others).unwrap();
        assert_eq!(fabric.descriptor.hosts.len(), 2);
        let identities: Vec<ClientIdentity> = hosts.iter().map(HostProcess::identity).collect();
        let error = FabricClient::connect(&fabric, &identities[0], options()).unwrap_err();
        assert!(error.to_string().contains("certificate for every host"), "{error}");
        for victim in 0..hosts.len() {
            let client = FabricClient::connect_all(&fabric, &identities, options()).unwrap();
            let load = Arc::new(Load::default());
            load.next.store(1_000_000 * (victim as u64 + 1), Ordering::SeqCst);
            // No caller tries again: the client goes elsewhere by itself.
            let callers: Vec<_> = (0..6).map(|_| tokio::spawn(Arc::clone(&load).call(client.clone(), 0))).collect();
            let all_are_called = async {
                while load.signers.lock().len() < hosts.len() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), all_are_called).await.expect("every host gets calls");
            let before = load.outcomes.lock().len();
            hosts[victim].kill();
            while load.outcomes.lock().len() < before + 300 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            load.is_over.store(true, Ordering::SeqCst);
            for caller in callers {
                caller.await.unwrap();
            }
            assert_eq!(load.retries.load(Ordering::SeqCst), 0);
            hosts[victim].start_again();
        }
    });
}
