//! What a block (or a cheat, or a rewind) does to the state.

use alloy::genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::KECCAK_EMPTY;
use reth_primitives_traits::Account;
use revm::database::BundleState;
use std::collections::{BTreeMap, BTreeSet};

/// Changes to a state: for every account they name, what it is afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateChanges {
    /// By address.
    pub accounts: BTreeMap<Address, AccountChange>,
    /// Codes that may be new, by hash.
    pub code: BTreeMap<B256, Bytes>,
    /// What goes into the history even if it does not change.
    pub noted: Noted,
}

/// Accounts and slots that a block took over from the chain that was forked ([`crate::fork`]). Their rows in the history say
/// that from then on this chain knows better, even where it has nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// Accounts.
    pub accounts: BTreeSet<Address>,
    /// Slots.
    pub slots: BTreeSet<(Address, U256)>,
}

/// What becomes of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// The account afterwards; `None`: it does not exist (and has no storage).
    pub account: Option<Account>,
    /// All slots are zero but those in `storage` (the account was destroyed on the way).
    pub is_storage_wiped: bool,
    /// Values afterwards of the slots that change.
    pub storage: BTreeMap<U256, U256>,
}

impl StateChanges {
    /// What an execution with revm changed. The bundle must hold exactly the transitions from the parent's state
    /// (`merge_transitions` called, no block before in it).
    pub fn from_bundle(bundle: &BundleState) -> Self {
        let mut changes = Self::default();
        for (address, account) in &bundle.state {
            let is_storage_wiped = account.was_destroyed();
            let slots = account.storage.iter().filter(|(_, slot)| is_storage_wiped || slot.is_changed());
            let storage: BTreeMap<U256, U256> = slots.map(|(slot, value)| (*slot, value.present_value)).collect();
            if !is_storage_wiped && storage.is_empty() && !account.is_info_changed() {
                continue;
            }
            let account = account.info.as_ref().map(Account::from);
            changes.accounts.insert(*address, AccountChange { account, is_storage_wiped, storage });
        }
        let codes = bundle.contracts.iter().map(|(hash, code)| (*hash, code.original_bytes()));
        changes.code = codes.filter(|(hash, _)| *hash != KECCAK_EMPTY).collect();
        changes
    }

    /// What makes the state of a genesis file out of nothing.
    pub fn from_genesis(alloc: &BTreeMap<Address, GenesisAccount>) -> Self {
        let mut changes = Self::default();
        for (address, account) in alloc {
            let code = account.code.clone().filter(|code| !code.is_empty());
            let bytecode_hash = code.as_ref().map(keccak256);
            changes.code.extend(bytecode_hash.zip(code));
            let slots = account.storage.iter().flatten();
            let storage = slots.map(|(slot, value)| ((*slot).into(), (*value).into())).collect();
            let account = Account { nonce: account.nonce.unwrap_or_default(), balance: account.balance, bytecode_hash };
            let change = AccountChange { account: Some(account), is_storage_wiped: false, storage };
            changes.accounts.insert(*address, change);
        }
        changes
    }

    /// These changes and then the others.
    pub fn then(mut self, later: &Self) -> Self {
        for (address, change) in &later.accounts {
            let merged = self.accounts.entry(*address).or_default();
            merged.account = change.account;
            if change.is_storage_wiped || change.account.is_none() {
                merged.is_storage_wiped = true;
                merged.storage.clear();
            }
            merged.storage.extend(&change.storage);
        }
        self.code.extend(later.code.iter().map(|(hash, code)| (*hash, code.clone())));
        self.noted.accounts.extend(&later.noted.accounts);
        self.noted.slots.extend(&later.noted.slots);
        self
    }

    /// Does nothing change?
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }
}
