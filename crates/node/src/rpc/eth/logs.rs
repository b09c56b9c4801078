//! Logs, and filters that are asked again and again.

use crate::{
    fork::ForkCache,
    rpc::{
        Rpc, RpcError,
        convert::{self, RpcTransaction},
        filters::FilterKind,
        log_filter::LogFilter,
        recent::BlockWithReceipts,
        shown_log::ShownLog,
    },
    service::ChainEvent,
    store::{LogQuery, StoredBlock},
    types::Receipt,
};
use alloy::{
    eips::{BlockId, BlockNumHash, BlockNumberOrTag},
    rpc::types::{Filter, FilterBlockOption, FilterChanges, Log},
};
use alloy_primitives::U256;
use jsonrpsee::proc_macros::rpc;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};
use std::{mem::take, ops::RangeInclusive, time::Instant};
use tokio::sync::broadcast::{self, error::TryRecvError};

#[rpc(server, namespace = "eth")]
pub(crate) trait EthLogs {
    #[method(name = "getLogs")]
    async fn logs(&self, filter: LogFilter) -> Result<Vec<ShownLog>, RpcError>;

    #[method(name = "newFilter")]
    fn new_filter(&self, filter: LogFilter) -> Result<U256, RpcError>;

    #[method(name = "newBlockFilter")]
    fn new_block_filter(&self) -> Result<U256, RpcError>;

    #[method(name = "newPendingTransactionFilter")]
    fn new_pending_transaction_filter(&self, full: Option<bool>) -> Result<U256, RpcError>;

    #[method(name = "getFilterChanges")]
    async fn filter_changes(&self, id: U256) -> Result<FilterChanges<RpcTransaction>, RpcError>;

    #[method(name = "getFilterLogs")]
    async fn filter_logs(&self, id: U256) -> Result<Vec<ShownLog>, RpcError>;

    #[method(name = "uninstallFilter")]
    fn uninstall_filter(&self, id: U256) -> Result<bool, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl EthLogsServer for Rpc {
    async fn logs(&self, filter: LogFilter) -> Result<Vec<ShownLog>, RpcError> {
        match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => {
                let number = self.node.chain().block_number(hash)?;
                let found = number.map(|number| self.block_with_receipts(number)).transpose()?.flatten();
                let found = found.filter(|found| found.block.hash == hash);
                let mut logs = Vec::new();
                match (found, self.node.fork()) {
                    (Some(found), _) => found.append_shown_logs(&mut logs, &filter),
                    // It may be one of the chain that was forked.
                    (None, Some(fork)) => logs = self.logs_of_fork(&fork, json!(*filter)).await?,
                    // geth's words (`errUnknownBlock`).
                    (None, None) => return Err(RpcError::refused("unknown block")),
                }
                Ok(logs)
            }
            FilterBlockOption::Range { from_block, to_block } => {
                let Some(range) = self.log_range(from_block, to_block)? else { return Ok(Vec::new()) };
                let (theirs, ours) = self.split_at_fork(range);
                let mut logs = match (self.node.fork(), theirs) {
                    (Some(fork), Some(theirs)) => self.logs_of_fork(&fork, filter.over(&theirs)).await?,
                    _ => Vec::new(),
                };
                let (blocks, blocks_max) = ((ours.end() + 1).saturating_sub(*ours.start()), self.limits.log_blocks_max);
                if blocks > blocks_max {
                    return Err(RpcError::LimitExceeded(format!(
                        "exceed maximum block range: {blocks} blocks asked for, at most {blocks_max} at a time"
                    )));
                }
                let append =
                    |logs: &mut Vec<_>, filter: &_, found: &BlockWithReceipts| found.append_shown_logs(logs, filter);
                logs.append(&mut self.scan(filter, ours, append).await?);
                Ok(logs)
            }
        }
    }

    fn new_filter(&self, filter: LogFilter) -> Result<U256, RpcError> {
        let next = match &filter.block_option {
            FilterBlockOption::Range { from_block: Some(BlockNumberOrTag::Number(from)), .. } => {
                (*from).max(self.node.head().number + 1)
            }
            _ => self.node.head().number + 1,
        };
        self.filters.install(FilterKind::Logs { filter: Box::new(filter), next, removed: Vec::new() }, Instant::now())
    }

    fn new_block_filter(&self) -> Result<U256, RpcError> {
        self.filters.install(FilterKind::Blocks { next: self.node.head().number + 1 }, Instant::now())
    }

    fn new_pending_transaction_filter(&self, full: Option<bool>) -> Result<U256, RpcError> {
        let kind = FilterKind::Pending { events: self.node.subscribe(), full: full.unwrap_or_default() };
        self.filters.install(kind, Instant::now())
    }

    async fn filter_changes(&self, id: U256) -> Result<FilterChanges<RpcTransaction>, RpcError> {
        let head = self.node.head().number;
        let blocks_max = self.limits.log_blocks_max;
        let told = self.filters.with(id, Instant::now(), |kind| advance(kind, head, blocks_max))?;
        match told {
            Advance::Pending(pending, true) => Ok(FilterChanges::Transactions(pending)),
            Advance::Pending(pending, false) => {
                Ok(FilterChanges::Hashes(pending.iter().map(|transaction| *transaction.inner.tx_hash()).collect()))
            }
            Advance::Blocks(range) => {
                let hash = |number| Ok(self.node.chain().block_hash(number)?);
                let hashes = range.map(hash).collect::<Result<Vec<_>, RpcError>>()?;
                Ok(FilterChanges::Hashes(hashes.into_iter().flatten().collect()))
            }
            Advance::Logs(filter, range, mut told) => {
                let first = *range.start();
                let append = |logs: &mut Vec<_>, filter: &_, found: &BlockWithReceipts| {
                    append_logs(logs, filter, &found.block, &found.receipts, false)
                };
                match self.scan(*filter, range, append).await {
                    Ok(logs) => told.extend(logs),
                    Err(error) => {
                        // What could not be told now is told next time.
                        let _ = self.filters.with(id, Instant::now(), |kind| rewind(kind, first, told));
                        return Err(error);
                    }
                }
                Ok(FilterChanges::Logs(told))
            }
        }
    }

    async fn filter_logs(&self, id: U256) -> Result<Vec<ShownLog>, RpcError> {
        let filter = self.filters.with(id, Instant::now(), |kind| match kind {
            FilterKind::Logs { filter, .. } => Some(filter.clone()),
            _ => None,
        })?;
        // geth's words: such a filter is none of the kind asked for.
        let filter = filter.ok_or_else(|| RpcError::refused("filter not found"))?;
        self.logs(*filter).await
    }

    fn uninstall_filter(&self, id: U256) -> Result<bool, RpcError> {
        Ok(self.filters.uninstall(id))
    }
}

/// What a filter has to tell now.
enum Advance {
    /// The last are logs that are gone.
    Logs(Box<LogFilter>, RangeInclusive<u64>, Vec<Log>),
    Blocks(RangeInclusive<u64>),
    Pending(Vec<RpcTransaction>, bool),
}

/// Moves a filter up to the head (at most `blocks_max` blocks at a time) and says what it passed.
fn advance(kind: &mut FilterKind, head: u64, blocks_max: u64) -> Advance {
    let pass = |next: &mut u64| {
        // After a rewind the head is below what was told: go on from there.
        let first = (*next).min(head + 1);
        let last = head.min(first.saturating_add(blocks_max - 1));
        *next = last + 1;
        first..=last
    };
    match kind {
        FilterKind::Logs { filter, next, removed } if *next > head + 1 && starts_at(filter) == Some(*next) => {
            // Its first block is still to come.
            Advance::Logs(filter.clone(), *next..=*next - 1, take(removed))
        }
        FilterKind::Logs { filter, next, removed } => Advance::Logs(filter.clone(), pass(next), take(removed)),
        FilterKind::Blocks { next } => Advance::Blocks(pass(next)),
        FilterKind::Pending { events, full } => Advance::Pending(drain(events), *full),
    }
}

fn rewind(kind: &mut FilterKind, first: u64, mut untold: Vec<Log>) {
    if let FilterKind::Logs { next, removed, .. } = kind {
        *next = first.min(*next);
        untold.append(removed);
        *removed = untold;
    }
}

fn starts_at(filter: &Filter) -> Option<u64> {
    match filter.block_option {
        FilterBlockOption::Range { from_block: Some(BlockNumberOrTag::Number(from)), .. } => Some(from),
        _ => None,
    }
}

fn drain(events: &mut broadcast::Receiver<ChainEvent>) -> Vec<RpcTransaction> {
    let mut pending = Vec::new();
    loop {
        match events.try_recv() {
            Ok(ChainEvent::NewPending(entry)) => pending.push(convert::pending(entry.transaction().clone())),
            Ok(_) | Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return pending,
        }
    }
}

/// Adds the logs of a block that the filter wants.
pub(crate) fn append_logs(
    logs: &mut Vec<Log>,
    filter: &LogFilter,
    block: &StoredBlock,
    receipts: &[Receipt],
    removed: bool,
) {
    let hashes = block.block.body.transactions.iter().map(|transaction| *transaction.tx_hash());
    let at = BlockNumHash::new(block.number(), block.hash);
    let first = logs.len();
    filter.append_matching_block_logs(logs, at, block.block.header.timestamp, hashes.zip(receipts), removed);
    filter.keep_long_enough(logs, first);
}

impl Rpc {
    /// The blocks a range of `eth_getLogs` means; `None` if they are all still to come.
    fn log_range(
        &self,
        from: Option<BlockNumberOrTag>,
        to: Option<BlockNumberOrTag>,
    ) -> Result<Option<RangeInclusive<u64>>, RpcError> {
        let head = self.node.head().number;
        let number = |tag: Option<BlockNumberOrTag>| match tag {
            Some(BlockNumberOrTag::Number(number)) => Ok(number),
            Some(tag) => Ok(self.number_of(BlockId::Number(tag))?.unwrap_or(head)),
            None => Ok::<_, RpcError>(head),
        };
        let (first, last) = (number(from)?, number(to)?);
        // geth's words (`errInvalidBlockRange`, `errBlockRangeIntoFuture`).
        let disorder = || RpcError::invalid("invalid block range params");
        match to {
            Some(BlockNumberOrTag::Number(to)) if first > to && from.is_some() => return Err(disorder()),
            Some(BlockNumberOrTag::Number(to)) if to > head => {
                return Err(RpcError::invalid("block range extends beyond current head block"));
            }
            Some(_) if first > last => return Err(disorder()),
            // A client that asks from the next block on, and up to whatever there is.
            None if first > last => return Ok(None),
            _ => {}
        }
        Ok(Some(first..=last))
    }

    /// The blocks of the chain that was forked, and those of this chain, which begins as its last one.
    fn split_at_fork(&self, range: RangeInclusive<u64>) -> (Option<RangeInclusive<u64>>, RangeInclusive<u64>) {
        let (first, last) = range.into_inner();
        match self.node.spec().fork().map(|point| point.block_number) {
            Some(fork) if first <= fork => (Some(first..=last.min(fork)), fork + 1..=last),
            _ => (None, first..=last),
        }
    }

    async fn logs_of_fork(&self, fork: &ForkCache, filter: Value) -> Result<Vec<ShownLog>, RpcError> {
        let params = to_raw_value(&[filter]).expect("a filter is JSON");
        let answer = fork.source().forward("eth_getLogs".to_owned(), Some(params)).await;
        let coded = |code, message| RpcError::Coded { code, message };
        let result = answer.map_err(|fault| RpcError::refused(fault.to_string()))?;
        let result = result.map_err(|(code, message, _)| coded(code, message))?;
        let logs: Vec<Box<RawValue>> = serde_json::from_str(result.get()).map_err(|error| {
            RpcError::refused(format!("the chain that was forked answers no list of logs: {error}"))
        })?;
        if logs.len() > self.limits.logs_max {
            let logs_max = self.limits.logs_max;
            return Err(RpcError::LimitExceeded(format!(
                "query returned more than {logs_max} results before the fork"
            )));
        }
        Ok(logs.into_iter().map(ShownLog::from).collect())
    }

    async fn scan<T: Send + 'static>(
        &self,
        filter: LogFilter,
        range: RangeInclusive<u64>,
        append: Append<T>,
    ) -> Result<Vec<T>, RpcError> {
        // A few blocks are faster read here than handed to another thread.
        const BLOCKS_IN_PLACE_MAX: u64 = 32;
        if range.end().saturating_sub(*range.start()) < BLOCKS_IN_PLACE_MAX {
            return self.scan_blocks(&filter, range, append);
        }
        self.search(move |rpc| rpc.scan_blocks(&filter, range, append)).await
    }

    fn scan_blocks<T>(
        &self,
        filter: &LogFilter,
        range: RangeInclusive<u64>,
        append: Append<T>,
    ) -> Result<Vec<T>, RpcError> {
        let (chain, logs_max) = (self.node.chain(), self.limits.logs_max);
        let mut logs = Vec::new();
        chain.blocks_with_logs(range, &query(filter)).try_for_each(|number| {
            let Some(found) = self.block_with_receipts(number)? else { return Ok(false) };
            if filter.matches_bloom(found.block.block.header.logs_bloom) {
                append(&mut logs, filter, &found);
            }
            if logs.len() > logs_max {
                return Err(RpcError::LimitExceeded(format!(
                    "query returned more than {logs_max} results up to block {number}; ask for fewer blocks at a time"
                )));
            }
            Ok(true)
        })?;
        Ok(logs)
    }
}

/// Adds what a filter wants of a block, in one form or another.
type Append<T> = fn(&mut Vec<T>, &LogFilter, &BlockWithReceipts);

/// What the store's index of logs is asked for.
fn query(filter: &Filter) -> LogQuery {
    LogQuery {
        addresses: filter.address.iter().copied().collect(),
        topics: std::array::from_fn(|position| filter.topics[position].iter().copied().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(told: Advance) -> RangeInclusive<u64> {
        match told {
            Advance::Logs(_, range, _) | Advance::Blocks(range) => range,
            Advance::Pending(..) => panic!("not a filter over blocks"),
        }
    }

    #[test]
    fn a_filter_tells_every_block_once() {
        let mut kind = FilterKind::Blocks { next: 4 };
        assert_eq!(range(advance(&mut kind, 6, 100)), 4..=6);
        assert!(range(advance(&mut kind, 6, 100)).is_empty());
        assert_eq!(range(advance(&mut kind, 7, 100)), 7..=7);
    }

    #[test]
    fn a_filter_far_behind_catches_up_in_steps() {
        let mut kind = FilterKind::Blocks { next: 1 };
        assert_eq!(range(advance(&mut kind, 250, 100)), 1..=100);
        assert_eq!(range(advance(&mut kind, 250, 100)), 101..=200);
        assert_eq!(range(advance(&mut kind, 250, 100)), 201..=250);
    }

    #[test]
    fn after_a_rewind_a_filter_goes_on_above_the_new_head() {
        let mut kind = FilterKind::Blocks { next: 10 };
        assert!(range(advance(&mut kind, 5, 100)).is_empty());
        assert_eq!(range(advance(&mut kind, 6, 100)), 6..=6);
    }

    #[test]
    fn a_filter_that_starts_later_waits() {
        let filter = Box::new(Filter::new().from_block(20).into());
        let mut kind = FilterKind::Logs { filter, next: 20, removed: Vec::new() };
        assert!(range(advance(&mut kind, 5, 100)).is_empty());
        assert_eq!(range(advance(&mut kind, 21, 100)), 20..=21);
    }
}
