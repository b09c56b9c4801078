//! Transactions that wait for a block.
//!
//! ```text
//! bytes ──decode, recover──► PooledEntry ──validate(account, rules)──► queue of its sender ──best()──► block builder
//! ```
//!
//! A sender's transactions are *pending* as far as their nonces follow the account's without a gap, and *queued* behind a
//! gap. A pending one that waits for a cryptlet is *parked*: it holds its place, and everything behind it waits.
//! Refusals use geth's words, because that is what tools look for.

mod best;
mod blobs;
mod entry;
mod error;
mod heads;
mod queue;
#[cfg(test)]
mod tests;
mod validate;

pub use best::Best;
pub use entry::{PooledEntry, decode_transaction};
pub use error::PoolError;
pub use validate::{AccountFacts, PoolRules};

use alloy_primitives::{Address, B256, map::HashMap};
use heads::Fees;
use parking_lot::Mutex;
use queue::Queues;
use std::{collections::BTreeMap, sync::Arc};

/// Bounds of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// Transactions in all.
    pub transactions_max: usize,
    /// Bytes of encoded transactions in all.
    pub bytes_max: usize,
    /// Transactions of one sender.
    pub transactions_per_sender_max: usize,
    /// Bytes of one encoded transaction without blobs.
    pub transaction_bytes_max: usize,
    /// Bytes of one encoded transaction with blobs.
    pub blob_transaction_bytes_max: usize,
    /// A replacement must pay this much more, in percent.
    pub price_bump_percent: u128,
    /// The same for blob transactions.
    pub blob_price_bump_percent: u128,
    /// Refuse a transaction whose fee cap is below the next block's base fee instead of keeping it until the fee falls.
    pub reject_below_base_fee: bool,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            transactions_max: 32_768,
            bytes_max: 64 * 1024 * 1024,
            transactions_per_sender_max: 16_384,
            transaction_bytes_max: 128 * 1024,
            blob_transaction_bytes_max: 1024 * 1024,
            price_bump_percent: 10,
            blob_price_bump_percent: 100,
            reject_below_base_fee: true,
        }
    }
}

impl PoolLimits {
    /// The same, with room for a transaction that makes a contract with so many bytes of initialization code.
    pub(crate) fn for_init_code(self, bytes_max: usize) -> Self {
        // What is not code: fees, a signature, an access list of some length.
        const REST_BYTES: usize = 32 * 1024;
        let transaction_bytes_max = self.transaction_bytes_max.max((bytes_max + REST_BYTES).min(self.bytes_max / 4));
        Self { transaction_bytes_max, ..self }
    }
}

/// What comes first in a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolOrder {
    /// Whatever pays the builder most; of two that pay the same, the earlier.
    #[default]
    Fees,
    /// Whatever came first.
    Arrival,
}

impl PoolOrder {
    /// The price that counts, of what a transaction pays.
    fn price(self, paid: u128) -> u128 {
        if self == Self::Fees { paid } else { 0 }
    }
}

/// How many transactions wait, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// Could be in the next block (parked ones included).
    pub pending: usize,
    /// Wait behind a gap in the nonces.
    pub queued: usize,
    /// Of the pending ones, those that wait for a cryptlet.
    pub parked: usize,
    /// Bytes of all.
    pub bytes: usize,
}

/// All transactions of the pool, by sender and nonce.
#[derive(Clone, Debug, Default)]
pub struct PoolContent {
    /// Executable in nonce order.
    pub pending: BTreeMap<Address, BTreeMap<u64, Arc<PooledEntry>>>,
    /// Behind a gap.
    pub queued: BTreeMap<Address, BTreeMap<u64, Arc<PooledEntry>>>,
}

/// What came of adding a transaction.
#[derive(Clone, Debug)]
pub struct Added {
    /// The transaction.
    pub entry: Arc<PooledEntry>,
    /// Could it be in the next block?
    pub is_pending: bool,
    /// The transaction that it replaced, if any.
    pub replaced: Option<Arc<PooledEntry>>,
    /// The transaction that had to leave because the pool was full, if any.
    pub evicted: Option<Arc<PooledEntry>>,
}

/// The pool. All methods take a lock for a short time and may be called from any thread.
#[derive(Debug)]
pub struct Pool {
    limits: PoolLimits,
    order: PoolOrder,
    queues: Mutex<Queues>,
}

impl Pool {
    /// An empty pool.
    pub fn new(limits: PoolLimits, order: PoolOrder) -> Self {
        Self { limits, order, queues: Mutex::new(Queues::new(order)) }
    }

    /// What comes first in a block.
    pub fn order(&self) -> PoolOrder {
        self.order
    }

    /// The bounds of this pool.
    pub fn limits(&self) -> &PoolLimits {
        &self.limits
    }

    /// Validates a transaction against its sender's account and the rules of the next block, and takes it in.
    pub fn add(&self, entry: PooledEntry, account: &AccountFacts, rules: &PoolRules) -> Result<Added, PoolError> {
        if self.queues.lock().contains(entry.hash()) {
            return Err(PoolError::AlreadyKnown);
        }
        blobs::validate(&entry, rules)?;
        let mut queues = self.queues.lock();
        if queues.contains(entry.hash()) {
            return Err(PoolError::AlreadyKnown);
        }
        let replaced_cost = queues.entry_at(entry.sender(), entry.nonce()).map(|old| old.cost());
        let queued_cost = queues.cost_of(entry.sender()).saturating_sub(replaced_cost.unwrap_or_default());
        validate::validate(&entry, account, queued_cost, rules, &self.limits)?;
        queues.insert(entry, account.nonce, &self.limits)
    }

    /// A transaction of the pool.
    pub fn get(&self, hash: B256) -> Option<Arc<PooledEntry>> {
        self.queues.lock().get(hash)
    }

    /// Counts.
    pub fn status(&self) -> PoolStatus {
        self.queues.lock().status()
    }

    /// Everything.
    pub fn content(&self) -> PoolContent {
        self.queues.lock().content()
    }

    /// The nonce behind the account's executable transactions; `None` if it has none here.
    pub fn pending_nonce(&self, account: Address) -> Option<u64> {
        self.queues.lock().pending_nonce(account)
    }

    /// The executable transactions, best first: by tip at this base fee (unless the pool orders by arrival), then by arrival. Parked ones, and whatever waits
    /// behind them, are left out.
    pub fn best(&self, base_fee: u64, blob_base_fee: u128) -> Best {
        Best::new(self.queues.lock().runnable_queues(), Fees { base_fee, blob_base_fee }, self.order)
    }

    /// The first of [`Self::best`], of at most so many senders and one of each: what a block of one transaction needs to
    /// see. Costs no more in a full pool than in an empty one.
    pub fn best_few(&self, base_fee: u64, blob_base_fee: u128, senders_max: usize) -> Best {
        let fees = Fees { base_fee, blob_base_fee };
        Best::new(self.queues.lock().best_queues(fees, senders_max), fees, self.order)
    }

    /// Notes that a transaction waits for a cryptlet, or no longer does.
    pub fn set_parked(&self, hash: B256, parked: bool) {
        self.queues.lock().set_parked(hash, parked);
    }

    /// Takes a transaction out. Those behind it stay, queued.
    pub fn remove(&self, hash: B256) -> Option<Arc<PooledEntry>> {
        self.queues.lock().remove(hash)
    }

    /// Senders with transactions here.
    pub fn senders(&self) -> Vec<Address> {
        self.queues.lock().senders()
    }

    /// Tells the pool the accounts' nonces after the chain was rewound; transactions below them leave and are returned.
    pub fn on_rewind(&self, nonces: &HashMap<Address, u64>) -> Vec<Arc<PooledEntry>> {
        self.queues.lock().set_nonces(nonces)
    }

    /// After block `number` the accounts' nonces are these, or already higher: for whoever added a transaction with an
    /// account that was read before the block.
    pub fn on_higher_nonces(&self, number: u64, nonces: &HashMap<Address, u64>) {
        self.queues.lock().raise_nonces(number, nonces);
    }

    /// A block was written, after which the accounts' nonces are these; transactions below them leave and are returned.
    /// Until the block is [settled](Self::settled) they are still found by hash and counted.
    pub fn on_block(&self, number: u64, nonces: &HashMap<Address, u64>) -> Vec<Arc<PooledEntry>> {
        self.queues.lock().on_block(number, nonces)
    }

    /// Everybody can see this block and those below it.
    pub fn settled(&self, number: u64) {
        self.queues.lock().settled(number);
    }
}
