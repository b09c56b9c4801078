//! Making blocks, and when they are made.

use super::{Dialect, Group, Registered, miner_error, small};
use crate::rpc::{Rpc, RpcError, trace::TracerOptions};
use alloy_primitives::{B256, U64, U256};
use jsonrpsee::types::Params;
use serde::Deserialize;
use serde_json::Value;

/// Blocks of one request to mine.
const BLOCKS_MINED_MAX: u64 = 100_000;
/// `evm_setIntervalMining` takes seconds from anvil's users and milliseconds from hardhat's. Nobody asks for a block every
/// hundred seconds, nor every ninety-nine milliseconds: numbers below this are seconds.
const INTERVAL_SECONDS_MAX: u64 = 99;

/// What `evm_mine` may be given: a timestamp, or a timestamp and a number of blocks.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum MineOptions {
    Timestamp(U256),
    Options { timestamp: Option<U256>, blocks: Option<U256> },
}

/// hardhat draws an interval between two.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Interval {
    Fixed(U256),
    Between([U256; 2]),
}

pub(super) fn register(group: &mut Group) -> Registered {
    if group.is(Dialect::Tenderly) {
        return Ok(());
    }
    automine(group)?;
    if group.is(Dialect::Evm) {
        group.offer("mine", |params, rpc| async move {
            rpc.mine_as_told(&params).await?;
            Ok(U64::ZERO)
        })?;
    } else {
        group.offer_deed("mine", |params, rpc| async move {
            let mut params = params.sequence();
            let (blocks, interval) = (params.optional_next::<U256>()?, params.optional_next::<U256>()?);
            rpc.mine_blocks(blocks, interval).await?;
            Ok(())
        })?;
    }
    if matches!(group.dialect, Dialect::Evm | Dialect::Anvil) {
        group.offer("mine_detailed", |params, rpc| async move {
            let mined = rpc.mine_as_told(&params).await?;
            Ok(rpc.search(move |rpc| rpc.detailed(&mined)).await?)
        })?;
    }
    Ok(())
}

fn automine(group: &mut Group) -> Registered {
    group.offer_deed("setAutomine", |params, rpc| async move {
        let is_on: bool = params.one()?;
        rpc.node.set_automine(is_on).await.map_err(miner_error)?;
        if is_on {
            // anvil: blocks are made on arrival or by the clock, as was said last.
            rpc.node.set_block_interval_ms(None).await.map_err(miner_error)?;
        }
        rpc.arrival.forget();
        Ok(())
    })?;
    group.offer("getAutomine", |_, rpc| async move { Ok(rpc.node.cadence().await.map_err(miner_error)?.automine) })?;
    if group.is(Dialect::Hardhat) {
        return group.offer_deed("intervalMine", |_, rpc| async move {
            rpc.mine_blocks(None, None).await?;
            Ok(())
        });
    }
    let is_anvil = group.is(Dialect::Anvil);
    group.offer_deed("setIntervalMining", move |params, rpc| async move {
        Ok(rpc.set_interval_mining(params.one()?, is_anvil).await?)
    })?;
    group.offer("getIntervalMining", |_, rpc| async move {
        let interval_ms = rpc.node.cadence().await.map_err(miner_error)?.interval_ms;
        Ok(interval_ms.map(|milliseconds| milliseconds.div_ceil(1_000)))
    })
}

impl Rpc {
    /// Mines what `evm_mine` was given, and returns the blocks.
    async fn mine_as_told(&self, params: &Params<'static>) -> Result<Vec<B256>, RpcError> {
        let options = params.sequence().optional_next::<MineOptions>();
        let options = options.map_err(|error| RpcError::invalid(error.message().to_owned()))?;
        let (timestamp, blocks) = match options {
            None => (None, None),
            Some(MineOptions::Timestamp(timestamp)) => (Some(timestamp), None),
            Some(MineOptions::Options { timestamp, blocks }) => (timestamp, blocks),
        };
        if let Some(timestamp) = timestamp.filter(|timestamp| !timestamp.is_zero()) {
            self.set_next_block_timestamp(timestamp)?;
        }
        self.mine_blocks(blocks, None).await
    }

    async fn mine_blocks(&self, blocks: Option<U256>, interval_seconds: Option<U256>) -> Result<Vec<B256>, RpcError> {
        let blocks = blocks.map_or(Ok(1), |blocks| small(blocks, "the number of blocks"))?;
        if blocks > BLOCKS_MINED_MAX {
            return Err(RpcError::invalid(format!("cannot mine {blocks} blocks at once; at most {BLOCKS_MINED_MAX}")));
        }
        let interval = interval_seconds.map_or(Ok(0), |seconds| small(seconds, "the interval"))?;
        Ok(self.node.mine(blocks, (interval > 0).then_some(interval)).await?)
    }

    async fn set_interval_mining(&self, interval: Interval, is_in_seconds: bool) -> Result<(), RpcError> {
        let interval = match interval {
            Interval::Fixed(interval) => small(interval, "the interval")?,
            Interval::Between([least, most]) if least > most => {
                return Err(RpcError::invalid(format!("the interval [{least}, {most}] has its bounds the wrong way")));
            }
            // In the middle: the chain's own record shows when blocks were made, not how that was chosen.
            Interval::Between([least, most]) => {
                let milliseconds = small(least, "the interval")?.midpoint(small(most, "the interval")?);
                return self.mine_every(milliseconds).await;
            }
        };
        if !is_in_seconds && interval > INTERVAL_SECONDS_MAX {
            return self.mine_every(interval).await;
        }
        // anvil: blocks are made on arrival or by the clock, as was said last.
        if interval > 0 {
            self.node.set_automine(false).await?;
            self.arrival.forget();
        }
        self.mine_every(interval.saturating_mul(1_000)).await
    }

    async fn mine_every(&self, milliseconds: u64) -> Result<(), RpcError> {
        Ok(self.node.set_block_interval_ms((milliseconds > 0).then_some(milliseconds)).await?)
    }

    /// Blocks with their transactions, and what each of those returned, as anvil shows it.
    fn detailed(&self, blocks: &[B256]) -> Result<Vec<Value>, RpcError> {
        let mut shown = Vec::new();
        for hash in blocks {
            let Some(block) = self.block((*hash).into())? else { continue };
            let mut value =
                serde_json::to_value(super::super::convert::block(&block.block, block.hash, &block.senders, true))
                    .map_err(RpcError::internal)?;
            let outputs = self.outputs_of(&block)?;
            let transactions = value["transactions"].as_array_mut().into_iter().flatten();
            for (transaction, (output, revert_reason)) in transactions.zip(outputs) {
                if let Some(reason) = revert_reason {
                    transaction["revertReason"] = reason.into();
                }
                transaction["output"] = serde_json::to_value(output).map_err(RpcError::internal)?;
            }
            shown.push(value);
        }
        Ok(shown)
    }

    /// What each transaction of a block returned, and why it reverted if it did.
    fn outputs_of(
        &self,
        block: &crate::store::StoredBlock,
    ) -> Result<Vec<(alloy_primitives::Bytes, Option<String>)>, RpcError> {
        use alloy_rpc_types_trace::geth::{CallConfig, GethDebugTracingOptions, GethTrace};
        let options = GethDebugTracingOptions::call_tracer(CallConfig::default().only_top_call());
        let options = TracerOptions::new(options, self.limits.call_time_max)?;
        let traces = self.traces(block, |_| true, &options)?;
        let outputs = traces.into_iter().map(|(_, trace)| match trace {
            GethTrace::CallTracer(frame) => {
                let reason = frame.error.as_ref().map(|error| frame.revert_reason.clone().unwrap_or(error.clone()));
                (frame.output.unwrap_or_default(), reason)
            }
            _ => Default::default(),
        });
        Ok(outputs.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn evm_mine_reads_what_hardhat_and_ganache_clients_send() {
        let read = |value| serde_json::from_value::<MineOptions>(value).expect("options");
        assert!(matches!(read(json!(17)), MineOptions::Timestamp(at) if at == U256::from(17)));
        assert!(matches!(read(json!("0x11")), MineOptions::Timestamp(at) if at == U256::from(17)));
        let MineOptions::Options { blocks, .. } = read(json!({"blocks": 5})) else { panic!("an object") };
        assert_eq!(blocks, Some(U256::from(5)));
    }
}
