//! The queues of the senders.

use super::{Added, PoolContent, PoolError, PoolLimits, PoolStatus, PooledEntry};
use alloy::consensus::Transaction as _;
use alloy_primitives::{
    Address, B256, U256,
    map::{HashMap, HashSet},
};
use std::{collections::BTreeMap, sync::Arc};

#[derive(Debug, Default)]
pub(super) struct Queues {
    by_hash: HashMap<B256, Arc<PooledEntry>>,
    by_sender: HashMap<Address, SenderQueue>,
    parked: HashSet<B256>,
    bytes: usize,
}

/// One sender's transactions. Invariant: not empty, and no nonce below the account's.
#[derive(Debug, Default)]
pub(super) struct SenderQueue {
    account_nonce: u64,
    by_nonce: BTreeMap<u64, Arc<PooledEntry>>,
    cost: U256,
}

impl SenderQueue {
    /// Those whose nonces follow the account's without a gap.
    pub(super) fn pending(&self) -> impl Iterator<Item = &Arc<PooledEntry>> {
        let nonces = self.account_nonce..;
        self.by_nonce
            .iter()
            .zip(nonces)
            .take_while(|((nonce, _), wanted)| **nonce == *wanted)
            .map(|((_, entry), _)| entry)
    }

    fn queued(&self) -> impl Iterator<Item = &Arc<PooledEntry>> {
        self.by_nonce.values().skip(self.pending().count())
    }
}

impl Queues {
    pub(super) fn contains(&self, hash: B256) -> bool {
        self.by_hash.contains_key(&hash)
    }

    pub(super) fn get(&self, hash: B256) -> Option<Arc<PooledEntry>> {
        self.by_hash.get(&hash).cloned()
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

    pub(super) fn runnable_queues(&self) -> impl Iterator<Item = (Address, Vec<Arc<PooledEntry>>)> {
        self.by_sender.iter().filter_map(|(sender, queue)| {
            let runnable = queue.pending().take_while(|entry| !self.parked.contains(&entry.hash()));
            let runnable: Vec<_> = runnable.cloned().collect();
            (!runnable.is_empty()).then_some((*sender, runnable))
        })
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
        let queue = self.by_sender.entry(entry.sender()).or_default();
        queue.account_nonce = account_nonce;
        queue.cost = queue.cost.saturating_add(entry.cost());
        queue.by_nonce.insert(entry.nonce(), entry.clone());
        let is_pending = queue.pending().any(|pending| pending.hash() == entry.hash());
        Ok(Added { entry, is_pending, replaced, evicted })
    }

    pub(super) fn remove(&mut self, hash: B256) -> Option<Arc<PooledEntry>> {
        let entry = self.by_hash.remove(&hash)?;
        self.parked.remove(&hash);
        self.bytes -= entry.encoded_bytes();
        if let Some(queue) = self.by_sender.get_mut(&entry.sender()) {
            queue.by_nonce.remove(&entry.nonce());
            queue.cost = queue.cost.saturating_sub(entry.cost());
            if queue.by_nonce.is_empty() {
                self.by_sender.remove(&entry.sender());
            }
        }
        Some(entry)
    }

    pub(super) fn set_parked(&mut self, hash: B256, parked: bool) {
        if parked && self.by_hash.contains_key(&hash) {
            self.parked.insert(hash);
        } else {
            self.parked.remove(&hash);
        }
    }

    pub(super) fn pending_nonce(&self, account: Address) -> Option<u64> {
        let queue = self.by_sender.get(&account)?;
        queue.pending().last().map(|entry| entry.nonce() + 1)
    }

    pub(super) fn on_new_nonces(&mut self, nonces: &HashMap<Address, u64>) -> Vec<Arc<PooledEntry>> {
        let mut gone = Vec::new();
        for (sender, nonce) in nonces {
            let Some(queue) = self.by_sender.get_mut(sender) else { continue };
            queue.account_nonce = *nonce;
            gone.extend(queue.by_nonce.range(..nonce).map(|(_, entry)| entry.clone()));
        }
        gone.iter().for_each(|entry| drop(self.remove(entry.hash())));
        gone
    }

    pub(super) fn status(&self) -> PoolStatus {
        let pending = self.by_sender.values().map(|queue| queue.pending().count()).sum();
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
