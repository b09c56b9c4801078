//! Watching what a block reads of the base.

use super::{Base, BaseAccount, BaseMiss, BaseRows};
use crate::{
    state::{AccountChange, StateChanges, StateSnapshot},
    store::StoreError,
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::KECCAK_EMPTY;
use parking_lot::Mutex;
use reth_primitives_traits::Account;
use std::sync::Arc;

/// Passes questions on, and remembers the answers.
pub(crate) struct Recording {
    base: Arc<dyn Base>,
    rows: Mutex<BaseRows>,
}

impl Recording {
    /// Of what is read from `base`.
    pub(crate) fn new(base: Arc<dyn Base>) -> Self {
        Self { base, rows: Mutex::default() }
    }

    /// What was read so far.
    pub(crate) fn rows(&self) -> BaseRows {
        self.rows.lock().clone()
    }
}

impl Base for Recording {
    fn account(&self, address: Address) -> Result<Option<BaseAccount>, BaseMiss> {
        let account = self.base.account(address)?;
        self.rows.lock().accounts.insert(address, account.clone());
        Ok(account)
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, BaseMiss> {
        let value = self.base.slot(address, slot)?;
        self.rows.lock().slots.insert((address, slot), value);
        Ok(value)
    }

    fn block_hash(&self, number: u64) -> Result<B256, BaseMiss> {
        let hash = self.base.block_hash(number)?;
        self.rows.lock().block_hashes.insert(number, hash);
        Ok(hash)
    }

    fn code(&self, hash: B256) -> Option<Bytes> {
        self.base.code(hash)
    }
}

impl BaseRows {
    /// What taking these rows into the state of `parent` changes there.
    pub(crate) fn changes(&self, parent: &StateSnapshot) -> Result<StateChanges, StoreError> {
        let mut changes = StateChanges::default();
        for (address, row) in &self.accounts {
            let account = row.as_ref().map(|account| Account {
                nonce: account.nonce,
                balance: account.balance,
                bytecode_hash: (!account.code.is_empty()).then(|| keccak256(&account.code)),
            });
            let code = row.as_ref().map(|account| account.code.clone());
            changes.code.extend(account.and_then(|account| account.bytecode_hash).zip(code));
            changes.accounts.insert(*address, AccountChange { account, ..Default::default() });
            changes.noted.accounts.insert(*address);
        }
        for ((address, slot), value) in &self.slots {
            if !changes.accounts.contains_key(address) {
                // The account itself was taken over by an earlier block.
                let account = parent.local_account(*address)?.map(|account| Account {
                    nonce: account.nonce,
                    balance: account.balance,
                    bytecode_hash: Some(account.code_hash).filter(|hash| *hash != KECCAK_EMPTY),
                });
                changes.accounts.insert(*address, AccountChange { account, ..Default::default() });
            }
            let change = changes.accounts.get_mut(address).expect("it was just inserted");
            change.storage.insert(*slot, *value);
            changes.noted.slots.insert((*address, *slot));
        }
        Ok(changes)
    }
}
