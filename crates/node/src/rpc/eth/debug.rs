//! The `debug_` namespace: blocks and transactions as bytes, and traces.

use crate::{
    rpc::{Rpc, RpcError, params::Hash, trace},
    service::{SimulationRequest, Watched},
};
use alloy::{
    eips::{BlockId, BlockNumberOrTag, Encodable2718},
    rpc::types::TransactionRequest,
};
use alloy_primitives::{B256, Bytes};
use alloy_rlp::Encodable;
use alloy_rpc_types_trace::{
    common::TraceResult,
    geth::{GethDebugTracingCallOptions, GethDebugTracingOptions, GethTrace},
};
use jsonrpsee::proc_macros::rpc;
use revm_inspectors::tracing::DebugInspector;

#[rpc(server, namespace = "debug")]
pub(crate) trait Debug {
    #[method(name = "getRawHeader")]
    fn raw_header(&self, block: BlockId) -> Result<Bytes, RpcError>;

    #[method(name = "getRawBlock")]
    fn raw_block(&self, block: BlockId) -> Result<Bytes, RpcError>;

    #[method(name = "getRawTransaction")]
    fn raw_transaction(&self, hash: Hash) -> Result<Option<Bytes>, RpcError>;

    #[method(name = "getRawReceipts")]
    fn raw_receipts(&self, block: BlockId) -> Result<Vec<Bytes>, RpcError>;

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
    ) -> Result<Vec<TraceResult<GethTrace, String>>, RpcError>;

    #[method(name = "traceBlockByHash")]
    async fn trace_block_by_hash(
        &self,
        hash: B256,
        options: Option<GethDebugTracingOptions>,
    ) -> Result<Vec<TraceResult<GethTrace, String>>, RpcError>;

    #[method(name = "traceCall")]
    async fn trace_call(
        &self,
        request: TransactionRequest,
        block: Option<BlockId>,
        options: Option<GethDebugTracingCallOptions>,
    ) -> Result<GethTrace, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl DebugServer for Rpc {
    fn raw_header(&self, block: BlockId) -> Result<Bytes, RpcError> {
        let (header, _) = self.header(block)?.ok_or(RpcError::HeaderNotFound)?;
        Ok(alloy_rlp::encode(header).into())
    }

    fn raw_block(&self, block: BlockId) -> Result<Bytes, RpcError> {
        let view = self.block(block)?.ok_or(RpcError::HeaderNotFound)?;
        let mut bytes = Vec::with_capacity(view.block.length());
        view.block.encode(&mut bytes);
        Ok(bytes.into())
    }

    fn raw_transaction(&self, hash: Hash) -> Result<Option<Bytes>, RpcError> {
        super::transactions::EthTransactionsServer::raw_transaction_by_hash(self, hash)
    }

    fn raw_receipts(&self, block: BlockId) -> Result<Vec<Bytes>, RpcError> {
        let view = self.block(block)?.ok_or(RpcError::HeaderNotFound)?;
        Ok(self.receipts(&view)?.iter().map(|receipt| receipt.encoded_2718().into()).collect())
    }

    async fn trace_transaction(
        &self,
        hash: B256,
        options: Option<GethDebugTracingOptions>,
    ) -> Result<GethTrace, RpcError> {
        self.search(move |rpc| {
            // geth's words (`errTxNotFound`).
            let not_found = || RpcError::refused("transaction not found");
            let (block, wanted) = rpc.find_transaction(hash)?.ok_or_else(not_found)?;
            let traces = rpc.trace_block(&block, |index| index == wanted, options.unwrap_or_default())?;
            traces.into_iter().next().map(|(_, trace)| trace).ok_or_else(not_found)
        })
        .await
    }

    async fn trace_block_by_number(
        &self,
        number: BlockNumberOrTag,
        options: Option<GethDebugTracingOptions>,
    ) -> Result<Vec<TraceResult<GethTrace, String>>, RpcError> {
        self.trace_whole(number.into(), options).await
    }

    async fn trace_block_by_hash(
        &self,
        hash: B256,
        options: Option<GethDebugTracingOptions>,
    ) -> Result<Vec<TraceResult<GethTrace, String>>, RpcError> {
        self.trace_whole(hash.into(), options).await
    }

    async fn trace_call(
        &self,
        call: TransactionRequest,
        block: Option<BlockId>,
        options: Option<GethDebugTracingCallOptions>,
    ) -> Result<GethTrace, RpcError> {
        let GethDebugTracingCallOptions { tracing_options, state_overrides, block_overrides, .. } =
            options.unwrap_or_default();
        let inspector = trace::inspector(tracing_options)?;
        let block = block.unwrap_or_default();
        let block_overrides = block_overrides.map(Box::new);
        let request = SimulationRequest { call, block, state_overrides, block_overrides };
        let run = self.node.simulate_watched(request, inspector, |watched: Watched<'_, DebugInspector>| {
            let Watched { inspector, transaction, block, result, state } = watched;
            inspector.get_result(None, transaction, block, result, state).map_err(RpcError::internal)
        });
        let (_, traced) = self.in_time(run).await??;
        trace::checked(traced?)
    }
}

impl Rpc {
    async fn trace_whole(
        &self,
        block: BlockId,
        options: Option<GethDebugTracingOptions>,
    ) -> Result<Vec<TraceResult<GethTrace, String>>, RpcError> {
        self.search(move |rpc| {
            let block = rpc.block(block)?.ok_or(RpcError::HeaderNotFound)?;
            let traces = rpc.trace_block(&block, |_| true, options.unwrap_or_default())?;
            Ok(traces.into_iter().map(|(hash, trace)| TraceResult::new_success(trace, Some(hash))).collect())
        })
        .await
    }
}
