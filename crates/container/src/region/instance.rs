//! What the regions of all software providers have in common: keys behind a holder, and a secret for randomness.

use super::RegionDigest;
use crate::{
    fault::ContainerFault,
    keyring::{RenewalTerms, random_bytes},
    signers::{KeyHolder, NewKeys},
};
use alloy_primitives::{B256, keccak256};
use cryptlet_primitives::{CodeDigest, CryptletResult, InstanceKeys, InvocationMode, Measurement, Signature65};
use zeroize::Zeroizing;

pub(super) struct Instance {
    holder: Box<dyn KeyHolder>,
    pub(super) keys: InstanceKeys,
    pub(super) keys_signature: Signature65,
    measurement: Measurement,
    random_secret: Zeroizing<[u8; 32]>,
}

impl Instance {
    pub(super) fn new(new: NewKeys, measurement: Measurement) -> Result<Self, ContainerFault> {
        let NewKeys { holder, keys, signature } = new;
        let random_secret = random_bytes().map_err(|error| ContainerFault::Engine(error.to_string()))?;
        Ok(Self { holder, keys, keys_signature: signature, measurement, random_secret })
    }

    pub(super) fn sign(&self, result: &CryptletResult, mode: InvocationMode) -> Result<Signature65, ContainerFault> {
        self.holder.sign(result, mode)
    }

    pub(super) fn agree(&self, peer: [u8; 32], context: B256) -> Result<B256, ContainerFault> {
        self.holder.agree(peer, context)
    }

    pub(super) fn renew(&self, terms: &RenewalTerms) -> Result<(InstanceKeys, Signature65), ContainerFault> {
        self.holder.renew(terms)
    }

    pub(super) fn digest(&self) -> RegionDigest {
        let code = CodeDigest(self.keys.codeDigest);
        RegionDigest { code, measurement: self.measurement, signer: self.keys.signer }
    }

    /// Dry runs draw from another seed, so that a simulation does not show what the real call will see.
    pub(super) fn random_seed(&self, call_key: B256, mode: InvocationMode) -> B256 {
        let tag: &[u8] = match mode {
            InvocationMode::Live => b"cryptlet/random/v1",
            InvocationMode::DryRun => b"cryptlet/random/dry-run/v1",
        };
        let words = Zeroizing::new([&self.random_secret[..], tag, call_key.as_slice()].concat());
        keccak256(&*words)
    }
}
