//! `invoke` and `create`: the calls that a cryptlet answers.
//!
//! The phases: who is called and may they be (the registry, in the parent state) → can the caller pay the declared
//! maximum, and has the block room for it → the next answer of the transcript, verified → settle, log, return.

use crate::{
    context::{
        Abort, Anchor, Answers, BlockSpending, DelegateContext, DelegateScope, DelegateSlot, Run, SimulationGas,
    },
    error::DelegateError,
    price::Price,
    registry_layout::RegistryCache,
    reply::Reply,
    run::Suspension,
    transcript::{DryRunOutcome, Transcript},
};
use alloy_primitives::{Address, B256, Bytes, Log, U256, keccak256};
use alloy_rlp::Encodable;
use alloy_sol_types::{SolEvent, SolValue};
use cryptlet_attestation::{
    BlockFacts, CryptletEntry, CryptletStatus, RecordFault, RecoveredRecord,
    record::{ANCHOR_DEPTH_MAX, unavailable_reason},
    verify_record,
};
use cryptlet_primitives::{
    CryptletId, CryptletRequest, Invocation, InvocationMode, RefusalCode, RegistrationId, ResultStatus,
    UnavailableReason, abi::ICryptoDelegate::CryptletInvoked, invocation::CallKey, system::CRYPTO_DELEGATE,
};
use revm::context_interface::{ContextTr, JournalTr};

/// Most bytes that a record takes in a block besides its output, its share of the block's list included.
const RECORD_OVERHEAD_BYTES: u64 = 640;

/// Bytes that a record may add to the block's list around itself: list headers and the transaction's index.
const RECORD_FRAMING_BYTES: u64 = 32;

/// A decoded call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) cryptlet: CryptletId,
    pub(crate) input: Bytes,
    pub(crate) caller: Address,
    pub(crate) is_static: bool,
    /// Gas for the call and its input: base of all further prices.
    pub(crate) entry_gas: u64,
}

/// `create(config)`: an invocation of the registry's factory.
pub(crate) fn create<CTX: ContextTr<Chain: DelegateSlot>>(
    context: &mut CTX,
    call: Call,
    gas_limit: u64,
) -> Result<Reply, Abort> {
    let (scope, registry) = context.chain_mut().delegate_mut().registry().ok_or(DelegateError::NoTranscript)?;
    match registry.factory(scope)? {
        Some(factory) => invoke(context, Call { cryptlet: factory, ..call }, gas_limit),
        None => Ok(Reply::refuse_plainly(RefusalCode::NoFactory, call.entry_gas)),
    }
}

/// `invoke(cryptlet, input)`.
pub(crate) fn invoke<CTX: ContextTr<Chain: DelegateSlot>>(
    context: &mut CTX,
    call: Call,
    gas_limit: u64,
) -> Result<Reply, Abort> {
    let delegate = context.chain_mut().delegate_mut();
    let DelegateContext { scope: Some(scope), registry, spent, run: Some(run) } = delegate else {
        return Err(DelegateError::NoTranscript.into());
    };
    let entry = match admit(&call, scope, registry, run)? {
        Ok(entry) => entry,
        Err(refusal) => return Ok(refusal),
    };
    let price = Price::of(&call, &entry, &scope.limits);
    if gas_limit < price.maximum() {
        return Ok(Reply::OutOfGas);
    }
    if let Some(refusal) = refuse_over_budget(&call, &price, scope, spent.plus(run.spending), run) {
        return Ok(refusal);
    }
    let answered = next_answer(&call, &entry, &price, scope, registry, run)?;
    run.spending = run.spending.plus(answered.spending);
    let reply = answered.reply(&price, call.cryptlet);
    if let Some(log) = answered.log.filter(|_| !call.is_static) {
        context.journal_mut().log(log);
    }
    Ok(reply)
}

/// May this caller call this cryptlet now? The refusals are in the order of the checks.
fn admit(
    call: &Call,
    scope: &DelegateScope,
    registry: &mut RegistryCache,
    run: &Run,
) -> Result<Result<CryptletEntry, Reply>, Abort> {
    let (gas, limits, id) = (call.entry_gas, &scope.limits, call.cryptlet.0);
    if call.input.len() > limits.input_bytes_max as usize {
        let lengths = (U256::from(call.input.len()), U256::from(limits.input_bytes_max));
        return Ok(Err(Reply::refuse(RefusalCode::InputTooLong, &lengths, gas)));
    }
    if run.answers.sequence() >= limits.calls_per_transaction_max {
        let calls_max = U256::from(limits.calls_per_transaction_max);
        return Ok(Err(Reply::refuse(RefusalCode::TooManyCalls, &calls_max, gas)));
    }
    let Some(entry) = registry.cryptlet(scope, call.cryptlet)? else {
        return Ok(Err(Reply::refuse(RefusalCode::UnknownCryptlet, &id, gas)));
    };
    if entry.status != CryptletStatus::Active {
        let status = (id, U256::from(entry.status as u8));
        return Ok(Err(Reply::refuse(RefusalCode::InactiveCryptlet, &status, gas)));
    }
    if let Some(bound) = entry.bound_contract.filter(|bound| *bound != call.caller) {
        return Ok(Err(Reply::refuse(RefusalCode::NotBoundContract, &bound, gas)));
    }
    if entry.active_instances == 0 {
        return Ok(Err(Reply::refuse(RefusalCode::NoAcceptedInstance, &id, gas)));
    }
    Ok(Ok(entry))
}

/// Has the block room for the largest answer? What a builder may do instead of taking the refusal is to leave the
/// transaction for the next block, so refusals are counted.
fn refuse_over_budget(
    call: &Call,
    price: &Price,
    scope: &DelegateScope,
    spent: BlockSpending,
    run: &mut Run,
) -> Option<Reply> {
    let (units_budget, bytes_budget) = (scope.limits.units_per_block_max, scope.limits.record_bytes_per_block_max);
    let record_bytes = RECORD_OVERHEAD_BYTES.saturating_add(u64::from(price.output_bytes_max));
    let budget = if spent.units.saturating_add(price.units_max) > units_budget {
        units_budget
    } else if spent.record_bytes.saturating_add(record_bytes) > u64::from(bytes_budget) {
        u64::from(bytes_budget)
    } else {
        return None;
    };
    run.budget_refusals += 1;
    Some(Reply::refuse(RefusalCode::BlockBudgetSpent, &U256::from(budget), call.entry_gas))
}

/// A call with its answer, before it is settled.
struct Answered {
    outcome: DryRunOutcome,
    units: u64,
    spending: BlockSpending,
    charge_maximum: bool,
    log: Option<Log>,
}

impl Answered {
    fn reply(&self, price: &Price, cryptlet: CryptletId) -> Reply {
        let entry_gas = price.entry_gas;
        let gas = |output: &Bytes| match self.charge_maximum {
            true => price.maximum(),
            false => price.settled(self.units, output.len()),
        };
        match &self.outcome {
            DryRunOutcome::Returned(output) => Reply::Return { output: output.abi_encode().into(), gas: gas(output) },
            DryRunOutcome::Failed(output) => {
                Reply::Refuse { code: RefusalCode::CryptletFailed, data: output.clone(), gas: gas(output) }
            }
            DryRunOutcome::Unavailable(reason) => {
                Reply::refuse(RefusalCode::Unavailable, &U256::from(*reason as u8), entry_gas)
            }
            DryRunOutcome::Denied => Reply::refuse(RefusalCode::SimulationDenied, &cryptlet.0, entry_gas),
        }
    }
}

/// Consumes the next answer, or stops the run.
fn next_answer(
    call: &Call,
    entry: &CryptletEntry,
    price: &Price,
    scope: &DelegateScope,
    registry: &mut RegistryCache,
    run: &mut Run,
) -> Result<Answered, Abort> {
    let policy_version = registry.policy(scope)?.version;
    let pending = Pending { call, entry, price, scope, policy_version, transaction_hash: run.transaction_hash };
    match &mut run.answers {
        Answers::Build(transcript) => match consume(&pending, transcript, registry) {
            Ok(answered) => Ok(answered),
            Err(Abort::Failed(stale)) if !matches!(stale, DelegateError::ParentState(_)) => {
                let anchor = pending.kept_anchor(transcript).unwrap_or(scope.parent);
                let stale = transcript.next().is_some().then_some(stale);
                transcript.drop_unconsumed();
                let invocation = pending.invocation(transcript.sequence(), anchor, InvocationMode::Live);
                Err(Abort::Suspended(Box::new(Suspension { invocation, stale })))
            }
            Err(abort) => Err(abort),
        },
        Answers::Replay(transcript) => consume(&pending, transcript, registry),
        Answers::Simulate(rehearsal, simulation_gas) => {
            let invocation = pending.invocation(rehearsal.sequence(), scope.parent, InvocationMode::DryRun);
            let Some(answer) = rehearsal.next().filter(|answer| answer.key == invocation.key()) else {
                rehearsal.drop_unconsumed();
                return Err(Abort::Suspended(Box::new(Suspension { invocation, stale: None })));
            };
            let (outcome, units) = (answer.outcome.clone(), answer.units);
            rehearsal.advance();
            let charge_maximum = *simulation_gas == SimulationGas::Maximum;
            let record_bytes = RECORD_OVERHEAD_BYTES.saturating_add(u64::from(price.output_bytes_max));
            let spending = BlockSpending { record_bytes, units };
            let log = matches!(outcome, DryRunOutcome::Returned(_)).then(|| pending.simulated_log(&invocation));
            Ok(Answered { outcome, units, spending, charge_maximum, log })
        }
    }
}

/// A call that is about to be answered.
struct Pending<'a> {
    call: &'a Call,
    entry: &'a CryptletEntry,
    price: &'a Price,
    scope: &'a DelegateScope,
    policy_version: u32,
    transaction_hash: B256,
}

impl Pending<'_> {
    fn invocation(&self, sequence: u32, anchor: Anchor, mode: InvocationMode) -> Invocation {
        Invocation {
            request: self.request(sequence, anchor, mode),
            input: self.call.input.clone(),
            sequence,
            is_static: self.call.is_static,
            units_max: self.price.units_max,
            output_bytes_max: self.price.output_bytes_max,
            mode,
        }
    }

    fn request(&self, sequence: u32, anchor: Anchor, mode: InvocationMode) -> CryptletRequest {
        let input_hash = keccak256(&self.call.input);
        let transaction_hash = match mode {
            InvocationMode::Live => self.transaction_hash,
            InvocationMode::DryRun => B256::ZERO,
        };
        let key = CallKey {
            domain: self.scope.domain,
            transaction_hash,
            sequence,
            caller: self.call.caller,
            is_static: self.call.is_static,
            cryptlet: self.call.cryptlet,
            code_digest: self.entry.code_digest,
            input_hash,
        };
        CryptletRequest {
            key: key.hash(mode).0,
            cryptletId: self.call.cryptlet.0,
            caller: self.call.caller,
            codeDigest: self.entry.code_digest.0,
            inputHash: input_hash,
            anchorBlock: anchor.number,
            anchorHash: anchor.hash,
            policyVersion: self.policy_version,
        }
    }

    /// A call that is asked again keeps the anchor it had, so that its time to live runs on.
    fn kept_anchor(&self, transcript: &Transcript) -> Option<Anchor> {
        let stale = transcript.next()?.record().request;
        let anchor = Anchor { number: stale.anchorBlock, hash: stale.anchorHash };
        let age = self.scope.block_number().checked_sub(anchor.number)?;
        let is_same = self.request(transcript.sequence(), anchor, InvocationMode::Live).key == stale.key;
        let is_canonical = canonical_hash(self.scope, anchor.number).ok().flatten() == Some(anchor.hash);
        (is_same && is_canonical && age <= ANCHOR_DEPTH_MAX).then_some(anchor)
    }

    /// In simulations nobody has signed anything: the hashes of the result are zero.
    fn simulated_log(&self, invocation: &Invocation) -> Log {
        log(self.call, invocation.request_hash(), B256::ZERO, RegistrationId::default())
    }
}

/// Takes the next record if it answers this very call and holds in this block.
fn consume(
    pending: &Pending<'_>,
    transcript: &mut Transcript,
    registry: &mut RegistryCache,
) -> Result<Answered, Abort> {
    let sequence = transcript.sequence();
    let Some(recovered) = transcript.next() else {
        let request = pending.request(sequence, pending.scope.parent, InvocationMode::Live);
        return Err(DelegateError::MissingRecord { sequence, cryptlet: pending.call.cryptlet, key: request.key }.into());
    };
    let record = recovered.record();
    let anchor = Anchor { number: record.request.anchorBlock, hash: record.request.anchorHash };
    let expected = pending.request(sequence, anchor, InvocationMode::Live);
    if let Some((field, expected, found)) = difference(&expected, &record.request) {
        return Err(DelegateError::RecordMismatch { sequence, field, expected, found }.into());
    }
    verify(pending, recovered, registry)?.map_err(|fault| DelegateError::InvalidRecord { sequence, fault })?;
    let answered = answered(pending.call, recovered)?;
    transcript.advance();
    Ok(answered)
}

/// The first field that tells two requests apart, besides those that [`verify_record`] judges (anchor and policy version).
fn difference(expected: &CryptletRequest, found: &CryptletRequest) -> Option<(&'static str, B256, B256)> {
    let fields = [
        ("cryptletId", expected.cryptletId, found.cryptletId),
        ("caller", expected.caller.into_word(), found.caller.into_word()),
        ("codeDigest", expected.codeDigest, found.codeDigest),
        ("inputHash", expected.inputHash, found.inputHash),
        ("key", expected.key, found.key),
    ];
    fields.into_iter().find(|(_, expected, found)| expected != found)
}

fn verify(
    pending: &Pending<'_>,
    recovered: &RecoveredRecord,
    registry: &mut RegistryCache,
) -> Result<Result<(), RecordFault>, Abort> {
    let (scope, record) = (pending.scope, recovered.record());
    let instance = match record.result.registrationId {
        B256::ZERO => None,
        id => registry.instance(scope, RegistrationId(id))?,
    };
    let policy = registry.policy(scope)?;
    let canonical_anchor = canonical_hash(scope, record.request.anchorBlock)?;
    let block = BlockFacts { number: scope.block_number(), canonical_anchor };
    Ok(verify_record(recovered, pending.entry, instance.as_ref(), &policy, &block, &scope.limits))
}

/// Hash of the ancestor with this number, if it is within an anchor's reach.
fn canonical_hash(scope: &DelegateScope, number: u64) -> Result<Option<B256>, DelegateError> {
    if number == scope.parent.number {
        return Ok(Some(scope.parent.hash));
    }
    match scope.block_number().checked_sub(number) {
        Some(1..=ANCHOR_DEPTH_MAX) => Ok(scope.state.ancestor_hash(number)?),
        _ => Ok(None),
    }
}

/// A verified record, as the call sees it.
fn answered(call: &Call, recovered: &RecoveredRecord) -> Result<Answered, Abort> {
    let record = recovered.record();
    let output = record.output.clone();
    let outcome = match record.status() {
        Some(ResultStatus::Ok) => DryRunOutcome::Returned(output),
        Some(ResultStatus::Error) => DryRunOutcome::Failed(output),
        // The verifier lets no other status and no unknown reason pass.
        Some(ResultStatus::Unavailable) | None => {
            DryRunOutcome::Unavailable(unavailable_reason(&output).unwrap_or(UnavailableReason::Malformed))
        }
    };
    let log = matches!(outcome, DryRunOutcome::Returned(_)).then(|| {
        let instance = RegistrationId(record.result.registrationId);
        log(call, recovered.request_hash(), recovered.result_hash(), instance)
    });
    let units = record.result.units;
    let record_bytes = record.length() as u64 + RECORD_FRAMING_BYTES;
    Ok(Answered { outcome, units, spending: BlockSpending { record_bytes, units }, charge_maximum: false, log })
}

/// What people and indexers see in the user's receipt.
fn log(call: &Call, request_hash: B256, result_hash: B256, instance: RegistrationId) -> Log {
    let event = CryptletInvoked {
        cryptlet: call.cryptlet.0,
        caller: call.caller,
        requestHash: request_hash,
        resultHash: result_hash,
        instance: instance.0,
    };
    Log { address: CRYPTO_DELEGATE, data: event.encode_log_data() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::FixedBytes;
    use cryptlet_primitives::{CryptletResult, Record, Signature65};

    #[test]
    fn the_largest_record_fits_what_is_set_aside_for_it() {
        let word = B256::repeat_byte(0xff);
        let request = CryptletRequest {
            key: word,
            cryptletId: word,
            caller: Address::repeat_byte(0xff),
            codeDigest: word,
            inputHash: word,
            anchorBlock: u64::MAX,
            anchorHash: word,
            policyVersion: u32::MAX,
        };
        let result = CryptletResult {
            requestHash: word,
            registrationId: word,
            keyEpoch: u64::MAX,
            status: u8::MAX,
            outputHash: word,
            units: u64::MAX,
            observedAt: u64::MAX,
            notBefore: u64::MAX,
            expires: u64::MAX,
        };
        for bytes in [0usize, 1, 55, 56, 255, 256, 65_535, 65_536, 1 << 24] {
            let signature = Signature65(FixedBytes::repeat_byte(0xff));
            let record = Record { request, result, output: vec![0xff; bytes].into(), signature };
            let length = record.length() as u64 + RECORD_FRAMING_BYTES;
            assert!(length <= RECORD_OVERHEAD_BYTES + bytes as u64, "{length} for an output of {bytes}");
        }
    }
}
