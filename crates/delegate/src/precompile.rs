//! The CryptoDelegate as a precompile: what it refuses, what it charges first, and which function answers.
//!
//! It wraps the precompiles of the chain it is installed in. Its address is **not** among the warm addresses (EIP-2929):
//! like any contract it is cold at first, because its answers are impure and it must stay out of whatever caches or
//! prewarms precompiles. With the delegate disabled the inner provider sees every call, and nothing else changes.

use crate::{
    context::{Abort, DelegateSlot},
    invoke::{Call, create, invoke},
    price::{Function, appraisal_gas},
    reply::Reply,
};
use alloy_primitives::{
    Address, Bytes, U256,
    map::{AddressSet, HashMap},
};
use alloy_sol_types::{SolCall, SolValue};
use cryptlet_attestation::{AppraisalTerms, RecoveredRecord, appraise_under, record::verify_signed};
use cryptlet_primitives::{
    CryptletId, Envelope, Record, RefusalCode, RegistrationId, ResultStatus, Signature65, abi::ICryptoDelegate,
    system::CRYPTO_DELEGATE,
};
use revm::{
    context_interface::{Block, Cfg, ContextTr, JournalTr},
    handler::{EthPrecompiles, PrecompileProvider},
    interpreter::{CallInputs, InterpreterResult},
};

/// Bytes of call data around the input: selector, and words for id, offset, length and padding.
const CALL_FRAMING_BYTES: usize = 4 + 4 * 32;

/// The precompiles of a chain, and the CryptoDelegate.
#[derive(Clone, Debug)]
pub struct DelegatePrecompiles<P = EthPrecompiles> {
    inner: P,
    /// Simulations may have some of them elsewhere; blocks never do.
    moved: Option<MovedPrecompiles>,
}

/// Precompiles that a simulation has at other addresses, or not at all (`movePrecompileToAddress` and code overrides of
/// `eth_call` and `eth_simulateV1`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MovedPrecompiles {
    /// What an address is now: the precompile that was at the other one, or none.
    now: HashMap<Address, Option<Address>>,
    /// Where they were. These addresses stay warm, and no others become so (geth: `ActivePrecompiles`).
    originals: AddressSet,
}

impl MovedPrecompiles {
    /// Nothing is moved yet; `addresses` are those of the precompiles.
    pub fn new(addresses: &AddressSet) -> Self {
        Self { now: HashMap::default(), originals: addresses.clone() }
    }

    /// Is there a precompile at this address?
    pub fn contains(&self, address: &Address) -> bool {
        self.now.get(address).map_or_else(|| self.originals.contains(address), Option::is_some)
    }

    /// Takes the precompile at `address` away; what the state has there runs instead.
    pub fn remove(&mut self, address: Address) {
        self.now.insert(address, None);
    }

    /// Puts the precompile that is at `from` to `to` as well. Says whether there was one.
    pub fn copy(&mut self, from: Address, to: Address) -> bool {
        if !self.contains(&from) {
            return false;
        }
        let original = self.now.get(&from).copied().flatten().unwrap_or(from);
        self.now.insert(to, Some(original));
        true
    }
}

impl<P> DelegatePrecompiles<P> {
    /// Adds the delegate to these precompiles.
    pub const fn new(inner: P) -> Self {
        Self { inner, moved: None }
    }

    /// Has some precompiles elsewhere from now on. For simulations only.
    pub fn set_moved(&mut self, moved: MovedPrecompiles) {
        self.moved = Some(moved);
    }

    /// The chain's other precompiles.
    pub const fn inner(&self) -> &P {
        &self.inner
    }

    /// The chain's other precompiles.
    pub const fn inner_mut(&mut self) -> &mut P {
        &mut self.inner
    }
}

impl<CTX, P> PrecompileProvider<CTX> for DelegatePrecompiles<P>
where
    CTX: ContextTr<Chain: DelegateSlot>,
    P: PrecompileProvider<CTX, Output = InterpreterResult>,
{
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: <CTX::Cfg as Cfg>::Spec) -> bool {
        self.inner.set_spec(spec)
    }

    fn run(&mut self, context: &mut CTX, inputs: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        if inputs.bytecode_address != CRYPTO_DELEGATE || !context.chain().delegate().is_enabled() {
            return match self.moved.as_ref().and_then(|moved| moved.now.get(&inputs.bytecode_address)) {
                None => self.inner.run(context, inputs),
                Some(None) => Ok(None),
                Some(Some(original)) => {
                    let inputs = CallInputs { bytecode_address: *original, ..inputs.clone() };
                    self.inner.run(context, &inputs)
                }
            };
        }
        match answer(context, inputs) {
            Ok(reply) => Ok(Some(reply.into_result(inputs))),
            Err(abort) => {
                let why = abort.to_string();
                if let Some(run) = &mut context.chain_mut().delegate_mut().run {
                    run.abort = Some(abort);
                }
                Err(why)
            }
        }
    }

    fn warm_addresses(&self) -> &AddressSet {
        self.moved.as_ref().map_or_else(|| self.inner.warm_addresses(), |moved| &moved.originals)
    }

    fn contains(&self, address: &Address) -> bool {
        self.moved.as_ref().map_or_else(|| self.inner.contains(address), |moved| moved.contains(address))
    }
}

/// Answers one call. `Err` stops the run of the transaction; no contract sees it.
fn answer<CTX: ContextTr<Chain: DelegateSlot>>(context: &mut CTX, inputs: &CallInputs) -> Result<Reply, Abort> {
    let Some(scope) = context.chain().delegate().scope() else {
        return Err(Abort::Failed(crate::DelegateError::NoTranscript));
    };
    let limits = scope.limits;
    let input_max = limits.input_bytes_max as usize;
    let selector = selector(context, inputs);
    let function = Function::of(selector);
    let entry_gas = function.entry_gas(&limits, inputs.input.len());
    if inputs.gas_limit < entry_gas {
        return Ok(Reply::OutOfGas);
    }
    if let Some(refusal) = refuse(context, inputs, function, entry_gas) {
        return Ok(refusal);
    }
    if inputs.input.len() > input_max.saturating_add(CALL_FRAMING_BYTES) {
        let lengths = (U256::from(inputs.input.len()), U256::from(input_max));
        return Ok(Reply::refuse(RefusalCode::InputTooLong, &lengths, entry_gas));
    }
    let data = inputs.input.bytes(context);
    let caller = inputs.caller;
    let call = |cryptlet, input| Call { cryptlet, input, caller, is_static: inputs.is_static, entry_gas };
    let malformed = || Ok(Reply::refuse_plainly(RefusalCode::MalformedCall, entry_gas));
    match function {
        Function::Invoke => match ICryptoDelegate::invokeCall::abi_decode_validate(&data) {
            Ok(decoded) => invoke(context, call(CryptletId(decoded.cryptlet), decoded.input), inputs.gas_limit),
            Err(_) => malformed(),
        },
        Function::Create => match ICryptoDelegate::createCall::abi_decode_validate(&data) {
            Ok(decoded) => create(context, call(CryptletId::default(), decoded.config), inputs.gas_limit),
            Err(_) => malformed(),
        },
        Function::Verify => match ICryptoDelegate::verifyCall::abi_decode_validate(&data) {
            Ok(decoded) => verify(context, &decoded.envelope, entry_gas),
            Err(_) => malformed(),
        },
        Function::Appraise => match ICryptoDelegate::appraiseCall::abi_decode_validate(&data) {
            Ok(decoded) => {
                let gas = entry_gas.saturating_add(appraisal_gas(&limits, &decoded.evidence));
                if inputs.gas_limit < gas {
                    return Ok(Reply::OutOfGas);
                }
                appraise_evidence(context, &decoded.evidence, &decoded.collateral, gas)
            }
            Err(_) => malformed(),
        },
        Function::Unknown => malformed(),
    }
}

/// The rules that hold for every function, cheapest first.
fn refuse<CTX: ContextTr<Chain: DelegateSlot>>(
    context: &CTX,
    inputs: &CallInputs,
    function: Function,
    gas: u64,
) -> Option<Reply> {
    // DELEGATECALL and CALLCODE run the delegate's code in another account's name.
    if inputs.target_address != inputs.bytecode_address {
        return Some(Reply::refuse_plainly(RefusalCode::ForbiddenCallKind, gas));
    }
    // Creating is an effect, whatever the creating contract does with the result.
    if inputs.is_static && function == Function::Create {
        return Some(Reply::refuse_plainly(RefusalCode::ForbiddenCallKind, gas));
    }
    let value = inputs.value.get();
    if !value.is_zero() {
        return Some(Reply::refuse(RefusalCode::ValueNotAccepted, &value, gas));
    }
    let depth_max = context.chain().delegate().scope()?.limits.depth_max;
    if context.journal().depth() > depth_max as usize {
        return Some(Reply::refuse(RefusalCode::TooDeep, &U256::from(depth_max), gas));
    }
    None
}

fn selector<CTX: ContextTr>(context: &CTX, inputs: &CallInputs) -> Option<[u8; 4]> {
    inputs.input.as_bytes(context).get(..4)?.try_into().ok()
}

/// `verify(envelope)`: does the registry stand behind this result now? Says `false` to any envelope that decodes but does
/// not hold, so that a contract can ask without a `try`.
fn verify<CTX: ContextTr<Chain: DelegateSlot>>(context: &mut CTX, envelope: &[u8], gas: u64) -> Result<Reply, Abort> {
    let Ok(envelope) = Envelope::abi_decode_validate(envelope) else {
        return Ok(Reply::refuse_plainly(RefusalCode::MalformedCall, gas));
    };
    let valid = match record_of(envelope) {
        Some(record) => holds(context, record)?,
        None => false,
    };
    Ok(Reply::Return { output: valid.abi_encode().into(), gas })
}

fn holds<CTX: ContextTr<Chain: DelegateSlot>>(context: &mut CTX, record: Record) -> Result<bool, Abort> {
    let Some((scope, registry)) = context.chain_mut().delegate_mut().registry() else {
        return Ok(false);
    };
    let Some(cryptlet) = registry.cryptlet(scope, CryptletId(record.request.cryptletId))? else {
        return Ok(false);
    };
    let instance = registry.instance(scope, RegistrationId(record.result.registrationId))?;
    let policy = registry.policy(scope)?;
    let record = RecoveredRecord::recover(record, &scope.domain);
    Ok(verify_signed(&record, &cryptlet, instance.as_ref(), &policy, scope.block_number()).is_ok())
}

/// Envelopes of signed results only: nobody signs for `Unavailable`.
fn record_of(envelope: Envelope) -> Option<Record> {
    let Envelope { request, result, output, signature } = envelope;
    let signature = Signature65(signature.as_ref().try_into().ok()?);
    match ResultStatus::try_from(result.status) {
        Ok(ResultStatus::Ok | ResultStatus::Error) => {}
        _ => return None,
    }
    Some(Record { request, result, output, signature })
}

/// `appraise(evidence, collateral)`: time is the block's, and the policy, as in the parent state, says which platforms that are
/// not up to date will do.
fn appraise_evidence<CTX: ContextTr<Chain: DelegateSlot>>(
    context: &mut CTX,
    evidence: &[u8],
    collateral: &[u8],
    gas: u64,
) -> Result<Reply, Abort> {
    let now_s = context.block().timestamp().saturating_to();
    let Some((scope, registry)) = context.chain_mut().delegate_mut().registry() else {
        return Ok(Reply::refuse_plainly(RefusalCode::MalformedCall, gas));
    };
    let tolerated_tcb = registry.policy(scope)?.tolerated_tcb;
    Ok(match appraise_under(evidence, collateral, &AppraisalTerms { domain: &scope.domain, now_s, tolerated_tcb }) {
        Ok(claims) => Reply::Return { output: Bytes::from(claims.abi_encode()).abi_encode().into(), gas },
        Err(fault) => Reply::refuse(RefusalCode::EvidenceRejected, &fault.to_string(), gas),
    })
}
