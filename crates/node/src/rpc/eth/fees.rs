//! Prices: what to pay, and what was paid.

use crate::{
    execute::next_base_fee,
    rpc::{Rpc, RpcError},
    store::StoredBlock,
    types::Header,
};
use alloy::{consensus::Transaction as _, eips::BlockNumberOrTag, rpc::types::FeeHistory};
use alloy_primitives::{B256, U64, U256};
use jsonrpsee::proc_macros::rpc;
use parking_lot::Mutex;

/// Blocks that the suggestion looks back (geth: `gpo.blocks`).
const TIP_BLOCKS: u64 = 20;
/// Percentile of the tips seen (geth: `gpo.percentile`).
const TIP_PERCENTILE: usize = 60;
/// Cheapest transactions looked at in each block (geth: `sampleNumber`).
const TIP_SAMPLES: usize = 3;
/// Tips below this are not looked at, in wei per gas (geth: `gpo.ignoreprice`).
const TIP_IGNORED_BELOW: u128 = 2;
/// Percentiles of one `eth_feeHistory` (geth: `maxQueryLimit`).
const PERCENTILES_MAX: usize = 100;

/// The last suggestion and the head it was made for.
#[derive(Debug)]
pub(crate) struct TipCache {
    last: Mutex<Option<(B256, u128)>>,
    /// Suggested when the last blocks give no guidance, in wei per gas.
    default: u128,
}

impl TipCache {
    /// No suggestion yet; `default`, in wei per gas, when the last blocks give no guidance.
    pub(crate) fn new(default: u128) -> Self {
        Self { last: Mutex::default(), default }
    }
}

#[rpc(server, namespace = "eth")]
pub(crate) trait EthFees {
    #[method(name = "gasPrice")]
    fn gas_price(&self) -> Result<U256, RpcError>;

    #[method(name = "maxPriorityFeePerGas")]
    fn max_priority_fee_per_gas(&self) -> Result<U256, RpcError>;

    #[method(name = "baseFee")]
    fn base_fee(&self) -> Result<U256, RpcError>;

    #[method(name = "blobBaseFee")]
    fn blob_base_fee(&self) -> Result<U256, RpcError>;

    #[method(name = "feeHistory")]
    async fn fee_history(
        &self,
        blocks: U64,
        newest: BlockNumberOrTag,
        percentiles: Option<Vec<f64>>,
    ) -> Result<FeeHistory, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl EthFeesServer for Rpc {
    fn gas_price(&self) -> Result<U256, RpcError> {
        Ok(U256::from(self.suggested_price()?))
    }

    fn max_priority_fee_per_gas(&self) -> Result<U256, RpcError> {
        Ok(U256::from(self.suggested_tip()?))
    }

    fn base_fee(&self) -> Result<U256, RpcError> {
        Ok(U256::from(self.next_base_fee()?))
    }

    fn blob_base_fee(&self) -> Result<U256, RpcError> {
        let (head, _) = self.head_header()?;
        Ok(U256::from(self.next_blob_fee(&head)))
    }

    async fn fee_history(
        &self,
        blocks: U64,
        newest: BlockNumberOrTag,
        percentiles: Option<Vec<f64>>,
    ) -> Result<FeeHistory, RpcError> {
        let percentiles = percentiles.unwrap_or_default();
        check_percentiles(&percentiles)?;
        let head = self.node.head().number;
        let newest = match newest {
            BlockNumberOrTag::Number(number) if number > head => {
                return Err(RpcError::refused(format!("request beyond head block: requested {number}, head {head}")));
            }
            tag => self.number_of(tag.into())?.unwrap_or(head),
        };
        let blocks = blocks.to::<u64>().min(self.limits.fee_history_blocks_max).min(newest + 1);
        if blocks == 0 {
            return Ok(FeeHistory::default());
        }
        self.search(move |rpc| rpc.history(newest + 1 - blocks, newest, &percentiles)).await
    }
}

impl Rpc {
    /// A price that should do, in wei per gas.
    pub(crate) fn suggested_price(&self) -> Result<u128, RpcError> {
        Ok(self.suggested_tip()? + u128::from(self.next_base_fee()?))
    }

    /// A tip that should do: geth's oracle over the last blocks.
    pub(super) fn suggested_tip(&self) -> Result<u128, RpcError> {
        let head = self.node.head();
        if let Some((hash, tip)) = *self.tips.last.lock()
            && hash == head.hash
        {
            return Ok(tip);
        }
        let mut tips = Vec::new();
        // What a chain that was forked had to pay is no guide to this one.
        let first = head.number.saturating_sub(TIP_BLOCKS - 1).max(self.node.chain().first_block()?);
        for number in (first..=head.number).rev() {
            if let Some(block) = self.block(number.into())? {
                tips.extend(cheapest_tips(&block));
            }
        }
        tips.sort_unstable();
        let tip = tips.get(tips.len().saturating_sub(1) * TIP_PERCENTILE / 100).copied().unwrap_or(self.tips.default);
        *self.tips.last.lock() = Some((head.hash, tip));
        Ok(tip)
    }

    fn next_blob_fee(&self, head: &Header) -> u128 {
        let params = self.node.spec().blob_params_at(head.timestamp);
        params.and_then(|params| head.next_block_blob_fee(params)).unwrap_or_default()
    }

    fn history(&self, oldest: u64, newest: u64, percentiles: &[f64]) -> Result<FeeHistory, RpcError> {
        let mut history = FeeHistory { oldest_block: oldest, ..FeeHistory::default() };
        let mut rewards = Vec::new();
        for number in oldest..=newest {
            let Some((header, _)) = self.header(number.into())? else { break };
            let params = self.node.spec().blob_params_at(header.timestamp);
            let blob_fee = params.and_then(|params| header.blob_fee(params)).unwrap_or_default();
            let blob_gas_max = params.map_or(0, |params| params.max_blob_gas_per_block());
            history.base_fee_per_gas.push(header.base_fee_per_gas.unwrap_or_default().into());
            history.gas_used_ratio.push(ratio(header.gas_used, header.gas_limit));
            history.base_fee_per_blob_gas.push(blob_fee);
            history.blob_gas_used_ratio.push(ratio(header.blob_gas_used.unwrap_or_default(), blob_gas_max));
            if !percentiles.is_empty() {
                rewards.push(self.rewards(number, percentiles)?);
            }
            if number == newest {
                let next = next_base_fee(&**self.node.spec(), &header).unwrap_or_default();
                history.base_fee_per_gas.push(next.into());
                history.base_fee_per_blob_gas.push(self.next_blob_fee(&header));
            }
        }
        history.reward = (!percentiles.is_empty()).then_some(rewards);
        Ok(history)
    }

    fn rewards(&self, number: u64, percentiles: &[f64]) -> Result<Vec<u128>, RpcError> {
        let Some(block) = self.node.chain().block(number)? else { return Ok(vec![0; percentiles.len()]) };
        let base_fee = block.block.header.base_fee_per_gas.unwrap_or_default();
        let mut gas_before = 0;
        let mut paid = Vec::new();
        for (transaction, receipt) in block.block.body.transactions.iter().zip(self.receipts(&block)?) {
            let gas_used = receipt.cumulative_gas_used() - gas_before;
            gas_before = receipt.cumulative_gas_used();
            paid.push((transaction.effective_tip_per_gas(base_fee).unwrap_or_default(), gas_used));
        }
        Ok(percentile_tips(paid, block.block.header.gas_used, percentiles))
    }
}

fn cheapest_tips(block: &StoredBlock) -> Vec<u128> {
    let (base_fee, miner) = (block.block.header.base_fee_per_gas.unwrap_or_default(), block.block.header.beneficiary);
    let foreign = block.block.body.transactions.iter().zip(&block.senders).filter(|(_, sender)| **sender != miner);
    let mut tips: Vec<_> = foreign
        .filter_map(|(transaction, _)| transaction.effective_tip_per_gas(base_fee))
        .filter(|tip| *tip >= TIP_IGNORED_BELOW)
        .collect();
    tips.sort_unstable();
    tips.truncate(TIP_SAMPLES);
    tips
}

/// The tips paid at these percentiles of the gas used (geth: `processBlock`).
fn percentile_tips(mut paid: Vec<(u128, u64)>, gas_used: u64, percentiles: &[f64]) -> Vec<u128> {
    paid.sort_unstable();
    let Some((_, first_gas)) = paid.first() else { return vec![0; percentiles.len()] };
    let (mut index, mut gas) = (0, *first_gas);
    let tip_at = |percentile: &f64| {
        let threshold = (gas_used as f64 * percentile / 100.0) as u64;
        while gas < threshold && index + 1 < paid.len() {
            index += 1;
            gas += paid[index].1;
        }
        paid[index].0
    };
    percentiles.iter().map(tip_at).collect()
}

fn check_percentiles(percentiles: &[f64]) -> Result<(), RpcError> {
    if percentiles.len() > PERCENTILES_MAX {
        let given = percentiles.len();
        return Err(RpcError::invalid(format!("over the query limit: {given} percentiles, at most {PERCENTILES_MAX}")));
    }
    if let Some(wrong) = percentiles.iter().find(|percentile| !(0.0..=100.0).contains(*percentile)) {
        return Err(RpcError::invalid(format!("invalid reward percentile: {wrong}")));
    }
    if let Some(pair) = percentiles.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(RpcError::invalid(format!("invalid reward percentile: {} is not above {}", pair[1], pair[0])));
    }
    Ok(())
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_gas_not_of_transactions() {
        let paid = vec![(9, 10_000), (1, 80_000), (5, 10_000)];
        assert_eq!(percentile_tips(paid, 100_000, &[0.0, 50.0, 85.0, 100.0]), [1, 1, 5, 9]);
    }

    #[test]
    fn an_empty_block_rewards_nothing() {
        assert_eq!(percentile_tips(Vec::new(), 0, &[50.0, 60.0]), [0, 0]);
    }

    #[test]
    fn percentiles_must_rise_between_0_and_100() {
        assert!(check_percentiles(&[0.0, 50.0, 100.0]).is_ok());
        assert!(check_percentiles(&[50.0, 50.0]).is_err());
        assert!(check_percentiles(&[-1.0]).is_err());
        assert!(check_percentiles(&[f64::NAN]).is_err());
        assert!(check_percentiles(&[101.0]).is_err());
    }
}
