//! A signing key in this process, in locked memory.

use super::{
    SigningKey,
    locked::{Locked, on_clean_stack},
};
use crate::{Entropy, error::HostError};
use alloy_primitives::{Address, B256, FixedBytes};
use cryptlet_primitives::Signature65;
use std::fmt;
use zeroize::Zeroizing;

/// A key that this process holds.
pub(crate) struct LocalKey {
    key: Locked<k256::ecdsa::SigningKey>,
    address: Address,
}

impl LocalKey {
    /// A new key.
    pub(crate) fn generate(entropy: &dyn Entropy) -> Self {
        loop {
            let mut bytes = Zeroizing::new([0; 32]);
            entropy.fill(bytes.as_mut());
            // Fails for one number in 2^128: zero, or not below the group order.
            if let Some(key) = Self::from_bytes(bytes.as_ref()) {
                return key;
            }
        }
    }

    /// The key with these 32 bytes, if they are one.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let key = Locked::new(|| k256::ecdsa::SigningKey::from_slice(bytes)).ok()?;
        let address = Address::from_public_key(key.verifying_key());
        Some(Self { key, address })
    }

    /// What the key is made of, for the vault that keeps it.
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        on_clean_stack(|| Zeroizing::new(Zeroizing::new(self.key.to_bytes()).to_vec()))
    }
}

impl SigningKey for LocalKey {
    fn address(&self) -> Address {
        self.address
    }

    /// Deterministic (RFC 6979).
    fn sign(&self, digest: B256) -> Result<Signature65, HostError> {
        on_clean_stack(|| {
            let (signature, recovery) =
                self.key.sign_prehash_recoverable(digest.as_slice()).expect("a digest of 32 bytes can be signed");
            let mut bytes = [0; 65];
            bytes[..64].copy_from_slice(&signature.to_bytes());
            bytes[64] = 27 + recovery.to_byte();
            Ok(Signature65(FixedBytes(bytes)))
        })
    }
}

impl fmt::Debug for LocalKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SystemEntropy;

    #[test]
    fn what_it_signs_recovers_to_its_address() {
        let key = LocalKey::generate(&SystemEntropy);
        for byte in 0..64 {
            let digest = B256::repeat_byte(byte);
            assert_eq!(cryptlet_attestation::recover(digest, &key.sign(digest).unwrap()), Ok(key.address()));
        }
        assert_eq!(LocalKey::from_bytes(&key.to_bytes()).unwrap().address(), key.address());
        assert!(LocalKey::from_bytes(&[0; 32]).is_none());
    }
}
