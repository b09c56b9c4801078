//! Reading blocks and what belongs to them.

use super::{
    chain::{ChainStore, meta_number},
    codec::{decode_receipts, number_of_row, rlp_of_row},
    error::StoreError,
    kv::KeyValueRead,
    schema::{Table, meta, number_key},
};
use crate::types::{Block, Header, Receipt, RecoveredTransaction, Transaction};
use alloy::consensus::{BlockBody, Sealed, transaction::Recovered};
use alloy::eips::eip7685::Requests;
use alloy::genesis::Genesis;
use alloy_primitives::{Address, B256, Bytes};
use std::ops::RangeInclusive;

/// A block of the chain, with its hash and the senders of its transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlock {
    /// Hash of the header.
    pub hash: B256,
    /// Header and body.
    pub block: Block,
    /// Who sent each transaction.
    pub senders: Vec<Address>,
}

impl StoredBlock {
    /// Its height.
    pub fn number(&self) -> u64 {
        self.block.header.number
    }

    /// Its header with its hash.
    pub fn sealed_header(&self) -> Sealed<Header> {
        Sealed::new_unchecked(self.block.header.clone(), self.hash)
    }

    /// Its transactions with their senders.
    pub fn recovered_transactions(&self) -> impl Iterator<Item = Recovered<&Transaction>> {
        let pairs = self.block.body.transactions.iter().zip(&self.senders);
        pairs.map(|(transaction, sender)| Recovered::new_unchecked(transaction, *sender))
    }

    /// One transaction with its sender.
    pub fn recovered_transaction(&self, index: u64) -> Option<RecoveredTransaction> {
        let index = usize::try_from(index).ok()?;
        let transaction = self.block.body.transactions.get(index)?;
        Some(Recovered::new_unchecked(transaction.clone(), *self.senders.get(index)?))
    }
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionLocation {
    /// Height of its block.
    pub block_number: u64,
    /// Position in the block, from 0.
    pub index: u64,
}

impl ChainStore {
    /// The genesis file the chain was made from.
    pub fn genesis(&self) -> Result<Genesis, StoreError> {
        let row = self.tables().get(Table::Meta, meta::GENESIS)?.ok_or(StoreError::NotInitialized)?;
        serde_json::from_slice(&row)
            .map_err(|error| StoreError::corrupt(Table::Meta, meta::GENESIS, format!("is not a genesis file: {error}")))
    }

    /// Height of the genesis block.
    pub fn first_block(&self) -> Result<u64, StoreError> {
        meta_number(&*self.tables(), meta::FIRST)?.ok_or(StoreError::NotInitialized)
    }

    /// Hash of the genesis block.
    pub fn genesis_hash(&self) -> Result<B256, StoreError> {
        let first = self.first_block()?;
        self.block_hash(first)?.ok_or_else(|| StoreError::corrupt(Table::Headers, &number_key(first), "is missing"))
    }

    /// The oldest block whose state can be read.
    pub fn oldest_state(&self) -> Result<u64, StoreError> {
        self.view().map(|view| view.oldest_state).ok_or(StoreError::NotInitialized)
    }

    /// The header at this height, with its hash.
    pub fn header(&self, number: u64) -> Result<Option<Sealed<Header>>, StoreError> {
        header(&*self.tables(), number)
    }

    /// How often blocks were undone since the store was opened: as long as this stays the same, so does every block that was read.
    pub fn rewind_count(&self) -> u64 {
        self.view().map_or(0, |view| view.rewinds)
    }

    /// The header with this hash.
    pub fn header_by_hash(&self, hash: B256) -> Result<Option<Sealed<Header>>, StoreError> {
        let tables = self.tables();
        number_of_block(&*tables, hash)?.map_or(Ok(None), |number| header(&*tables, number))
    }

    /// Hash of the block at this height.
    pub fn block_hash(&self, number: u64) -> Result<Option<B256>, StoreError> {
        hash_of_block(&*self.tables(), number)
    }

    /// Height of the block with this hash.
    pub fn block_number(&self, hash: B256) -> Result<Option<u64>, StoreError> {
        number_of_block(&*self.tables(), hash)
    }

    /// The block at this height.
    pub fn block(&self, number: u64) -> Result<Option<StoredBlock>, StoreError> {
        // Its parts are several rows, and a rewind may come between two reads; not in the tables of one moment.
        block(&*self.tables(), number)
    }

    /// The block with this hash.
    pub fn block_by_hash(&self, hash: B256) -> Result<Option<StoredBlock>, StoreError> {
        let tables = self.tables();
        number_of_block(&*tables, hash)?.map_or(Ok(None), |number| block(&*tables, number))
    }

    /// The blocks of this range that there are, in ascending order, read one at a time.
    pub fn blocks(&self, range: RangeInclusive<u64>) -> impl Iterator<Item = Result<StoredBlock, StoreError>> + use<> {
        let store = self.clone();
        range.map_while(move |number| store.block(number).transpose())
    }

    /// Where the transaction with this hash is.
    pub fn transaction_location(&self, hash: B256) -> Result<Option<TransactionLocation>, StoreError> {
        let key = hash.as_slice();
        let Some(row) = self.tables().get(Table::Transactions, key)? else { return Ok(None) };
        let (number, index) = row
            .split_at_checked(8)
            .and_then(|(number, index)| Some((number, <[u8; 4]>::try_from(index).ok()?)))
            .ok_or_else(|| StoreError::corrupt(Table::Transactions, key, "is not a number and an index"))?;
        let block_number = number_of_row(Table::Transactions, key, number)?;
        Ok(Some(TransactionLocation { block_number, index: u64::from(u32::from_be_bytes(index)) }))
    }

    /// The senders of the transactions of a block; empty if there is no such block.
    pub fn senders(&self, number: u64) -> Result<Vec<Address>, StoreError> {
        senders(&*self.tables(), number)
    }

    /// The receipts of a block, one per transaction.
    pub fn receipts(&self, number: u64) -> Result<Option<Vec<Receipt>>, StoreError> {
        let key = number_key(number);
        self.tables().get(Table::Receipts, &key)?.map(|row| decode_receipts(&key, &row)).transpose()
    }

    /// The EIP-7685 requests of a block, in ascending order of their types.
    pub fn requests(&self, number: u64) -> Result<Option<Requests>, StoreError> {
        let key = number_key(number);
        let Some(row) = self.tables().get(Table::Requests, &key)? else { return Ok(None) };
        let requests: Vec<Bytes> = rlp_of_row(Table::Requests, &key, &row)?;
        Ok(Some(Requests::new(requests)))
    }
}

/// The header at this height.
fn header(tables: &dyn KeyValueRead, number: u64) -> Result<Option<Sealed<Header>>, StoreError> {
    let key = number_key(number);
    let Some(row) = tables.get(Table::Headers, &key)? else { return Ok(None) };
    let (hash, header) = row.split_at_checked(32).ok_or_else(|| too_short(&key))?;
    Ok(Some(Sealed::new_unchecked(rlp_of_row(Table::Headers, &key, header)?, B256::from_slice(hash))))
}

/// The header of a block that must be there.
pub(crate) fn existing_header(tables: &dyn KeyValueRead, number: u64) -> Result<Sealed<Header>, StoreError> {
    header(tables, number)?.ok_or_else(|| StoreError::corrupt(Table::Headers, &number_key(number), "is missing"))
}

/// The block at this height.
pub(super) fn block(tables: &dyn KeyValueRead, number: u64) -> Result<Option<StoredBlock>, StoreError> {
    let key = number_key(number);
    let Some(header) = header(tables, number)? else { return Ok(None) };
    let body = tables.get(Table::Bodies, &key)?;
    let body = body.ok_or_else(|| StoreError::corrupt(Table::Bodies, &key, "is missing"))?;
    let body: BlockBody<Transaction> = rlp_of_row(Table::Bodies, &key, &body)?;
    let senders = senders(tables, number)?;
    if senders.len() != body.transactions.len() {
        return Err(StoreError::corrupt(Table::Senders, &key, "does not fit the block's transactions"));
    }
    let (header, hash) = header.into_parts();
    Ok(Some(StoredBlock { hash, block: Block { header, body }, senders }))
}

fn senders(tables: &dyn KeyValueRead, number: u64) -> Result<Vec<Address>, StoreError> {
    let row = tables.get(Table::Senders, &number_key(number))?.unwrap_or_default();
    Ok(row.chunks_exact(20).map(Address::from_slice).collect())
}

fn number_of_block(tables: &dyn KeyValueRead, hash: B256) -> Result<Option<u64>, StoreError> {
    let row = tables.get(Table::BlockNumbers, hash.as_slice())?;
    row.map(|row| number_of_row(Table::BlockNumbers, hash.as_slice(), &row)).transpose()
}

/// Hash of the block at this height.
pub(crate) fn hash_of_block(tables: &dyn KeyValueRead, number: u64) -> Result<Option<B256>, StoreError> {
    let key = number_key(number);
    let Some(row) = tables.get(Table::Headers, &key)? else { return Ok(None) };
    row.get(..32).map(|hash| Some(B256::from_slice(hash))).ok_or_else(|| too_short(&key))
}

fn too_short(key: &[u8]) -> StoreError {
    StoreError::corrupt(Table::Headers, key, "is too short for a hash")
}
