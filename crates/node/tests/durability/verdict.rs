//! Is what is left whole?

use super::child::options;
use alloy_primitives::{Address, B256, U256};
use alloy_trie::{TrieAccount, root};
use cryptlet_node::store::{ChainStore, StoreError};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// Slots of each account whose way through its trie is walked, at most.
const SLOTS_PROVED: usize = 16;

/// What was found.
pub(crate) struct Verdict {
    pub(crate) head: u64,
    /// Acknowledged blocks that are not there.
    pub(crate) lost: u64,
    /// Until the store could be asked.
    pub(crate) reopened_in: Duration,
}

/// Opens what is left, and checks everything that can be.
pub(crate) fn judge(folder: &Path, sync: bool, acknowledged: &[(u64, B256)]) -> Result<Verdict, StoreError> {
    let start = Instant::now();
    let store = ChainStore::open(folder, &options(sync))?;
    let head = store.head()?;
    let reopened_in = start.elapsed();
    let lost = acknowledged.iter().filter(|(number, hash)| store.block_hash(*number).ok().flatten() != Some(*hash));
    let verdict = Verdict { head: head.number, lost: lost.count() as u64, reopened_in };
    // The head, and blocks of the past: their states have the roots their headers commit to.
    for number in [head.number, head.number / 2, head.number.saturating_sub(3)] {
        check_state(&store, number)?;
    }
    check_tries(&store, head.number)?;
    for number in head.number.saturating_sub(2)..=head.number {
        check_block(&store, number)?;
    }
    assert!(store.header(head.number + 1)?.is_none(), "something lies above the head");
    Ok(verdict)
}

/// The state root, computed from the flat rows alone.
fn check_state(store: &ChainStore, number: u64) -> Result<(), StoreError> {
    let state = store.state_at(number)?;
    let mut accounts: Vec<(Address, TrieAccount)> = Vec::new();
    for entry in state.accounts(Address::ZERO) {
        let (address, account) = entry?;
        let slots = state.slots(address, U256::ZERO).collect::<Result<Vec<_>, _>>()?;
        let slots = slots.into_iter().map(|(slot, value)| (B256::from(slot), value));
        assert_eq!(root::storage_root_unhashed(slots), account.storage_root, "storage of {address} at block {number}");
        accounts.push((address, account));
    }
    let header = store.header(number)?.expect("it is there");
    assert_eq!(root::state_root_unhashed(accounts), header.state_root, "the state of block {number}");
    // And the trie's own rows lead there.
    let proof = store.proof(number, Address::ZERO, &[])?;
    assert!(!proof.proof.is_empty());
    Ok(())
}

/// The rows of the head's tries lead to every account, and to some slots of each.
fn check_tries(store: &ChainStore, head: u64) -> Result<(), StoreError> {
    let state = store.state_at(head)?;
    for entry in state.accounts(Address::ZERO) {
        let (address, account) = entry?;
        let slots = state.slots(address, U256::ZERO).map(|slot| slot.map(|(slot, _)| slot));
        let slots = slots.collect::<Result<Vec<_>, _>>()?;
        let some: Vec<U256> = slots.iter().copied().step_by(1 + slots.len() / SLOTS_PROVED).collect();
        assert_eq!(store.proof(head, address, &some)?.account, Some(account));
    }
    Ok(())
}

fn check_block(store: &ChainStore, number: u64) -> Result<(), StoreError> {
    let block = store.block(number)?.expect("it is there");
    assert_eq!(block.block.header.hash_slow(), block.hash);
    let receipts = store.receipts(number)?.expect("they are there");
    assert_eq!(receipts.len(), block.block.body.transactions.len());
    for transaction in &block.block.body.transactions {
        let location = store.transaction_location(*transaction.tx_hash())?;
        assert_eq!(location.map(|location| location.block_number), Some(number));
    }
    Ok(())
}

/// A row of the table that a long run prints.
#[derive(Default)]
pub(crate) struct Tally {
    points: u64,
    acknowledged: u64,
    lost: u64,
    reopened: Vec<Duration>,
    head: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, verdict: &Verdict, acknowledged: usize) {
        self.points += 1;
        self.acknowledged += acknowledged as u64;
        self.lost += verdict.lost;
        self.head = self.head.max(verdict.head);
        self.reopened.push(verdict.reopened_in);
    }

    pub(crate) fn say(&mut self, what: &str) {
        self.reopened.sort_unstable();
        let ms = |at: usize| self.reopened.get(at).map_or(0, |time| time.as_millis());
        let (points, acknowledged, lost, head) = (self.points, self.acknowledged, self.lost, self.head);
        let (median, worst) = (ms(self.reopened.len() / 2), ms(self.reopened.len().saturating_sub(1)));
        super::say(&format!("| {what} | {points} | {head} | {acknowledged} | {lost} | {median} ms | {worst} ms |"));
    }
}

pub(crate) const TABLE_HEAD: &str = "| what | points | blocks | acknowledged | lost | reopened in, median | worst |\n\
                                     | --- | --- | --- | --- | --- | --- | --- |";
