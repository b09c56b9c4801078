//! The past, told backwards: what was before each block that changed it.
//!
//! A history row holds the value of a key *before* the block in its own key. So the value after block `n` is the first
//! row above `n`: one seek, and no copy of the state per block.

use super::{
    changes::StateChanges,
    snapshot::{account_now, slot_now},
    update::without_root,
};
use crate::store::{
    KeyValueRead, StoreError,
    codec::{ChangedKeys, account_of_row, word_of_row},
    end_of_prefix,
    schema::{Table, account_history_key, number_key, slot_key, storage_history_key},
};
use alloy_primitives::{Address, U256};
use alloy_trie::TrieAccount;

/// The account after block `number`.
pub(crate) fn account_at(
    tables: &dyn KeyValueRead,
    address: Address,
    number: u64,
) -> Result<Option<TrieAccount>, StoreError> {
    let from = account_history_key(&address, number + 1);
    match tables.first(Table::AccountHistory, &from, end_of_prefix(address.as_slice()).as_deref())? {
        Some((key, row)) => account_of_row(Table::AccountHistory, &key, Some(row)),
        None => account_now(tables, address),
    }
}

/// The value of a slot after block `number`.
pub(crate) fn slot_at(
    tables: &dyn KeyValueRead,
    address: Address,
    slot: U256,
    number: u64,
) -> Result<U256, StoreError> {
    let from = storage_history_key(&address, &slot, number + 1);
    let to = end_of_prefix(&slot_key(&address, &slot));
    match tables.first(Table::StorageHistory, &from, to.as_deref())? {
        Some((key, row)) => word_of_row(Table::StorageHistory, &key, Some(row)),
        None => slot_now(tables, address, slot),
    }
}

/// Was the account changed by a block of this chain, up to block `number`? (The first block's own accounts do not count.)
pub(super) fn touched_account(tables: &dyn KeyValueRead, address: Address, number: u64) -> Result<bool, StoreError> {
    let (from, to) = (account_history_key(&address, 0), account_history_key(&address, number + 1));
    Ok(tables.first(Table::AccountHistory, &from, Some(&to))?.is_some())
}

/// Was the slot changed by a block of this chain, up to block `number`?
pub(super) fn touched_slot(
    tables: &dyn KeyValueRead,
    address: Address,
    slot: U256,
    number: u64,
) -> Result<bool, StoreError> {
    let (from, to) = (storage_history_key(&address, &slot, 0), storage_history_key(&address, &slot, number + 1));
    Ok(tables.first(Table::StorageHistory, &from, Some(&to))?.is_some())
}

/// What block `number` changed.
pub(crate) fn changed_keys(tables: &dyn KeyValueRead, number: u64) -> Result<ChangedKeys, StoreError> {
    let key = number_key(number);
    let damaged = |detail| StoreError::corrupt(Table::ChangedKeys, &key, detail);
    let row = tables.get(Table::ChangedKeys, &key)?.ok_or_else(|| damaged("is missing"))?;
    ChangedKeys::decode(&row).ok_or_else(|| damaged("is not a list of keys"))
}

/// The changes that lead from the state after block `head` back to the state after block `number`. If they would be more
/// than `changes_max`, the state of `number` is said not to be retained (for this).
pub(crate) fn changes_back_to(
    tables: &dyn KeyValueRead,
    head: u64,
    number: u64,
    changes_max: usize,
) -> Result<StateChanges, StoreError> {
    let mut changes = StateChanges::default();
    let mut count = 0;
    // From the top down: the value before the lowest block that changed a key is the one that stays.
    for block in (number + 1..=head).rev() {
        for (address, slots) in changed_keys(tables, block)?.0 {
            count += 1 + slots.len();
            if count > changes_max {
                return Err(StoreError::NotRetained { number, oldest: block });
            }
            let change = changes.accounts.entry(address).or_default();
            change.account = account_before(tables, address, block)?.map(without_root);
            for slot in slots {
                change.storage.insert(slot, slot_before(tables, address, slot, block)?);
            }
        }
    }
    Ok(changes)
}

fn account_before(tables: &dyn KeyValueRead, address: Address, block: u64) -> Result<Option<TrieAccount>, StoreError> {
    let (table, key) = (Table::AccountHistory, account_history_key(&address, block));
    let row = tables.get(table, &key)?.ok_or_else(|| StoreError::corrupt(table, &key, "is missing"))?;
    account_of_row(table, &key, Some(row))
}

fn slot_before(tables: &dyn KeyValueRead, address: Address, slot: U256, block: u64) -> Result<U256, StoreError> {
    let (table, key) = (Table::StorageHistory, storage_history_key(&address, &slot, block));
    let row = tables.get(table, &key)?.ok_or_else(|| StoreError::corrupt(table, &key, "is missing"))?;
    word_of_row(table, &key, Some(row))
}
