//! Who answers the cryptlet calls of a simulation: each cryptlet's [`SimulationPolicy`] says.

use super::{
    simulate::{SimulationError, SimulationPolicy},
    start::Shared,
};
use crate::miner::ask;
use cryptlet_attestation::SimulationPolicy as RegistryPolicy;
use cryptlet_delegate::{
    DelegateScope, DryRunAnswer, DryRunOutcome,
    registry_layout::{read_cryptlet, read_simulation_stub},
};
use cryptlet_primitives::Invocation;

/// Gets the answer to one dry run.
pub(super) async fn answer(
    shared: &Shared,
    scope: Option<&DelegateScope>,
    invocation: &Invocation,
) -> Result<DryRunAnswer, SimulationError> {
    match policy(shared, scope, invocation)? {
        SimulationPolicy::Deny => Ok(DryRunAnswer::new(invocation, DryRunOutcome::Denied, 0)),
        SimulationPolicy::Stub(output) => Ok(DryRunAnswer::new(invocation, DryRunOutcome::Returned(output), 0)),
        SimulationPolicy::Memo => match shared.memo.recall(&invocation.request) {
            Some((outcome, units)) => Ok(DryRunAnswer::new(invocation, outcome, units)),
            None => ask_fabric(shared, invocation).await,
        },
        SimulationPolicy::Live => ask_fabric(shared, invocation).await,
    }
}

async fn ask_fabric(shared: &Shared, invocation: &Invocation) -> Result<DryRunAnswer, SimulationError> {
    let timeout_ms = shared.config.simulation.answer_timeout_ms;
    let answer = ask(&*shared.fabric, invocation, timeout_ms).await;
    let answer = answer.and_then(|answer| DryRunAnswer::from_fabric(invocation, answer));
    answer.map_err(|fault| SimulationError::NoAnswer { cryptlet: invocation.cryptlet(), fault })
}

fn policy(
    shared: &Shared,
    scope: Option<&DelegateScope>,
    invocation: &Invocation,
) -> Result<SimulationPolicy, SimulationError> {
    if let Some(policy) = shared.config.simulation.policies.of(invocation.cryptlet()) {
        return Ok(policy.clone());
    }
    let Some(scope) = scope else { return Ok(SimulationPolicy::Live) };
    let entry = read_cryptlet(&*scope.state, invocation.cryptlet());
    let entry = entry.map_err(|error| SimulationError::Storage(error.to_string()))?;
    Ok(match entry.map(|entry| entry.simulation).unwrap_or_default() {
        RegistryPolicy::Live => SimulationPolicy::Live,
        RegistryPolicy::Memo => SimulationPolicy::Memo,
        RegistryPolicy::Stub => {
            let bytes_max = scope.limits.output_bytes_max as usize;
            let stub = read_simulation_stub(&*scope.state, invocation.cryptlet(), bytes_max);
            SimulationPolicy::Stub(stub.map_err(|error| SimulationError::Storage(error.to_string()))?)
        }
        RegistryPolicy::Deny => SimulationPolicy::Deny,
    })
}
