//! One instance: what runs its calls, and its keys. The same under every provider.

use super::{IsolatedRegion, RegionDigest};
use crate::{
    call::{CallAnswer, CallInputs, CallOut},
    fault::ContainerFault,
    keyring::{RenewalTerms, random_bytes},
    signers::{KeyHolder, NewKeys},
};
use alloy_primitives::{B256, keccak256};
use cryptlet_primitives::{CodeDigest, CryptletResult, InstanceKeys, InvocationMode, Measurement, Signature65};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What runs the calls of one instance.
pub(super) trait Runner: Send + Sync {
    fn run(&self, inputs: &CallInputs, input: &[u8], call_out: &Arc<dyn CallOut>)
    -> Result<CallAnswer, ContainerFault>;
}

pub(super) struct Instance {
    runner: Box<dyn Runner>,
    call_out: Arc<dyn CallOut>,
    holder: Box<dyn KeyHolder>,
    keys: InstanceKeys,
    keys_signature: Signature65,
    measurement: Measurement,
    random_secret: Zeroizing<[u8; 32]>,
}

impl Instance {
    pub(super) fn new(
        runner: Box<dyn Runner>,
        call_out: Arc<dyn CallOut>,
        keys: NewKeys,
        measurement: Measurement,
    ) -> Result<Self, ContainerFault> {
        let NewKeys { holder, keys, signature: keys_signature } = keys;
        let random_secret = random_bytes().map_err(|error| ContainerFault::Engine(error.to_string()))?;
        Ok(Self { runner, call_out, holder, keys, keys_signature, measurement, random_secret })
    }
}

impl IsolatedRegion for Instance {
    fn io_control(&self, inputs: &CallInputs, input: &[u8]) -> Result<CallAnswer, ContainerFault> {
        self.runner.run(inputs, input, &self.call_out)
    }

    fn sign_message(&self, result: &CryptletResult, mode: InvocationMode) -> Result<Signature65, ContainerFault> {
        self.holder.sign(result, mode)
    }

    fn agree(&self, peer_key: [u8; 32], context: B256) -> Result<B256, ContainerFault> {
        self.holder.agree(peer_key, context)
    }

    fn renew(&self, terms: &RenewalTerms) -> Result<(InstanceKeys, Signature65), ContainerFault> {
        self.holder.renew(terms)
    }

    fn digest(&self) -> RegionDigest {
        let code = CodeDigest(self.keys.codeDigest);
        RegionDigest { code, measurement: self.measurement, signer: self.keys.signer }
    }

    fn keys(&self) -> &InstanceKeys {
        &self.keys
    }

    fn keys_signature(&self) -> Signature65 {
        self.keys_signature
    }

    /// Dry runs draw from another seed, so that a simulation does not show what the real call will see.
    fn random_seed(&self, call_key: B256, mode: InvocationMode) -> B256 {
        let tag: &[u8] = match mode {
            InvocationMode::Live => b"cryptlet/random/v1",
            InvocationMode::DryRun => b"cryptlet/random/dry-run/v1",
        };
        let words = Zeroizing::new([&self.random_secret[..], tag, call_key.as_slice()].concat());
        keccak256(&*words)
    }
}
