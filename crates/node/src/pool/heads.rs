//! The first runnable transaction of every sender, so that the best of all is found without looking at all.
//!
//! What a transaction pays the builder depends on the base fee, which every block changes: its tip is its priority fee, if
//! its fee cap leaves as much above the base fee, or else what the cap leaves. Among those of one kind the order is the same
//! at every base fee. So the two kinds are kept apart and in order, and a new base fee moves only those whose kind changes.

use super::{PoolOrder, PooledEntry};
use alloy::consensus::Transaction as _;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, btree_map},
    iter::Peekable,
    sync::Arc,
};

/// Prices of the block that is to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fees {
    pub(super) base_fee: u64,
    pub(super) blob_base_fee: u128,
}

/// Highest price first, then the earliest arrival.
type Rank = (Reverse<u128>, u64);

#[derive(Debug, Default)]
pub(super) struct Heads {
    order: PoolOrder,
    base_fee: u64,
    /// Those that pay all of their priority fee, by it.
    generous: BTreeMap<Rank, Arc<PooledEntry>>,
    /// Those that pay what their cap leaves, by the cap.
    capped: BTreeMap<Rank, Arc<PooledEntry>>,
    /// All of them, by the highest base fee at which they are generous, and arrival.
    by_turning_point: BTreeMap<(u128, u64), Arc<PooledEntry>>,
}

impl Heads {
    pub(super) fn new(order: PoolOrder) -> Self {
        Self { order, ..Self::default() }
    }

    pub(super) fn insert(&mut self, head: Arc<PooledEntry>) {
        self.by_turning_point.insert((turning_point(&head), head.arrival()), head.clone());
        self.place(head);
    }

    pub(super) fn remove(&mut self, head: &PooledEntry) {
        self.by_turning_point.remove(&(turning_point(head), head.arrival()));
        self.generous.remove(&self.priority_rank(head));
        self.capped.remove(&self.cap_rank(head));
    }

    /// The heads that can pay these prices: highest tip first, then the earliest.
    pub(super) fn best(&mut self, fees: Fees) -> BestHeads<'_> {
        self.move_to(fees.base_fee);
        BestHeads {
            order: self.order,
            fees,
            generous: self.generous.values().peekable(),
            capped: self.capped.values().peekable(),
        }
    }

    fn place(&mut self, head: Arc<PooledEntry>) {
        if turning_point(&head) >= u128::from(self.base_fee) {
            self.generous.insert(self.priority_rank(&head), head);
        } else {
            self.capped.insert(self.cap_rank(&head), head);
        }
    }

    fn priority_rank(&self, head: &PooledEntry) -> Rank {
        (Reverse(self.order.price(priority_fee(head))), head.arrival())
    }

    fn cap_rank(&self, head: &PooledEntry) -> Rank {
        (Reverse(self.order.price(head.transaction().max_fee_per_gas())), head.arrival())
    }

    fn move_to(&mut self, base_fee: u64) {
        let (low, high) = (self.base_fee.min(base_fee), self.base_fee.max(base_fee));
        self.base_fee = base_fee;
        let between = (u128::from(low), 0)..(u128::from(high), 0);
        let turned: Vec<_> = self.by_turning_point.range(between).map(|(_, head)| head.clone()).collect();
        for head in turned {
            self.generous.remove(&self.priority_rank(&head));
            self.capped.remove(&self.cap_rank(&head));
            self.place(head);
        }
    }
}

type Order<'a> = Peekable<btree_map::Values<'a, Rank, Arc<PooledEntry>>>;

/// See [`Heads::best`].
pub(super) struct BestHeads<'a> {
    order: PoolOrder,
    fees: Fees,
    generous: Order<'a>,
    capped: Order<'a>,
}

impl<'a> Iterator for BestHeads<'a> {
    type Item = &'a Arc<PooledEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        let (fees, ranks) = (self.fees, self.order);
        let can_pay =
            |head: &Arc<PooledEntry>| head.tip_at(fees.base_fee).is_some() && head.pays_blobs_at(fees.blob_base_fee);
        let first = |order: &mut Order<'a>| {
            while order.next_if(|head| !can_pay(head)).is_some() {}
            let price = |head: &Arc<PooledEntry>| head.tip_at(fees.base_fee).map(|tip| ranks.price(tip));
            order.peek().map(|head| (price(head), Reverse(head.arrival())))
        };
        let (generous, capped) = (first(&mut self.generous), first(&mut self.capped));
        if generous > capped { self.generous.next() } else { self.capped.next() }
    }
}

fn priority_fee(head: &PooledEntry) -> u128 {
    let transaction = head.transaction();
    transaction.max_priority_fee_per_gas().unwrap_or_else(|| transaction.max_fee_per_gas())
}

/// The highest base fee at which it pays all of its priority fee.
fn turning_point(head: &PooledEntry) -> u128 {
    head.transaction().max_fee_per_gas().saturating_sub(priority_fee(head))
}
