//! Subscriptions (`eth_subscribe`), over WebSocket.
//!
//! When the chain goes back (a snapshot of a dev node), logs of the blocks that went are told again as removed.
//! A subscriber that is too slow for the node's stream of events loses none of its blocks: it reads what it missed from
//! the store and goes on.

use super::logs::append_logs;
use crate::{
    rpc::{
        Rpc, RpcError, convert,
        log_filter::{LogFilter, SubscriptionParams},
    },
    service::{ChainEvent, Rewind},
    store::StoredBlock,
    types::{ExecutedBlock, Receipt},
};
use alloy::rpc::types::pubsub::{Params, SubscriptionKind};
use alloy_primitives::B256;
use jsonrpsee::{
    PendingSubscriptionSink, SubscriptionSink,
    core::{SubscriptionError, SubscriptionResult},
    proc_macros::rpc,
};
use serde::Serialize;
use std::{collections::HashSet, sync::Arc};
use tokio::sync::broadcast::{Receiver, error::RecvError};

#[rpc(server, namespace = "eth")]
pub(crate) trait EthPubSub {
    #[subscription(name = "subscribe" => "subscription", unsubscribe = "unsubscribe", item = serde_json::Value)]
    async fn subscribe(&self, kind: SubscriptionKind, params: Option<SubscriptionParams>) -> SubscriptionResult;
}

#[jsonrpsee::core::async_trait]
impl EthPubSubServer for Rpc {
    async fn subscribe(
        &self,
        pending: PendingSubscriptionSink,
        kind: SubscriptionKind,
        params: Option<SubscriptionParams>,
    ) -> SubscriptionResult {
        let wanted = match Wanted::read(kind, params) {
            Ok(wanted) => wanted,
            Err(error) => {
                pending.reject(error).await;
                return Ok(());
            }
        };
        // Events from before the answer are for the subscriber too.
        let (events, next) = (self.node.subscribe(), self.node.head().number + 1);
        let sink = pending.accept().await?;
        let subscriber = Subscriber { rpc: self.clone(), sink, wanted, next };
        tokio::spawn(subscriber.serve(events));
        Ok(())
    }
}

/// What a subscriber wants to hear.
enum Wanted {
    Heads,
    Logs(Box<LogFilter>),
    Pending {
        full: bool,
    },
    /// Of these transactions; of all if there are none.
    Receipts(HashSet<B256>),
    Syncing,
}

/// Transactions that one subscription to receipts may name (geth: `maxTxHashes`).
const RECEIPT_HASHES_MAX: usize = 200;

impl Wanted {
    fn read(kind: SubscriptionKind, params: Option<SubscriptionParams>) -> Result<Self, RpcError> {
        let params = match params {
            Some(SubscriptionParams::Logs(filter)) => return Self::of_filter(kind, filter),
            Some(SubscriptionParams::Other(params)) => params,
            None => Params::None,
        };
        match (kind, params) {
            (SubscriptionKind::NewHeads, _) => Ok(Self::Heads),
            (SubscriptionKind::Syncing, _) => Ok(Self::Syncing),
            (SubscriptionKind::Logs, Params::None) => Ok(Self::Logs(Box::default())),
            (SubscriptionKind::NewPendingTransactions, Params::None) => Ok(Self::Pending { full: false }),
            (SubscriptionKind::NewPendingTransactions, Params::Bool(full)) => Ok(Self::Pending { full }),
            (SubscriptionKind::Logs, _) => Err(RpcError::invalid("a subscription to logs takes a filter object")),
            (SubscriptionKind::NewPendingTransactions, _) => Err(Self::no_pending()),
            (SubscriptionKind::TransactionReceipts, Params::None) => Ok(Self::Receipts(HashSet::new())),
            (SubscriptionKind::TransactionReceipts, Params::TransactionReceipts(params)) => {
                let hashes = params.transaction_hashes.unwrap_or_default();
                if hashes.len() > RECEIPT_HASHES_MAX {
                    return Err(RpcError::invalid(format!(
                        "exceed max number of transaction hashes allowed per transactionReceipts subscription: \
                         {} given, at most {RECEIPT_HASHES_MAX}",
                        hashes.len()
                    )));
                }
                Ok(Self::Receipts(hashes.into_iter().collect()))
            }
            (SubscriptionKind::TransactionReceipts, _) => Err(Self::no_receipts()),
        }
    }

    fn of_filter(kind: SubscriptionKind, filter: Box<LogFilter>) -> Result<Self, RpcError> {
        match kind {
            SubscriptionKind::Logs => Ok(Self::Logs(filter)),
            // An object without `transactionHashes` is read as a filter.
            SubscriptionKind::TransactionReceipts if *filter == LogFilter::default() => {
                Ok(Self::Receipts(HashSet::new()))
            }
            SubscriptionKind::TransactionReceipts => Err(Self::no_receipts()),
            SubscriptionKind::NewHeads => Ok(Self::Heads),
            SubscriptionKind::Syncing => Ok(Self::Syncing),
            SubscriptionKind::NewPendingTransactions => Err(Self::no_pending()),
        }
    }

    fn no_receipts() -> RpcError {
        RpcError::invalid(r#"a subscription to receipts takes {"transactionHashes": [hash, …]} or nothing"#)
    }

    fn no_pending() -> RpcError {
        RpcError::invalid("a subscription to pending transactions takes true (whole transactions) or false")
    }
}

struct Subscriber {
    rpc: Rpc,
    sink: SubscriptionSink,
    wanted: Wanted,
    /// The first block not told yet.
    next: u64,
}

impl Subscriber {
    async fn serve(mut self, mut events: Receiver<ChainEvent>) {
        if let Wanted::Syncing = self.wanted {
            let _ = self.send(&false).await;
        }
        loop {
            let event = tokio::select! {
                () = self.sink.closed() => return,
                event = events.recv() => event,
            };
            let told = match event {
                Ok(event) => self.tell(event).await,
                Err(RecvError::Lagged(_)) => self.catch_up().await,
                Err(RecvError::Closed) => return,
            };
            if let Err(error) = told {
                tracing::debug!(?error, "a subscription ended");
                return;
            }
        }
    }

    async fn tell(&mut self, event: ChainEvent) -> Result<(), SubscriptionError> {
        match event {
            ChainEvent::NewBlock(block) => self.tell_executed(block).await,
            ChainEvent::NewPending(entry) => match self.wanted {
                Wanted::Pending { full: true } => self.send(&convert::pending(entry.transaction().clone())).await,
                Wanted::Pending { full: false } => self.send(&entry.hash()).await,
                _ => Ok(()),
            },
            ChainEvent::Rewound(rewind) => self.tell_rewound(&rewind).await,
            ChainEvent::Parked { .. } | ChainEvent::Dropped { .. } => Ok(()),
        }
    }

    async fn tell_executed(&mut self, executed: Arc<ExecutedBlock>) -> Result<(), SubscriptionError> {
        let header = &executed.block.header;
        if header.number > self.next {
            return self.catch_up().await;
        }
        let is_wanted = match &self.wanted {
            Wanted::Heads => true,
            Wanted::Logs(filter) => filter.matches_bloom(header.logs_bloom),
            Wanted::Receipts(_) => !executed.receipts.is_empty(),
            Wanted::Pending { .. } | Wanted::Syncing => false,
        };
        if header.number < self.next || !is_wanted {
            self.next = self.next.max(header.number + 1);
            return Ok(());
        }
        let block =
            StoredBlock { hash: header.hash_slow(), block: executed.block.clone(), senders: executed.senders.clone() };
        self.tell_block(&block, &executed.receipts).await
    }

    /// Tells what was missed, from the store.
    async fn catch_up(&mut self) -> Result<(), SubscriptionError> {
        if !matches!(self.wanted, Wanted::Heads | Wanted::Logs(_) | Wanted::Receipts(_)) {
            return Ok(());
        }
        while let Some(block) = self.rpc.block(self.next.into())? {
            let receipts = self.rpc.receipts(&block)?;
            self.tell_block(&block, &receipts).await?;
        }
        Ok(())
    }

    async fn tell_block(&mut self, block: &StoredBlock, receipts: &[Receipt]) -> Result<(), SubscriptionError> {
        self.next = block.number() + 1;
        match &self.wanted {
            Wanted::Heads => self.send(&convert::new_head(&block.block.header, block.hash)).await,
            Wanted::Logs(filter) if filter.matches_bloom(block.block.header.logs_bloom) => {
                let mut logs = Vec::new();
                append_logs(&mut logs, filter, block, receipts, false);
                self.send_each(&logs).await
            }
            Wanted::Receipts(hashes) => {
                let mut shown = self.rpc.receipt_context(block).all(receipts);
                shown.retain(|receipt| hashes.is_empty() || hashes.contains(&receipt.transaction_hash));
                if shown.is_empty() { Ok(()) } else { self.send(&shown).await }
            }
            _ => Ok(()),
        }
    }

    /// Takes back the logs that were told of blocks that are gone, the oldest first.
    async fn tell_rewound(&mut self, rewind: &Rewind) -> Result<(), SubscriptionError> {
        let next = self.next;
        self.next = next.min(rewind.head.number + 1);
        let Wanted::Logs(filter) = &self.wanted else { return Ok(()) };
        let mut logs = Vec::new();
        for gone in rewind.removed.iter().filter(|gone| gone.block.number() < next) {
            append_logs(&mut logs, filter, &gone.block, &gone.receipts, true);
        }
        self.send_each(&logs).await
    }

    async fn send_each(&self, items: &[impl Serialize]) -> Result<(), SubscriptionError> {
        for item in items {
            self.send(item).await?;
        }
        Ok(())
    }

    async fn send(&self, item: &impl Serialize) -> Result<(), SubscriptionError> {
        let message = serde_json::value::to_raw_value(item)?;
        Ok(self.sink.send(message).await?)
    }
}
