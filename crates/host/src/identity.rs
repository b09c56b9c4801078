//! Who this host is: its key, the certificate authority of its wire, and the peers it has enrolled.

mod authority;
mod peers;

pub use authority::ClientIdentity;
pub use peers::Role;

pub(crate) use authority::{Authority, certificate_der, private_key_der};
pub(crate) use peers::{Peer, Peers};

use crate::{
    Entropy,
    error::HostError,
    vault::{KeyName, LocalKey, SigningKey, Vault, signing_key_or_new},
};
use alloy_primitives::{Address, B256};
use cryptlet_primitives::Signature65;
use std::sync::Arc;

/// A key that signs EIP-712 digests, here or in a vault. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct DigestSigner(Arc<dyn SigningKey>);

impl DigestSigner {
    /// A new key in this process, which dies with it.
    pub(crate) fn generate(entropy: &dyn Entropy) -> Self {
        Self(Arc::new(LocalKey::generate(entropy)))
    }

    /// The host's key, made in the vault at the first start.
    pub(crate) fn host_key(vault: &dyn Vault, entropy: &dyn Entropy) -> Result<Self, HostError> {
        Ok(Self(signing_key_or_new(vault, &KeyName::host(), entropy)?))
    }

    /// This key; none if these bytes are none.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        Some(Self(Arc::new(LocalKey::from_bytes(bytes)?)))
    }

    /// The host's key, of a host that was started before.
    pub(crate) fn host_key_of(vault: &dyn Vault) -> Result<Self, HostError> {
        let key = vault.signing_key(&KeyName::host())?;
        key.map(Self).ok_or_else(|| HostError::Vault {
            vault: vault.describe(),
            why: "it holds no host's key; start the host once".to_owned(),
        })
    }

    pub(crate) fn address(&self) -> Address {
        self.0.address()
    }

    /// Signs a digest: low s, v 27 or 28. Blocks if the key is not in this process.
    pub(crate) fn sign(&self, digest: B256) -> Result<Signature65, HostError> {
        self.0.sign(digest)
    }
}
