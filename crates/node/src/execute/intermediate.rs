//! The state roots that receipts carried before Byzantium (EIP-658 replaced them by a status): one after every transaction.
//!
//! What the transactions so far have written lies in memory over the parent's tables, rows and trie nodes alike, so a root
//! costs what one transaction changed, however long the block.

use crate::{
    state::{AccountChange, StateChanges, StateSnapshot, history, update},
    store::{
        Batch, ChainStore, KeyValueRead, REPLAYED_CHANGES_MAX, Rows, StoreError, overlaid, put_flat_state,
        schema::Table,
    },
};
use alloy::eips::BlockNumHash;
use alloy_primitives::B256;
use alloy_trie::KECCAK_EMPTY;
use reth_primitives_traits::Account;
use revm::state::EvmState;
use std::{collections::BTreeMap, sync::Arc};

/// The state within a block, as far as its root needs it.
pub(super) struct IntermediateRoots {
    tables: Overlay,
    root: B256,
}

impl IntermediateRoots {
    /// Begins with the state of a parent block.
    pub(super) fn begin(chain: &ChainStore, parent: &StateSnapshot) -> Result<Self, StoreError> {
        let (head, number) = (parent.head_number(), parent.number());
        let unknown = || StoreError::UnknownBlock { number: head, head };
        let root = chain.header(head)?.ok_or_else(unknown)?.state_root;
        let mut roots = Self { tables: Overlay { below: parent.shared_tables(), writes: BTreeMap::new() }, root };
        if number < head {
            // The tables hold the head's state.
            let back = history::changes_back_to(parent.tables(), head, number, REPLAYED_CHANGES_MAX)?;
            roots.advance(&back)?;
        }
        Ok(roots)
    }

    /// The root after these changes too.
    pub(super) fn advance(&mut self, changes: &StateChanges) -> Result<B256, StoreError> {
        let update = update::prepare(&self.tables, None, BlockNumHash::default(), self.root, changes)?;
        let mut batch = Batch::default();
        put_flat_state(&mut batch, &update);
        update.put_code_and_trie(&mut batch);
        self.tables.writes.extend(batch.changes.into_iter().map(|(table, key, value)| ((table, key), value)));
        self.root = update.root();
        Ok(self.root)
    }
}

/// What a transaction changed, from what revm hands out of it.
pub(super) fn changes_of_transaction(state: &EvmState) -> StateChanges {
    let mut changes = StateChanges::default();
    for (address, account) in state.iter().filter(|(_, account)| account.is_touched()) {
        // revm leaves no account touched and empty that the rules of the block would keep, except new ones.
        let is_gone = account.is_selfdestructed() || (account.is_empty() && !account.is_created());
        let info = &account.info;
        if let Some(code) = info.code.as_ref().filter(|code| !code.is_empty()) {
            changes.code.insert(info.code_hash, code.original_bytes());
        }
        let bytecode_hash = (info.code_hash != KECCAK_EMPTY).then_some(info.code_hash);
        let after = Account { nonce: info.nonce, balance: info.balance, bytecode_hash };
        let is_storage_wiped = is_gone || account.is_created();
        let slots = account.storage.iter().filter(|(_, slot)| is_storage_wiped || slot.is_changed());
        let storage =
            if is_gone { BTreeMap::new() } else { slots.map(|(key, slot)| (*key, slot.present_value)).collect() };
        let change = AccountChange { account: (!is_gone).then_some(after), is_storage_wiped, storage };
        changes.accounts.insert(*address, change);
    }
    changes
}

/// Rows in memory over tables that do not change.
struct Overlay {
    below: Arc<dyn KeyValueRead>,
    writes: BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>,
}

impl KeyValueRead for Overlay {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.writes.get(&(table, key.to_vec())) {
            Some(value) => Ok(value.clone()),
            None => self.below.get(table, key),
        }
    }

    fn range(&self, table: Table, from: &[u8], to: Option<&[u8]>) -> Rows<'_> {
        let written = self.writes.range((table, from.to_vec())..);
        let written = written.take_while(|((of, key), _)| *of == table && to.is_none_or(|to| key.as_slice() < to));
        let written = written.map(|((_, key), value)| (key.clone(), value.clone()));
        overlaid(self.below.range(table, from, to), written.collect())
    }
}
