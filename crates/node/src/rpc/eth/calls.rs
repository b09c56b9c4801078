//! Calls that leave no trace.

use crate::{
    execute::Watched,
    rpc::{Rpc, RpcError},
    service::{CallResult, SimulationError, SimulationOutcome, SimulationRequest},
};
use alloy::{
    eips::BlockId,
    rpc::types::{AccessListResult, BlockOverrides, TransactionRequest, state::StateOverride},
};
use alloy_primitives::{Bytes, U64, U256};
use jsonrpsee::proc_macros::rpc;
use revm_inspectors::access_list::AccessListInspector;

/// Runs that `eth_createAccessList` tries.
const ACCESS_LIST_RUNS_MAX: usize = 16;

#[rpc(server, namespace = "eth")]
pub(crate) trait EthCalls {
    #[method(name = "call")]
    async fn call(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> Result<Bytes, RpcError>;

    #[method(name = "estimateGas")]
    async fn estimate_gas(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> Result<U64, RpcError>;

    #[method(name = "createAccessList")]
    async fn create_access_list(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        state_overrides: Option<StateOverride>,
    ) -> Result<AccessListResult, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl EthCallsServer for Rpc {
    async fn call(
        &self,
        call: TransactionRequest,
        block: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> Result<Bytes, RpcError> {
        check_input(&call)?;
        let block = block.unwrap_or_default();
        let outcome = self.simulate(SimulationRequest { call, block, state_overrides, block_overrides }).await?;
        output(&outcome)
    }

    async fn estimate_gas(
        &self,
        call: TransactionRequest,
        block: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> Result<U64, RpcError> {
        check_input(&call)?;
        let block = block.unwrap_or(BlockId::pending());
        let request = SimulationRequest { call, block, state_overrides, block_overrides };
        Ok(U64::from(self.estimate(request).await?))
    }

    async fn create_access_list(
        &self,
        call: TransactionRequest,
        block: Option<BlockId>,
        state_overrides: Option<StateOverride>,
    ) -> Result<AccessListResult, RpcError> {
        check_input(&call)?;
        let block = block.unwrap_or(BlockId::pending());
        let mut request = SimulationRequest { call, block, state_overrides, block_overrides: None };
        let mut access_list = request.call.access_list.take().unwrap_or_default();
        // A list changes what the call costs, and by that what it does: run until it no longer changes, as geth does.
        for _ in 0..ACCESS_LIST_RUNS_MAX {
            request.call.access_list = Some(access_list.clone());
            let inspector = AccessListInspector::new(access_list.clone());
            let read = |watched: Watched<'_, AccessListInspector>| watched.inspector.access_list();
            let run = self.node.simulate_watched(request.clone(), inspector, read);
            let (outcome, seen) = self.in_time(run).await??;
            if seen == access_list {
                let error = match outcome.result {
                    CallResult::Success(_) => None,
                    // geth's word, without the reason.
                    CallResult::Revert(_) => Some("execution reverted".to_owned()),
                    CallResult::Halt(why) => Some(why),
                };
                let gas_used = U256::from(outcome.gas_used);
                return Ok(AccessListResult { access_list, gas_used, error });
            }
            access_list = seen;
        }
        Err(RpcError::refused("the call touches something else with every access list it is given"))
    }
}

impl Rpc {
    /// Runs a call, within the time this server allows.
    pub(crate) async fn simulate(&self, request: SimulationRequest) -> Result<SimulationOutcome, RpcError> {
        Ok(self.in_time(self.node.simulate(request)).await??)
    }

    /// Estimates gas, within the time this server allows.
    pub(crate) async fn estimate(&self, request: SimulationRequest) -> Result<u64, RpcError> {
        Ok(self.in_time(self.node.estimate_gas(request)).await??)
    }

    /// Waits for a place among the simulations and runs this there, within the time this server allows.
    pub(crate) async fn in_time<T>(&self, run: impl Future<Output = T>) -> Result<T, RpcError> {
        let _place = self.simulations.enter().await?;
        let limit = self.limits.call_time_max;
        // geth's words.
        let late = |_| RpcError::refused(format!("execution aborted (timeout = {limit:?})"));
        tokio::time::timeout(limit, run).await.map_err(late)
    }
}

/// What a call answers: its output, or geth's error.
fn output(outcome: &SimulationOutcome) -> Result<Bytes, RpcError> {
    match &outcome.result {
        CallResult::Success(output) => Ok(output.clone()),
        CallResult::Revert(output) => Err(RpcError::Reverted(output.clone())),
        CallResult::Halt(why) => Err(RpcError::Refused(why.clone())),
    }
}

fn check_input(call: &TransactionRequest) -> Result<(), RpcError> {
    call.input.unique_input().map(|_| ()).map_err(|_| {
        RpcError::invalid(
            r#"both "data" and "input" are set and not equal. Please use "input" to pass transaction call data"#,
        )
    })
}

impl From<SimulationError> for RpcError {
    fn from(error: SimulationError) -> Self {
        match error {
            SimulationError::UnknownBlock(_) => Self::HeaderNotFound,
            SimulationError::BeforeFork => Self::BeforeFork,
            SimulationError::Reverted(output) => Self::Reverted(output),
            SimulationError::Busy(calls) => Self::Busy(calls),
            SimulationError::Storage(_) => Self::Internal(error.to_string()),
            other => Self::Refused(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_and_input_must_not_contradict_each_other() {
        let parse = |json| serde_json::from_value::<TransactionRequest>(json).expect("a request");
        assert!(check_input(&parse(serde_json::json!({"data": "0x01", "input": "0x01"}))).is_ok());
        assert!(check_input(&parse(serde_json::json!({"data": "0x01", "input": "0x02"}))).is_err());
    }
}
