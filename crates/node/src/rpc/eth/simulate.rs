//! `eth_simulateV1`.

use crate::{
    rpc::{
        Rpc, RpcError,
        convert::{self, RpcBlock},
        error::{INTERNAL, INVALID_PARAMS, REVERTED, SERVER_ERROR, revert_message},
    },
    service::{
        CallResult, OverrideError, SequenceBlock, SequenceError, SequenceRequest, SimulatedBlock, SimulatedCall,
    },
};
use alloy::{
    eips::{BlockId, eip4895::Withdrawals},
    rpc::types::{
        BlockOverrides, Log, TransactionRequest,
        simulate::{SimCallResult, SimulateError, SimulatedBlock as Shown},
        state::StateOverride,
    },
};
use alloy_primitives::Bytes;
use jsonrpsee::proc_macros::rpc;
use revm::context_interface::result::InvalidTransaction;
use serde::Deserialize;

/// What is asked for (execution-apis: `EthSimulatePayload`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Payload {
    #[serde(default)]
    block_state_calls: Vec<BlockStateCalls>,
    #[serde(default)]
    trace_transfers: bool,
    #[serde(default)]
    validation: bool,
    #[serde(default)]
    return_full_transactions: bool,
}

/// One block of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockStateCalls {
    #[serde(default)]
    block_overrides: Option<Overrides>,
    #[serde(default)]
    state_overrides: Option<StateOverride>,
    #[serde(default)]
    calls: Option<Vec<TransactionRequest>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Overrides {
    #[serde(flatten)]
    fields: BlockOverrides,
    #[serde(default)]
    withdrawals: Option<Withdrawals>,
}

#[rpc(server, namespace = "eth")]
pub(crate) trait EthSimulate {
    #[method(name = "simulateV1")]
    async fn simulate_v1(&self, payload: Payload, block: Option<BlockId>) -> Result<Vec<Shown<RpcBlock>>, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl EthSimulateServer for Rpc {
    async fn simulate_v1(&self, payload: Payload, block: Option<BlockId>) -> Result<Vec<Shown<RpcBlock>>, RpcError> {
        let full = payload.return_full_transactions;
        let request = payload.into_request(block.unwrap_or_default());
        let simulated = self.in_time(self.node.simulate_sequence(request)).await??;
        Ok(simulated.into_iter().map(|block| show(block, full)).collect())
    }
}

impl Payload {
    fn into_request(self, base: BlockId) -> SequenceRequest {
        let block = |block: BlockStateCalls| {
            let overrides = block.block_overrides.unwrap_or_default();
            SequenceBlock {
                block_overrides: overrides.fields,
                withdrawals: overrides.withdrawals,
                state_overrides: block.state_overrides,
                calls: block.calls.unwrap_or_default(),
            }
        };
        SequenceRequest {
            base,
            blocks: self.block_state_calls.into_iter().map(block).collect(),
            trace_transfers: self.trace_transfers,
            validation: self.validation,
        }
    }
}

fn show(simulated: SimulatedBlock, full: bool) -> Shown<RpcBlock> {
    let SimulatedBlock { block, hash, senders, calls } = simulated;
    let calls = calls.into_iter().enumerate();
    let calls = calls.map(|(index, call)| {
        let transaction_hash = *block.body.transactions[index].tx_hash();
        let log = |(log_index, inner)| Log {
            inner,
            block_hash: Some(hash),
            block_number: Some(block.header.number),
            block_timestamp: Some(block.header.timestamp),
            transaction_hash: Some(transaction_hash),
            transaction_index: Some(index as u64),
            log_index: Some(log_index),
            removed: false,
        };
        show_call(call, log)
    });
    let calls = calls.collect();
    Shown { inner: convert::block(&block, hash, &senders, full), calls }
}

fn show_call(call: SimulatedCall, log: impl Fn((u64, alloy_primitives::Log)) -> Log) -> SimCallResult {
    let (status, return_data, error) = match call.result {
        CallResult::Success(output) => (true, output, None),
        CallResult::Revert(output) => {
            // What it reverted with stands in the error alone, as in geth.
            let error = SimulateError { code: REVERTED, message: revert_message(&output), data: Some(output) };
            (false, Bytes::new(), Some(error))
        }
        CallResult::Halt(message) => {
            let error = SimulateError { code: SimulateError::VM_EXECUTION_ERROR_CODE, message, data: None };
            (false, Bytes::new(), Some(error))
        }
    };
    SimCallResult {
        return_data,
        logs: call.logs.into_iter().map(log).collect(),
        gas_used: call.gas_used,
        max_used_gas: Some(call.gas_used_max),
        status,
        error,
    }
}

impl From<SequenceError> for RpcError {
    fn from(error: SequenceError) -> Self {
        let message = error.to_string();
        // execution-apis `src/eth/execute.yaml`; geth `internal/ethapi/errors.go`.
        let code = match error {
            SequenceError::Empty | SequenceError::InvalidCall(_) => INVALID_PARAMS,
            SequenceError::TooManyBlocks | SequenceError::GasExhausted(_) => -38026,
            SequenceError::NumberOrder { .. } => -38020,
            SequenceError::TimeOrder { .. } => -38021,
            SequenceError::BlockGasLimit { .. } => -38015,
            SequenceError::Override(OverrideError::MovedToItself(_)) => -38022,
            SequenceError::Override(_) => SERVER_ERROR,
            SequenceError::Refused { error, .. } => refusal_code(&error),
            SequenceError::Simulation(error) => return error.into(),
        };
        Self::Coded { code, message }
    }
}

fn refusal_code(error: &InvalidTransaction) -> i32 {
    use InvalidTransaction as Invalid;
    match error {
        Invalid::NonceTooLow { .. } => -38010,
        Invalid::NonceTooHigh { .. } => -38011,
        Invalid::GasPriceLessThanBasefee => -38012,
        Invalid::CallGasCostMoreThanGasLimit { .. } | Invalid::GasFloorMoreThanGasLimit { .. } => -38013,
        Invalid::LackOfFundForMaxFee { .. } => -38014,
        Invalid::CallerGasLimitMoreThanBlock => -38015,
        Invalid::RejectCallerWithCode => -38024,
        Invalid::CreateInitCodeSizeLimit => -38025,
        Invalid::PriorityFeeGreaterThanMaxFee => INVALID_PARAMS,
        _ => INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{U256, address};
    use serde_json::json;

    #[test]
    fn a_payload_is_read_as_the_specification_has_it() {
        let payload: Payload = serde_json::from_value(json!({
            "blockStateCalls": [
                {
                    "blockOverrides": {
                        "number": "0x37",
                        "time": "0x3b6",
                        "feeRecipient": "0xc200000000000000000000000000000000000000",
                        "baseFeePerGas": "0x3ef",
                        "withdrawals": [{
                            "index": "0x0",
                            "validatorIndex": "0x1",
                            "address": "0xc200000000000000000000000000000000000000",
                            "amount": "0x64"
                        }]
                    },
                    "calls": [{ "maxFeePerBlobGas": "0x0", "value": "0x65" }]
                },
                {}
            ],
            "traceTransfers": true
        }))
        .expect("a payload");
        let request = payload.into_request(BlockId::latest());
        let [first, second] = &request.blocks[..] else { panic!("two blocks") };
        assert_eq!(first.block_overrides.number, Some(U256::from(0x37)));
        assert_eq!(first.block_overrides.coinbase, Some(address!("c200000000000000000000000000000000000000")));
        assert_eq!(first.withdrawals.as_ref().map(|withdrawals| withdrawals.len()), Some(1));
        assert_eq!((first.calls.len(), second.calls.len()), (1, 0));
        assert!(request.trace_transfers && !request.validation);
    }
}
