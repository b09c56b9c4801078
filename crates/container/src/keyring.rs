//! Keys of instances, and the few things they are used for. Lives in a signer process (ADR 0003): nothing here gives a key
//! away, and nothing signs bytes it does not understand.

use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::{Eip712Domain, SolStruct};
use cryptlet_primitives::{
    CodeDigest, ContainerKind, CryptletId, CryptletResult, FabricDomain, FabricVersion, InstanceKeys, InvocationMode,
    RegistrationId, ResultStatus, Signature65,
};
use k256::ecdsa::SigningKey;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// Instances one keyring holds.
pub const KEYS_MAX: usize = 4096;

/// What a host decides about an instance before its keys are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceTerms {
    /// The chain it signs for.
    pub domain: FabricDomain,
    /// The cryptlet it is an instance of.
    pub cryptlet: CryptletId,
    /// The code it runs. [`crate::Measured::start`] refuses any but its own.
    pub code: CodeDigest,
    /// What runs it.
    pub container: ContainerKind,
    /// Digest of the cryptlet's manifest.
    pub manifest_digest: B256,
    /// Epoch of the cryptlet's keys in the registry.
    pub key_epoch: u64,
    /// A recent block, so that the age of the keys can be judged.
    pub anchor_block: u64,
    /// Its hash.
    pub anchor_hash: B256,
    /// Last block in which a result of this instance may be used.
    pub not_after_block: u64,
}

/// What changes when the keys of an instance are registered anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenewalTerms {
    /// The registration that is renewed.
    pub renews: RegistrationId,
    /// A recent block.
    pub anchor_block: u64,
    /// Its hash.
    pub anchor_hash: B256,
    /// Last block in which a result of the renewed registration may be used.
    pub not_after_block: u64,
}

/// Names keys within one keyring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyHandle(u64);

/// Why the keyring will not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyringRefusal {
    #[error("it has no keys of that name")]
    UnknownKey,
    #[error("it holds {KEYS_MAX} keys, which is the limit")]
    Full,
    #[error("the system gives no randomness: {0}")]
    NoRandomness(String),
    #[error("the result is of another instance or key epoch than the keys")]
    NotItsResult,
    #[error("a result of status {0} is not signed by anyone")]
    Unsignable(u8),
    #[error("the result is valid from block {not_before} to {expires}, its keys to {not_after_block}")]
    Window { not_before: u64, expires: u64, not_after_block: u64 },
    #[error("it was renewed until block {held}; {asked} is no later")]
    NoRenewal { held: u64, asked: u64 },
    #[error("the other side's key is not a key")]
    WeakPeer,
    #[error("signing failed: {0}")]
    Signing(String),
}

struct InstanceKey {
    signing: SigningKey,
    agreement: StaticSecret,
    /// As it is registered now, with its id.
    keys: (InstanceKeys, B256),
    /// As it was registered before, if it was renewed: what was asked of it then may still be signed.
    previous: Option<(InstanceKeys, B256)>,
    live: Eip712Domain,
    dry_run: Eip712Domain,
}

/// The keys of some instances. All are erased from memory when dropped.
#[derive(Default)]
pub(crate) struct Keyring {
    held: HashMap<KeyHandle, InstanceKey>,
    next: u64,
}

impl Keyring {
    /// Makes an instance's keys and signs them with themselves, in the live domain.
    pub(crate) fn create(
        &mut self,
        terms: &InstanceTerms,
    ) -> Result<(KeyHandle, InstanceKeys, Signature65), KeyringRefusal> {
        if self.held.len() >= KEYS_MAX {
            return Err(KeyringRefusal::Full);
        }
        let held = InstanceKey::generate(terms)?;
        let keys = held.keys.0;
        let signature = sign(&held.signing, keys.eip712_signing_hash(&held.live))?;
        let handle = KeyHandle(self.next);
        self.next += 1;
        self.held.insert(handle, held);
        Ok((handle, keys, signature))
    }

    /// Signs an instance's keys for a longer time. From now on it can sign as this registration and as the one it renews, but as no
    /// other: neither as an earlier one, nor as another renewal, which nobody registered.
    pub(crate) fn renew(
        &mut self,
        key: KeyHandle,
        terms: &RenewalTerms,
    ) -> Result<(InstanceKeys, Signature65), KeyringRefusal> {
        let held = self.held.get_mut(&key).ok_or(KeyringRefusal::UnknownKey)?;
        let (renewed, _) = *held.registration(terms.renews.0).ok_or(KeyringRefusal::NotItsResult)?;
        let asked = terms.not_after_block;
        if asked <= renewed.notAfterBlock {
            return Err(KeyringRefusal::NoRenewal { held: renewed.notAfterBlock, asked });
        }
        let keys = InstanceKeys {
            anchorBlock: terms.anchor_block,
            anchorHash: terms.anchor_hash,
            notAfterBlock: asked,
            ..renewed
        };
        let signature = sign(&held.signing, keys.eip712_signing_hash(&held.live))?;
        held.previous = Some((renewed, terms.renews.0));
        held.keys = (keys, keys.registration_id().0);
        Ok((keys, signature))
    }

    /// Signs a result, if it is one of this instance and of a call that ended.
    pub(crate) fn sign_result(
        &self,
        key: KeyHandle,
        result: &CryptletResult,
        mode: InvocationMode,
    ) -> Result<Signature65, KeyringRefusal> {
        let held = self.held.get(&key).ok_or(KeyringRefusal::UnknownKey)?;
        let (keys, _) = held
            .registration(result.registrationId)
            .filter(|(keys, _)| result.keyEpoch == keys.keyEpoch)
            .ok_or(KeyringRefusal::NotItsResult)?;
        if !matches!(result.status.try_into(), Ok(ResultStatus::Ok | ResultStatus::Error)) {
            return Err(KeyringRefusal::Unsignable(result.status));
        }
        let (not_before, expires, not_after_block) = (result.notBefore, result.expires, keys.notAfterBlock);
        if not_before > expires || expires > not_after_block {
            return Err(KeyringRefusal::Window { not_before, expires, not_after_block });
        }
        let domain = match mode {
            InvocationMode::Live => &held.live,
            InvocationMode::DryRun => &held.dry_run,
        };
        sign(&held.signing, result.eip712_signing_hash(domain))
    }

    /// A secret shared with the holder of another X25519 key:
    /// `keccak256("cryptlet/channel/v1" ‖ x25519 ‖ peer's key ‖ own key ‖ context)`.
    pub(crate) fn agree(&self, key: KeyHandle, peer: [u8; 32], context: B256) -> Result<B256, KeyringRefusal> {
        let held = self.held.get(&key).ok_or(KeyringRefusal::UnknownKey)?;
        let shared = held.agreement.diffie_hellman(&PublicKey::from(peer));
        if !shared.was_contributory() {
            return Err(KeyringRefusal::WeakPeer);
        }
        let own = held.keys.0.hpkeKey;
        let parts: [&[u8]; 5] = [b"cryptlet/channel/v1", shared.as_bytes(), &peer, own.as_slice(), context.as_slice()];
        let words = Zeroizing::new(parts.concat());
        Ok(keccak256(&*words))
    }

    /// Erases the keys of an instance.
    pub(crate) fn forget(&mut self, key: KeyHandle) {
        self.held.remove(&key);
    }
}

impl InstanceKey {
    fn generate(terms: &InstanceTerms) -> Result<Self, KeyringRefusal> {
        let signing = generate_signing()?;
        let agreement = StaticSecret::from(*random_bytes()?);
        let keys = InstanceKeys {
            cryptletId: terms.cryptlet.0,
            codeDigest: terms.code.0,
            manifestDigest: terms.manifest_digest,
            signer: Address::from_public_key(signing.verifying_key()),
            hpkeKey: B256::from(PublicKey::from(&agreement).to_bytes()),
            keyEpoch: terms.key_epoch,
            anchorBlock: terms.anchor_block,
            anchorHash: terms.anchor_hash,
            notAfterBlock: terms.not_after_block,
            container: terms.container as u8,
            version: FabricVersion::CURRENT.0,
        };
        Ok(Self {
            signing,
            agreement,
            keys: (keys, keys.registration_id().0),
            previous: None,
            live: terms.domain.live(),
            dry_run: terms.domain.dry_run(),
        })
    }

    /// The keys as they have this id, if they may be used so.
    fn registration(&self, id: B256) -> Option<&(InstanceKeys, B256)> {
        std::iter::once(&self.keys).chain(&self.previous).find(|(_, known)| *known == id)
    }
}

/// A key from the system's randomness. A draw outside the curve's order (chance 2⁻¹²⁸) is drawn again.
fn generate_signing() -> Result<SigningKey, KeyringRefusal> {
    loop {
        let drawn = random_bytes()?;
        if let Ok(key) = SigningKey::from_slice(&*drawn) {
            return Ok(key);
        }
    }
}

pub(crate) fn random_bytes() -> Result<Zeroizing<[u8; 32]>, KeyringRefusal> {
    let mut drawn = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *drawn).map_err(|error| KeyringRefusal::NoRandomness(error.to_string()))?;
    Ok(drawn)
}

/// Signs a digest: deterministic (RFC 6979), low-s.
fn sign(key: &SigningKey, digest: B256) -> Result<Signature65, KeyringRefusal> {
    let (signature, recovery) =
        key.sign_prehash_recoverable(digest.as_slice()).map_err(|error| KeyringRefusal::Signing(error.to_string()))?;
    Ok(alloy_primitives::Signature::from((signature, recovery)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> InstanceTerms {
        InstanceTerms {
            domain: FabricDomain { chain_id: 31337, genesis_hash: B256::repeat_byte(1) },
            cryptlet: CryptletId(B256::repeat_byte(2)),
            code: CodeDigest(B256::repeat_byte(3)),
            container: ContainerKind::Wasm,
            manifest_digest: B256::repeat_byte(4),
            key_epoch: 5,
            anchor_block: 6,
            anchor_hash: B256::repeat_byte(7),
            not_after_block: 1000,
        }
    }

    fn result_of(keys: &InstanceKeys) -> CryptletResult {
        CryptletResult {
            requestHash: B256::repeat_byte(8),
            registrationId: keys.registration_id().0,
            keyEpoch: keys.keyEpoch,
            status: ResultStatus::Ok as u8,
            outputHash: B256::repeat_byte(9),
            units: 1,
            observedAt: 2,
            notBefore: 3,
            expires: 4,
        }
    }

    #[test]
    fn live_and_dry_run_signatures_are_of_the_signer_and_differ() {
        let mut ring = Keyring::default();
        let (key, keys, _) = ring.create(&terms()).unwrap();
        let result = result_of(&keys);
        let live = ring.sign_result(key, &result, InvocationMode::Live).unwrap();
        let dry_run = ring.sign_result(key, &result, InvocationMode::DryRun).unwrap();
        assert_ne!(live, dry_run);
        for (signature, domain) in [(live, terms().domain.live()), (dry_run, terms().domain.dry_run())] {
            let signature = alloy_primitives::Signature::from_raw(signature.0.as_slice()).unwrap();
            assert!(signature.normalize_s().is_none(), "low s");
            let digest = result.eip712_signing_hash(&domain);
            assert_eq!(signature.recover_address_from_prehash(&digest).unwrap(), keys.signer);
        }
    }

    #[test]
    fn what_is_not_the_instances_own_result_is_not_signed() {
        let mut ring = Keyring::default();
        let (key, keys, _) = ring.create(&terms()).unwrap();
        let (other, ..) = ring.create(&terms()).unwrap();
        let good = result_of(&keys);
        let refused = |key, result: CryptletResult| ring.sign_result(key, &result, InvocationMode::Live).is_err();
        assert!(refused(other, good));
        assert!(refused(key, CryptletResult { keyEpoch: 6, ..good }));
        assert!(refused(key, CryptletResult { status: 2, ..good }));
        assert!(refused(key, CryptletResult { status: 9, ..good }));
        assert!(refused(key, CryptletResult { expires: 1001, ..good }));
        assert!(refused(key, CryptletResult { notBefore: 5, ..good }));
        assert!(refused(KeyHandle(77), good));
        assert!(!refused(key, good));
    }

    #[test]
    fn renewed_keys_are_the_same_for_longer_and_sign_under_both_registrations() {
        let mut ring = Keyring::default();
        let (key, first, _) = ring.create(&terms()).unwrap();
        let renewal = |keys: &InstanceKeys, not_after_block| RenewalTerms {
            renews: keys.registration_id(),
            anchor_block: 60,
            anchor_hash: B256::ZERO,
            not_after_block,
        };
        for no_later in [999, 1000] {
            let refused = ring.renew(key, &renewal(&first, no_later));
            assert_eq!(refused, Err(KeyringRefusal::NoRenewal { held: 1000, asked: no_later }));
        }
        // One that is never registered takes nothing away from the first.
        let (lost, _) = ring.renew(key, &renewal(&first, 1500)).unwrap();
        let (second, signature) = ring.renew(key, &renewal(&first, 2000)).unwrap();
        let expected = InstanceKeys { anchorBlock: 60, anchorHash: B256::ZERO, notAfterBlock: 2000, ..first };
        assert_eq!(second, expected);
        let signature = alloy_primitives::Signature::from_raw(signature.0.as_slice()).unwrap();
        let digest = second.eip712_signing_hash(&terms().domain.live());
        assert_eq!(signature.recover_address_from_prehash(&digest).unwrap(), first.signer);

        let signs = |ring: &Keyring, keys: &InstanceKeys, expires| {
            let result = CryptletResult { expires, ..result_of(keys) };
            ring.sign_result(key, &result, InvocationMode::Live).is_ok()
        };
        assert!(signs(&ring, &first, 1000) && signs(&ring, &second, 2000));
        assert!(!signs(&ring, &first, 1001), "the first ends when it ended");
        assert!(!signs(&ring, &lost, 1000), "nobody registered it");
        assert_eq!(ring.renew(key, &renewal(&lost, 9000)), Err(KeyringRefusal::NotItsResult));
        let (third, _) = ring.renew(key, &renewal(&second, 3000)).unwrap();
        assert!(!signs(&ring, &first, 1000) && signs(&ring, &second, 2000) && signs(&ring, &third, 3000));
    }

    #[test]
    fn both_sides_of_a_channel_find_the_same_secret() {
        let mut ring = Keyring::default();
        let (key, keys, _) = ring.create(&terms()).unwrap();
        let client = StaticSecret::from([7; 32]);
        let client_key = PublicKey::from(&client).to_bytes();
        let context = B256::repeat_byte(1);

        let secret = ring.agree(key, client_key, context).unwrap();

        let shared = client.diffie_hellman(&PublicKey::from(keys.hpkeKey.0));
        let parts: [&[u8]; 5] =
            [b"cryptlet/channel/v1", shared.as_bytes(), &client_key, keys.hpkeKey.as_slice(), context.as_slice()];
        assert_eq!(secret, keccak256(parts.concat()));
        assert_ne!(secret, ring.agree(key, client_key, B256::ZERO).unwrap());
        assert_eq!(ring.agree(key, [0; 32], context), Err(KeyringRefusal::WeakPeer));
    }

    #[test]
    fn forgotten_keys_sign_nothing() {
        let mut ring = Keyring::default();
        let (key, keys, _) = ring.create(&terms()).unwrap();
        ring.forget(key);
        assert_eq!(ring.sign_result(key, &result_of(&keys), InvocationMode::Live), Err(KeyringRefusal::UnknownKey));
    }
}
