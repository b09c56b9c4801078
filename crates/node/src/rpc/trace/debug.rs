//! Traces in the `debug_` namespace, as geth has them.

use super::{
    script::After,
    tracer::{TracerOptions, checked},
};
use crate::{
    execute::{RecoveredBlock, Watched},
    rpc::{Rpc, RpcError},
    service::{CallBase, SimulationError, SimulationRequest},
    store::StoredBlock,
    types::Block,
};
use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    rpc::types::{BlockOverrides, Bundle, StateContext, TransactionIndex, TransactionRequest},
};
use alloy_primitives::{B256, Bytes};
use alloy_rlp::Decodable;
use alloy_rpc_types_trace::{
    common::TraceResult,
    geth::{GethDebugTracingCallOptions, GethDebugTracingOptions, GethTrace},
};
use jsonrpsee::proc_macros::rpc;

/// Calls of one `debug_traceCallMany`.
const CALLS_MAX: usize = 1_024;

type BlockTraces = Vec<TraceResult<GethTrace, String>>;

#[rpc(server, namespace = "debug")]
pub(crate) trait DebugTraces {
    #[method(name = "traceTransaction")]
    async fn trace_transaction(
        &self,
        hash: B256,
        options: Option<GethDebugTracingOptions>,
    ) -> Result<GethTrace, RpcError>;

    #[method(name = "traceBlockByNumber")]
    async fn trace_block_by_number(
        &self,
        number: BlockNumberOrTag,
        options: Option<GethDebugTracingOptions>,
    ) -> Result<BlockTraces, RpcError>;

    #[method(name = "traceBlockByHash")]
    async fn trace_block_by_hash(
        &self,
        hash: B256,
        options: Option<GethDebugTracingOptions>,
    ) -> Result<BlockTraces, RpcError>;

    #[method(name = "traceBlock")]
    async fn trace_block(&self, rlp: Bytes, options: Option<GethDebugTracingOptions>) -> Result<BlockTraces, RpcError>;

    #[method(name = "traceCall")]
    async fn trace_call(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        options: Option<GethDebugTracingCallOptions>,
    ) -> Result<GethTrace, RpcError>;

    #[method(name = "traceCallMany")]
    async fn trace_call_many(
        &self,
        bundles: Vec<Bundle>,
        place: Option<StateContext>,
        options: Option<GethDebugTracingCallOptions>,
    ) -> Result<Vec<Vec<GethTrace>>, RpcError>;

    #[method(name = "traceBadBlock")]
    fn trace_bad_block(&self, hash: B256, options: Option<GethDebugTracingOptions>) -> Result<BlockTraces, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl DebugTracesServer for Rpc {
    async fn trace_transaction(
        &self,
        hash: B256,
        options: Option<GethDebugTracingOptions>,
    ) -> Result<GethTrace, RpcError> {
        let options = self.tracer_options(options).await?;
        self.search(move |rpc| {
            // geth's words (`errTxNotFound`).
            let not_found = || RpcError::refused("transaction not found");
            let (block, index) = rpc.find_transaction(hash)?.ok_or_else(not_found)?;
            let mut traces = rpc.traces(&block, |wanted| wanted == index, &options)?;
            traces.pop().map(|(_, trace)| trace).ok_or_else(not_found)
        })
        .await
    }

    async fn trace_block_by_number(
        &self,
        number: BlockNumberOrTag,
        options: Option<GethDebugTracingOptions>,
    ) -> Result<BlockTraces, RpcError> {
        let missing = match number {
            BlockNumberOrTag::Number(number) => format!("block #{number} not found"),
            tag => format!("block {tag} not found"),
        };
        self.trace_whole(number.into(), missing, options).await
    }

    async fn trace_block_by_hash(
        &self,
        hash: B256,
        options: Option<GethDebugTracingOptions>,
    ) -> Result<BlockTraces, RpcError> {
        self.trace_whole(hash.into(), format!("block {hash} not found"), options).await
    }

    async fn trace_block(&self, rlp: Bytes, options: Option<GethDebugTracingOptions>) -> Result<BlockTraces, RpcError> {
        let options = self.tracer_options(options).await?;
        let unreadable = |error| RpcError::refused(format!("could not decode block: {error}"));
        let block = Block::decode(&mut rlp.as_ref()).map_err(unreadable)?;
        self.search(move |rpc| rpc.traces_of_given(block, &options)).await
    }

    async fn trace_call(
        &self,
        call: TransactionRequest,
        block: Option<BlockId>,
        options: Option<GethDebugTracingCallOptions>,
    ) -> Result<GethTrace, RpcError> {
        let GethDebugTracingCallOptions { tracing_options, state_overrides, block_overrides, tx_index } =
            options.unwrap_or_default();
        let options = self.tracer_options(Some(tracing_options)).await?;
        let block = block.unwrap_or_default();
        let base = match tx_index {
            Some(index) => Some(self.base_at(block, TransactionIndex::Index(index as usize)).await?),
            None => None,
        };
        let block_overrides = block_overrides.map(Box::new);
        let request = SimulationRequest { call, block, state_overrides, block_overrides };
        Ok(self.traced_call(request, base, options).await?.0)
    }

    async fn trace_call_many(
        &self,
        bundles: Vec<Bundle>,
        place: Option<StateContext>,
        options: Option<GethDebugTracingCallOptions>,
    ) -> Result<Vec<Vec<GethTrace>>, RpcError> {
        let calls: usize = bundles.iter().map(|bundle| bundle.transactions.len()).sum();
        if calls > CALLS_MAX {
            return Err(RpcError::invalid(format!("too many calls: {calls} given, at most {CALLS_MAX}")));
        }
        let StateContext { block_number, transaction_index } = place.unwrap_or_default();
        let block = block_number.unwrap_or_default();
        let mut base = Some(self.base_at(block, transaction_index.unwrap_or_default()).await?);
        let options = options.unwrap_or_default();
        let mut state_overrides = options.state_overrides;
        let mut all = Vec::with_capacity(bundles.len());
        for Bundle { transactions, block_override } in bundles {
            let block_overrides = block_override.or_else(|| options.block_overrides.clone());
            let mut traces = Vec::with_capacity(transactions.len());
            for call in transactions {
                let tracer = self.tracer_options(Some(options.tracing_options.clone())).await?;
                let block_overrides = block_overrides.clone().map(Box::<BlockOverrides>::new);
                let request =
                    SimulationRequest { call, block, state_overrides: state_overrides.take(), block_overrides };
                let (trace, after) = self.traced_call(request, base.take(), tracer).await?;
                traces.push(trace);
                base = Some(after);
            }
            all.push(traces);
        }
        Ok(all)
    }

    /// A bad block ends an import; a node that serves has seen none (see `debug_getBadBlocks`). geth's words.
    fn trace_bad_block(&self, hash: B256, _: Option<GethDebugTracingOptions>) -> Result<BlockTraces, RpcError> {
        Err(RpcError::refused(format!("bad block {hash} not found")))
    }
}

impl Rpc {
    /// What a client asked for, within what this node allows. One that brings its own tracer waits for its turn.
    pub(in crate::rpc) async fn tracer_options(
        &self,
        options: Option<GethDebugTracingOptions>,
    ) -> Result<TracerOptions, RpcError> {
        let options = TracerOptions::new(options.unwrap_or_default(), self.limits.call_time_max)?;
        if !options.is_script() {
            return Ok(options);
        }
        let off =
            "tracers in JavaScript are off: they can end the node. Start it with --rpc.insecure-scripts to offer them";
        let scripts = self.scripts.as_ref().ok_or_else(|| RpcError::refused(off))?;
        options.into_script(scripts.enter().await?)
    }

    /// The traces of a block's wanted transactions, with their hashes.
    pub(in crate::rpc) fn traces(
        &self,
        block: &StoredBlock,
        is_wanted: impl Fn(usize) -> bool,
        options: &TracerOptions,
    ) -> Result<Vec<(B256, GethTrace)>, RpcError> {
        let traces = self.rerun_block(block, is_wanted, options.tracer()?, |place, watched| {
            let Watched { inspector: (guard, tracer), transaction, block, result, state } = watched;
            let context = Some(place.context());
            let trace = match options.is_script() {
                true => {
                    let mut after = After { changes: &result.state, before: state };
                    tracer.get_result(context, transaction, block, result, &mut after)
                }
                false => tracer.get_result(context, transaction, block, result, state),
            };
            let trace = checked(trace.map_err(RpcError::refused_by)?)?;
            guard.rearm();
            tracer.fuse()?;
            Ok((place.transaction, trace))
        });
        traces.map_err(|error| options.trip.explain(error))
    }

    /// The traces of a block that a client has given; its parent must be in the chain.
    fn traces_of_given(&self, block: Block, options: &TracerOptions) -> Result<BlockTraces, RpcError> {
        let hash = block.header.hash_slow();
        if let Some(stored) = self.node.chain().block_by_hash(hash)? {
            return Ok(results(self.traces(&stored, |_| true, options)?));
        }
        let recovered = RecoveredBlock::recover_parts(self.node.spec(), block, None)?;
        let senders: Vec<_> = recovered.senders().to_vec();
        let stored = StoredBlock { hash, block: recovered.block().clone(), senders };
        Ok(results(self.traces(&stored, |_| true, options)?))
    }

    async fn trace_whole(
        &self,
        block: BlockId,
        missing: String,
        options: Option<GethDebugTracingOptions>,
    ) -> Result<BlockTraces, RpcError> {
        let options = self.tracer_options(options).await?;
        self.search(move |rpc| {
            let block = rpc.block(block)?.ok_or_else(|| RpcError::refused(missing))?;
            if block.number() == rpc.node.chain().first_block()? {
                return Err(RpcError::refused("genesis is not traceable"));
            }
            Ok(results(rpc.traces(&block, |_| true, &options)?))
        })
        .await
    }

    /// Where calls start that are to see a block from within.
    pub(in crate::rpc) async fn base_at(&self, block: BlockId, index: TransactionIndex) -> Result<CallBase, RpcError> {
        self.search(move |rpc| {
            let index = match index {
                TransactionIndex::All => return Ok(CallBase::of_block(rpc.state(Some(block))?)),
                TransactionIndex::Index(index) => index,
            };
            let block = rpc.block(block)?.ok_or(RpcError::HeaderNotFound)?;
            let count = block.block.body.transactions.len();
            if index > count {
                // geth's words.
                let words = format!("transaction index {index} out of range for block {}", block.hash);
                return Err(RpcError::refused(words));
            }
            rpc.state_before(&block, index)
        })
        .await
    }

    /// Runs a call under a tracer; also returns the state it leaves.
    async fn traced_call(
        &self,
        request: SimulationRequest,
        base: Option<CallBase>,
        options: TracerOptions,
    ) -> Result<(GethTrace, CallBase), RpcError> {
        let trip = options.trip.clone();
        let make = move || options.tracer().map_err(|error| SimulationError::InvalidCall(error.to_string()));
        let run = self.node.trace_call(request, base, make, |watched| {
            let Watched { inspector: (_, tracer), transaction, block, result, state } = watched;
            let trace = tracer.get_result(None, transaction, block, result, state).map_err(RpcError::refused_by)?;
            Ok((checked(trace)?, CallBase::after(state, result)))
        });
        let (_, traced) = self.in_time(run).await?.map_err(|error| trip.explain(error))?;
        traced
    }
}

fn results(traces: Vec<(B256, GethTrace)>) -> BlockTraces {
    traces.into_iter().map(|(hash, trace)| TraceResult::new_success(trace, Some(hash))).collect()
}

impl RpcError {
    /// Something that a tracer says.
    pub(crate) fn refused_by(error: impl std::fmt::Display) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<revm_inspectors::tracing::DebugInspectorError> for RpcError {
    fn from(error: revm_inspectors::tracing::DebugInspectorError) -> Self {
        Self::refused_by(error)
    }
}
