//! The state after a block, for the EVM and for everybody else.

use super::{base::BaseLayer, codes::CodeCache, history, overlay::StateOverlay};
use crate::store::{
    KeyValueRead, StoreError,
    codec::{account_of_row, word_of_row},
    hash_of_block,
    schema::{Table, slot_key},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_trie::{KECCAK_EMPTY, TrieAccount};
use revm::{DatabaseRef, bytecode::Bytecode, state::AccountInfo};
use std::{fmt, sync::Arc};

/// The state after one block. It never changes, whatever is committed or rewound meanwhile. Clones are cheap. Drop it when
/// done: as long as it lives, the database keeps the rows it can see.
#[derive(Clone)]
pub struct StateSnapshot {
    tables: Arc<dyn KeyValueRead>,
    codes: Arc<CodeCache>,
    number: u64,
    head: u64,
    /// What a development node's cheats set since the block.
    overlay: Option<StateOverlay>,
    /// What the chain that was forked has where this one has nothing.
    base: Option<BaseLayer>,
}

impl StateSnapshot {
    /// The state after block `number` in tables whose head is `head`. The block must be retained in them.
    pub(crate) fn new(tables: Arc<dyn KeyValueRead>, codes: Arc<CodeCache>, number: u64, head: u64) -> Self {
        Self { tables, codes, number, head, overlay: None, base: None }
    }

    /// The same state with these edits laid over it, instead of any that were.
    pub fn with_overlay(mut self, overlay: Option<StateOverlay>) -> Self {
        self.overlay = overlay;
        self
    }

    /// The same state with this below it, instead of anything that was.
    pub(crate) fn with_base(mut self, base: Option<BaseLayer>) -> Self {
        self.base = base;
        self
    }

    /// The edits that lie over the state of the block.
    pub fn overlay(&self) -> Option<&StateOverlay> {
        self.overlay.as_ref()
    }

    /// The block whose state this is.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The head of the chain at the time the snapshot was taken.
    pub fn head_number(&self) -> u64 {
        self.head
    }

    /// The account at this address, with the root of its storage.
    pub fn account(&self, address: Address) -> Result<Option<TrieAccount>, StoreError> {
        let account = self.sealed_account(address)?;
        Ok(match &self.overlay {
            None => account,
            Some(overlay) => overlay.account(address, account),
        })
    }

    /// The account as the block left it, whatever was edited since.
    pub fn sealed_account(&self, address: Address) -> Result<Option<TrieAccount>, StoreError> {
        match (self.local_account(address)?, &self.base) {
            (None, Some(base)) => base.account(self.tables(), address, self.number),
            (account, _) => Ok(account),
        }
    }

    /// The account as this chain has it, whatever a chain it was forked from has.
    pub(crate) fn local_account(&self, address: Address) -> Result<Option<TrieAccount>, StoreError> {
        if self.number == self.head {
            return account_now(self.tables(), address);
        }
        history::account_at(self.tables(), address, self.number)
    }

    /// The value of a slot.
    pub fn storage(&self, address: Address, slot: U256) -> Result<U256, StoreError> {
        if let Some(value) = self.overlay.as_ref().and_then(|overlay| overlay.slot(address, slot)) {
            return Ok(value);
        }
        let value = match self.number == self.head {
            true => slot_now(self.tables(), address, slot)?,
            false => history::slot_at(self.tables(), address, slot, self.number)?,
        };
        match &self.base {
            Some(base) if value.is_zero() => base.slot(self.tables(), address, slot, self.number),
            _ => Ok(value),
        }
    }

    /// The code of the account at this address; empty if it has none.
    pub fn code(&self, address: Address) -> Result<Bytes, StoreError> {
        let account = self.account(address)?;
        let hash = account.map_or(KECCAK_EMPTY, |account| account.code_hash);
        Ok(self.code_by_hash_ref(hash)?.original_bytes())
    }

    /// The code with this hash, if any account has or had it.
    pub fn code_with_hash(&self, hash: B256) -> Result<Option<Bytes>, StoreError> {
        if let Some(code) = self.codes.get(&hash) {
            return Ok(Some(code.original_bytes()));
        }
        Ok(self.tables.get(Table::Code, hash.as_slice())?.map(Bytes::from))
    }

    pub(crate) fn tables(&self) -> &dyn KeyValueRead {
        &*self.tables
    }

    pub(crate) fn shared_tables(&self) -> Arc<dyn KeyValueRead> {
        self.tables.clone()
    }
}

impl fmt::Debug for StateSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateSnapshot").field("number", &self.number).field("head", &self.head).finish_non_exhaustive()
    }
}

impl DatabaseRef for StateSnapshot {
    type Error = StoreError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        let info = |account: TrieAccount| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            account_id: None,
            code: None,
        };
        Ok(self.account(address)?.map(info))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, StoreError> {
        if hash == KECCAK_EMPTY {
            return Ok(Bytecode::default());
        }
        if let Some(code) = self.overlay.as_ref().and_then(|overlay| overlay.code(&hash)) {
            return Ok(code);
        }
        if let Some(code) = self.codes.get(&hash) {
            return Ok(code);
        }
        let damaged = |detail: &str| StoreError::corrupt(Table::Code, hash.as_slice(), detail);
        let bytes = match self.tables.get(Table::Code, hash.as_slice())? {
            Some(bytes) => Some(bytes.into()),
            None => self.base.as_ref().and_then(|base| base.code(hash)),
        };
        let code = Bytecode::new_raw_checked(bytes.ok_or_else(|| damaged("is missing"))?)
            .map_err(|_| damaged("is not a code"))?;
        self.codes.put(hash, code.clone());
        Ok(code)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StoreError> {
        self.storage(address, slot)
    }

    /// Hash of an ancestor, or of the block itself; zero for a block that is not one.
    fn block_hash_ref(&self, number: u64) -> Result<B256, StoreError> {
        if number > self.number {
            return Ok(B256::ZERO);
        }
        match (hash_of_block(self.tables(), number)?, &self.base) {
            (None, Some(base)) => base.block_hash(number),
            (hash, _) => Ok(hash.unwrap_or_default()),
        }
    }
}

/// The account as the head has it.
pub(crate) fn account_now(tables: &dyn KeyValueRead, address: Address) -> Result<Option<TrieAccount>, StoreError> {
    let row = tables.get(Table::Accounts, address.as_slice())?;
    account_of_row(Table::Accounts, address.as_slice(), row)
}

/// The value of a slot as the head has it.
pub(crate) fn slot_now(tables: &dyn KeyValueRead, address: Address, slot: U256) -> Result<U256, StoreError> {
    let key = slot_key(&address, &slot);
    word_of_row(Table::Storage, &key, tables.get(Table::Storage, &key)?)
}
