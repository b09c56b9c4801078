//! The life of a container, as a row of types: [`Configured`] (some code), [`Measured`] (checked, compiled, its digests
//! known), [`Container`] (running: with keys, answering calls). A crash of a worker leaves a container as it is; a crash of
//! its signer leaves it without keys, and every call says so.

use crate::{
    artefact::Artefact,
    call::{CallAnswer, CallInputs, CallOut, Ending},
    code::GuestCode,
    engine,
    fault::ContainerFault,
    keyring::{InstanceTerms, RenewalTerms},
    region::{IsolatedRegion, IsolationProvider, RegionDigest},
    trap,
};
use alloy_primitives::{B256, Bytes, keccak256};
use cryptlet_primitives::{
    CodeDigest, CryptletId, CryptletResult, FabricAnswer, InstanceKeys, Invocation, InvocationMode, Measurement,
    RegistrationId, ResultStatus, Signature65,
};
use std::sync::Arc;

/// Code someone wants to run.
#[derive(Clone, Debug)]
pub struct Configured {
    guest: GuestCode,
    code: CodeDigest,
}

/// Code that was checked and made ready; it can be started any number of times.
#[derive(Clone, Debug)]
pub struct Measured {
    artefact: Artefact,
    code: CodeDigest,
    measurement: Measurement,
}

/// One running instance of a cryptlet.
pub struct Container {
    region: Arc<dyn IsolatedRegion>,
    keys: InstanceKeys,
    keys_signature: Signature65,
    registration_id: RegistrationId,
    chain_id: u64,
}

/// What the host adds to a call: signed with the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallTerms {
    /// When the host took the call: Unix time in seconds.
    pub observed_at_s: u64,
    /// First block in which the result may be used.
    pub not_before: u64,
    /// Last block in which the result may be used.
    pub expires: u64,
}

impl Configured {
    /// Code of any kind.
    pub fn new(guest: GuestCode) -> Self {
        let code = guest.digest();
        Self { guest, code }
    }

    /// Identity of the code.
    pub const fn code(&self) -> CodeDigest {
        self.code
    }

    /// Has the provider check the code and make it ready: compile it, or try to start it.
    pub fn measure(&self, provider: &dyn IsolationProvider) -> Result<Measured, ContainerFault> {
        let artefact = provider.prepare(&self.guest)?;
        Ok(Measured { artefact, code: self.code, measurement: provider.stack().measurement() })
    }
}

impl Measured {
    /// Identity of the code.
    pub const fn code(&self) -> CodeDigest {
        self.code
    }

    /// What it will run in: the claim of the software provider's evidence.
    pub const fn measurement(&self) -> Measurement {
        self.measurement
    }

    /// Starts an instance: its keys are made now, where they stay. `terms.code` must be this code.
    pub fn start(
        &self,
        provider: &dyn IsolationProvider,
        terms: &InstanceTerms,
        call_out: Arc<dyn CallOut>,
    ) -> Result<Container, ContainerFault> {
        if terms.code != self.code {
            return Err(ContainerFault::WrongCode { asked: terms.code, runs: self.code });
        }
        let region = provider.create(&self.artefact, terms, call_out)?;
        let (keys, keys_signature) = (*region.keys(), region.keys_signature());
        let (registration_id, chain_id) = (keys.registration_id(), terms.domain.chain_id);
        Ok(Container { region, keys, keys_signature, registration_id, chain_id })
    }
}

impl Container {
    /// Identity of the instance.
    pub const fn registration_id(&self) -> RegistrationId {
        self.registration_id
    }

    /// Its keys, for its registration.
    pub const fn keys(&self) -> &InstanceKeys {
        &self.keys
    }

    /// Its signature over its keys (EIP-712, live domain).
    pub const fn keys_signature(&self) -> Signature65 {
        self.keys_signature
    }

    /// The same instance under a registration that holds longer, to be registered. This one goes on until its own last block.
    pub fn renew(&self, terms: &RenewalTerms) -> Result<Self, ContainerFault> {
        let (keys, keys_signature) = self.region.renew(terms)?;
        let (region, chain_id) = (Arc::clone(&self.region), self.chain_id);
        Ok(Self { region, keys, keys_signature, registration_id: keys.registration_id(), chain_id })
    }

    /// What runs, in what, and who signs for it.
    pub fn digest(&self) -> RegionDigest {
        self.region.digest()
    }

    /// A secret shared with the holder of another X25519 key; see [`IsolatedRegion::agree`].
    pub fn agree(&self, peer_key: [u8; 32], context: B256) -> Result<B256, ContainerFault> {
        self.region.agree(peer_key, context)
    }

    /// Answers one call. Blocks until the cryptlet has ended and the result is signed: call it where blocking is allowed.
    pub fn call(&self, invocation: &Invocation, terms: &CallTerms) -> Result<FabricAnswer, ContainerFault> {
        self.check(invocation, terms)?;
        let inputs = self.inputs(invocation, terms);
        let answer = self.region.io_control(&inputs, &invocation.input)?;
        let (status, output) = settle(answer.clone(), inputs.output_bytes_max as usize);
        let result = self.result(invocation, terms, status, &output, &answer);
        let signature = self.region.sign_message(&result, invocation.mode)?;
        Ok(FabricAnswer { result, output, signature })
    }

    /// Is this invocation for this instance, and what it says it is?
    fn check(&self, invocation: &Invocation, terms: &CallTerms) -> Result<(), ContainerFault> {
        let (request, keys) = (&invocation.request, &self.keys);
        if request.cryptletId != keys.cryptletId {
            let (asked, runs) = (CryptletId(request.cryptletId), CryptletId(keys.cryptletId));
            return Err(ContainerFault::WrongCryptlet { asked, runs });
        }
        if request.codeDigest != keys.codeDigest {
            let (asked, runs) = (CodeDigest(request.codeDigest), CodeDigest(keys.codeDigest));
            return Err(ContainerFault::WrongCode { asked, runs });
        }
        let input_hash = keccak256(&invocation.input);
        if request.inputHash != input_hash {
            let reason = format!("its input hashes to {input_hash}, its request says {}", request.inputHash);
            return Err(ContainerFault::BadInvocation(reason));
        }
        let (bytes, bytes_max) = (invocation.input.len(), engine::INPUT_BYTES_MAX);
        if bytes > bytes_max {
            let reason = format!("its input has {bytes} bytes; a container takes {bytes_max}");
            return Err(ContainerFault::BadInvocation(reason));
        }
        let (not_before, expires, last) = (terms.not_before, terms.expires, keys.notAfterBlock);
        if not_before > expires || expires > last {
            let reason =
                format!("a result for blocks {not_before} to {expires} from keys that hold until block {last}");
            return Err(ContainerFault::BadInvocation(reason));
        }
        Ok(())
    }

    fn inputs(&self, invocation: &Invocation, terms: &CallTerms) -> CallInputs {
        let request = &invocation.request;
        CallInputs {
            caller: request.caller,
            cryptlet: request.cryptletId,
            call_key: request.key,
            is_static: invocation.is_static,
            is_dry_run: invocation.mode == InvocationMode::DryRun,
            observed_at_s: terms.observed_at_s,
            anchor_block: request.anchorBlock,
            anchor_hash: request.anchorHash,
            chain_id: self.chain_id,
            random_seed: self.region.random_seed(request.key, invocation.mode),
            units_max: invocation.units_max,
            output_bytes_max: invocation.output_bytes_max,
        }
    }

    fn result(
        &self,
        invocation: &Invocation,
        terms: &CallTerms,
        status: ResultStatus,
        output: &[u8],
        answer: &CallAnswer,
    ) -> CryptletResult {
        CryptletResult {
            requestHash: invocation.request_hash(),
            registrationId: self.registration_id.0,
            keyEpoch: self.keys.keyEpoch,
            status: status as u8,
            outputHash: keccak256(output),
            units: answer.units,
            observedAt: terms.observed_at_s,
            notBefore: terms.not_before,
            expires: terms.expires,
        }
    }
}

/// How an ending looks in a result.
fn settle(answer: CallAnswer, output_bytes_max: usize) -> (ResultStatus, Bytes) {
    match answer.ending {
        Ending::Returned(output) => (ResultStatus::Ok, output.into()),
        Ending::Failed(failure) => (ResultStatus::Error, failure.into()),
        Ending::Trapped(reason) => (ResultStatus::Error, trap::revert_data(&reason, output_bytes_max).into()),
    }
}
