//! From changes to everything a commit writes: the rows, what they were, the trie nodes, and the new root.

use super::{
    changes::{AccountChange, Noted, StateChanges},
    history,
    snapshot::{account_now, slot_now},
};
use crate::{
    store::{Batch, KeyValueRead, StoreError, codec::word_of_row, schema::Table},
    trie::{self, Change, NodeCache, NodeWrites, StoredTrie},
};
use alloy::eips::BlockNumHash;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, KECCAK_EMPTY, Nibbles, TrieAccount};
use rayon::prelude::*;
use reth_primitives_traits::Account;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// From how many changed slots on the storage tries are updated in parallel.
const PARALLEL_SLOTS_MIN: usize = 64;

/// The state that changes come to, computed but not written.
#[derive(Clone, Debug)]
pub struct StateUpdate {
    base: BlockNumHash,
    root: B256,
    /// Accounts that change, by address.
    pub accounts: Vec<AccountDiff>,
    /// Slots that change, by address and slot.
    pub slots: Vec<SlotDiff>,
    /// Codes that may be new.
    pub code: Vec<(B256, Bytes)>,
    pub(crate) account_nodes: NodeWrites,
    pub(crate) storage_nodes: HashMap<B256, NodeWrites>,
}

/// An account before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountDiff {
    /// Which.
    pub address: Address,
    /// `None`: it did not exist.
    pub before: Option<TrieAccount>,
    /// `None`: it does not exist any more.
    pub after: Option<TrieAccount>,
}

/// A slot before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotDiff {
    /// Of which account.
    pub address: Address,
    /// Which.
    pub slot: U256,
    /// Zero: there was no row.
    pub before: U256,
    /// Zero: there is no row any more.
    pub after: U256,
}

impl StateUpdate {
    /// The root of the state it comes to.
    pub fn root(&self) -> B256 {
        self.root
    }

    /// The block whose state it starts from.
    pub fn base(&self) -> BlockNumHash {
        self.base
    }

    /// Is this the root that the header of block `number` commits to?
    pub fn check_root(&self, number: u64, header: B256) -> Result<(), StoreError> {
        if self.root != header {
            return Err(StoreError::StateRootMismatch { number, header, computed: self.root });
        }
        Ok(())
    }

    pub(crate) fn put_code_and_trie(&self, batch: &mut Batch) {
        for (hash, code) in &self.code {
            batch.put(Table::Code, *hash, code.to_vec());
        }
        for (path, node) in &self.account_nodes {
            batch.set(Table::AccountTrie, path.to_vec(), node.clone());
        }
        for (account, nodes) in &self.storage_nodes {
            for (path, node) in nodes {
                let key = crate::store::schema::storage_trie_key(account, &path.to_vec());
                batch.set(Table::StorageTrie, key, node.clone());
            }
        }
    }
}

/// Computes the update that `changes` make of the state in `tables`, whose root is `root`; with `nodes` that are in memory.
pub(crate) fn prepare(
    tables: &dyn KeyValueRead,
    nodes: Option<&NodeCache>,
    base: BlockNumHash,
    root: B256,
    changes: &StateChanges,
) -> Result<StateUpdate, StoreError> {
    let touched =
        changes.accounts.iter().map(|(address, change)| Touched::read(tables, *address, change, &changes.noted));
    let mut update = update_tries(tables, nodes, base, root, touched.collect::<Result<_, _>>()?, &changes.noted)?;
    update.code = changes.code.iter().map(|(hash, code)| (*hash, code.clone())).collect();
    Ok(update)
}

/// Computes the update that makes the tries in `tables`, which are those of block `tries` and have this root, the tries of the
/// head, whose accounts and slots are in `tables`.
pub(crate) fn catch_up(
    tables: &dyn KeyValueRead,
    tries: BlockNumHash,
    root: B256,
    head: u64,
) -> Result<StateUpdate, StoreError> {
    let mut changed: BTreeMap<Address, BTreeSet<U256>> = BTreeMap::new();
    for number in tries.number + 1..=head {
        for (address, slots) in history::changed_keys(tables, number)?.0 {
            changed.entry(address).or_default().extend(slots);
        }
    }
    let touched = changed.iter().map(|(address, slots)| Touched::since(tables, tries.number, *address, slots));
    update_tries(tables, None, tries, root, touched.collect::<Result<_, _>>()?, &Noted::default())
}

fn update_tries(
    tables: &dyn KeyValueRead,
    nodes: Option<&NodeCache>,
    base: BlockNumHash,
    root: B256,
    touched: Vec<Touched>,
    noted: &Noted,
) -> Result<StateUpdate, StoreError> {
    let slots: usize = touched.iter().map(|account| account.slots.len()).sum();
    let update = |account: &Touched| account.update_storage_trie(tables, nodes);
    let storage: Vec<(B256, NodeWrites)> = if slots >= PARALLEL_SLOTS_MIN {
        touched.par_iter().map(update).collect::<Result<_, _>>()?
    } else {
        touched.iter().map(update).collect::<Result<_, _>>()?
    };

    let mut result = StateUpdate {
        base,
        root,
        accounts: Vec::with_capacity(touched.len()),
        slots: Vec::with_capacity(slots),
        code: Vec::new(),
        account_nodes: NodeWrites::new(),
        storage_nodes: HashMap::new(),
    };
    let mut leaves = Vec::with_capacity(touched.len());
    for (account, (storage_root, storage_nodes)) in touched.into_iter().zip(storage) {
        let after = account.after(storage_root);
        if !storage_nodes.is_empty() {
            result.storage_nodes.insert(account.hashed_address, storage_nodes);
        }
        if after != account.before {
            leaves.push(Change {
                key: Nibbles::unpack(account.hashed_address),
                value: after.as_ref().map(alloy_rlp::encode),
            });
        }
        if after != account.before || noted.accounts.contains(&account.address) {
            result.accounts.push(AccountDiff { address: account.address, before: account.before, after });
        }
        result.slots.extend(account.slots);
    }
    leaves.sort_unstable_by_key(|change| change.key);
    (result.root, result.account_nodes) = trie::update(&StoredTrie::accounts(tables).with_cache(nodes), root, &leaves)?;
    Ok(result)
}

/// An account that changes, and what it was.
struct Touched {
    address: Address,
    hashed_address: B256,
    before: Option<TrieAccount>,
    after: Option<Account>,
    slots: Vec<SlotDiff>,
}

impl Touched {
    fn read(
        tables: &dyn KeyValueRead,
        address: Address,
        change: &AccountChange,
        noted: &Noted,
    ) -> Result<Self, StoreError> {
        let before = account_now(tables, address)?;
        let had_storage = before.is_some_and(|account| account.storage_root != EMPTY_ROOT_HASH);
        let is_wiped = change.is_storage_wiped || change.account.is_none();

        let mut after = if change.account.is_some() { change.storage.clone() } else { BTreeMap::new() };
        let mut known = BTreeMap::new();
        if is_wiped && had_storage {
            for row in tables.prefix(Table::Storage, address.as_slice()) {
                let (key, value) = row?;
                let slot = key.get(20..).and_then(U256::try_from_be_slice);
                let slot =
                    slot.ok_or_else(|| StoreError::corrupt(Table::Storage, &key, "has a key of another length"))?;
                known.insert(slot, word_of_row(Table::Storage, &key, Some(value))?);
                after.entry(slot).or_insert(U256::ZERO);
            }
        }
        let mut slots = Vec::with_capacity(after.len());
        for (slot, after) in after {
            let before = match known.get(&slot) {
                Some(value) => *value,
                None if is_wiped || !had_storage => U256::ZERO,
                None => slot_now(tables, address, slot)?,
            };
            if before != after || noted.slots.contains(&(address, slot)) {
                slots.push(SlotDiff { address, slot, before, after });
            }
        }
        Ok(Self { address, hashed_address: keccak256(address), before, after: change.account, slots })
    }

    /// What is different now from what was after block `number`.
    fn since(
        tables: &dyn KeyValueRead,
        number: u64,
        address: Address,
        slots: &BTreeSet<U256>,
    ) -> Result<Self, StoreError> {
        let before = history::account_at(tables, address, number)?;
        let after = account_now(tables, address)?.map(without_root);
        let mut diffs = Vec::with_capacity(slots.len());
        for slot in slots.iter().copied() {
            let before = history::slot_at(tables, address, slot, number)?;
            let after = slot_now(tables, address, slot)?;
            if before != after {
                diffs.push(SlotDiff { address, slot, before, after });
            }
        }
        Ok(Self { address, hashed_address: keccak256(address), before, after, slots: diffs })
    }

    fn update_storage_trie(
        &self,
        tables: &dyn KeyValueRead,
        nodes: Option<&NodeCache>,
    ) -> Result<(B256, NodeWrites), StoreError> {
        let root = self.before.map_or(EMPTY_ROOT_HASH, |account| account.storage_root);
        if self.slots.is_empty() {
            return Ok((root, NodeWrites::new()));
        }
        let mut leaves: Vec<Change> = self.slots.iter().map(slot_leaf).collect();
        leaves.sort_unstable_by_key(|change| change.key);
        let trie = StoredTrie::storage(tables, self.hashed_address).with_cache(nodes);
        trie::update(&trie, root, &leaves)
    }

    fn after(&self, storage_root: B256) -> Option<TrieAccount> {
        let account = self.after?;
        Some(TrieAccount {
            nonce: account.nonce,
            balance: account.balance,
            storage_root,
            code_hash: account.bytecode_hash.unwrap_or(KECCAK_EMPTY),
        })
    }
}

/// An account as the EVM knows it.
pub(super) fn without_root(account: TrieAccount) -> Account {
    let bytecode_hash = (account.code_hash != KECCAK_EMPTY).then_some(account.code_hash);
    Account { nonce: account.nonce, balance: account.balance, bytecode_hash }
}

fn slot_leaf(diff: &SlotDiff) -> Change {
    let key = Nibbles::unpack(keccak256(diff.slot.to_be_bytes::<32>()));
    Change { key, value: (!diff.after.is_zero()).then(|| alloy_rlp::encode(diff.after)) }
}
