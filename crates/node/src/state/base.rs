//! The state of a chain that was forked, below the state of the chain that continues it ([`crate::fork`]).

use super::{history::touched_account, history::touched_slot};
use crate::{
    fork::{Base, BaseAccount},
    store::{KeyValueRead, StoreError},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256, map::HashSet};
use alloy_trie::{EMPTY_ROOT_HASH, KECCAK_EMPTY, TrieAccount};
use std::{fmt, sync::Arc};

/// What lies below the local state. Clones are cheap.
#[derive(Clone)]
pub struct BaseLayer {
    /// Accounts that the chain brought with it: below them there is nothing.
    own: Arc<HashSet<Address>>,
    base: Arc<dyn Base>,
}

impl fmt::Debug for BaseLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BaseLayer").field("own", &self.own.len()).finish_non_exhaustive()
    }
}

impl BaseLayer {
    /// Below a chain with these accounts of its own.
    pub fn new(own: Arc<HashSet<Address>>, base: Arc<dyn Base>) -> Self {
        Self { own, base }
    }

    /// The same place, answered by somebody else.
    pub(crate) fn answered_by(&self, base: Arc<dyn Base>) -> Self {
        Self { own: self.own.clone(), base }
    }

    pub(crate) fn base(&self) -> &Arc<dyn Base> {
        &self.base
    }

    /// An account that the local state does not have.
    pub(super) fn account(
        &self,
        tables: &dyn KeyValueRead,
        address: Address,
        number: u64,
    ) -> Result<Option<TrieAccount>, StoreError> {
        if self.own.contains(&address) || touched_account(tables, address, number)? {
            return Ok(None);
        }
        Ok(self.base.account(address)?.map(|BaseAccount { nonce, balance, code }| TrieAccount {
            nonce,
            balance,
            // Nobody knows the root of the storage over there; here nothing of it is stored yet.
            storage_root: EMPTY_ROOT_HASH,
            code_hash: if code.is_empty() { KECCAK_EMPTY } else { keccak256(&code) },
        }))
    }

    /// A slot that is zero in the local state.
    pub(super) fn slot(
        &self,
        tables: &dyn KeyValueRead,
        address: Address,
        slot: U256,
        number: u64,
    ) -> Result<U256, StoreError> {
        if self.own.contains(&address) || touched_slot(tables, address, slot, number)? {
            return Ok(U256::ZERO);
        }
        Ok(self.base.slot(address, slot)?)
    }

    pub(super) fn code(&self, hash: B256) -> Option<Bytes> {
        self.base.code(hash)
    }

    /// The hash of a block before the first one here.
    pub(super) fn block_hash(&self, number: u64) -> Result<B256, StoreError> {
        Ok(self.base.block_hash(number)?)
    }
}
