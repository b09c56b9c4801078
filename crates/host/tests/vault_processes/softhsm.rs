//! SoftHSM2 as the token.

use crate::support::Fixture;
use alloy_primitives::{B256, keccak256};
use cryptlet_host::{
    Host, HostError, HostParts, KeyName, Pkcs11Uri, Pkcs11Vault, SystemEntropy, Vault, vault::pkcs11::VaultCommand,
};
use cryptlet_primitives::CryptletId;
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "4711-canary";

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Points SoftHSM2 to a folder of ours. Before any thread is started.
pub(crate) fn prepare() -> bool {
    if !Path::new(MODULE).exists() {
        return false;
    }
    let folder = tempfile::tempdir().unwrap().keep();
    std::fs::create_dir(folder.join("tokens")).unwrap();
    let config = format!("directories.tokendir = {}\nlog.level = ERROR\n", folder.join("tokens").display());
    std::fs::write(folder.join("softhsm2.conf"), config).unwrap();
    std::fs::write(folder.join("pin"), format!("{PIN}\n")).unwrap();
    // SAFETY: there is one thread.
    unsafe { std::env::set_var("SOFTHSM2_CONF", folder.join("softhsm2.conf")) };
    FOLDER.set(folder).unwrap();
    true
}

/// A new token of this name.
fn token(label: &str) -> Pkcs11Uri {
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "12345678"])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success());
    format!("pkcs11:module={MODULE};token={label};pin-file={}", FOLDER.get().unwrap().join("pin").display())
        .parse()
        .unwrap()
}

fn command() -> VaultCommand {
    VaultCommand { program: std::env::current_exe().unwrap(), arguments: vec!["vault-worker".into()] }
}

fn open(uri: &Pkcs11Uri) -> Pkcs11Vault {
    Pkcs11Vault::open(uri.clone(), command()).unwrap()
}

pub(crate) fn signs() {
    let uri = token("signs");
    let name = KeyName::registration(CryptletId(B256::repeat_byte(5)));
    let vault = open(&uri);
    assert!(vault.signing_key(&name).unwrap().is_none());
    let key = vault.make_signing_key(&name, &SystemEntropy).unwrap();
    for number in 0..200u32 {
        let digest = keccak256(number.to_be_bytes());
        let signature = key.sign(digest).unwrap();
        // `recover` refuses a high s and a v that is not 27 or 28.
        assert_eq!(cryptlet_attestation::recover(digest, &signature), Ok(key.address()));
    }
    assert!(vault.make_signing_key(&name, &SystemEntropy).is_err(), "a key is never overwritten");
    vault.keep("a-secret", b"first").unwrap();
    vault.keep("a-secret", b"second").unwrap();
    drop(vault);

    let again = open(&uri);
    assert_eq!(again.signing_key(&name).unwrap().unwrap().address(), key.address());
    assert_eq!(again.secret("a-secret").unwrap().unwrap().as_slice(), b"second");
    assert_eq!(again.secret("another").unwrap(), None);
    assert!(again.signing_key(&KeyName::host()).unwrap().is_none());
    let error = Pkcs11Vault::open(Pkcs11Uri { token: "none".into(), ..uri.clone() }, command()).unwrap_err();
    assert!(error.to_string().contains("\"signs\""), "it says which tokens there are: {error}");
    let error = Pkcs11Vault::open(Pkcs11Uri { module: "/no/such.so".into(), ..uri }, command()).unwrap_err();
    assert!(error.to_string().contains("/no/such.so"), "{error}");
}

pub(crate) fn crashes() {
    const KILLED_MAX: usize = 100;
    let vault = Arc::new(open(&token("crashes")));
    let key = vault.make_signing_key(&KeyName::host(), &SystemEntropy).unwrap();
    let lost = Arc::new(AtomicUsize::new(0));
    let signer = {
        let (key, lost) = (Arc::clone(&key), Arc::clone(&lost));
        std::thread::spawn(move || {
            while lost.load(Ordering::SeqCst) < 2 {
                match key.sign(B256::repeat_byte(1)) {
                    Ok(_) => {}
                    Err(HostError::VaultProcess { .. }) => {
                        lost.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        })
    };
    let mut killed = std::collections::BTreeSet::new();
    while !signer.is_finished() {
        std::thread::sleep(std::time::Duration::from_millis(20));
        // The signer asks all the time, so this is mostly in the middle of a request; in between nobody notices.
        if let Some(id) = vault.process_id()
            && killed.insert(id)
        {
            assert!(killed.len() < KILLED_MAX, "no request failed");
            kill(id, rustix::process::Signal::ABORT);
        }
    }
    signer.join().unwrap();
    assert_eq!(lost.load(Ordering::SeqCst), 2);
    let signature = key.sign(B256::ZERO).unwrap();
    assert_eq!(cryptlet_attestation::recover(B256::ZERO, &signature), Ok(key.address()), "the same key as before");
}

fn kill(id: u32, signal: rustix::process::Signal) {
    let id = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    // It may have ended a moment ago.
    let _ = rustix::process::kill_process(id, signal);
}

pub(crate) fn wrong_pin() {
    let uri = token("pin");
    let pin_file = FOLDER.get().unwrap().join("wrong-pin");
    std::fs::write(&pin_file, "0000-wrong").unwrap();
    let error = Pkcs11Vault::open(Pkcs11Uri { pin_file: pin_file.clone(), ..uri.clone() }, command()).unwrap_err();
    assert!(matches!(error, HostError::Vault { .. }), "{error}");
    assert!(error.to_string().contains("PIN is wrong") && !error.to_string().contains("0000"), "{error}");

    // Changed under a running vault: its process dies, the next one finds the PIN wrong, and nobody goes on trying.
    let changing = FOLDER.get().unwrap().join("changing-pin");
    std::fs::write(&changing, PIN).unwrap();
    let vault = open(&Pkcs11Uri { pin_file: changing.clone(), ..uri });
    std::fs::write(&changing, "0000-wrong").unwrap();
    kill(vault.process_id().unwrap(), rustix::process::Signal::KILL);
    let told: Vec<String> = (0..4).map(|_| vault.secret("x").unwrap_err().to_string()).collect();
    assert!(told.iter().any(|error| error.contains("PIN is wrong")), "{told:?}");
    assert!(told[3].contains("start again"), "{told:?}");
    assert_eq!(vault.process_id(), None);
}

pub(crate) fn imported_key() {
    let uri = token("imported");
    let pem = FOLDER.get().unwrap().join("key.pem");
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1", "-out"])
        .arg(&pem)
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        println!("SKIPPED the import of a key: there is no openssl command");
        return;
    }
    let imported = Command::new("softhsm2-util")
        .args(["--import", &pem.display().to_string(), "--token", "imported", "--label", "host-key", "--id", "01"])
        .args(["--pin", PIN])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(imported.success());
    let error = open(&uri).signing_key(&KeyName::host()).unwrap_err();
    assert!(error.to_string().contains("CKA_") && error.to_string().contains("never to leave"), "{error}");
}

pub(crate) fn host() {
    let fixture = Fixture::new();
    let uri = token("host");
    let start = || {
        let vault = Arc::new(open(&uri));
        Host::start(fixture.config.clone(), HostParts { vault, ..fixture.parts() }).unwrap()
    };
    let host = start();
    let signed = host.descriptor().unwrap();
    let recovered = cryptlet_attestation::recover(signed.descriptor.digest(), &signed.signature);
    assert_eq!(recovered, Ok(host.address()));
    let registered = crate::support::register(&host, "echo", crate::support::echo());
    assert!(!registered.created.evidence.is_empty());
    let address = host.address();
    drop(host);
    assert_eq!(start().address(), address, "the key stayed in the token");
}
