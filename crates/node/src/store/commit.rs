//! Moving the head: one block forward, or any number back.

use super::{
    blocks::existing_header,
    chain::{ChainStore, REPLAYED_CHANGES_MAX},
    codec::{ChangedKeys, encode_account, encode_account_before, encode_receipts, encode_word},
    error::StoreError,
    kv::Batch,
    log_index::{delete_terms, put_terms},
    schema::{Table, account_history_key, meta, number_key, slot_key, storage_history_key},
};
use crate::{
    state::{StateUpdate, history, update},
    types::{Block, Header, Receipt},
};
use alloy::consensus::Sealed;
use alloy::eips::{BlockNumHash, eip7685::Requests};
use alloy_primitives::{Address, B256, Bytes, U256};

/// A block that was executed on the head, and everything that is stored with it.
#[derive(Clone, Copy, Debug)]
pub struct CommitBlock<'a> {
    /// Header and body.
    pub block: &'a Block,
    /// Hash of the header.
    pub hash: B256,
    /// Who sent each transaction.
    pub senders: &'a [Address],
    /// One receipt per transaction.
    pub receipts: &'a [Receipt],
    /// EIP-7685 requests, ascending by type, type byte first.
    pub requests: &'a Requests,
    /// What [`ChainStore::state_root_after`] made of the block's changes.
    pub state: &'a StateUpdate,
}

impl ChainStore {
    /// [Writes](Self::append) a block and [settles](Self::settle) it. When this returns, a killed process does not lose the
    /// block; see [`StoreOptions::sync`](super::StoreOptions::sync) for power cuts.
    pub fn commit(&self, commit: CommitBlock<'_>) -> Result<Sealed<Header>, StoreError> {
        self.append(commit)?;
        self.settle()
    }

    /// Writes a block on top of the written ones: block, receipts, indices, state and history in one atomic batch. The rows of
    /// the tries may wait for those of later blocks.
    /// The block must follow the last written one, and its state root be that of `state`. Returns its header. Readers see
    /// the block when it is [settled](Self::settle).
    pub fn append(&self, commit: CommitBlock<'_>) -> Result<Sealed<Header>, StoreError> {
        let _writing = self.inner.writing.lock();
        let head = self.with_unsettled().head()?;
        check_follows(&commit, &head)?;
        check_parts(&commit)?;

        let number = commit.block.header.number;
        let mut batch = Batch::default();
        put_block(&mut batch, commit.block, commit.hash, commit.senders, commit.receipts, commit.requests);
        put_state_with_history(&mut batch, number, commit.state);
        batch.tries_will_be_of(number);
        let store = self.with_unsettled();
        store.drop_pending_edits(&mut batch);
        let difficulty = commit.block.header.difficulty;
        if !difficulty.is_zero() {
            put_total_difficulty(&mut batch, store.total_difficulty()?.saturating_add(difficulty));
        }
        self.inner.tables.write(batch)?;
        let head = Sealed::new_unchecked(commit.block.header.clone(), commit.hash);
        self.inner.head_is(head.clone())?;
        Ok(head)
    }

    /// Undoes all blocks above this one, in one atomic batch. Returns the new head.
    pub fn rewind_to(&self, number: u64) -> Result<Sealed<Header>, StoreError> {
        let _writing = self.inner.writing.lock();
        let _settling = self.inner.settling.lock();
        let store = self.with_unsettled();
        let head = store.head()?;
        if number > head.number {
            return Err(StoreError::UnknownBlock { number, head: head.number });
        }
        let oldest = store.oldest_state()?;
        if number < oldest {
            return Err(StoreError::NotRetained { number, oldest });
        }
        if number == head.number {
            let mut batch = Batch::default();
            store.drop_pending_edits(&mut batch);
            if !batch.is_empty() {
                self.inner.tables.write(batch)?;
                self.inner.set_pending(None);
            }
            return self.inner.settle();
        }
        let tables = store.tables();
        let target = existing_header(&*tables, number)?;
        let back = history::changes_back_to(&*tables, head.number, number, REPLAYED_CHANGES_MAX)?;
        let base = BlockNumHash::new(head.number, head.hash());
        let update = update::prepare(&*tables, None, base, head.state_root, &back)?;
        update.check_root(number, target.state_root)?;

        let mut batch = Batch::default();
        let mut difficulty = U256::ZERO;
        for undone in number + 1..=head.number {
            difficulty += store.delete_block(&mut batch, undone)?;
        }
        if !difficulty.is_zero() {
            put_total_difficulty(&mut batch, store.total_difficulty()?.saturating_sub(difficulty));
        }
        put_flat_state(&mut batch, &update);
        update.put_code_and_trie(&mut batch);
        batch.tries_are_of(number);
        batch.put(Table::Meta, meta::HEAD, number_key(number));
        store.drop_pending_edits(&mut batch);
        // What was acknowledged is taken back before it is undone: nobody must miss it after a crash in between.
        self.inner.acknowledge(&target)?;
        self.inner.sync_witness()?;
        self.inner.tables.write(batch)?;
        self.inner.head_is(target)?;
        self.inner.settle()
    }

    /// Returns the block's difficulty.
    fn delete_block(&self, batch: &mut Batch, number: u64) -> Result<U256, StoreError> {
        let key = number_key(number);
        let missing = || StoreError::corrupt(Table::Headers, &key, "is missing");
        let block = self.block(number)?.ok_or_else(missing)?;
        for transaction in &block.block.body.transactions {
            batch.delete(Table::Transactions, *transaction.tx_hash());
        }
        batch.delete(Table::BlockNumbers, block.hash);
        delete_terms(batch, number, &self.receipts(number)?.unwrap_or_default());
        for (address, slots) in history::changed_keys(&*self.tables(), number)?.0 {
            batch.delete(Table::AccountHistory, account_history_key(&address, number));
            for slot in slots {
                batch.delete(Table::StorageHistory, storage_history_key(&address, &slot, number));
            }
        }
        use Table::{Bodies, ChangedKeys, Headers, Receipts, Requests, Senders};
        for table in [Headers, Bodies, Senders, Receipts, Requests, ChangedKeys] {
            batch.delete(table, key);
        }
        Ok(block.block.header.difficulty)
    }
}

fn check_follows(commit: &CommitBlock<'_>, head: &Sealed<Header>) -> Result<(), StoreError> {
    let header = &commit.block.header;
    if header.parent_hash != head.hash() || header.number != head.number + 1 {
        return Err(StoreError::NotOnHead {
            number: header.number,
            parent: header.parent_hash,
            head_number: head.number,
            head: head.hash(),
        });
    }
    let base = commit.state.base();
    if base.hash != head.hash() {
        return Err(StoreError::StaleUpdate {
            base_number: base.number,
            base: base.hash,
            head_number: head.number,
            head: head.hash(),
        });
    }
    commit.state.check_root(header.number, header.state_root)
}

fn check_parts(commit: &CommitBlock<'_>) -> Result<(), StoreError> {
    let transactions = commit.block.body.transactions.len();
    for (what, count) in [("senders", commit.senders.len()), ("receipts", commit.receipts.len())] {
        if count != transactions {
            let detail = format!("it has {transactions} transactions, but {count} {what}");
            return Err(StoreError::Malformed { number: commit.block.header.number, detail });
        }
    }
    Ok(())
}

/// Writes what the chain weighs up to its new head.
pub(super) fn put_total_difficulty(batch: &mut Batch, total: U256) {
    batch.put(Table::Meta, meta::TOTAL_DIFFICULTY, encode_word(total));
}

/// Writes a block and its indices, and names it the head.
pub(super) fn put_block(
    batch: &mut Batch,
    block: &Block,
    hash: B256,
    senders: &[Address],
    receipts: &[Receipt],
    requests: &Requests,
) {
    let number = block.header.number;
    let key = number_key(number);
    let mut header = hash.to_vec();
    alloy_rlp::Encodable::encode(&block.header, &mut header);
    batch.put(Table::Headers, key, header);
    batch.put(Table::Bodies, key, alloy_rlp::encode(&block.body));
    batch.put(Table::Senders, key, senders.concat());
    batch.put(Table::Receipts, key, encode_receipts(receipts));
    batch.put(Table::Requests, key, alloy_rlp::encode::<&Vec<Bytes>>(requests));
    batch.put(Table::BlockNumbers, hash, key);
    for (index, transaction) in block.body.transactions.iter().enumerate() {
        let location = [&key[..], &(index as u32).to_be_bytes()].concat();
        batch.put(Table::Transactions, *transaction.tx_hash(), location);
    }
    put_terms(batch, number, receipts);
    batch.put(Table::Meta, meta::HEAD, key);
}

/// Writes the state after a block, and what it was before.
fn put_state_with_history(batch: &mut Batch, number: u64, update: &StateUpdate) {
    let mut changed = ChangedKeys::default();
    for diff in &update.accounts {
        let before = encode_account_before(diff.before.as_ref());
        batch.put(Table::AccountHistory, account_history_key(&diff.address, number), before);
        changed.0.push((diff.address, Vec::new()));
    }
    for diff in &update.slots {
        let before = encode_word(diff.before);
        batch.put(Table::StorageHistory, storage_history_key(&diff.address, &diff.slot, number), before);
        match changed.0.binary_search_by_key(&diff.address, |(address, _)| *address) {
            Ok(position) => changed.0[position].1.push(diff.slot),
            Err(position) => changed.0.insert(position, (diff.address, vec![diff.slot])),
        }
    }
    batch.put(Table::ChangedKeys, number_key(number), changed.encode());
    put_flat_state(batch, update);
    update.put_code_and_trie(batch);
}

/// Writes the state that an update comes to, without a history.
pub(crate) fn put_flat_state(batch: &mut Batch, update: &StateUpdate) {
    for diff in &update.accounts {
        batch.set(Table::Accounts, diff.address, diff.after.as_ref().map(encode_account));
    }
    for diff in &update.slots {
        let value = (!diff.after.is_zero()).then(|| encode_word(diff.after));
        batch.set(Table::Storage, slot_key(&diff.address, &diff.slot), value);
    }
}
