//! `invoke` and `create`: the calls that a cryptlet answers.
//!
//! The phases: who is called and may they be (the registry, in the parent state) → can the caller pay the declared
//! maximum, and has the block room for it → the next answer of the transcript, verified → settle, log, return.

use crate::{
    answered::{Answered, RECORD_OVERHEAD_BYTES},
    answers::Question,
    context::{Abort, BlockSpending, DelegateContext, DelegateScope, DelegateSlot, Run},
    error::DelegateError,
    price::Price,
    registry_layout::RegistryCache,
    reply::Reply,
};
use alloy_primitives::{Address, Bytes, U256};
use cryptlet_attestation::{CryptletEntry, CryptletStatus};
use cryptlet_primitives::{CryptletId, RefusalCode};
use revm::context_interface::{ContextTr, JournalTr};

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
    let DelegateContext { scope: Some(scope), registry, spent, checked, run: Some(run) } = delegate else {
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
    let question = Question { call: &call, entry: &entry, price: &price, scope, hash: run.transaction_hash };
    let answered: Answered = question.next_answer(&mut run.answers, registry, checked)?;
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
