//! What both services have in common: waiting for an answer, and what is refused.

use super::{Cloud, KmsUri};
use crate::{
    Entropy,
    error::HostError,
    vault::{KeyName, SigningKey, Vault},
};
use alloy_primitives::{Address, B256, FixedBytes};
use alloy_signer::Signer;
use cryptlet_primitives::Signature65;
use std::{
    fmt,
    pin::Pin,
    sync::{Arc, mpsc},
    time::Duration,
};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

/// Time for one answer, with the client's own attempts at it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// One of the service's keys, as alloy signs with it.
pub(super) type KmsSigner = Arc<dyn Signer + Send + Sync>;
/// Looks a key up; none if there is no such key.
pub(super) type Lookup = Pin<Box<dyn Future<Output = Result<Option<KmsSigner>, String>> + Send>>;
/// Finds a key by what the service calls it.
pub(super) type Find = Box<dyn Fn(String) -> Lookup + Send + Sync>;
/// Prepares a client of the service.
pub(super) type Connect = Pin<Box<dyn Future<Output = Result<Find, String>> + Send>>;

/// A vault whose signing keys are in a service.
pub(super) struct KmsVault {
    uri: KmsUri,
    find: Find,
    waiting: Arc<WaitingRoom>,
    secrets: Option<Box<dyn Vault>>,
}

impl fmt::Debug for KmsVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsVault").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl KmsVault {
    pub(super) fn open(
        uri: KmsUri,
        secrets: Option<Box<dyn Vault>>,
        connect: impl FnOnce(&KmsUri) -> Connect,
    ) -> Result<Self, HostError> {
        let waiting = Arc::new(WaitingRoom::new(uri.to_string())?);
        let find = waiting.wait(connect(&uri))?;
        Ok(Self { uri, find, waiting, secrets })
    }

    fn cannot(&self, what: String, instead: String) -> HostError {
        HostError::VaultCannot { vault: self.describe(), what, instead }
    }

    fn secrets(&self) -> Result<&dyn Vault, HostError> {
        let instead = "name a file with --passphrase-file: secrets then lie in an encrypted file in the data folder";
        self.secrets.as_deref().ok_or_else(|| self.cannot("keep secrets".to_owned(), instead.to_owned()))
    }
}

impl Vault for KmsVault {
    fn secret(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, HostError> {
        self.secrets()?.secret(name)
    }

    fn keep(&self, name: &str, secret: &[u8]) -> Result<(), HostError> {
        self.secrets()?.keep(name, secret)
    }

    fn signing_key(&self, name: &KeyName) -> Result<Option<Arc<dyn SigningKey>>, HostError> {
        let Some((id, is_named)) = self.uri.key(name) else { return Ok(None) };
        match self.waiting.wait((self.find)(id.clone()))? {
            Some(signer) => {
                let address = signer.address();
                Ok(Some(Arc::new(KmsKey { signer, waiting: Arc::clone(&self.waiting), name: name.clone(), address })))
            }
            None if is_named => Err(self.waiting.failed(format!("it has no key {id}, which --vault names as {name}"))),
            None => Ok(None),
        }
    }

    fn make_signing_key(&self, name: &KeyName, _: &dyn Entropy) -> Result<Arc<dyn SigningKey>, HostError> {
        let kind = match self.uri.cloud {
            Cloud::Aws => "key spec ECC_SECG_P256K1, usage SIGN_VERIFY",
            Cloud::Gcp => "purpose ASYMMETRIC_SIGN, algorithm EC_SIGN_SECP256K1_SHA256",
        };
        let instead = format!("make it there ({kind}), and name it in --vault as {name}=KEY_ID");
        Err(self.cannot(format!("make the key {name}"), instead))
    }

    fn describe(&self) -> String {
        match &self.secrets {
            Some(secrets) => format!("{}, secrets in {}", self.uri, secrets.describe()),
            None => self.uri.to_string(),
        }
    }
}

struct KmsKey {
    signer: KmsSigner,
    waiting: Arc<WaitingRoom>,
    name: KeyName,
    address: Address,
}

impl fmt::Debug for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsKey").field("name", &self.name).field("address", &self.address).finish_non_exhaustive()
    }
}

impl SigningKey for KmsKey {
    fn address(&self) -> Address {
        self.address
    }

    fn sign(&self, digest: B256) -> Result<Signature65, HostError> {
        let signer = Arc::clone(&self.signer);
        let signed = async move { signer.sign_hash(&digest).await.map_err(|error| chain_of(&error)) };
        let signature = Signature65(FixedBytes(self.waiting.wait(signed)?.as_bytes()));
        if cryptlet_attestation::recover(digest, &signature) != Ok(self.address) {
            let (name, address) = (&self.name, self.address);
            return Err(self.waiting.failed(format!("what it signed with {name} is not a signature of {address}")));
        }
        Ok(signature)
    }
}

/// Where threads of ours wait for what the clouds' clients do asynchronously, whether they belong to a runtime themselves or not.
struct WaitingRoom {
    vault: String,
    /// Taken when dropped only: a runtime must not be waited for inside another.
    runtime: Option<Runtime>,
}

impl WaitingRoom {
    fn new(vault: String) -> Result<Self, HostError> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| HostError::Vault { vault: vault.clone(), why: error.to_string() })?;
        Ok(Self { vault, runtime: Some(runtime) })
    }

    fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, String>> + Send + 'static,
    ) -> Result<T, HostError> {
        let (done, outcome) = mpsc::sync_channel(1);
        let Some(runtime) = &self.runtime else { return Err(self.failed("it is being closed".to_owned())) };
        runtime.spawn(async move {
            // Nobody waits any more if this fails.
            let _ = done.send(work.await);
        });
        match outcome.recv_timeout(ANSWER_TIMEOUT) {
            Ok(outcome) => outcome.map_err(|why| self.failed(why)),
            Err(_) => Err(self.failed(format!("it did not answer within {} s", ANSWER_TIMEOUT.as_secs()))),
        }
    }

    fn failed(&self, why: String) -> HostError {
        HostError::Vault { vault: self.vault.clone(), why }
    }
}

impl Drop for WaitingRoom {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// An error with all that caused it: the clouds' clients say little in the first line.
pub(super) fn chain_of(error: &dyn std::error::Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        let line = error.to_string();
        if !text.contains(&line) {
            text += &format!(": {line}");
        }
        cause = error.source();
    }
    text
}
