//! Keys in a token, by PKCS#11. Vendors' libraries crash, leak and hang, so the library is loaded in a process of its own, which
//! is this binary started again; when it dies, the request that was under way fails and the next one starts another.

mod token;
mod uri;
mod wire;
mod worker;

pub use uri::Pkcs11Uri;
pub use worker::main as worker_main;

use super::{KeyName, SigningKey, Vault, file::check_name};
use crate::{Entropy, error::HostError};
use alloy_primitives::{Address, B256, FixedBytes};
use cryptlet_primitives::Signature65;
use k256::ecdsa::{Signature, VerifyingKey};
use parking_lot::Mutex;
use std::{
    ffi::OsString,
    fmt, io,
    os::{fd::OwnedFd, unix::net::UnixStream, unix::process::ExitStatusExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use wire::{Ask, SecretBytes, Told};
use zeroize::Zeroizing;

/// Time for one answer. Making a key in a real token takes seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A vault in a PKCS#11 token: signing keys are made in it and cannot leave it; secrets lie in it as private data objects.
#[derive(Debug)]
pub struct Pkcs11Vault(Arc<Supervisor>);

/// How to start the process: a program whose `main` calls [`worker_main`] when it finds these arguments.
#[derive(Clone, Debug)]
pub struct VaultCommand {
    /// Path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Pkcs11Vault {
    /// Starts the process and logs in.
    pub fn open(uri: Pkcs11Uri, command: VaultCommand) -> Result<Self, HostError> {
        let supervisor = Supervisor { uri, command, state: Mutex::default() };
        supervisor.running(&mut supervisor.state.lock())?;
        Ok(Self(Arc::new(supervisor)))
    }

    /// Id of the process, if there is one now.
    pub fn process_id(&self) -> Option<u32> {
        self.0.state.lock().process.as_ref().map(|process| process.child.id())
    }

    fn key(&self, name: &KeyName, point: &[u8]) -> Result<Arc<dyn SigningKey>, HostError> {
        let key = VerifyingKey::from_sec1_bytes(point)
            .map_err(|_| self.0.failed(format!("the public key of {name} is not a point of secp256k1")))?;
        let address = Address::from_public_key(&key);
        Ok(Arc::new(TokenKey { supervisor: Arc::clone(&self.0), name: name.clone(), address }))
    }
}

impl Vault for Pkcs11Vault {
    fn secret(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, HostError> {
        match self.0.ask(&Ask::Secret { name: name.to_owned() })? {
            Told::Secret(secret) => Ok(secret.map(|mut secret| Zeroizing::new(std::mem::take(&mut secret.0)))),
            _ => Err(self.0.out_of_turn()),
        }
    }

    fn keep(&self, name: &str, secret: &[u8]) -> Result<(), HostError> {
        check_name(name)?;
        match self.0.ask(&Ask::Keep { name: name.to_owned(), secret: SecretBytes(secret.to_vec()) })? {
            Told::Done => Ok(()),
            _ => Err(self.0.out_of_turn()),
        }
    }

    fn signing_key(&self, name: &KeyName) -> Result<Option<Arc<dyn SigningKey>>, HostError> {
        match self.0.ask(&Ask::Find { name: name.to_string() })? {
            Told::Key(point) => point.map(|point| self.key(name, &point)).transpose(),
            _ => Err(self.0.out_of_turn()),
        }
    }

    /// The token's randomness makes the key, not ours.
    fn make_signing_key(&self, name: &KeyName, _: &dyn Entropy) -> Result<Arc<dyn SigningKey>, HostError> {
        match self.0.ask(&Ask::Make { name: name.to_string() })? {
            Told::Key(Some(point)) => self.key(name, &point),
            _ => Err(self.0.out_of_turn()),
        }
    }

    fn describe(&self) -> String {
        self.0.uri.to_string()
    }
}

/// A key in the token.
#[derive(Debug)]
struct TokenKey {
    supervisor: Arc<Supervisor>,
    name: KeyName,
    address: Address,
}

impl SigningKey for TokenKey {
    fn address(&self) -> Address {
        self.address
    }

    fn sign(&self, digest: B256) -> Result<Signature65, HostError> {
        match self.supervisor.ask(&Ask::Sign { name: self.name.to_string(), digest: digest.0 })? {
            Told::Signature(bytes) => canonical(&bytes, digest, self.address).ok_or_else(|| {
                self.supervisor
                    .failed(format!("what it signed with {} is not a signature of {}", self.name, self.address))
            }),
            _ => Err(self.supervisor.out_of_turn()),
        }
    }
}

/// The one form of a token's signature that Ethereum accepts: the lower `s`, and the `v` with which it recovers to the key.
fn canonical(bytes: &[u8], digest: B256, address: Address) -> Option<Signature65> {
    let signature = Signature::from_slice(bytes).ok()?;
    let signature = signature.normalize_s().unwrap_or(signature);
    [27, 28].into_iter().find_map(|v| {
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = v;
        let signature = Signature65(FixedBytes(bytes));
        (cryptlet_attestation::recover(digest, &signature) == Ok(address)).then_some(signature)
    })
}

/// Keeps one process running, and speaks with it, one request at a time.
struct Supervisor {
    uri: Pkcs11Uri,
    command: VaultCommand,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    process: Option<Process>,
    /// The PIN was refused: asking on would lock the token.
    is_pin_wrong: bool,
}

struct Process {
    child: Child,
    stream: UnixStream,
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl Supervisor {
    fn ask(&self, ask: &Ask) -> Result<Told, HostError> {
        let mut state = self.state.lock();
        let process = self.running(&mut state)?;
        match process.ask(ask) {
            Ok(Told::Refused { why, .. }) => Err(self.failed(why)),
            Ok(told) => Ok(told),
            Err(error) => {
                let lost = process.last_words(&error);
                state.process = None;
                Err(self.lost(lost))
            }
        }
    }

    fn running<'a>(&self, state: &'a mut State) -> Result<&'a mut Process, HostError> {
        if state.is_pin_wrong {
            return Err(self.failed("its PIN was refused; correct the PIN file and start again".to_owned()));
        }
        // One that died since it last answered is no reason to fail.
        let has_died = |process: &mut Process| !matches!(process.child.try_wait(), Ok(None));
        if state.process.as_mut().is_some_and(has_died) {
            state.process = None;
            tracing::warn!(vault = %self.uri, "the process of the vault died; starting another");
        }
        if state.process.is_none() {
            let mut process = Process::start(&self.command).map_err(|error| self.lost(error.to_string()))?;
            let text = |path: &PathBuf| path.to_string_lossy().into_owned();
            let open = Ask::Open {
                module: text(&self.uri.module),
                token: self.uri.token.clone(),
                pin_file: text(&self.uri.pin_file),
            };
            match process.ask(&open) {
                Ok(Told::Done) => {}
                Ok(Told::Refused { why, is_pin }) => {
                    state.is_pin_wrong = is_pin;
                    return Err(self.failed(why));
                }
                Ok(_) => return Err(self.lost("it answered another question".to_owned())),
                Err(error) => return Err(self.lost(process.last_words(&error))),
            }
            state.process = Some(process);
        }
        state.process.as_mut().ok_or_else(|| self.lost("it ended".to_owned()))
    }

    fn out_of_turn(&self) -> HostError {
        self.state.lock().process = None;
        self.lost("it answered another question".to_owned())
    }

    fn failed(&self, why: String) -> HostError {
        HostError::Vault { vault: self.uri.to_string(), why }
    }

    fn lost(&self, why: String) -> HostError {
        HostError::VaultProcess { vault: self.uri.to_string(), why }
    }
}

impl Process {
    /// The child's standard input is its end of the channel. Vendors' libraries are set up by the environment, so it has ours.
    fn start(command: &VaultCommand) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        ours.set_write_timeout(Some(ANSWER_TIMEOUT))?;
        let child = Command::new(&command.program)
            .args(&command.arguments)
            .env_remove("CRYPTLET_PRIVATE_KEY")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, stream: ours })
    }

    fn ask(&mut self, ask: &Ask) -> io::Result<Told> {
        wire::send(&self.stream, ask)?;
        wire::receive(&self.stream)
    }

    fn last_words(&mut self, error: &io::Error) -> String {
        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
            return format!("it did not answer within {} s", ANSWER_TIMEOUT.as_secs());
        }
        // It closed its channel, so it is ending.
        match self.child.wait() {
            Ok(status) => match status.signal() {
                Some(signal) => format!("signal {signal} ended it"),
                None => format!("it ended with {status}"),
            },
            Err(_) => error.to_string(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if the child is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SystemEntropy, vault::LocalKey};

    #[test]
    fn either_s_of_a_signature_becomes_the_canonical_one_and_another_key_is_noticed() {
        let (key, other) = (LocalKey::generate(&SystemEntropy), LocalKey::generate(&SystemEntropy));
        for byte in 0..32 {
            let digest = B256::repeat_byte(byte);
            let signed = key.sign(digest).unwrap();
            let low = Signature::from_slice(&signed.0[..64]).unwrap();
            let high = Signature::from_scalars(low.r(), -low.s()).unwrap();
            for form in [low, high] {
                assert_eq!(canonical(&form.to_bytes(), digest, key.address()), Some(signed));
            }
            assert_eq!(canonical(&low.to_bytes(), digest, other.address()), None);
            assert_eq!(canonical(&low.to_bytes()[..63], digest, key.address()), None);
        }
    }
}
