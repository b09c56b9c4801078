//! Who this host is: its key, the certificate authority of its wire, and the peers it has enrolled.

mod authority;
mod peers;

pub use authority::ClientIdentity;
pub use peers::Role;

pub(crate) use authority::{Authority, certificate_der, private_key_der};
pub(crate) use peers::{Peer, Peers};

use crate::{Entropy, error::HostError, vault::Vault};
use alloy_primitives::{Address, B256, FixedBytes};
use cryptlet_primitives::Signature65;
use k256::ecdsa::SigningKey;
use std::fmt;
use zeroize::Zeroizing;

/// Name of the host's key in its vault.
const HOST_KEY: &str = "host-key";

/// A secp256k1 key that signs EIP-712 digests.
pub(crate) struct DigestSigner {
    key: SigningKey,
    address: Address,
}

impl fmt::Debug for DigestSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestSigner").field("address", &self.address).finish_non_exhaustive()
    }
}

impl DigestSigner {
    /// A new key.
    pub(crate) fn generate(entropy: &dyn Entropy) -> Self {
        loop {
            let mut bytes = Zeroizing::new([0; 32]);
            entropy.fill(bytes.as_mut());
            // Fails for one number in 2^128: zero, or not below the group order.
            if let Ok(key) = SigningKey::from_slice(bytes.as_ref()) {
                return Self::new(key);
            }
        }
    }

    /// The host's key, made and kept at the first start.
    pub(crate) fn host_key(vault: &dyn Vault, entropy: &dyn Entropy) -> Result<Self, HostError> {
        if let Some(secret) = vault.secret(HOST_KEY)? {
            let key = SigningKey::from_slice(&secret).map_err(|_| HostError::Setting {
                setting: "vault entry host-key",
                value: format!("{} bytes", secret.len()),
                expected: "it must be a secp256k1 key of 32 bytes",
            })?;
            return Ok(Self::new(key));
        }
        let signer = Self::generate(entropy);
        vault.keep(HOST_KEY, &Zeroizing::new(signer.key.to_bytes()))?;
        tracing::info!(host = %signer.address, "made the host's key");
        Ok(signer)
    }

    fn new(key: SigningKey) -> Self {
        let address = Address::from_public_key(key.verifying_key());
        Self { key, address }
    }

    pub(crate) fn address(&self) -> Address {
        self.address
    }

    /// Signs a digest: low s, v 27 or 28.
    pub(crate) fn sign(&self, digest: B256) -> Signature65 {
        let (signature, recovery) =
            self.key.sign_prehash_recoverable(digest.as_slice()).expect("a digest of 32 bytes can be signed");
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = 27 + recovery.to_byte();
        Signature65(FixedBytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    #[test]
    fn what_it_signs_recovers_to_its_address() {
        let signer = DigestSigner::generate(&SystemEntropy);
        for byte in 0..64 {
            let digest = B256::repeat_byte(byte);
            assert_eq!(cryptlet_attestation::recover(digest, &signer.sign(digest)), Ok(signer.address()));
        }
    }
}
