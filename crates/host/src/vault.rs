//! The papers' Key Vault: where long-lived secrets and signing keys live. Keys of instances never come here: they are born in
//! their container and die with it.

mod file;
pub mod kms;
mod local;
mod lock;
mod locked;
pub mod pkcs11;

pub use file::{FileVault, ScryptCost};
pub use kms::KmsUri;
pub use locked::forbid_core_dumps;
pub use pkcs11::{Pkcs11Uri, Pkcs11Vault};

pub(crate) use local::LocalKey;

use crate::{Entropy, error::HostError};
use alloy_primitives::{Address, B256};
use cryptlet_primitives::{CryptletId, Signature65};
use std::{fmt, sync::Arc};
use zeroize::Zeroizing;

/// A store of secrets and of signing keys. A secret can be had back; a signing key can be used, and what it is made of stays
/// inside as far as the vault can see to that.
pub trait Vault: Send + Sync + fmt::Debug + 'static {
    /// The secret with this name, if there is one.
    fn secret(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, HostError>;

    /// Keeps a secret. It is on disk, or in the token, when this returns.
    fn keep(&self, name: &str, secret: &[u8]) -> Result<(), HostError>;

    /// The signing key filed under this name, if there is one.
    fn signing_key(&self, name: &KeyName) -> Result<Option<Arc<dyn SigningKey>>, HostError>;

    /// Makes a signing key where it will stay, and files it. There must be none of this name yet, or it fails with
    /// [`HostError::VaultKeyExists`].
    fn make_signing_key(&self, name: &KeyName, entropy: &dyn Entropy) -> Result<Arc<dyn SigningKey>, HostError>;

    /// What it is, for people: `age file …`, `PKCS#11 token …`.
    fn describe(&self) -> String;
}

/// A secp256k1 key that signs EIP-712 digests, wherever it lives.
pub trait SigningKey: Send + Sync + fmt::Debug + 'static {
    /// The address of its public key.
    fn address(&self) -> Address;

    /// Signs a digest: low s, v 27 or 28. Blocks, if the key is in another process or machine.
    fn sign(&self, digest: B256) -> Result<Signature65, HostError>;
}

/// What a signing key is filed under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

impl KeyName {
    /// The host's own key: it signs the descriptor, endorses software evidence and answers for the channel.
    pub fn host() -> Self {
        Self("host-key".to_owned())
    }

    /// The identity key of a cryptlet, by its registration address (papers, "Registration": "stored in the Azure Key Vault by
    /// their Registration Blockchain address"). On our chain that address is the cryptlet's id.
    pub fn registration(cryptlet: CryptletId) -> Self {
        Self(format!("registration/{}", cryptlet.0))
    }

    /// The key of somebody who publishes, operates or administers, by a name of 1 to 64 letters, digits, dots and hyphens; none if
    /// that is no such name.
    pub fn account(name: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
        let is_name = (1..=64).contains(&name.len()) && name.bytes().all(is_plain);
        (is_name && !name.starts_with('.')).then(|| Self(format!("account/{name}")))
    }

    /// The name as the vault's backends file it, read back; none if it is no such name.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(name) = text.strip_prefix("account/") {
            return Self::account(name);
        }
        if let Some(id) = text.strip_prefix("registration/") {
            return id.parse::<B256>().ok().map(|id| Self::registration(CryptletId(id)));
        }
        let host = Self::host();
        (text == host.0).then_some(host)
    }

    /// The name as the vault's backends file it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The signing key of this name; made at the first asking.
pub fn signing_key_or_new(
    vault: &dyn Vault,
    name: &KeyName,
    entropy: &dyn Entropy,
) -> Result<Arc<dyn SigningKey>, HostError> {
    if let Some(key) = vault.signing_key(name)? {
        return Ok(key);
    }
    let key = match vault.make_signing_key(name, entropy) {
        // Another process made it since.
        Err(HostError::VaultKeyExists { vault: place, name: found }) => {
            return vault.signing_key(name)?.ok_or(HostError::VaultKeyExists { vault: place, name: found });
        }
        made => made?,
    };
    tracing::info!(key = %name, address = %key.address(), "made a signing key");
    Ok(key)
}
