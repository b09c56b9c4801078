//! Handing in transactions.
//!
//! On a node that mines on arrival, a client that has sent a transaction finds its receipt with the next request: the
//! answer waits for the block, for a moment. Raw transactions that follow each other in a batch are handed in together.
//! Nothing waits for a cryptlet, nor for an interval.

use super::{Rpc, RpcError};
use crate::{
    pool::{PoolError, PooledEntry, decode_transaction},
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
    collections::VecDeque,
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
    /// Raw transactions that follow each other in the batch that is being answered.
    static RUN: RefCell<Run>;
}

#[derive(Default)]
struct Run {
    /// To be handed in together, with the first that is asked for.
    ahead: Vec<Bytes>,
    /// What came of those that were.
    outcomes: VecDeque<(Bytes, Result<B256, RpcError>)>,
}

/// Answers a batch.
pub(super) async fn in_batch<F: Future>(answer: F) -> F::Output {
    RUN.scope(RefCell::default(), answer).await
}

/// In the batch that is being answered, these are what [`Rpc::send`] is called with next.
pub(super) fn follow_each_other(ahead: Vec<Bytes>) {
    // Outside a batch nothing follows.
    let _ = RUN.try_with(|run| run.replace(Run { ahead, outcomes: VecDeque::new() }));
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

    /// Waits for those of these that can be in a block soon: not if there is a gap before their nonces. One that has left the
    /// pool is in a block or was dropped, and that is heard of.
    fn expect<'a>(&mut self, hashes: impl IntoIterator<Item = &'a B256>) {
        let node = &self.node;
        let is_executable =
            |entry: &PooledEntry| node.pending_nonce(entry.sender()).is_some_and(|next| entry.nonce() < next);
        self.hashes
            .extend(hashes.into_iter().filter(|hash| node.pooled(**hash).is_none_or(|entry| is_executable(&entry))));
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
    /// Hands a signed transaction to the pool and returns its hash.
    pub(crate) async fn send(&self, raw: Bytes) -> Result<B256, RpcError> {
        if let Ok(ahead) = RUN.try_with(|run| std::mem::take(&mut run.borrow_mut().ahead)) {
            if !ahead.is_empty() {
                let outcomes = self.send_all(ahead).await?;
                RUN.with(|run| run.borrow_mut().outcomes = outcomes.into());
            }
            let next = RUN.with(|run| run.borrow_mut().outcomes.pop_front());
            if let Some((_, outcome)) = next.filter(|(sent, _)| *sent == raw) {
                return outcome;
            }
        }
        self.check_fee(&raw)?;
        self.send_by(|| self.node.submit(raw)).await
    }

    /// Hands in transactions that follow each other, and waits for their blocks.
    async fn send_all(&self, raws: Vec<Bytes>) -> Result<Vec<(Bytes, Result<B256, RpcError>)>, RpcError> {
        let checked: Vec<_> = raws.iter().map(|raw| self.check_fee(raw)).collect();
        let sound =
            raws.iter().zip(&checked).filter(|(_, checked)| checked.is_ok()).map(|(raw, _)| raw.clone()).collect();
        let handed_in = self.mines_on_arrival().await?.then(|| HandedIn::listen(&self.node));
        let mut submitted = self.node.submit_all(sound).await.into_iter();
        let mut outcome = |checked: Result<(), RpcError>| {
            checked?;
            Ok(submitted.next().unwrap_or(Err(PoolError::Stopped))?)
        };
        let outcomes: Vec<_> = raws.into_iter().zip(checked).map(|(raw, checked)| (raw, outcome(checked))).collect();
        if let Some(mut handed_in) = handed_in {
            handed_in.expect(outcomes.iter().filter_map(|(_, outcome)| outcome.as_ref().ok()));
            handed_in.settled().await;
        }
        Ok(outcomes)
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
        let hash = submit().await?;
        handed_in.expect([&hash]);
        handed_in.settled().await;
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
}
