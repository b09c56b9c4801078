//! Accounts that a development node's cheats changed, laid over a state that does not have them yet.
//!
//! The same overlay answers reads between a cheat and the next block, and lies under the execution of that block, wherever
//! it is executed: what was seen is what the block does.

use super::changes::{AccountChange, StateChanges};
use crate::store::StoreError;
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, KECCAK_EMPTY, TrieAccount};
use cryptlet_primitives::AccountEdit;
use reth_primitives_traits::Account;
use revm::bytecode::Bytecode;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Edited accounts, ready to be read through. Clones are cheap.
#[derive(Clone, Debug)]
pub struct StateOverlay(Arc<Edited>);

/// Code that no account can have: it begins as a delegation (EIP-7702) and is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the code of {0} begins with 0xef01 and is not a delegation (EIP-7702): 0xef0100 and an address")]
pub struct MalformedCode(pub Address);

#[derive(Clone, Debug, Default)]
struct Edited {
    accounts: BTreeMap<Address, AccountEdit>,
    /// Hash of the code that an edit sets.
    code_hashes: HashMap<Address, B256>,
    codes: HashMap<B256, Bytecode>,
}

impl StateOverlay {
    /// `None` if no account is edited: then nothing needs to be laid over anything.
    pub fn new(accounts: &BTreeMap<Address, AccountEdit>) -> Result<Option<Self>, MalformedCode> {
        if accounts.is_empty() {
            return Ok(None);
        }
        let mut overlay = Self(Arc::new(Edited::default()));
        overlay.extend(accounts)?;
        Ok(Some(overlay))
    }

    /// Lays further edits over these. Nothing changes if one of them cannot be. Costs what they cost, unless somebody reads
    /// through the overlay at this moment.
    pub fn extend(&mut self, accounts: &BTreeMap<Address, AccountEdit>) -> Result<(), MalformedCode> {
        let codes = accounts.iter().filter_map(|(address, edit)| Some((*address, edit.code.as_ref()?)));
        let codes = codes.map(|(address, code)| {
            let analysed = Bytecode::new_raw_checked(code.clone()).map_err(|_| MalformedCode(address))?;
            Ok((address, if code.is_empty() { KECCAK_EMPTY } else { keccak256(code) }, analysed))
        });
        let codes = codes.collect::<Result<Vec<_>, _>>()?;
        let edited = Arc::make_mut(&mut self.0);
        for (address, edit) in accounts {
            if edit.is_cleared {
                edited.code_hashes.remove(address);
            }
            edited.accounts.entry(*address).or_default().extend(edit.clone());
        }
        for (address, hash, code) in codes {
            edited.code_hashes.insert(address, hash);
            edited.codes.insert(hash, code);
        }
        Ok(())
    }

    /// The account, given what lies below. Its storage root stays that of the state below: slots are not hashed until the
    /// block that has them.
    pub(super) fn account(&self, address: Address, below: Option<TrieAccount>) -> Option<TrieAccount> {
        let Some(edit) = self.0.accounts.get(&address) else { return below };
        let before = below.filter(|_| !edit.is_cleared);
        let account = TrieAccount {
            nonce: edit.nonce.unwrap_or_else(|| before.map_or(0, |account| account.nonce)),
            balance: edit.balance.unwrap_or_else(|| before.map_or(U256::ZERO, |account| account.balance)),
            storage_root: before.map_or(EMPTY_ROOT_HASH, |account| account.storage_root),
            code_hash: match self.0.code_hashes.get(&address) {
                Some(hash) => *hash,
                None => before.map_or(KECCAK_EMPTY, |account| account.code_hash),
            },
        };
        let has_storage =
            account.storage_root != EMPTY_ROOT_HASH || edit.storage.values().any(|value| !value.is_zero());
        let is_nothing = account.nonce == 0 && account.balance.is_zero() && account.code_hash == KECCAK_EMPTY;
        // EIP-161: an account with nothing does not exist. One that was given slots does, until a transaction touches it.
        (!is_nothing || has_storage).then_some(account)
    }

    /// The value of a slot, if the overlay knows it.
    pub(super) fn slot(&self, address: Address, slot: U256) -> Option<U256> {
        let edit = self.0.accounts.get(&address)?;
        edit.storage.get(&slot).copied().or_else(|| edit.is_cleared.then_some(U256::ZERO))
    }

    /// A code that an edit sets.
    pub(super) fn code(&self, hash: &B256) -> Option<Bytecode> {
        self.0.codes.get(hash).cloned()
    }

    /// The edits, by address.
    pub fn accounts(&self) -> &BTreeMap<Address, AccountEdit> {
        &self.0.accounts
    }

    /// What the edits make of a state, of which `below` tells the accounts.
    pub(crate) fn changes(
        &self,
        below: impl Fn(Address) -> Result<Option<TrieAccount>, StoreError>,
    ) -> Result<StateChanges, StoreError> {
        let mut changes = StateChanges::default();
        for (address, edit) in &self.0.accounts {
            let account = self.account(*address, below(*address)?).map(|account| Account {
                nonce: account.nonce,
                balance: account.balance,
                bytecode_hash: (account.code_hash != KECCAK_EMPTY).then_some(account.code_hash),
            });
            let storage = edit.storage.clone();
            changes.accounts.insert(*address, AccountChange { account, is_storage_wiped: edit.is_cleared, storage });
        }
        let codes = self.0.codes.iter().map(|(hash, code)| (*hash, code.original_bytes()));
        changes.code = codes.filter(|(hash, _)| *hash != KECCAK_EMPTY).collect();
        Ok(changes)
    }
}
