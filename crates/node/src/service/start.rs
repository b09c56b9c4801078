//! Starting and stopping a node.

use super::{
    blobs::KeptBlobs,
    handle::{ChainEvent, Head, NodeHandle, REMOVED_BLOCKS_TOLD_MAX, RemovedBlock, Rewind},
    impersonation::Impersonation,
    jitter::{Jitter, RandomJitter},
    memo::Memo,
    simulate::SimulationLimits,
};
use crate::{
    chain_spec::ChainSpec,
    execute::{BlockAttributes, blob_base_fee, next_header},
    fabric::Fabric,
    fork::{ForkCache, ForkPoint},
    metrics::Metrics,
    miner::{Clock, Miner, MinerCommand, MinerConfig, SystemClock, TimeControl},
    pool::{AccountFacts, Pool, PoolError, PoolLimits, PoolOrder, PoolRules, PooledEntry, decode_transaction},
    store::{ChainStore, PendingEdits, StoreError},
    types::{Header, PooledTransaction},
};
use alloy::consensus::Sealed;
use alloy::eips::eip7825::MAX_TX_GAS_LIMIT_OSAKA;
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{Address, B256, Bytes, map::HashMap};
use parking_lot::Mutex;
use rayon::prelude::*;
use revm::DatabaseRef;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::{Notify, Semaphore, broadcast, mpsc, oneshot, watch};

/// How a node works. Nothing here changes what a block means.
#[derive(Clone, Debug, Default)]
pub struct NodeConfig {
    /// When and how blocks are made.
    pub miner: MinerConfig,
    /// Bounds of the pool.
    pub pool: PoolLimits,
    /// What comes first in a block.
    pub order: PoolOrder,
    /// Bounds and policies of `eth_call` and `eth_estimateGas`.
    pub simulation: SimulationLimits,
    /// The chain that this one continues, if its genesis says that it was forked.
    pub fork: Option<Arc<ForkCache>>,
}

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The store holds another chain, or cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A forked chain, and nobody to ask about the other one.
    #[error("this chain continues chain {} from block {} ({}); say where that chain is reached", .0.chain_id, .0.block_number, .0.block_hash)]
    ForkOutOfReach(ForkPoint),
    /// The operating system gave no thread.
    #[error("the miner's thread could not be started: {0}")]
    Thread(#[source] std::io::Error),
}

/// Starts nodes.
#[derive(Clone, Copy, Debug)]
pub struct Node;

/// Commands that wait for the miner; more make whoever sends them wait.
const COMMANDS_MAX: usize = 4_096;

/// Events that a slow subscriber may be behind.
const EVENTS_MAX: usize = 4_096;

/// Rewinds that somebody may be behind. Each holds the blocks that went.
const REWINDS_MAX: usize = 16;

impl Node {
    /// Starts a node on this chain. The store gets the chain's genesis if it is empty. Needs a tokio runtime.
    pub fn start(
        config: NodeConfig,
        spec: Arc<ChainSpec>,
        chain: ChainStore,
        fabric: Arc<dyn Fabric>,
    ) -> Result<NodeHandle, NodeError> {
        Self::start_with(config, spec, chain, fabric, Arc::new(SystemClock::default()), Box::new(RandomJitter::new()))
    }

    /// The same with another clock and another source of jitter.
    pub fn start_with(
        config: NodeConfig,
        spec: Arc<ChainSpec>,
        chain: ChainStore,
        fabric: Arc<dyn Fabric>,
        clock: Arc<dyn Clock>,
        jitter: Box<dyn Jitter>,
    ) -> Result<NodeHandle, NodeError> {
        let head = chain.initialize(spec.genesis(), &spec.genesis_block())?;
        match (spec.fork(), &config.fork) {
            (Some(point), None) => return Err(NodeError::ForkOutOfReach(*point)),
            (Some(_), Some(cache)) => {
                spec.base_layer(cache.clone()).into_iter().for_each(|base| chain.continue_from(base))
            }
            (None, _) => {}
        }
        let head = Head { number: head.number, hash: head.hash(), timestamp: head.timestamp };
        let (miner, commands) = mpsc::channel(COMMANDS_MAX);
        let shared = Arc::new(Shared {
            pool: Pool::new(config.pool.for_init_code(spec.init_code_bytes_max(u64::MAX)), config.order),
            metrics: Arc::default(),
            memo: Memo::new(config.simulation.memo_entries_max),
            simulations: Arc::new(Semaphore::new(config.simulation.simulations_max)),
            config,
            spec,
            tip: chain.with_unsettled(),
            chain,
            fabric,
            time: TimeControl::new(clock.clone()),
            clock,
            jitter,
            head: watch::Sender::new(head),
            events: broadcast::Sender::new(EVENTS_MAX),
            rewinds: broadcast::Sender::new(REWINDS_MAX),
            miner,
            arrivals: Notify::new(),
            arrived: AtomicU64::new(0),
            impersonation: Impersonation::default(),
            blobs: KeptBlobs::default(),
            origin: AtomicU64::new(head.number),
            thread: Mutex::new(None),
        });
        let task = Miner::start(shared.clone(), commands, tokio::runtime::Handle::current());
        let task = task.map_err(NodeError::Thread)?;
        // Execution keeps a thread busy; the caller's runtime is for those who wait. The thread's own has only timers.
        let timers = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(NodeError::Thread)?;
        let thread = std::thread::Builder::new().name("miner".to_owned());
        let thread = thread.spawn(move || timers.block_on(task.run())).map_err(NodeError::Thread)?;
        *shared.thread.lock() = Some(thread);
        Ok(NodeHandle { shared })
    }
}

/// What the parts of a node share.
pub(crate) struct Shared {
    pub(crate) config: NodeConfig,
    pub(crate) spec: Arc<ChainSpec>,
    /// What everybody may see.
    pub(crate) chain: ChainStore,
    /// The same with the blocks that are written and not settled: what the next block follows.
    pub(crate) tip: ChainStore,
    pub(crate) pool: Pool,
    pub(crate) fabric: Arc<dyn Fabric>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) jitter: Box<dyn Jitter>,
    pub(crate) time: TimeControl,
    pub(crate) head: watch::Sender<Head>,
    pub(crate) events: broadcast::Sender<ChainEvent>,
    pub(crate) rewinds: broadcast::Sender<Arc<Rewind>>,
    pub(crate) miner: mpsc::Sender<MinerCommand>,
    /// Rung when the pool has got something new.
    pub(crate) arrivals: Notify,
    pub(crate) simulations: Arc<Semaphore>,
    pub(crate) memo: Memo,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) impersonation: Impersonation,
    /// Blobs of transactions that were included lately.
    pub(crate) blobs: KeptBlobs,
    /// Height that a reset goes back to.
    pub(crate) origin: AtomicU64,
    arrived: AtomicU64,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Shared {
    /// Takes a transaction into the pool. Reads state: not for threads that must not wait.
    pub(crate) fn admit(&self, raw: &[u8]) -> Result<B256, PoolError> {
        self.admit_entry(self.recover(raw, self.next_arrival())?)
    }

    /// The same for several, whose senders are recovered in parallel.
    pub(crate) fn admit_all(&self, raws: &[Bytes]) -> Vec<Result<B256, PoolError>> {
        let first = self.arrived.fetch_add(raws.len() as u64, Ordering::Relaxed);
        let recovered = raws.par_iter().enumerate().map(|(index, raw)| self.recover(raw, first + index as u64));
        let recovered: Vec<_> = recovered.collect();
        recovered.into_iter().map(|entry| self.admit_entry(entry?)).collect()
    }

    fn recover(&self, raw: &[u8], arrival: u64) -> Result<PooledEntry, PoolError> {
        let longest = self.config.pool.transaction_bytes_max.max(self.config.pool.blob_transaction_bytes_max);
        if raw.len() > longest {
            return Err(PoolError::Oversized { bytes: raw.len(), bytes_max: longest });
        }
        PooledEntry::recover(decode_transaction(raw)?, arrival)
    }

    /// Takes a transaction that nobody signed into the pool, if its sender may be impersonated.
    pub(crate) fn admit_impersonated(&self, transaction: PooledTransaction) -> Result<B256, PoolError> {
        self.admit_entry(PooledEntry::impersonated(transaction, self.next_arrival())?)
    }

    /// Number of the next transaction in order of arrival.
    pub(crate) fn next_arrival(&self) -> u64 {
        self.arrived.fetch_add(1, Ordering::Relaxed)
    }

    fn admit_entry(&self, entry: PooledEntry) -> Result<B256, PoolError> {
        let storage = |error: StoreError| PoolError::Storage(error.to_string());
        let head = self.tip.head().map_err(storage)?;
        let account = self.account_facts(entry.sender()).map_err(storage)?;
        let added = self.pool.add(entry, &account, &self.pool_rules(&head))?;
        let (hash, sender) = (added.entry.hash(), added.entry.sender());
        if self.tip.head().map_err(storage)?.hash() != head.hash() {
            // A block was made meanwhile, and the pool was told of its nonces before it had this transaction.
            let state = self.tip.latest_state().map_err(storage)?;
            let nonce = state.account(sender).map_err(storage)?.map_or(0, |account| account.nonce);
            self.pool.on_higher_nonces(state.number(), &HashMap::from_iter([(sender, nonce)]));
        }
        self.tell(ChainEvent::NewPending(added.entry));
        let left: Vec<_> = added.replaced.into_iter().chain(added.evicted).map(|entry| entry.hash()).collect();
        if !left.is_empty() {
            for transaction in &left {
                let reason = format!("replaced or displaced by {hash}");
                self.tell(ChainEvent::Dropped { transaction: *transaction, reason });
            }
            // `admit` runs on a thread that may wait; if the miner is gone, so is what it knew of them.
            let _ = self.miner.blocking_send(MinerCommand::Gone { transactions: left });
        }
        self.arrivals.notify_one();
        Ok(hash)
    }

    /// What the next block will demand of a transaction.
    pub(crate) fn pool_rules(&self, head: &Sealed<Header>) -> PoolRules {
        let next = self.next_header(head);
        let timestamp = next.timestamp;
        PoolRules {
            chain_id: self.spec.chain_id(),
            spec: self.spec.spec_id_of(&next),
            block_gas_limit: next.gas_limit,
            init_code_bytes_max: self.spec.init_code_bytes_max(timestamp),
            // EIP-8037: from Amsterdam on, what is above the cap pays for state and nothing else.
            transaction_gas_cap: (self.spec.is_osaka_active_at_timestamp(timestamp)
                && !self.spec.is_amsterdam_active_at_timestamp(timestamp))
            .then_some(MAX_TX_GAS_LIMIT_OSAKA),
            base_fee: next.base_fee_per_gas.unwrap_or_default(),
            blob_base_fee: blob_base_fee(&self.spec, &next),
            blob_params: self.spec.blob_params_at(timestamp),
        }
    }

    /// The header of the block that would be made now, before execution.
    pub(crate) fn next_header(&self, head: &Sealed<Header>) -> Header {
        self.header_after(head, self.tip.pending_edits().as_deref())
    }

    /// The header of the block after `parent` if it were made now with these edits, before execution.
    pub(crate) fn header_after(&self, parent: &Sealed<Header>, pending: Option<&PendingEdits>) -> Header {
        let timestamp = self.time.next_timestamp(parent.timestamp);
        let mut attributes = BlockAttributes::next(parent, timestamp);
        let Some(pending) = pending else { return next_header(&self.spec, parent, &attributes) };
        attributes.beneficiary = pending.beneficiary.unwrap_or(attributes.beneficiary);
        attributes.prev_randao = pending.prev_randao.unwrap_or(attributes.prev_randao);
        attributes.gas_limit = pending.edits.gas_limit.unwrap_or(attributes.gas_limit);
        let mut header = next_header(&self.spec, parent, &attributes);
        header.base_fee_per_gas = pending.edits.base_fee_per_gas.or(header.base_fee_per_gas);
        header
    }

    /// The nonces of these accounts at the head.
    pub(crate) fn nonces_of(&self, accounts: Vec<Address>) -> Result<HashMap<Address, u64>, StoreError> {
        let state = self.tip.latest_state()?;
        let nonce = |address| Ok((address, state.account(address)?.map_or(0, |account| account.nonce)));
        accounts.into_iter().map(nonce).collect()
    }

    fn account_facts(&self, address: Address) -> Result<AccountFacts, StoreError> {
        let state = self.tip.latest_state()?;
        let Some(info) = state.basic_ref(address)? else { return Ok(AccountFacts::default()) };
        let code = state.code_by_hash_ref(info.code_hash)?;
        // EIP-3607 as changed by EIP-7702: a delegation does not make a sender a contract.
        let has_code = !code.is_empty() && !code.is_eip7702();
        Ok(AccountFacts { nonce: info.nonce, balance: info.balance, has_code })
    }

    pub(crate) fn tell(&self, event: ChainEvent) {
        // An error means that nobody listens.
        let _ = self.events.send(event);
    }

    /// The blocks above this one, for those who were told of them. Empty if nobody listens.
    pub(crate) fn blocks_above(&self, number: u64) -> Result<Vec<RemovedBlock>, StoreError> {
        if self.events.receiver_count() + self.rewinds.receiver_count() == 0 {
            return Ok(Vec::new());
        }
        let head = self.chain.head()?.number;
        let first = (number + 1).max((head + 1).saturating_sub(REMOVED_BLOCKS_TOLD_MAX));
        let removed = self.chain.blocks(first..=head).map(|block| {
            let block = block?;
            let receipts = self.chain.receipts(block.number())?.unwrap_or_default();
            Ok(RemovedBlock { block, receipts })
        });
        removed.collect()
    }

    /// Tells that the head went back.
    pub(crate) fn tell_rewound(&self, head: Head, removed: Vec<RemovedBlock>) {
        let rewind = Arc::new(Rewind { head, removed });
        // An error means that nobody listens.
        let _ = self.rewinds.send(rewind.clone());
        self.tell(ChainEvent::Rewound(rewind));
    }

    pub(crate) fn head_is(&self, head: Head) {
        self.head.send_replace(head);
    }

    pub(crate) async fn stop(&self) {
        let (reply, stopped) = oneshot::channel();
        if self.miner.send(MinerCommand::Stop { reply }).await.is_ok() {
            let _ = stopped.await;
        }
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            // The thread flushes the store and ends; joining it must not hold a thread of the runtime.
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the miner's thread ended with a panic");
            }
        }
    }
}
