//! Handing in transactions.
//!
//! On a node that mines on arrival, a client that has sent a transaction finds its receipt with the next request: the
//! answer waits for the block, for a moment. Nothing waits for a cryptlet, nor for an interval.

use super::{Rpc, RpcError};
use crate::{
    pool::{PoolError, decode_transaction},
    service::ChainEvent,
};
use alloy::consensus::Transaction as _;
use alloy_primitives::{B256, Bytes, U256};
use parking_lot::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Longest wait for the block of a transaction that was just handed in.
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

impl Rpc {
    /// Hands a signed transaction to the pool and returns its hash.
    pub(crate) async fn send(&self, raw: Bytes) -> Result<B256, RpcError> {
        self.check_fee(&raw)?;
        self.send_by(|| self.node.submit(raw)).await
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

    /// The same for whatever is handed in so.
    pub(crate) async fn send_by<F: Future<Output = Result<B256, PoolError>>>(
        &self,
        submit: impl FnOnce() -> F,
    ) -> Result<B256, RpcError> {
        if !self.mines_on_arrival().await? {
            return Ok(submit().await?);
        }
        // Listening before it goes in, so that its block cannot be missed.
        let mut events = self.node.subscribe();
        let hash = submit().await?;
        if self.is_executable(hash) {
            // Too late is not an error: the transaction is in the pool.
            let _ = tokio::time::timeout(SETTLE_MAX, self.settled(hash, &mut events)).await;
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

    /// Ends when the transaction is in a block, parked or gone.
    async fn settled(&self, hash: B256, events: &mut Receiver<ChainEvent>) {
        loop {
            let is_settled = match events.recv().await {
                Ok(ChainEvent::NewBlock(block)) => {
                    block.block.body.transactions.iter().any(|transaction| *transaction.tx_hash() == hash)
                }
                Ok(ChainEvent::Parked { transaction, .. } | ChainEvent::Dropped { transaction, .. }) => {
                    transaction == hash
                }
                Ok(ChainEvent::NewPending(_) | ChainEvent::Rewound(_)) => false,
                Err(RecvError::Lagged(_)) => self.node.pooled(hash).is_none(),
                Err(RecvError::Closed) => true,
            };
            if is_settled {
                return;
            }
        }
    }
}
