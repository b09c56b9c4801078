//! What the rest of the process (JSON-RPC, the command line) holds of a running node.

use super::{
    estimate, sequence,
    sequence::{SequenceError, SequenceRequest, SimulatedBlock},
    simulate,
    simulate::{SimulationError, SimulationOutcome, SimulationRequest},
    start::Shared,
};
use crate::{
    build::{Cadence, ParkedView},
    chain_spec::ChainSpec,
    fork::{self, ForkCache},
    miner::{DevEdit, MinerCommand, MinerError, TimeControl, TimeMark},
    pool::{PoolContent, PoolError, PoolOrder, PoolStatus, PooledEntry},
    store::{ChainStore, PendingEdits, StoredBlock},
    types::{ExecutedBlock, Header, PooledTransaction, Receipt},
};
use alloy::consensus::Sealed;
use alloy_primitives::{Address, B256, Bytes};
use cryptlet_primitives::Invocation;
use std::sync::{Arc, atomic::Ordering};
use tokio::sync::{broadcast, oneshot, watch};

/// The tip of the canonical chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Height.
    pub number: u64,
    /// Hash of the header.
    pub hash: B256,
    /// Unix time of the header, seconds.
    pub timestamp: u64,
}

/// A state of the chain to come back to.
#[derive(Clone, Debug)]
pub struct ChainMark {
    /// The head.
    pub head: Head,
    /// What cheats had set since.
    pub(crate) edits: Option<Arc<PendingEdits>>,
    /// What time it was.
    pub(crate) time: TimeMark,
}

/// Something subscribers may want to hear of. Blocks come in order; a subscriber that is too slow loses the oldest
/// events and learns it from the channel (`RecvError::Lagged`).
#[derive(Clone, Debug)]
pub enum ChainEvent {
    /// A block became the head. Its receipts carry the logs.
    NewBlock(Arc<ExecutedBlock>),
    /// A transaction entered the pool.
    NewPending(Arc<PooledEntry>),
    /// A transaction waits for the answer to a call of a cryptlet.
    Parked {
        /// The transaction.
        transaction: B256,
        /// What it waits for.
        invocation: Arc<Invocation>,
    },
    /// A transaction left the pool without being included.
    Dropped {
        /// The transaction.
        transaction: B256,
        /// Why, for people.
        reason: String,
    },
    /// The chain was rewound (snapshots of a dev node).
    Rewound(Arc<Rewind>),
}

/// The head went back.
#[derive(Clone, Debug)]
pub struct Rewind {
    /// The head now.
    pub head: Head,
    /// Blocks that are gone, in ascending order. Of a long way back only the [`REMOVED_BLOCKS_TOLD_MAX`] last.
    pub removed: Vec<RemovedBlock>,
}

/// A block that is no longer part of the chain.
#[derive(Clone, Debug)]
pub struct RemovedBlock {
    /// The block.
    pub block: StoredBlock,
    /// Its receipts.
    pub receipts: Vec<Receipt>,
}

/// Blocks of one [`Rewind`].
pub const REMOVED_BLOCKS_TOLD_MAX: u64 = 256;

/// A running node. Clones are cheap and all mean the same node.
#[derive(Clone)]
pub struct NodeHandle {
    pub(crate) shared: Arc<Shared>,
}

impl NodeHandle {
    /// The rules of the chain.
    pub fn spec(&self) -> &Arc<ChainSpec> {
        &self.shared.spec
    }

    /// Blocks, receipts, records and states.
    pub fn chain(&self) -> &ChainStore {
        &self.shared.chain
    }

    /// The chain that this one continues, if it does.
    pub fn fork(&self) -> Option<Arc<ForkCache>> {
        self.shared.config.fork.clone()
    }

    /// The tip of the chain, as of now.
    pub fn head(&self) -> Head {
        *self.shared.head.borrow()
    }

    /// Sees every change of the tip (may skip some when they follow each other fast).
    pub fn watch_head(&self) -> watch::Receiver<Head> {
        self.shared.head.subscribe()
    }

    /// New blocks, pending transactions and what becomes of them, from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<ChainEvent> {
        self.shared.events.subscribe()
    }

    /// Validates a signed transaction (EIP-2718 bytes) into the pool and returns its hash.
    pub async fn submit(&self, raw: Bytes) -> Result<B256, PoolError> {
        let handle = self.clone();
        // Signature recovery and state reads belong on a thread that may be busy.
        let joined = tokio::task::spawn_blocking(move || handle.shared.admit(&raw)).await;
        joined.map_err(|_| PoolError::Stopped)?
    }

    /// Hands in signed transactions that follow each other, in their order; one outcome for each. Their senders are recovered
    /// in parallel.
    pub async fn submit_all(&self, raws: Vec<Bytes>) -> Vec<Result<B256, PoolError>> {
        let (handle, count) = (self.clone(), raws.len());
        let joined = tokio::task::spawn_blocking(move || handle.shared.admit_all(&raws)).await;
        joined.unwrap_or_else(|_| vec![Err(PoolError::Stopped); count])
    }

    /// Where to listen for the head going back. Few are kept for those who are behind.
    pub fn rewinds(&self) -> &broadcast::Sender<Arc<Rewind>> {
        &self.shared.rewinds
    }

    /// A transaction of the pool, waiting or parked.
    pub fn pooled(&self, hash: B256) -> Option<Arc<PooledEntry>> {
        self.shared.pool.get(hash)
    }

    /// What a transaction waits for; `None` if it is not parked.
    pub async fn parked(&self, hash: B256) -> Result<Option<ParkedView>, MinerError> {
        self.command(|reply| MinerCommand::Parked { hash, reply }).await
    }

    /// How blocks are paced now.
    pub async fn cadence(&self) -> Result<Cadence, MinerError> {
        self.command(|reply| MinerCommand::Cadence { reply }).await
    }

    /// How many transactions are pending, queued and parked.
    pub fn pool_status(&self) -> PoolStatus {
        self.shared.pool.status()
    }

    /// What comes first in a block.
    pub fn pool_order(&self) -> PoolOrder {
        self.shared.pool.order()
    }

    /// Lets whoever can call this node send in everybody's name, without a signature: development only.
    pub fn insecure_impersonate_everybody(&self) {
        self.shared.impersonation.set_everybody(true);
    }

    /// All transactions of the pool, by sender and nonce.
    pub fn pool_content(&self) -> PoolContent {
        self.shared.pool.content()
    }

    /// The nonce the account's next transaction should carry: behind everything of it that is executable in the pool.
    /// `None` if nothing of the account waits; then the nonce of the head state is the answer.
    pub fn pending_nonce(&self, account: Address) -> Option<u64> {
        self.shared.pool.pending_nonce(account)
    }

    /// Takes a transaction out of the pool. A call it waits for is given up. Returns whether it was there.
    pub async fn drop_transaction(&self, hash: B256) -> Result<bool, MinerError> {
        self.command(|reply| MinerCommand::Drop { hash, reply }).await
    }

    /// Runs a call that leaves no trace (`eth_call`).
    pub async fn simulate(&self, request: SimulationRequest) -> Result<SimulationOutcome, SimulationError> {
        simulate::simulate(self.shared.clone(), request).await
    }

    /// The least gas limit with which the call succeeds (`eth_estimateGas`); never less than what it will use.
    pub async fn estimate_gas(&self, request: SimulationRequest) -> Result<u64, SimulationError> {
        estimate::estimate_gas(self.shared.clone(), request).await
    }

    /// Runs a row of blocks that leave no trace (`eth_simulateV1`).
    pub async fn simulate_sequence(&self, request: SequenceRequest) -> Result<Vec<SimulatedBlock>, SequenceError> {
        sequence::simulate(self.shared.clone(), request).await
    }

    /// Makes this many blocks now, `interval_seconds` apart in their timestamps (default: by the clock). Returns their
    /// hashes.
    pub async fn mine(&self, blocks: u64, interval_seconds: Option<u64>) -> Result<Vec<B256>, MinerError> {
        self.command(|reply| MinerCommand::Mine { blocks, interval_seconds, reply }).await?
    }

    /// Turns mining on arrival on or off.
    pub async fn set_automine(&self, on: bool) -> Result<(), MinerError> {
        self.command(|reply| MinerCommand::SetAutomine { on, reply }).await
    }

    /// Makes a block every so many milliseconds, if any are given.
    pub async fn set_block_interval_ms(&self, interval_ms: Option<u64>) -> Result<(), MinerError> {
        self.command(|reply| MinerCommand::SetInterval { interval_ms, reply }).await
    }

    /// Rewinds the chain to this block (snapshots of a dev node). Parked transactions are released into the pool.
    pub async fn rewind_to(&self, number: u64) -> Result<Head, MinerError> {
        self.command(|reply| MinerCommand::Rewind { number, reply }).await?
    }

    /// Where the chain is now, with what cheats have set since the head, and what time it is there.
    pub async fn mark(&self) -> Result<ChainMark, MinerError> {
        self.command(|reply| MinerCommand::Mark { reply }).await?
    }

    /// Back to a mark: chain, pending edits and time. `false` if the chain no longer has that block.
    pub async fn restore(&self, mark: ChainMark) -> Result<bool, MinerError> {
        self.command(|reply| MinerCommand::Restore { mark: Box::new(mark), reply }).await?
    }

    /// Sets something that reads see at once and the next block carries. A killed node still has it when this returns.
    pub async fn edit(&self, edit: DevEdit) -> Result<(), MinerError> {
        self.command(|reply| MinerCommand::Edit { edit: Box::new(edit), reply }).await?
    }

    /// Replaces the blocks above `above` by as many as are given, each with exactly these transactions as far as they can
    /// run. Returns the new head. On a fork it begins anew, from the same block, as long as rows of the other chain are wanted.
    pub async fn reorg(&self, above: u64, blocks: Vec<Vec<PooledTransaction>>) -> Result<Head, MinerError> {
        for _ in 0..fork::ROUNDS_MAX {
            let outcome = self.reorg_once(above, blocks.clone()).await;
            let Some(fork) = self.fork().filter(|_| outcome.as_ref().is_err_and(MinerError::is_miss)) else {
                return outcome;
            };
            fork.fetch_wanted().await.map_err(|fault| MinerError::Edit(fault.to_string()))?;
        }
        Err(MinerError::Edit(format!("the blocks need more than {} rows of the other chain", fork::ROUNDS_MAX)))
    }

    async fn reorg_once(&self, above: u64, blocks: Vec<Vec<PooledTransaction>>) -> Result<Head, MinerError> {
        let entry = |transaction| {
            PooledEntry::impersonated(transaction, self.shared.next_arrival())
                .map_err(|error| MinerError::Edit(error.to_string()))
        };
        let blocks = blocks.into_iter().map(|block| block.into_iter().map(entry).collect::<Result<Vec<_>, _>>());
        let blocks = blocks.collect::<Result<Vec<_>, _>>()?;
        self.command(|reply| MinerCommand::Reorg { above, blocks, reply }).await?
    }

    /// Takes all transactions out of the pool, or all of one sender. Returns how many there were.
    pub async fn drop_transactions(&self, of: Option<Address>) -> Result<usize, MinerError> {
        self.command(|reply| MinerCommand::DropAll { of, reply }).await
    }

    /// Hands in a transaction that nobody signed. Its signature is the mark of its sender
    /// ([`cryptlet_primitives::impersonated_signature`]). Only on chains that take development edits.
    pub async fn submit_impersonated(&self, transaction: PooledTransaction) -> Result<B256, PoolError> {
        if !self.shared.spec.takes_dev_edits() {
            return Err(PoolError::NoImpersonation);
        }
        let handle = self.clone();
        let joined = tokio::task::spawn_blocking(move || handle.shared.admit_impersonated(transaction)).await;
        joined.map_err(|_| PoolError::Stopped)?
    }

    /// Who may be impersonated.
    pub(crate) fn impersonation(&self) -> &super::impersonation::Impersonation {
        &self.shared.impersonation
    }

    /// The blobs of a transaction that was included lately.
    pub(crate) fn kept_blobs(&self) -> &super::blobs::KeptBlobs {
        &self.shared.blobs
    }

    /// The header of the block that would be made now, before execution.
    pub fn next_header(&self, head: &Sealed<Header>) -> Header {
        self.shared.next_header(head)
    }

    /// Height that a reset goes back to: that of the chain when the node was started, or when this was called last.
    pub fn reset_height(&self) -> u64 {
        self.shared.origin.load(Ordering::Relaxed)
    }

    /// From now on a reset comes back to the chain as it is now.
    pub fn reset_comes_back_here(&self) {
        self.shared.origin.store(self.head().number, Ordering::Relaxed);
    }

    /// Timestamps of the blocks to come.
    pub fn time(&self) -> &TimeControl {
        &self.shared.time
    }

    /// Ends the node: no further block is made, and everything is on disk when this returns.
    pub async fn stop(&self) {
        self.shared.stop().await;
    }

    async fn command<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> MinerCommand) -> Result<T, MinerError> {
        let (reply, answer) = oneshot::channel();
        self.shared.miner.send(make(reply)).await.map_err(|_| MinerError::Stopped)?;
        answer.await.map_err(|_| MinerError::Stopped)
    }
}
