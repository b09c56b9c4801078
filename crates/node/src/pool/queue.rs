//! The queues of the senders.

use super::{
    Added, PoolContent, PoolError, PoolLimits, PoolOrder, PoolStatus, PooledEntry,
    heads::{Fees, Heads},
};
use alloy::consensus::Transaction as _;
use alloy_primitives::{
    Address, B256, U256,
    map::{HashMap, HashSet},
};
use std::{collections::BTreeMap, sync::Arc};

#[derive(Debug)]
pub(super) struct Queues {
    by_hash: HashMap<B256, Arc<PooledEntry>>,
    by_sender: HashMap<Address, SenderQueue>,
    heads: Heads,
    parked: HashSet<B256>,
    bytes: usize,
    leaving: Leaving,
    /// The last block that [`Queues::on_block`] was told of.
    last_block: u64,
}

/// One sender's transactions. Invariant: not empty, and no nonce below the account's.
#[derive(Debug, Default)]
pub(super) struct SenderQueue {
    account_nonce: u64,
    /// The first nonce from the account's on that is not here: whatever is below it is pending.
    gap: u64,
    by_nonce: BTreeMap<u64, Arc<PooledEntry>>,
    cost: U256,
    /// The one that stands in [`Queues::heads`] for this sender.
    head: Option<Arc<PooledEntry>>,
}

/// Transactions that stand in a block which nobody has been told of yet. They are found by hash, and count for nonces,
/// until it is: no transaction is nowhere.
#[derive(Debug, Default)]
struct Leaving {
    by_block: BTreeMap<u64, Vec<B256>>,
    by_hash: HashMap<B256, Arc<PooledEntry>>,
    /// Block, and the nonce behind it.
    nonces: HashMap<Address, (u64, u64)>,
}

impl SenderQueue {
    /// Those whose nonces follow the account's without a gap.
    pub(super) fn pending(&self) -> impl Iterator<Item = &Arc<PooledEntry>> {
        self.by_nonce.range(self.account_nonce..self.gap.max(self.account_nonce)).map(|(_, entry)| entry)
    }

    fn pending_count(&self) -> usize {
        // Without a gap there is one per nonce.
        usize::try_from(self.gap.saturating_sub(self.account_nonce)).unwrap_or(usize::MAX)
    }

    fn queued(&self) -> impl Iterator<Item = &Arc<PooledEntry>> {
        self.by_nonce.range(self.gap.max(self.account_nonce)..).map(|(_, entry)| entry)
    }

    fn set_account_nonce(&mut self, nonce: u64) {
        self.gap = if (self.account_nonce..=self.gap).contains(&nonce) { self.gap } else { nonce };
        self.account_nonce = nonce;
        self.close_gap();
    }

    fn close_gap(&mut self) {
        while self.by_nonce.contains_key(&self.gap) {
            self.gap += 1;
        }
    }
}

impl Queues {
    pub(super) fn new(order: PoolOrder) -> Self {
        Self {
            by_hash: HashMap::default(),
            by_sender: HashMap::default(),
            heads: Heads::new(order),
            parked: HashSet::default(),
            bytes: 0,
            leaving: Leaving::default(),
            last_block: 0,
        }
    }

    pub(super) fn contains(&self, hash: B256) -> bool {
        self.by_hash.contains_key(&hash) || self.leaving.by_hash.contains_key(&hash)
    }

    pub(super) fn get(&self, hash: B256) -> Option<Arc<PooledEntry>> {
        self.by_hash.get(&hash).or_else(|| self.leaving.by_hash.get(&hash)).cloned()
    }

    pub(super) fn entry_at(&self, sender: Address, nonce: u64) -> Option<&Arc<PooledEntry>> {
        self.by_sender.get(&sender)?.by_nonce.get(&nonce)
    }

    pub(super) fn cost_of(&self, sender: Address) -> U256 {
        self.by_sender.get(&sender).map(|queue| queue.cost).unwrap_or_default()
    }

    pub(super) fn senders(&self) -> Vec<Address> {
        self.by_sender.keys().copied().collect()
    }

    /// Per sender what can run, in the order of its nonces.
    pub(super) fn runnable_queues(&self) -> impl Iterator<Item = (Address, Vec<Arc<PooledEntry>>)> {
        let queues = self.by_sender.iter().map(|(sender, queue)| (*sender, self.runnable(queue)));
        queues.filter(|(_, runnable)| !runnable.is_empty())
    }

    /// The same of the senders with the best first transactions, and of each only the first few.
    pub(super) fn best_queues(&mut self, fees: Fees, senders_max: usize) -> Vec<(Address, Vec<Arc<PooledEntry>>)> {
        let best = self.heads.best(fees).take(senders_max);
        best.map(|head| (head.sender(), vec![head.clone()])).collect()
    }

    fn runnable(&self, queue: &SenderQueue) -> Vec<Arc<PooledEntry>> {
        queue.pending().take_while(|entry| !self.parked.contains(&entry.hash())).cloned().collect()
    }

    /// Brings a sender's place among the heads up to date, after whatever was done to its queue.
    fn index(&mut self, sender: Address) {
        let Some(queue) = self.by_sender.get_mut(&sender) else { return };
        let head = queue.pending().next().filter(|entry| !self.parked.contains(&entry.hash())).cloned();
        if let Some(before) = std::mem::replace(&mut queue.head, head.clone()) {
            self.heads.remove(&before);
        }
        if let Some(head) = head {
            self.heads.insert(head);
        }
    }

    pub(super) fn insert(
        &mut self,
        entry: PooledEntry,
        account_nonce: u64,
        limits: &PoolLimits,
    ) -> Result<Added, PoolError> {
        let entry = Arc::new(entry);
        let replaced = self.entry_at(entry.sender(), entry.nonce()).cloned();
        let evicted = match &replaced {
            Some(old) => {
                require_bump(old, &entry, limits)?;
                self.remove(old.hash());
                None
            }
            None => self.make_room(&entry, limits)?,
        };
        self.bytes += entry.encoded_bytes();
        self.by_hash.insert(entry.hash(), entry.clone());
        let sender = entry.sender();
        let queue = self.by_sender.entry(sender).or_default();
        queue.cost = queue.cost.saturating_add(entry.cost());
        queue.by_nonce.insert(entry.nonce(), entry.clone());
        // Whoever read the account's nonce may have been overtaken by a block.
        queue.set_account_nonce(queue.account_nonce.max(account_nonce));
        let is_pending = entry.nonce() < queue.gap;
        self.index(sender);
        Ok(Added { entry, is_pending, replaced, evicted })
    }

    pub(super) fn remove(&mut self, hash: B256) -> Option<Arc<PooledEntry>> {
        let entry = self.by_hash.remove(&hash)?;
        self.parked.remove(&hash);
        self.bytes -= entry.encoded_bytes();
        let sender = entry.sender();
        if let Some(queue) = self.by_sender.get_mut(&sender) {
            queue.by_nonce.remove(&entry.nonce());
            queue.cost = queue.cost.saturating_sub(entry.cost());
            if (queue.account_nonce..queue.gap).contains(&entry.nonce()) {
                queue.gap = entry.nonce();
            }
            self.index(sender);
            if self.by_sender.get(&sender).is_some_and(|queue| queue.by_nonce.is_empty()) {
                self.by_sender.remove(&sender);
            }
        }
        Some(entry)
    }

    pub(super) fn set_parked(&mut self, hash: B256, parked: bool) {
        let Some(sender) = self.by_hash.get(&hash).map(|entry| entry.sender()) else { return };
        if parked {
            self.parked.insert(hash);
        } else {
            self.parked.remove(&hash);
        }
        self.index(sender);
    }

    pub(super) fn pending_nonce(&self, account: Address) -> Option<u64> {
        let queue = self.by_sender.get(&account).filter(|queue| queue.pending_count() > 0);
        queue.map(|queue| queue.gap).or_else(|| Some(self.leaving.nonces.get(&account)?.1))
    }

    /// After block `number` the accounts' nonces are these, or already higher. Says it for whoever may have read them before
    /// the block: if the block itself is still to be told, what it rules out stays until then.
    pub(super) fn raise_nonces(&mut self, number: u64, nonces: &HashMap<Address, u64>) {
        for (sender, nonce) in nonces {
            let Some(queue) = self.by_sender.get_mut(sender).filter(|queue| queue.account_nonce <= *nonce) else {
                continue;
            };
            if number <= self.last_block {
                self.set_nonce(*sender, *nonce);
            } else {
                queue.set_account_nonce(*nonce);
                self.index(*sender);
            }
        }
    }

    /// The accounts' nonces are these, whatever they were.
    pub(super) fn set_nonces(&mut self, nonces: &HashMap<Address, u64>) -> Vec<Arc<PooledEntry>> {
        self.last_block = 0;
        nonces.iter().flat_map(|(sender, nonce)| self.set_nonce(*sender, *nonce)).collect()
    }

    fn set_nonce(&mut self, sender: Address, nonce: u64) -> Vec<Arc<PooledEntry>> {
        let Some(queue) = self.by_sender.get_mut(&sender) else { return Vec::new() };
        let gone: Vec<_> = queue.by_nonce.range(..nonce).map(|(_, entry)| entry.clone()).collect();
        queue.set_account_nonce(nonce);
        self.index(sender);
        gone.iter().for_each(|entry| drop(self.remove(entry.hash())));
        gone
    }

    /// A block was written: what its accounts' nonces rule out leaves, but is found until the block is
    /// [settled](Self::settled).
    pub(super) fn on_block(&mut self, number: u64, nonces: &HashMap<Address, u64>) -> Vec<Arc<PooledEntry>> {
        self.last_block = number;
        let mut gone = Vec::new();
        for (sender, nonce) in nonces {
            // Whoever was faster may have told the queue the account's nonce, but not taken anything out.
            if self.by_sender.get(sender).is_some_and(|queue| queue.account_nonce <= *nonce) {
                gone.extend(self.set_nonce(*sender, *nonce));
            }
        }
        for entry in &gone {
            self.leaving.by_hash.insert(entry.hash(), entry.clone());
            self.leaving.nonces.insert(entry.sender(), (number, nonces[&entry.sender()]));
        }
        self.leaving.by_block.entry(number).or_default().extend(gone.iter().map(|entry| entry.hash()));
        gone
    }

    /// Everybody can see this block and those below it.
    pub(super) fn settled(&mut self, number: u64) {
        let above = self.leaving.by_block.split_off(&(number + 1));
        for hash in std::mem::replace(&mut self.leaving.by_block, above).into_values().flatten() {
            let Some(entry) = self.leaving.by_hash.remove(&hash) else { continue };
            if self.leaving.nonces.get(&entry.sender()).is_some_and(|(block, _)| *block <= number) {
                self.leaving.nonces.remove(&entry.sender());
            }
        }
    }

    pub(super) fn status(&self) -> PoolStatus {
        let pending = self.by_sender.values().map(SenderQueue::pending_count).sum();
        PoolStatus { pending, queued: self.by_hash.len() - pending, parked: self.parked.len(), bytes: self.bytes }
    }

    pub(super) fn content(&self) -> PoolContent {
        let mut content = PoolContent::default();
        for (sender, queue) in &self.by_sender {
            let keyed = |entry: &Arc<PooledEntry>| (entry.nonce(), entry.clone());
            let pending: BTreeMap<_, _> = queue.pending().map(keyed).collect();
            let queued: BTreeMap<_, _> = queue.queued().map(keyed).collect();
            if !pending.is_empty() {
                content.pending.insert(*sender, pending);
            }
            if !queued.is_empty() {
                content.queued.insert(*sender, queued);
            }
        }
        content
    }

    /// Lets the newcomer in, at the price of whoever pays least if the pool is full.
    fn make_room(&mut self, entry: &PooledEntry, limits: &PoolLimits) -> Result<Option<Arc<PooledEntry>>, PoolError> {
        let (sender, queue) = (entry.sender(), self.by_sender.get(&entry.sender()));
        let of_sender = queue.map_or(0, |queue| queue.by_nonce.len());
        if of_sender >= limits.transactions_per_sender_max {
            return Err(PoolError::SenderFull { sender, transactions: of_sender });
        }
        let fits = |queues: &Self| {
            queues.by_hash.len() < limits.transactions_max && queues.bytes + entry.encoded_bytes() <= limits.bytes_max
        };
        if fits(self) {
            return Ok(None);
        }
        let full = PoolError::Full { transactions: self.by_hash.len(), bytes: self.bytes };
        let victim = self.cheapest_tail(sender).ok_or_else(|| full.clone())?;
        if victim.transaction().max_fee_per_gas() >= entry.transaction().max_fee_per_gas() {
            return Err(full);
        }
        let room = self.bytes - victim.encoded_bytes() + entry.encoded_bytes() <= limits.bytes_max;
        if !room {
            return Err(full);
        }
        Ok(self.remove(victim.hash()))
    }

    /// The last transaction of some other sender, of those the one with the lowest fee cap. Taking a tail leaves no gap.
    fn cheapest_tail(&self, newcomer: Address) -> Option<Arc<PooledEntry>> {
        let others = self.by_sender.iter().filter(|(sender, _)| **sender != newcomer);
        let tails = others.filter_map(|(_, queue)| queue.by_nonce.last_key_value().map(|(_, entry)| entry));
        let tails = tails.filter(|entry| !self.parked.contains(&entry.hash()));
        tails.min_by_key(|entry| (entry.transaction().max_fee_per_gas(), std::cmp::Reverse(entry.arrival()))).cloned()
    }
}

fn require_bump(old: &PooledEntry, new: &PooledEntry, limits: &PoolLimits) -> Result<(), PoolError> {
    let (old, new) = (old.transaction(), new.transaction());
    let is_blob = old.max_fee_per_blob_gas().is_some() || new.max_fee_per_blob_gas().is_some();
    let bump_percent = if is_blob { limits.blob_price_bump_percent } else { limits.price_bump_percent };
    let enough = |old: u128, new: u128| new >= old.saturating_add(old.saturating_mul(bump_percent).div_ceil(100));
    let tip = |tx: &crate::types::RecoveredTransaction| tx.max_priority_fee_per_gas().unwrap_or(tx.max_fee_per_gas());
    let blob_cap = |tx: &crate::types::RecoveredTransaction| tx.max_fee_per_blob_gas().unwrap_or_default();
    let higher = new.max_fee_per_gas() > old.max_fee_per_gas();
    let pays_more = higher
        && enough(old.max_fee_per_gas(), new.max_fee_per_gas())
        && enough(tip(old), tip(new))
        && enough(blob_cap(old), blob_cap(new));
    if pays_more { Ok(()) } else { Err(PoolError::ReplacementUnderpriced { bump_percent }) }
}
