//! `eth_estimateGas`: the least gas limit with which a call succeeds.
//!
//! Every probe charges calls of cryptlets at their declared maximum, so the estimate covers whatever units and bytes the
//! cryptlet will use in the block: estimate >= used.

use super::{
    rehearse::Rehearsing,
    simulate::{CallResult, SimulationError, SimulationOutcome, SimulationRequest, in_time},
    start::Shared,
};
use cryptlet_delegate::SimulationGas;
use std::sync::Arc;

/// Gas of a transaction that only moves ether, up to Osaka.
const TRANSFER_GAS: u64 = 21_000;

/// What a called contract gets on top if the call carries value (EIP-150); a first guess must leave room for it.
const CALL_STIPEND: u64 = 2_300;

/// The search ends when the estimate is known to this many parts in a thousand, as geth's does.
const ERROR_PER_MILLE: u64 = 15;

pub(crate) async fn estimate_gas(shared: Arc<Shared>, request: SimulationRequest) -> Result<u64, SimulationError> {
    let timeout_ms = shared.config.simulation.timeout_ms;
    in_time(timeout_ms, async move { search(Rehearsing::prepare(shared, request).await?).await }).await
}

async fn search(mut rehearsing: Rehearsing) -> Result<u64, SimulationError> {
    let highest = rehearsing.gas_limit();
    if rehearsing.may_be_transfer() && highest >= TRANSFER_GAS && succeeds(&mut rehearsing, TRANSFER_GAS).await? {
        return Ok(TRANSFER_GAS);
    }
    let first = rehearsing.run(highest, SimulationGas::Maximum).await.map_err(in_an_estimate)?;
    match first.result {
        CallResult::Success(_) => {}
        CallResult::Revert(output) => return Err(SimulationError::Reverted(output)),
        CallResult::Halt(why) if why == "out of gas" => {
            return Err(SimulationError::GasRequiredExceedsAllowance(highest));
        }
        CallResult::Halt(why) => return Err(SimulationError::Halted(why)),
    }
    // Fails with `lowest`, succeeds with `enough`.
    let mut lowest = first.gas_used.saturating_sub(1);
    let mut enough = highest;
    // What was spent before refunds, and the 64th that every call leaves behind (EIP-150), mostly do.
    let guess = first.gas_spent.saturating_add(CALL_STIPEND).saturating_mul(64) / 63;
    if guess < enough {
        if succeeds(&mut rehearsing, guess).await? { enough = guess } else { lowest = guess }
    }
    while lowest + 1 < enough && (enough - lowest).saturating_mul(1_000) / enough >= ERROR_PER_MILLE {
        // Most estimates are close to what was used: look low first, as geth does.
        let middle = (lowest + (enough - lowest) / 2).min(lowest.saturating_mul(2).max(lowest + 1));
        if succeeds(&mut rehearsing, middle).await? { enough = middle } else { lowest = middle }
    }
    Ok(enough)
}

/// geth words a refusal in an estimate in another way than in a call.
fn in_an_estimate(error: SimulationError) -> SimulationError {
    match error {
        SimulationError::Refused { reason, gas } => {
            SimulationError::InvalidCall(format!("failed with {gas} gas: {reason}"))
        }
        other => other,
    }
}

async fn succeeds(rehearsing: &mut Rehearsing, gas_limit: u64) -> Result<bool, SimulationError> {
    let outcome = probe(rehearsing, gas_limit).await?;
    Ok(outcome.is_some_and(|outcome| matches!(outcome.result, CallResult::Success(_))))
}

/// Runs with this much gas; `None` if that is too little to be a transaction at all.
async fn probe(rehearsing: &mut Rehearsing, gas_limit: u64) -> Result<Option<SimulationOutcome>, SimulationError> {
    match rehearsing.run(gas_limit, SimulationGas::Maximum).await {
        Ok(outcome) => Ok(Some(outcome)),
        Err(SimulationError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
