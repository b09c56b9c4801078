//! Asking the fabric, and judging what it says before anyone sees it.

use super::MinerCommand;
use crate::{
    execute::{anchor, delegate_scope},
    fabric::Fabric,
    service::Shared,
};
use cryptlet_attestation::RecoveredRecord;
use cryptlet_delegate::{DelegateScope, registry_layout::RegistryCache, verify_in_scope};
use cryptlet_primitives::{FabricAnswer, FabricFault, Invocation, Record, ResultStatus, UnavailableReason};
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Handle, task::AbortHandle};

/// Asks the fabric once, in a task of its own. Its verdict comes back as a command.
pub(super) fn dispatch(runtime: &Handle, shared: Arc<Shared>, invocation: Invocation, timeout_ms: u64) -> AbortHandle {
    let ask = async move {
        let (key, asked_us) = (invocation.key(), shared.clock.monotonic_us());
        let outcome = ask(&*shared.fabric, &invocation, timeout_ms).await;
        let outcome = match outcome {
            Ok(answer) => judge(shared.clone(), invocation, answer).await,
            Err(fault) => Err(fault),
        };
        let took = Duration::from_micros(shared.clock.monotonic_us().saturating_sub(asked_us));
        let name = outcome.as_ref().map_or_else(|fault| format!("{:?}", fault.reason), |_| "Answered".to_owned());
        shared.metrics.call_ended(name, took);
        if let Err(fault) = &outcome {
            tracing::warn!(%key, reason = ?fault.reason, detail = %fault.detail, "a cryptlet call failed");
        }
        // If the miner is gone, nobody waits.
        let _ = shared.miner.send(MinerCommand::Answered { key, outcome: outcome.map(Box::new) }).await;
    };
    runtime.spawn(ask).abort_handle()
}

/// One attempt, with its deadline.
pub(crate) async fn ask(
    fabric: &dyn Fabric,
    invocation: &Invocation,
    timeout_ms: u64,
) -> Result<FabricAnswer, FabricFault> {
    match tokio::time::timeout(Duration::from_millis(timeout_ms), fabric.invoke(invocation.clone())).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let detail = format!("the host did not answer within {timeout_ms} ms");
            Err(FabricFault::new(UnavailableReason::DeadlineExceeded, detail))
        }
    }
}

async fn judge(
    shared: Arc<Shared>,
    invocation: Invocation,
    answer: FabricAnswer,
) -> Result<RecoveredRecord, FabricFault> {
    let judged = tokio::task::spawn_blocking(move || {
        let storage = |error: &dyn std::fmt::Display| {
            FabricFault::new(UnavailableReason::HostUnreachable, format!("this node cannot read its state: {error}"))
        };
        let head = shared.tip.head().map_err(|error| storage(&error))?;
        let state = shared.tip.state_at(head.number).map_err(|error| storage(&error))?;
        let scope = delegate_scope(&shared.spec, anchor(&head), state)
            .ok_or_else(|| FabricFault::new(UnavailableReason::Refused, "this chain has no delegate"))?;
        judge_answer(&scope, &invocation, answer)
    });
    judged.await.unwrap_or_else(|_| Err(FabricFault::new(UnavailableReason::HostUnreachable, "the node is stopping")))
}

/// Would the block after `scope.parent` accept this answer to the invocation? Uses the verifier that every follower uses.
pub fn judge_answer(
    scope: &DelegateScope,
    invocation: &Invocation,
    answer: FabricAnswer,
) -> Result<RecoveredRecord, FabricFault> {
    let FabricAnswer { result, output, signature } = answer;
    let fault = |reason, detail: String| Err(FabricFault::new(reason, detail));
    if output.len() > invocation.output_bytes_max as usize {
        let detail = format!("{} bytes of output; {} were paid for", output.len(), invocation.output_bytes_max);
        return fault(UnavailableReason::OverLimit, detail);
    }
    if result.units > invocation.units_max {
        let detail = format!("{} compute units; {} were paid for", result.units, invocation.units_max);
        return fault(UnavailableReason::OverLimit, detail);
    }
    if !matches!(ResultStatus::try_from(result.status), Ok(ResultStatus::Ok | ResultStatus::Error)) {
        return fault(UnavailableReason::Malformed, format!("status {} is not one a host may give", result.status));
    }
    let record = Record { request: invocation.request, result, output, signature };
    let recovered = RecoveredRecord::recover(record, &scope.domain);
    match verify_in_scope(scope, &mut RegistryCache::default(), &recovered) {
        Ok(Ok(())) => Ok(recovered),
        Ok(Err(record_fault)) => fault(record_fault.reason(), record_fault.to_string()),
        Err(error) => fault(UnavailableReason::HostUnreachable, format!("this node cannot read its state: {error}")),
    }
}
