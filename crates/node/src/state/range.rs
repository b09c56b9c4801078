//! Walking over a state: all accounts, all slots of one, at any retained block. Lazy: what is not asked for is not read.
//!
//! A past state has the keys of the state now and the keys that a later block changed; each is looked up as of the block.

use super::snapshot::StateSnapshot;
use crate::store::{
    ChainStore, KeyValueRead, Rows, StoreError,
    codec::{account_of_row, word_of_row},
    end_of_prefix,
    schema::{Table, slot_key},
};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::TrieAccount;
use std::{collections::BTreeMap, iter::Peekable};

/// Some entries in ascending order of their keys, and where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<K, V> {
    /// Key and value.
    pub entries: Vec<(K, V)>,
    /// Key of the entry behind the last one here; `None`: that was all.
    pub next: Option<K>,
}

/// An account and where it is.
pub type AccountEntry = (Address, TrieAccount);

/// A slot and its value, never zero.
pub type SlotEntry = (U256, U256);

impl StateSnapshot {
    /// The accounts with addresses from `from` on, ascending.
    pub fn accounts(&self, from: Address) -> impl Iterator<Item = Result<AccountEntry, StoreError>> + '_ {
        let edited = self.overlay().into_iter().flat_map(move |overlay| overlay.accounts().range(from..));
        let edited = edited.map(|(address, _)| address.to_vec());
        let keys = Keys::new(self, Table::Accounts, Table::AccountHistory, from.as_slice(), None, edited);
        keys.filter_map(move |found| {
            let entry = found.and_then(|(key, row)| {
                let address = address_of(Table::Accounts, &key)?;
                let account = match self.is_just_the_tables() {
                    true => account_of_row(Table::Accounts, &key, row)?,
                    false => self.account(address)?,
                };
                Ok(account.map(|account| (address, account)))
            });
            entry.transpose()
        })
    }

    /// Do the rows as they are now tell this state?
    fn is_just_the_tables(&self) -> bool {
        !self.is_past() && self.overlay().is_none()
    }

    fn is_past(&self) -> bool {
        self.number() < self.head_number()
    }

    /// The slots of an account that are not zero, from `from` on, ascending.
    pub fn slots(&self, address: Address, from: U256) -> impl Iterator<Item = Result<SlotEntry, StoreError>> + '_ {
        let start = slot_key(&address, &from);
        let end = end_of_prefix(address.as_slice());
        let edited = self.overlay().and_then(|overlay| overlay.accounts().get(&address));
        let edited = edited.into_iter().flat_map(move |edit| edit.storage.range(from..));
        let edited = edited.map(move |(slot, _)| slot_key(&address, slot).to_vec());
        let keys = Keys::new(self, Table::Storage, Table::StorageHistory, &start, end, edited);
        keys.filter_map(move |found| {
            let entry = found.and_then(|(key, row)| {
                let slot = slot_of(Table::Storage, &key)?;
                let value = match self.is_just_the_tables() {
                    true => word_of_row(Table::Storage, &key, row)?,
                    false => self.storage(address, slot)?,
                };
                Ok((!value.is_zero()).then_some((slot, value)))
            });
            entry.transpose()
        })
    }
}

impl ChainStore {
    /// At most `entries_max` accounts after block `number`, by address, from `start` on.
    pub fn accounts_at(
        &self,
        number: u64,
        start: Address,
        entries_max: usize,
    ) -> Result<Page<Address, TrieAccount>, StoreError> {
        page(self.state_at(number)?.accounts(start), entries_max)
    }

    /// At most `entries_max` slots of an account after block `number`, from `start` on.
    pub fn storage_range_at(
        &self,
        number: u64,
        address: Address,
        start: U256,
        entries_max: usize,
    ) -> Result<Page<U256, U256>, StoreError> {
        page(self.state_at(number)?.slots(address, start), entries_max)
    }

    /// The same in the order of the state trie: by hashed address, from the hash `start` on, as geth's
    /// `debug_accountRange` goes. Reads every account, keeps `entries_max` at a time.
    pub fn accounts_by_hash_at(
        &self,
        number: u64,
        start: B256,
        entries_max: usize,
    ) -> Result<Page<B256, AccountEntry>, StoreError> {
        let state = self.state_at(number)?;
        let hashed = state.accounts(Address::ZERO).map(|entry| entry.map(|entry| (keccak256(entry.0), entry)));
        page_by_hash(hashed, start, entries_max)
    }

    /// The same in the order of the storage trie: by hashed slot, as geth's `debug_storageRangeAt` goes. Reads every slot
    /// of the account, keeps `entries_max` at a time.
    pub fn storage_by_hash_at(
        &self,
        number: u64,
        address: Address,
        start: B256,
        entries_max: usize,
    ) -> Result<Page<B256, SlotEntry>, StoreError> {
        let state = self.state_at(number)?;
        let hash = |slot: U256| keccak256(slot.to_be_bytes::<32>());
        let hashed = state.slots(address, U256::ZERO).map(|entry| entry.map(|entry| (hash(entry.0), entry)));
        page_by_hash(hashed, start, entries_max)
    }
}

fn page<K, V>(
    mut entries: impl Iterator<Item = Result<(K, V), StoreError>>,
    entries_max: usize,
) -> Result<Page<K, V>, StoreError> {
    let taken = entries.by_ref().take(entries_max).collect::<Result<Vec<_>, _>>()?;
    let next = entries.next().transpose()?.map(|(key, _)| key);
    Ok(Page { entries: taken, next })
}

/// The smallest hashes from `start` on. One more than asked for is kept, to tell where to go on.
fn page_by_hash<V>(
    entries: impl Iterator<Item = Result<(B256, V), StoreError>>,
    start: B256,
    entries_max: usize,
) -> Result<Page<B256, V>, StoreError> {
    let mut smallest = BTreeMap::new();
    for entry in entries {
        let (hash, value) = entry?;
        if hash < start {
            continue;
        }
        smallest.insert(hash, value);
        if smallest.len() > entries_max.saturating_add(1) {
            smallest.pop_last();
        }
    }
    let next = if smallest.len() > entries_max { smallest.pop_last().map(|(hash, _)| hash) } else { None };
    Ok(Page { entries: smallest.into_iter().collect(), next })
}

/// The keys of a table now, with their rows, and those that its history or the edits know, each once, ascending.
struct Keys<'a, E: Iterator> {
    now: Peekable<Rows<'a>>,
    /// Keys that were edited since the block.
    edited: Peekable<E>,
    tables: &'a dyn KeyValueRead,
    history: Table,
    key_bytes: usize,
    /// Where to look for the next key of the history; `None`: there are no more, or the past is not asked for.
    from: Option<Vec<u8>>,
    to: Option<Vec<u8>>,
    past: Option<Vec<u8>>,
    has_failed: bool,
}

/// A key, and its row in the table now.
type Key = (Vec<u8>, Option<Vec<u8>>);

type Found = Result<Key, StoreError>;

impl<'a, E: Iterator<Item = Vec<u8>>> Keys<'a, E> {
    fn new(
        state: &'a StateSnapshot,
        table: Table,
        history: Table,
        from: &[u8],
        to: Option<Vec<u8>>,
        edited: E,
    ) -> Self {
        let tables = state.tables();
        let now = tables.range(table, from, to.as_deref()).peekable();
        let from_past = state.is_past().then(|| from.to_vec());
        let edited = edited.peekable();
        Self { now, edited, tables, history, key_bytes: from.len(), from: from_past, to, past: None, has_failed: false }
    }

    /// The next key of the history, found by one seek and kept until it is taken.
    fn past(&mut self) -> Result<Option<&Vec<u8>>, StoreError> {
        if self.past.is_none()
            && let Some(from) = self.from.take()
            && let Some((mut key, _)) = self.tables.first(self.history, &from, self.to.as_deref())?
        {
            if key.len() != self.key_bytes + 8 {
                return Err(StoreError::corrupt(self.history, &key, "has a key of another length"));
            }
            key.truncate(self.key_bytes);
            self.from = end_of_prefix(&key);
            self.past = Some(key);
        }
        Ok(self.past.as_ref())
    }

    fn step(&mut self) -> Result<Option<Key>, StoreError> {
        if let Some(Err(error)) = self.now.next_if(|row| row.is_err()) {
            return Err(error);
        }
        let past = self.past()?.cloned();
        let now = self.now.peek().and_then(|row| row.as_ref().ok()).map(|(key, _)| key.clone());
        let Some(key) = past.into_iter().chain(now).chain(self.edited.peek().cloned()).min() else { return Ok(None) };
        self.past.take_if(|past| *past == key);
        self.edited.next_if(|edited| *edited == key);
        let row = self.now.next_if(|row| matches!(row, Ok((now, _)) if *now == key)).transpose()?;
        Ok(Some((key, row.map(|(_, value)| value))))
    }
}

impl<E: Iterator<Item = Vec<u8>>> Iterator for Keys<'_, E> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        if self.has_failed {
            return None;
        }
        let step = self.step().transpose();
        self.has_failed = matches!(step, Some(Err(_)));
        step
    }
}

fn address_of(table: Table, key: &[u8]) -> Result<Address, StoreError> {
    Address::try_from(key).map_err(|_| StoreError::corrupt(table, key, "has a key of another length"))
}

fn slot_of(table: Table, key: &[u8]) -> Result<U256, StoreError> {
    let slot = key.get(20..).filter(|slot| slot.len() == 32).and_then(U256::try_from_be_slice);
    slot.ok_or_else(|| StoreError::corrupt(table, key, "has a key of another length"))
}
