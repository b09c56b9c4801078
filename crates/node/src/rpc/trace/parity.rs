//! The `trace_` namespace, as OpenEthereum made it and reth and anvil have it.

use super::{
    Number,
    replay::Place,
    rewards::reward_traces,
    tracer::{Guard, STEPS_MAX, Trip},
};
use crate::{
    execute::Watched,
    pool::decode_transaction,
    rpc::{Rpc, RpcError},
    service::{CallBase, SimulationRequest},
    store::StoredBlock,
};
use alloy::{
    consensus::transaction::SignerRecoverable,
    eips::{BlockId, BlockNumberOrTag},
    rpc::types::{BlockOverrides, Index, TransactionRequest, state::StateOverride},
};
use alloy_primitives::{B256, Bytes, map::HashSet};
use alloy_rpc_types_trace::{
    filter::{TraceFilter, TraceFilterMode},
    opcode::{BlockOpcodeGas, TransactionOpcodeGas},
    parity::{LocalizedTransactionTrace, TraceResults, TraceResultsWithTransactionHash, TraceType},
};
use jsonrpsee::proc_macros::rpc;
use revm_inspectors::{
    opcode::OpcodeGasInspector,
    tracing::{TracingInspector, TracingInspectorConfig},
};
use serde::Deserialize;

/// Blocks that one `trace_filter` may run again.
const FILTER_BLOCKS_MAX: u64 = 1_000;
/// Traces that one `trace_filter` may return.
const FILTER_TRACES_MAX: usize = 50_000;
/// Calls of one `trace_callMany`.
const CALLS_MAX: usize = 1_024;

type Types = HashSet<TraceType>;
type ParityTracer = (Guard, TracingInspector);

#[rpc(server, namespace = "trace")]
pub(crate) trait ParityTraces {
    #[method(name = "block")]
    async fn block(&self, block: BlockId) -> Result<Option<Vec<LocalizedTransactionTrace>>, RpcError>;

    #[method(name = "transaction")]
    async fn transaction(&self, hash: B256) -> Result<Option<Vec<LocalizedTransactionTrace>>, RpcError>;

    #[method(name = "get")]
    async fn get(&self, hash: B256, position: Vec<Index>) -> Result<Option<LocalizedTransactionTrace>, RpcError>;

    #[method(name = "filter")]
    async fn filter(&self, filter: FilterRequest) -> Result<Vec<LocalizedTransactionTrace>, RpcError>;

    #[method(name = "call")]
    async fn call(
        &self,
        call: TransactionRequest,
        types: Types,
        block: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> Result<TraceResults, RpcError>;

    #[method(name = "callMany")]
    async fn call_many(
        &self,
        calls: Vec<(TransactionRequest, Types)>,
        block: Option<BlockId>,
    ) -> Result<Vec<TraceResults>, RpcError>;

    #[method(name = "rawTransaction")]
    async fn raw_transaction(&self, raw: Bytes, types: Types, block: Option<BlockId>)
    -> Result<TraceResults, RpcError>;

    #[method(name = "replayTransaction")]
    async fn replay_transaction(&self, hash: B256, types: Types) -> Result<TraceResults, RpcError>;

    #[method(name = "replayBlockTransactions")]
    async fn replay_block_transactions(
        &self,
        block: BlockId,
        types: Types,
    ) -> Result<Option<Vec<TraceResultsWithTransactionHash>>, RpcError>;

    #[method(name = "transactionOpcodeGas")]
    async fn transaction_opcode_gas(&self, hash: B256) -> Result<Option<TransactionOpcodeGas>, RpcError>;

    #[method(name = "blockOpcodeGas")]
    async fn block_opcode_gas(&self, block: BlockId) -> Result<Option<BlockOpcodeGas>, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl ParityTracesServer for Rpc {
    async fn block(&self, block: BlockId) -> Result<Option<Vec<LocalizedTransactionTrace>>, RpcError> {
        self.search(move |rpc| {
            let Some(block) = rpc.block(block)? else { return Ok(None) };
            rpc.flat_traces(&block, |_| true).map(Some)
        })
        .await
    }

    async fn transaction(&self, hash: B256) -> Result<Option<Vec<LocalizedTransactionTrace>>, RpcError> {
        self.search(move |rpc| {
            let Some((block, index)) = rpc.find_transaction(hash)? else { return Ok(None) };
            Ok(Some(rpc.flat_traces_of(&block, |wanted| wanted == index)?))
        })
        .await
    }

    async fn get(&self, hash: B256, position: Vec<Index>) -> Result<Option<LocalizedTransactionTrace>, RpcError> {
        // OpenEthereum took exactly one position, in the order of `trace_transaction`; so do erigon and reth.
        let [position] = position[..] else { return Ok(None) };
        let traces = ParityTracesServer::transaction(self, hash).await?;
        Ok(traces.and_then(|traces| traces.into_iter().nth(usize::from(position))))
    }

    async fn filter(&self, filter: FilterRequest) -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
        self.search(move |rpc| rpc.filter_traces(filter)).await
    }

    async fn call(
        &self,
        call: TransactionRequest,
        types: Types,
        block: Option<BlockId>,
        state_overrides: Option<StateOverride>,
        block_overrides: Option<Box<BlockOverrides>>,
    ) -> Result<TraceResults, RpcError> {
        let block = block.unwrap_or_default();
        let request = SimulationRequest { call, block, state_overrides, block_overrides };
        Ok(self.parity_call(request, None, types).await?.0)
    }

    async fn call_many(
        &self,
        calls: Vec<(TransactionRequest, Types)>,
        block: Option<BlockId>,
    ) -> Result<Vec<TraceResults>, RpcError> {
        let given = calls.len();
        if given > CALLS_MAX {
            return Err(RpcError::invalid(format!("too many calls: {given} given, at most {CALLS_MAX}")));
        }
        let block = block.unwrap_or(BlockId::pending());
        let (mut base, mut all) = (None, Vec::with_capacity(given));
        for (call, types) in calls {
            let (results, after) = self.parity_call(SimulationRequest::new(call, block), base, types).await?;
            base = Some(after);
            all.push(results);
        }
        Ok(all)
    }

    async fn raw_transaction(
        &self,
        raw: Bytes,
        types: Types,
        block: Option<BlockId>,
    ) -> Result<TraceResults, RpcError> {
        let transaction = decode_transaction(&raw)?;
        let sender = transaction.recover_signer().map_err(RpcError::refused_by)?;
        let call = TransactionRequest { from: Some(sender), ..TransactionRequest::from_transaction(transaction) };
        let request = SimulationRequest::new(call, block.unwrap_or_default());
        Ok(self.parity_call(request, None, types).await?.0)
    }

    async fn replay_transaction(&self, hash: B256, types: Types) -> Result<TraceResults, RpcError> {
        self.search(move |rpc| {
            let not_found = || RpcError::refused("transaction not found");
            let (block, index) = rpc.find_transaction(hash)?.ok_or_else(not_found)?;
            let results = rpc.full_traces(&block, |wanted| wanted == index, &types)?;
            results.into_iter().next().map(|result| result.full_trace).ok_or_else(not_found)
        })
        .await
    }

    async fn replay_block_transactions(
        &self,
        block: BlockId,
        types: Types,
    ) -> Result<Option<Vec<TraceResultsWithTransactionHash>>, RpcError> {
        self.search(move |rpc| {
            let Some(block) = rpc.block(block)? else { return Ok(None) };
            rpc.full_traces(&block, |_| true, &types).map(Some)
        })
        .await
    }

    async fn transaction_opcode_gas(&self, hash: B256) -> Result<Option<TransactionOpcodeGas>, RpcError> {
        self.search(move |rpc| {
            let Some((block, index)) = rpc.find_transaction(hash)? else { return Ok(None) };
            Ok(rpc.opcode_gas(&block, |wanted| wanted == index)?.pop())
        })
        .await
    }

    async fn block_opcode_gas(&self, block: BlockId) -> Result<Option<BlockOpcodeGas>, RpcError> {
        self.search(move |rpc| {
            let Some(block) = rpc.block(block)? else { return Ok(None) };
            let transactions = rpc.opcode_gas(&block, |_| true)?;
            Ok(Some(BlockOpcodeGas { block_hash: block.hash, block_number: block.number(), transactions }))
        })
        .await
    }
}

impl Rpc {
    /// The calls of a block's wanted transactions, one after the other, and the rewards of a block before the merge.
    fn flat_traces(
        &self,
        block: &StoredBlock,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
        let mut traces = self.flat_traces_of(block, is_wanted)?;
        traces.extend(reward_traces(self.node.spec(), block));
        Ok(traces)
    }

    fn flat_traces_of(
        &self,
        block: &StoredBlock,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
        let config = TracingInspectorConfig::default_parity();
        let base_fee = block.block.header.base_fee_per_gas.unwrap_or_default();
        let traces = self.rerun_guarded(block, is_wanted, config, |place, watched| {
            let tracer = std::mem::replace(watched.inspector, TracingInspector::new(config));
            Ok(tracer.into_parity_builder().into_localized_transaction_traces(place.info(base_fee)))
        })?;
        Ok(traces.into_iter().flatten().collect())
    }

    fn full_traces(
        &self,
        block: &StoredBlock,
        is_wanted: impl Fn(usize) -> bool,
        types: &Types,
    ) -> Result<Vec<TraceResultsWithTransactionHash>, RpcError> {
        let config = TracingInspectorConfig::from_parity_config(types);
        self.rerun_guarded(block, is_wanted, config, |place, watched| {
            let Watched { inspector, result, state, .. } = watched;
            let tracer = std::mem::replace(inspector, TracingInspector::new(config));
            let builder = tracer.into_parity_builder();
            let full_trace =
                builder.into_trace_results_with_state(result, types, &*state).map_err(RpcError::internal)?;
            Ok(TraceResultsWithTransactionHash { full_trace, transaction_hash: place.transaction })
        })
    }

    fn opcode_gas(
        &self,
        block: &StoredBlock,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Result<Vec<TransactionOpcodeGas>, RpcError> {
        let trip = Trip::after(self.limits.call_time_max);
        let inspector = (Guard::new(trip.clone()), OpcodeGasInspector::new());
        let counted = self.rerun_block(block, is_wanted, inspector, |place, watched| {
            let (guard, counter) = watched.inspector;
            guard.rearm();
            let mut opcode_gas: Vec<_> = std::mem::take(counter).opcode_gas_iter().collect();
            opcode_gas.sort_by(|a, b| a.opcode.cmp(&b.opcode));
            Ok(TransactionOpcodeGas { transaction_hash: place.transaction, opcode_gas })
        });
        counted.map_err(|error| trip.explain(error))
    }

    /// Runs a block again under a tracer for `trace_` methods.
    fn rerun_guarded<T>(
        &self,
        block: &StoredBlock,
        is_wanted: impl Fn(usize) -> bool,
        config: TracingInspectorConfig,
        mut read: impl FnMut(Place, Watched<'_, TracingInspector>) -> Result<T, RpcError>,
    ) -> Result<Vec<T>, RpcError> {
        if block.number() == self.node.chain().first_block()? {
            return Ok(Vec::new());
        }
        let trip = Trip::after(self.limits.call_time_max);
        let seen = self.rerun_block(block, is_wanted, parity_tracer(config, &trip), |place, watched| {
            let Watched { inspector: (guard, inspector), transaction, block, result, state } = watched;
            guard.rearm();
            read(place, Watched { inspector, transaction, block, result, state })
        });
        seen.map_err(|error| trip.explain(error))
    }

    /// Runs a call; also returns the state it leaves.
    async fn parity_call(
        &self,
        request: SimulationRequest,
        base: Option<CallBase>,
        types: Types,
    ) -> Result<(TraceResults, CallBase), RpcError> {
        let config = TracingInspectorConfig::from_parity_config(&types);
        let trip = Trip::after(self.limits.call_time_max);
        let of_run = trip.clone();
        let make = move || Ok(parity_tracer(config, &of_run));
        let run = self.node.trace_call(request, base, make, move |watched| {
            let Watched { inspector: (_, tracer), result, state, .. } = watched;
            let tracer = std::mem::replace(tracer, TracingInspector::new(config));
            let builder = tracer.into_parity_builder();
            let results = builder.into_trace_results_with_state(result, &types, &*state).map_err(RpcError::internal)?;
            Ok((results, CallBase::after(state, result)))
        });
        let (_, traced) = self.in_time(run).await?.map_err(|error| trip.explain(error))?;
        traced
    }

    fn filter_traces(&self, request: FilterRequest) -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
        let number = |tag: Option<BlockNumberOrTag>, default| match tag {
            None => Ok(default),
            Some(tag) => self.number_of(tag.into())?.ok_or(RpcError::HeaderNotFound),
        };
        let head = self.node.head().number;
        let (from, to) = (number(request.from_block, 0)?, number(request.to_block, head)?);
        if from > to {
            return Err(RpcError::invalid("invalid parameters: fromBlock cannot be greater than toBlock"));
        }
        if to - from >= FILTER_BLOCKS_MAX {
            let words = format!("Block range too large; currently limited to {FILTER_BLOCKS_MAX} blocks");
            return Err(RpcError::LimitExceeded(words));
        }
        let (mut skip, count) = (request.after.unwrap_or_default().0, request.count.map_or(u64::MAX, |count| count.0));
        let matcher = request.addresses().matcher();
        let deadline = std::time::Instant::now() + self.limits.call_time_max;
        let mut found = Vec::new();
        for number in from..=to {
            let Some(block) = self.block(number.into())? else { break };
            if std::time::Instant::now() > deadline {
                return Err(RpcError::LimitExceeded(format!(
                    "the time for one trace_filter is up at block {number}; ask for fewer blocks"
                )));
            }
            for trace in self.flat_traces(&block, |_| true)? {
                if !matcher.matches(&trace.trace) {
                    continue;
                }
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                if found.len() as u64 >= count {
                    return Ok(found);
                }
                if found.len() >= FILTER_TRACES_MAX {
                    return Err(RpcError::LimitExceeded(format!(
                        "more than {FILTER_TRACES_MAX} traces; give a \"count\", or ask for fewer blocks"
                    )));
                }
                found.push(trace);
            }
        }
        Ok(found)
    }
}

/// What `trace_filter` is asked. Unlike alloy's type it takes block tags, as OpenEthereum did.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct FilterRequest {
    from_block: Option<BlockNumberOrTag>,
    to_block: Option<BlockNumberOrTag>,
    from_address: Option<Vec<alloy_primitives::Address>>,
    to_address: Option<Vec<alloy_primitives::Address>>,
    mode: TraceFilterMode,
    after: Option<Number>,
    count: Option<Number>,
}

impl FilterRequest {
    fn addresses(&self) -> TraceFilter {
        TraceFilter::default()
            .from_address(self.from_address.clone().unwrap_or_default())
            .to_address(self.to_address.clone().unwrap_or_default())
            .mode(self.mode)
    }
}

fn parity_tracer(config: TracingInspectorConfig, trip: &Trip) -> ParityTracer {
    let guard = Guard::new(trip.clone());
    // A trace of the virtual machine keeps every step.
    let guard = if config.record_steps { guard.with_steps_max(STEPS_MAX) } else { guard };
    (guard, TracingInspector::new(config))
}
