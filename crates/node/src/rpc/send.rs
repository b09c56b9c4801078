//! Handing in transactions.
//!
//! On a node that mines on arrival, a client that has sent a transaction finds its receipt with the next request: the
//! answer waits for the block, for a moment. Raw transactions that follow each other in a batch are waited for together.
//! Nothing waits for a cryptlet, nor for an interval.

use super::{Rpc, RpcError};
use crate::{
    pool::{PoolError, decode_transaction},
    service::{ChainEvent, NodeHandle},
};
use alloy::consensus::Transaction as _;
use alloy_primitives::{
    B256, Bytes, U256,
    map::{B256Set, HashSet},
};
use parking_lot::Mutex;
use std::{
    cell::RefCell,
    time::{Duration, Instant},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Longest wait for the next block of transactions that were just handed in.
const SETTLE_MAX: Duration = Duration::from_millis(250);
/// How long the node's way of mining is remembered.
const REMEMBERED: Duration = Duration::from_secs(1);

/// Whether the node mines on arrival, as of lately.
#[derive(Debug, Default)]
pub(crate) struct ArrivalMining(Mutex<Option<(Instant, bool)>>);

impl ArrivalMining {
    /// It may have changed.
    pub(crate) fn forget(&self) {
        *self.0.lock() = None;
    }
}

tokio::task_local! {
    /// What a batch has handed in and not waited for yet.
    static BATCH: RefCell<Option<HandedIn>>;
}

/// Answers a batch. In it, [`batch_settled`] is what waits for the blocks of raw transactions.
pub(super) async fn in_batch<F: Future>(answer: F) -> F::Output {
    BATCH.scope(RefCell::default(), answer).await
}

/// Waits for the blocks of what this batch has handed in.
pub(super) async fn batch_settled() {
    let handed_in = BATCH.try_with(RefCell::take).ok().flatten();
    if let Some(handed_in) = handed_in {
        handed_in.settled().await;
    }
}

/// Does this method hand in a transaction that does not depend on what the ones before it did? Another, which is filled in
/// or estimated, has to see their blocks first.
pub(super) fn hands_in_raw(method: &str) -> bool {
    method == "eth_sendRawTransaction"
}

/// Transactions whose blocks are waited for.
struct HandedIn {
    node: NodeHandle,
    hashes: B256Set,
    events: Receiver<ChainEvent>,
}

impl HandedIn {
    /// Listens before anything goes in, so that no block can be missed.
    fn listen(node: &NodeHandle) -> Self {
        Self { node: node.clone(), hashes: HashSet::default(), events: node.subscribe() }
    }

    /// Ends when each transaction is in a block, parked or gone, or when none has been for a moment: being late is no error,
    /// for they are in the pool.
    async fn settled(mut self) {
        let mut patience = Instant::now() + SETTLE_MAX;
        while !self.hashes.is_empty() {
            let left = self.hashes.len();
            let Ok(event) = tokio::time::timeout_at(patience.into(), self.events.recv()).await else { return };
            match event {
                Ok(ChainEvent::NewBlock(block)) => {
                    for transaction in &block.block.body.transactions {
                        self.hashes.remove(transaction.tx_hash());
                    }
                }
                Ok(ChainEvent::Parked { transaction, .. } | ChainEvent::Dropped { transaction, .. }) => {
                    self.hashes.remove(&transaction);
                }
                Ok(ChainEvent::NewPending(_) | ChainEvent::Rewound(_)) => {}
                Err(RecvError::Lagged(_)) => self.hashes.retain(|hash| self.node.pooled(*hash).is_some()),
                Err(RecvError::Closed) => return,
            }
            if self.hashes.len() < left {
                patience = Instant::now() + SETTLE_MAX;
            }
        }
    }
}

impl Rpc {
    /// Hands a signed transaction to the pool and returns its hash. In a batch, its block is waited for later.
    pub(crate) async fn send(&self, raw: Bytes) -> Result<B256, RpcError> {
        self.check_fee(&raw)?;
        let submit = || self.node.submit(raw);
        if !self.mines_on_arrival().await? {
            return Ok(submit().await?);
        }
        let Ok(before) = BATCH.try_with(RefCell::take) else { return self.send_by(submit).await };
        let mut handed_in = before.unwrap_or_else(|| HandedIn::listen(&self.node));
        let sent = self.hand_in(submit, &mut handed_in).await;
        BATCH.with(|batch| batch.replace(Some(handed_in)));
        sent
    }

    /// Whoever would pay this much has most likely mistaken the unit (geth: `checkTxFee`).
    pub(super) fn check_fee(&self, raw: &Bytes) -> Result<(), RpcError> {
        let Some(ether_max) = self.limits.transaction_fee_ether_max else { return Ok(()) };
        let transaction = decode_transaction(raw)?;
        let fee = U256::from(transaction.max_fee_per_gas()).saturating_mul(U256::from(transaction.gas_limit()));
        let ether = f64::from(fee) / 1e18;
        if ether > ether_max {
            let words = format!("tx fee ({ether:.2} ether) exceeds the configured cap ({ether_max:.2} ether)");
            return Err(RpcError::refused(words));
        }
        Ok(())
    }

    /// Hands in a transaction so, and waits for its block.
    pub(crate) async fn send_by<F: Future<Output = Result<B256, PoolError>>>(
        &self,
        submit: impl FnOnce() -> F,
    ) -> Result<B256, RpcError> {
        if !self.mines_on_arrival().await? {
            return Ok(submit().await?);
        }
        let mut handed_in = HandedIn::listen(&self.node);
        let hash = self.hand_in(submit, &mut handed_in).await?;
        handed_in.settled().await;
        Ok(hash)
    }

    async fn hand_in<F: Future<Output = Result<B256, PoolError>>>(
        &self,
        submit: impl FnOnce() -> F,
        handed_in: &mut HandedIn,
    ) -> Result<B256, RpcError> {
        let hash = submit().await?;
        if self.is_executable(hash) {
            handed_in.hashes.insert(hash);
        }
        Ok(hash)
    }

    async fn mines_on_arrival(&self) -> Result<bool, RpcError> {
        let now = Instant::now();
        if let Some((at, automine)) = *self.arrival.0.lock()
            && now.duration_since(at) < REMEMBERED
        {
            return Ok(automine);
        }
        let automine = self.node.cadence().await?.automine;
        *self.arrival.0.lock() = Some((now, automine));
        Ok(automine)
    }

    /// Is it in the pool with no gap before its nonce?
    fn is_executable(&self, hash: B256) -> bool {
        let Some(entry) = self.node.pooled(hash) else { return false };
        self.node.pending_nonce(entry.sender()).is_some_and(|next| entry.nonce() < next)
    }
}
