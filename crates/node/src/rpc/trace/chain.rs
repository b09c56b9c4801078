//! `debug_subscribe("traceChain", …)`: the traces of a range of blocks, block by block, as geth tells them.

use crate::{
    rpc::{Rpc, RpcError},
    store::StoredBlock,
};
use alloy::eips::BlockNumberOrTag;
use alloy_primitives::{B256, U64};
use alloy_rpc_types_trace::geth::{GethDebugTracingOptions, GethTrace};
use jsonrpsee::{
    PendingSubscriptionSink, SubscriptionSink,
    core::{SubscriptionError, SubscriptionResult},
    proc_macros::rpc,
};
use serde::Serialize;

#[rpc(server, namespace = "debug")]
pub(crate) trait DebugPubSub {
    #[subscription(name = "subscribe" => "subscription", unsubscribe = "unsubscribe", item = serde_json::Value)]
    async fn subscribe(
        &self,
        kind: String,
        start: Option<BlockNumberOrTag>,
        end: Option<BlockNumberOrTag>,
        options: Option<GethDebugTracingOptions>,
    ) -> SubscriptionResult;
}

#[jsonrpsee::core::async_trait]
impl DebugPubSubServer for Rpc {
    async fn subscribe(
        &self,
        pending: PendingSubscriptionSink,
        kind: String,
        start: Option<BlockNumberOrTag>,
        end: Option<BlockNumberOrTag>,
        options: Option<GethDebugTracingOptions>,
    ) -> SubscriptionResult {
        let range = match self.range_to_trace(&kind, start, end) {
            Ok(range) => range,
            Err(error) => {
                pending.reject(error).await;
                return Ok(());
            }
        };
        let sink = pending.accept().await?;
        let telling = Telling { rpc: self.clone(), sink, options: options.unwrap_or_default() };
        tokio::spawn(async move {
            if let Err(error) = telling.serve(range).await {
                tracing::debug!(?error, "a subscription to traces ended");
            }
        });
        Ok(())
    }
}

/// The blocks behind `first`, up to and with `last`.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: u64,
    last: u64,
}

impl Rpc {
    fn range_to_trace(
        &self,
        kind: &str,
        start: Option<BlockNumberOrTag>,
        end: Option<BlockNumberOrTag>,
    ) -> Result<Range, RpcError> {
        if kind != "traceChain" {
            // geth's words.
            return Err(RpcError::Coded {
                code: crate::rpc::error::METHOD_NOT_FOUND,
                message: format!("no {kind:?} subscription in debug namespace"),
            });
        }
        let number = |which: &str, tag: Option<BlockNumberOrTag>| {
            let tag = tag.ok_or_else(|| RpcError::invalid(format!("missing value for the {which} block")))?;
            let missing = || RpcError::refused(format!("{which} block {tag} not found"));
            self.number_of(tag.into())?.ok_or_else(missing)
        };
        let (start, end) = (number("start", start)?, number("end", end)?);
        if start >= end {
            return Err(RpcError::refused(format!("end block (#{end}) needs to come after start block (#{start})")));
        }
        Ok(Range { first: start + 1, last: end })
    }
}

/// geth's `blockTraceResult`.
#[derive(Debug, Serialize)]
struct BlockTraces {
    block: U64,
    hash: B256,
    traces: Vec<TransactionTrace>,
}

/// geth's `txTraceResult`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TransactionTrace {
    tx_hash: B256,
    result: GethTrace,
}

struct Telling {
    rpc: Rpc,
    sink: SubscriptionSink,
    options: GethDebugTracingOptions,
}

impl Telling {
    /// Tells of every block that has transactions, and of the last one.
    async fn serve(&self, range: Range) -> Result<(), SubscriptionError> {
        for number in range.first..=range.last {
            if self.sink.is_closed() {
                return Ok(());
            }
            // After a rewind the rest is no longer there to be traced.
            let Some(block) = self.rpc.block(number.into())? else { return Ok(()) };
            let (is_empty, is_last) = (block.block.body.transactions.is_empty(), number == range.last);
            if is_empty && !is_last {
                continue;
            }
            let told = self.traces_of(block).await?;
            self.sink.send(serde_json::value::to_raw_value(&told)?).await?;
        }
        self.sink.closed().await;
        Ok(())
    }

    async fn traces_of(&self, block: StoredBlock) -> Result<BlockTraces, RpcError> {
        // Every block has its time, as if it had been asked for alone.
        let options = self.rpc.tracer_options(Some(self.options.clone())).await?;
        self.rpc
            .search(move |rpc| {
                let traces = rpc.traces(&block, |_| true, &options)?;
                let traces = traces.into_iter().map(|(tx_hash, result)| TransactionTrace { tx_hash, result });
                Ok(BlockTraces { block: U64::from(block.number()), hash: block.hash, traces: traces.collect() })
            })
            .await
    }
}
