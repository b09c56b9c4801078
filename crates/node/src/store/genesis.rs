//! The first block.

use super::{
    chain::ChainStore,
    commit::{put_block, put_flat_state, put_total_difficulty},
    error::StoreError,
    kv::Batch,
    schema::{Table, meta, number_key},
};
use crate::{
    state::{StateChanges, StateUpdate, update},
    store::memory::MemoryKeyValue,
    types::{Block, Header},
};
use alloy::consensus::Sealed;
use alloy::eips::{BlockNumHash, eip7685::Requests};
use alloy::genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B256};
use alloy_trie::EMPTY_ROOT_HASH;
use std::collections::BTreeMap;

impl ChainStore {
    /// The root of the state that a genesis file describes.
    pub fn genesis_state_root(alloc: &BTreeMap<Address, GenesisAccount>) -> Result<B256, StoreError> {
        Ok(genesis_update(alloc)?.root())
    }

    /// Makes sure that the store holds the chain with this genesis. An empty store gets it written; a store that holds
    /// another chain is an error that names both. Returns the head.
    pub fn initialize(&self, genesis: &Genesis, block: &Block) -> Result<Sealed<Header>, StoreError> {
        let _writing = self.inner.writing.lock();
        let hash = block.header.hash_slow();
        if self.is_initialized() {
            let stored = self.genesis_hash()?;
            return if stored == hash { self.head() } else { Err(StoreError::WrongGenesis { stored, given: hash }) };
        }
        let update = genesis_update(&genesis.alloc)?;
        update.check_root(block.header.number, block.header.state_root)?;

        let number = block.header.number;
        let mut batch = Batch::default();
        let json = serde_json::to_vec(genesis).map_err(|error| StoreError::Malformed {
            number,
            detail: format!("its genesis file cannot be written as JSON: {error}"),
        })?;
        batch.put(Table::Meta, meta::GENESIS, json);
        batch.put(Table::Meta, meta::FIRST, number_key(number));
        batch.put(Table::Meta, meta::OLDEST_STATE, number_key(number));
        put_block(&mut batch, block, hash, &[], &[], &Requests::default());
        put_flat_state(&mut batch, &update);
        put_total_difficulty(&mut batch, block.header.difficulty);
        update.put_code_and_trie(&mut batch);
        batch.tries_are_of(number);
        self.inner.tables.write(batch)?;
        self.inner.head_is(Sealed::new_unchecked(block.header.clone(), hash))?;
        self.settle()
    }
}

/// The changes that make the state of genesis out of nothing.
fn genesis_update(alloc: &BTreeMap<Address, GenesisAccount>) -> Result<StateUpdate, StoreError> {
    let nothing = MemoryKeyValue::default();
    update::prepare(&nothing, None, BlockNumHash::default(), EMPTY_ROOT_HASH, &StateChanges::from_genesis(alloc))
}
