//! Calls in a row: each sees what those before it did.

use crate::{
    execute::Watched,
    rpc::{Rpc, RpcError},
    service::{CallBase, CallResult, SimulationRequest},
};
use alloy::rpc::types::{BlockOverrides, Bundle, EthCallResponse, StateContext, state::StateOverride};
use jsonrpsee::proc_macros::rpc;
use revm::inspector::NoOpInspector;

/// Calls of one `eth_callMany`.
const CALLS_MAX: usize = 1_024;

#[rpc(server, namespace = "eth")]
pub(crate) trait EthBundles {
    #[method(name = "callMany")]
    async fn call_many(
        &self,
        bundles: Vec<Bundle>,
        place: Option<StateContext>,
        state_overrides: Option<StateOverride>,
    ) -> Result<Vec<Vec<EthCallResponse>>, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl EthBundlesServer for Rpc {
    /// As in reth and Erigon: bundles of calls behind a block, or behind a transaction of it.
    async fn call_many(
        &self,
        bundles: Vec<Bundle>,
        place: Option<StateContext>,
        mut state_overrides: Option<StateOverride>,
    ) -> Result<Vec<Vec<EthCallResponse>>, RpcError> {
        let calls: usize = bundles.iter().map(|bundle| bundle.transactions.len()).sum();
        if calls == 0 {
            return Err(RpcError::invalid("bundles are empty."));
        }
        if calls > CALLS_MAX {
            return Err(RpcError::invalid(format!("too many calls: {calls} given, at most {CALLS_MAX}")));
        }
        let StateContext { block_number, transaction_index } = place.unwrap_or_default();
        let block = block_number.unwrap_or_default();
        let mut base = Some(self.base_at(block, transaction_index.unwrap_or_default()).await?);
        let mut all = Vec::with_capacity(bundles.len());
        for Bundle { transactions, block_override } in bundles {
            let mut answers = Vec::with_capacity(transactions.len());
            for call in transactions {
                let block_overrides = block_override.clone().map(Box::<BlockOverrides>::new);
                let request =
                    SimulationRequest { call, block, state_overrides: state_overrides.take(), block_overrides };
                let run = self.node.trace_call(
                    request,
                    base.take(),
                    || Ok(NoOpInspector {}),
                    |watched: Watched<'_, NoOpInspector>| CallBase::after(watched.state, watched.result),
                );
                let (outcome, after) = self.in_time(run).await??;
                base = Some(after);
                answers.push(match outcome.result {
                    CallResult::Success(value) => EthCallResponse { value: Some(value), error: None },
                    CallResult::Revert(output) => {
                        EthCallResponse { value: None, error: Some(RpcError::Reverted(output).to_string()) }
                    }
                    CallResult::Halt(why) => EthCallResponse { value: None, error: Some(why) },
                });
            }
            all.push(answers);
        }
        Ok(all)
    }
}
