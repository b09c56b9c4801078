//! A host key with a known pattern, and a passphrase: where are they to be found?

use crate::support::{Fixture, assert_signed, call, echo, register};
use cryptlet_container::{ProcessConfig, SandboxPolicy, WorkerCommand};
use cryptlet_host::{
    ClientOptions, FabricClient, FileVault, Host, HostParts, RegionLauncher, Role, ScryptCost, SecretString, Vault,
    forbid_core_dumps,
};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    num::NonZeroUsize,
    os::unix::{fs::FileExt, process::ExitStatusExt},
    path::Path,
    process::{Command, ExitCode},
    sync::Arc,
};
use zeroize::Zeroize;

/// The secrets are written here as their complement: what looks for them must not be found.
const KEY_COMPLEMENT: [u8; 32] = [
    0x3b, 0x91, 0x5c, 0x07, 0xe2, 0x48, 0xd5, 0x1a, 0x6f, 0xb3, 0x24, 0x9d, 0x70, 0xc8, 0x16, 0xea, 0x53, 0x0f, 0xa6,
    0x39, 0xdc, 0x82, 0x45, 0xf1, 0x68, 0xbd, 0x2e, 0x97, 0x14, 0xcb, 0x5a, 0x06,
];
const PASSPHRASE_COMPLEMENT: [u8; 12] = [0x9c, 0x9e, 0x91, 0x9e, 0x8d, 0x86, 0xd2, 0x9c, 0x90, 0x8d, 0x8d, 0x9a];

fn plain<const N: usize>(complement: [u8; N]) -> zeroize::Zeroizing<Vec<u8>> {
    zeroize::Zeroizing::new(complement.iter().map(|byte| !byte).collect())
}

/// The forms that a secret may be found in, each as its complement.
fn complements() -> Vec<(&'static str, Vec<u8>)> {
    let reversed = KEY_COMPLEMENT.iter().rev().copied().collect();
    let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    let hex = KEY_COMPLEMENT.iter().flat_map(|byte| [!digit(!byte >> 4), !digit(!byte & 15)]).collect();
    vec![
        ("the key, most significant byte first", KEY_COMPLEMENT.to_vec()),
        ("the key, least significant byte first", reversed),
        ("the key, in hexadecimal", hex),
        ("the passphrase", PASSPHRASE_COMPLEMENT.to_vec()),
    ]
}

fn finds(bytes: &[u8], complement: &[u8]) -> Option<usize> {
    let first = !complement[0];
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first).map(|at| at + from) {
        let rest = &bytes[at..];
        if rest.len() >= complement.len() && rest.iter().zip(complement).all(|(byte, other)| *byte == !other) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// The test: makes the keystore, has another process use it and crash, and looks everywhere.
pub(crate) fn is_found_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tmp")).unwrap();
    {
        let passphrase = SecretString::from(std::str::from_utf8(&plain(PASSPHRASE_COMPLEMENT)).unwrap());
        std::fs::create_dir(folder.path().join("host")).unwrap();
        let vault =
            FileVault::open(&folder.path().join("host/vault.age"), passphrase, ScryptCost::RANDOM_PASSPHRASE).unwrap();
        vault.keep("host-key", &plain(KEY_COMPLEMENT)).unwrap();
    }
    let ran = run(folder.path(), "canary");
    let (log, said) = (String::from_utf8_lossy(&ran.stderr), String::from_utf8_lossy(&ran.stdout));
    assert_eq!(ran.status.signal(), Some(6), "it was to abort when all was well: {said}\n{log}");
    assert!(said.contains("nowhere after use"), "{said}\n{log}");
    assert!(log.contains("TRACE"), "everything was logged");
    assert!(!ran.status.core_dumped(), "a process that holds keys left a core file");

    let mut files = 0;
    for (what, complement) in complements() {
        assert_eq!(finds(&ran.stderr, &complement), None, "{what} is in the log");
        files = search(folder.path(), &complement, what);
    }
    assert!(files > 5, "only {files} files were looked into");

    // Would it have left one?
    if !run(folder.path(), "crash").status.core_dumped() {
        println!("SKIPPED a look at core files: this machine makes none, so that the canary's made none shows nothing");
    }
}

fn run(folder: &Path, mode: &str) -> std::process::Output {
    Command::new("sh")
        .args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([mode.as_ref(), folder.as_os_str()])
        .current_dir(folder.join("tmp"))
        .env("TMPDIR", folder.join("tmp"))
        .output()
        .unwrap()
}

/// Looks into every file below a folder, and says how many there were.
fn search(folder: &Path, complement: &[u8], what: &str) -> usize {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files += search(&path, complement, what);
        } else if path.is_file() && !path.file_name().unwrap().to_string_lossy().starts_with("core") {
            assert_eq!(finds(&std::fs::read(&path).unwrap(), complement), None, "{what} is in {}", path.display());
            files += 1;
        }
    }
    files
}

/// The other process: uses the keys in every way a host does, looks at its own memory before and after, and crashes.
pub(crate) fn hold(folder: &Path) -> ExitCode {
    let mut memory = Memory::open();
    forbid_core_dumps().unwrap();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();

    // A scan that finds nothing shows nothing unless it finds what is there.
    let mut leaked = plain(KEY_COMPLEMENT).to_vec();
    assert!(memory.hits().iter().any(|hit| !hit.is_locked), "the scan does not see a leaked key");
    leaked.zeroize();
    drop(leaked);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let host = start(folder);
    runtime.block_on(use_it(&host));
    let during = memory.hits();
    for hit in &during {
        println!("in use: {hit:?}");
    }
    assert!(during.iter().any(|hit| hit.is_locked), "the key is in locked memory while it is in use");
    assert!(during.iter().all(|hit| hit.is_locked), "and nowhere else");
    drop(host);
    runtime.shutdown_timeout(std::time::Duration::from_secs(10));
    let after = memory.hits();
    assert!(after.is_empty(), "{after:?}");
    println!("nowhere after use");
    std::process::abort()
}

fn start(folder: &Path) -> Host {
    let command = WorkerCommand { program: std::env::current_exe().unwrap(), arguments: vec!["worker".into()] };
    let mut config = ProcessConfig::new(command);
    config.pool.workers = NonZeroUsize::MIN;
    config.signers = NonZeroUsize::MIN;
    config.policy = SandboxPolicy::dangerous_best_effort();
    let mut fixture = Fixture::with_launcher(Arc::new(RegionLauncher::with_config(config).unwrap()));
    fixture.config.folder = folder.join("host");
    let vault = {
        let passphrase = plain(PASSPHRASE_COMPLEMENT);
        let passphrase = SecretString::from(std::str::from_utf8(&passphrase).unwrap());
        FileVault::open(&fixture.config.folder.join("vault.age"), passphrase, ScryptCost::RANDOM_PASSPHRASE).unwrap()
    };
    let parts = HostParts {
        launcher: Arc::clone(&fixture.launcher),
        vault: Arc::new(vault),
        clock: Arc::new(cryptlet_host::SystemClock),
        entropy: Arc::new(cryptlet_host::SystemEntropy),
    };
    Host::start(fixture.config.clone(), parts).unwrap()
}

async fn use_it(host: &Host) {
    let registered = register(host, "echo", echo());
    let server = host.serve_tls("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let mut descriptor = host.descriptor().unwrap();
    descriptor.descriptor.endpoints = vec![server.address().to_string()];
    let identity = host.enroll("node", Role::Node).unwrap();
    let client = FabricClient::connect(&descriptor, &identity, ClientOptions::default()).unwrap();
    for number in 0..20 {
        let invocation = call(&registered, number, b"input");
        let answer = client.invoke(invocation.clone()).await.unwrap();
        assert_signed(&invocation, &answer, &registered);
    }
    drop(client);
    server.stop().await;
}

/// This process's memory, opened while that is still allowed.
struct Memory {
    bytes: File,
    maps: File,
}

#[derive(Debug)]
#[allow(dead_code, reason = "printed")]
struct Hit {
    what: &'static str,
    at: u64,
    mapping: String,
    is_locked: bool,
}

impl Memory {
    fn open() -> Self {
        Self { bytes: File::open("/proc/self/mem").unwrap(), maps: File::open("/proc/self/smaps").unwrap() }
    }

    /// Every place where a secret is.
    fn hits(&mut self) -> Vec<Hit> {
        const STEP: usize = 1 << 20;
        const OVERLAP: usize = 128;
        let needles = complements();
        let mut text = String::new();
        self.maps.seek(SeekFrom::Start(0)).unwrap();
        self.maps.read_to_string(&mut text).unwrap();
        let mut hits = Vec::new();
        let mut buffer = vec![0; STEP + OVERLAP];
        for mapping in mappings(&text) {
            let mut at = mapping.start;
            while at < mapping.end {
                let wanted = usize::try_from(mapping.end - at).unwrap().min(STEP + OVERLAP);
                // What is not there cannot be read and holds nothing.
                if self.bytes.read_exact_at(&mut buffer[..wanted], at).is_ok() {
                    for (what, complement) in &needles {
                        if let Some(offset) = finds(&buffer[..wanted], complement) {
                            let (mapping, is_locked) = (mapping.name.clone(), mapping.is_locked);
                            hits.push(Hit { what, at: at + offset as u64, mapping, is_locked });
                        }
                    }
                }
                buffer.zeroize();
                buffer.resize(STEP + OVERLAP, 0);
                at += STEP as u64;
            }
        }
        hits
    }
}

struct Mapping {
    start: u64,
    end: u64,
    name: String,
    is_locked: bool,
}

/// What is in memory at all, by `/proc/self/smaps`.
fn mappings(text: &str) -> Vec<Mapping> {
    let mut mappings: Vec<Mapping> = Vec::new();
    let mut is_resident = false;
    for line in text.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        if let Some((start, end)) = range
            && let (Ok(start), Ok(end)) = (u64::from_str_radix(start, 16), u64::from_str_radix(end, 16))
        {
            if !is_resident {
                mappings.pop();
            }
            let name = line.to_owned();
            mappings.push(Mapping { start, end, name, is_locked: false });
            is_resident = false;
        } else if let Some(rss) = line.strip_prefix("Rss:") {
            is_resident = !rss.trim().starts_with("0 ");
        } else if let Some(flags) = line.strip_prefix("VmFlags:")
            && let Some(mapping) = mappings.last_mut()
        {
            let has = |flag| flags.split_whitespace().any(|found| found == flag);
            mapping.is_locked = has("lo") && has("dd");
        }
    }
    if !is_resident {
        mappings.pop();
    }
    mappings
}
