//! The order in which a builder sees the pool.

use super::{PoolOrder, PooledEntry, heads::Fees};
use alloy_primitives::{Address, map::HashMap};
use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
};

/// The executable transactions of the pool as it was when this was made, best first. Nonce order holds within a sender.
#[derive(Debug)]
pub struct Best {
    order: PoolOrder,
    base_fee: u64,
    blob_base_fee: u128,
    heads: BinaryHeap<Candidate>,
    behind: HashMap<Address, VecDeque<Arc<PooledEntry>>>,
    /// To be given before all others, as they stand.
    given: VecDeque<Arc<PooledEntry>>,
    last: Option<Address>,
}

#[derive(Debug)]
struct Candidate {
    /// What ranks it, before its arrival.
    price: u128,
    entry: Arc<PooledEntry>,
}

impl Best {
    pub(super) fn new(
        queues: impl IntoIterator<Item = (Address, Vec<Arc<PooledEntry>>)>,
        fees: Fees,
        order: PoolOrder,
    ) -> Self {
        let Fees { base_fee, blob_base_fee } = fees;
        let mut best = Self { order, base_fee, blob_base_fee, ..Self::in_order(Vec::new()) };
        for (sender, entries) in queues {
            best.behind.insert(sender, entries.into());
            best.promote(sender);
        }
        best
    }

    /// Exactly these, in this order, wherever they come from.
    pub fn in_order(entries: Vec<PooledEntry>) -> Self {
        Self {
            order: PoolOrder::Fees,
            base_fee: 0,
            blob_base_fee: 0,
            heads: BinaryHeap::new(),
            behind: HashMap::default(),
            given: entries.into_iter().map(Arc::new).collect(),
            last: None,
        }
    }

    /// Senders that have something here.
    pub fn senders(&self) -> usize {
        self.heads.len()
    }

    /// Leaves out whatever else the sender of the last transaction has: it cannot run before that one.
    pub fn skip_sender(&mut self) {
        if let Some(sender) = self.last.take() {
            self.behind.remove(&sender);
        }
    }

    fn promote(&mut self, sender: Address) {
        let Some(entry) = self.behind.get_mut(&sender).and_then(VecDeque::pop_front) else { return };
        let tip = entry.tip_at(self.base_fee).filter(|_| entry.pays_blobs_at(self.blob_base_fee));
        match tip {
            Some(tip) => self.heads.push(Candidate { price: self.order.price(tip), entry }),
            // It cannot pay now, so nothing behind it can run either.
            None => drop(self.behind.remove(&sender)),
        }
    }
}

impl Iterator for Best {
    type Item = Arc<PooledEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.given.pop_front() {
            return Some(entry);
        }
        if let Some(sender) = self.last.take() {
            self.promote(sender);
        }
        let Candidate { entry, .. } = self.heads.pop()?;
        self.last = Some(entry.sender());
        Some(entry)
    }
}

impl Candidate {
    fn rank(&self) -> (u128, Reverse<u64>) {
        (self.price, Reverse(self.entry.arrival()))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Candidate {}
