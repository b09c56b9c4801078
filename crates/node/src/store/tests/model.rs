//! A chain that keeps a whole copy of the state per block.

use crate::{
    state::{AccountChange, Page, StateChanges},
    store::{ChainStore, CommitBlock, StoreError, schema::Table},
    types::{Block, Header, Receipt, Transaction},
};
use alloy::consensus::{BlockBody, Eip658Value, Receipt as ReceiptFields, SignableTransaction, TxLegacy, TxType};
use alloy::eips::eip7685::Requests;
use alloy::genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, Bytes, Log, LogData, Signature, U256, keccak256};
use alloy_trie::{KECCAK_EMPTY, TrieAccount, root};
use proptest::prelude::*;
use reth_primitives_traits::Account;
use revm::DatabaseRef;
use std::collections::BTreeMap;

/// An account of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelAccount {
    pub(super) nonce: u64,
    pub(super) balance: U256,
    pub(super) code: Bytes,
    pub(super) storage: BTreeMap<U256, U256>,
}

pub(super) type ModelState = BTreeMap<Address, ModelAccount>;

impl ModelAccount {
    fn code_hash(&self) -> B256 {
        if self.code.is_empty() { KECCAK_EMPTY } else { keccak256(&self.code) }
    }

    fn trie_account(&self) -> TrieAccount {
        let slots = self.storage.iter().map(|(slot, value)| (B256::from(*slot), *value));
        TrieAccount {
            nonce: self.nonce,
            balance: self.balance,
            storage_root: root::storage_root_unhashed(slots),
            code_hash: self.code_hash(),
        }
    }
}

pub(super) fn model_root(state: &ModelState) -> B256 {
    root::state_root_unhashed(state.iter().map(|(address, account)| (*address, account.trie_account())))
}

pub(super) fn address(index: u8) -> Address {
    Address::with_last_byte(index)
}

/// What may happen to one account in a block.
#[derive(Clone, Debug)]
pub(super) enum Touch {
    /// New nonce, balance and values of slots.
    Set { nonce: u64, balance: u64, slots: BTreeMap<u8, u64> },
    /// Gets code.
    Deploy { code: u8, slots: BTreeMap<u8, u64> },
    /// Is gone.
    Destroy,
    /// Is gone and comes back in the same block, with these slots only.
    Recreate { balance: u64, slots: BTreeMap<u8, u64> },
    /// Nonce and balance zero, and there all the same (before EIP-161).
    Empty,
}

/// A step of a chain's life.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Block(BTreeMap<u8, Touch>),
    /// Back by so many blocks.
    Rewind(u8),
}

pub(super) fn steps(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    let slots = || prop::collection::btree_map(0..6u8, prop_oneof![Just(0u64), 1..4u64, any::<u64>()], 0..5);
    let touch = prop_oneof![
        6 => (0..4u64, any::<u64>(), slots()).prop_map(|(nonce, balance, slots)| Touch::Set { nonce, balance, slots }),
        2 => (0..3u8, slots()).prop_map(|(code, slots)| Touch::Deploy { code, slots }),
        1 => Just(Touch::Destroy),
        1 => (any::<u64>(), slots()).prop_map(|(balance, slots)| Touch::Recreate { balance, slots }),
        1 => Just(Touch::Empty),
    ];
    let block = prop::collection::btree_map(0..8u8, touch, 0..6);
    let step = prop_oneof![8 => block.prop_map(Step::Block), 1 => (0..4u8).prop_map(Step::Rewind)];
    prop::collection::vec(step, count)
}

/// The states after every block so far.
pub(super) struct Model {
    pub(super) states: Vec<ModelState>,
    pub(super) hashes: Vec<B256>,
}

impl Model {
    /// A chain with some accounts in genesis.
    pub(super) fn new() -> Self {
        let account = |index: u8| ModelAccount {
            nonce: u64::from(index),
            balance: U256::from(1_000) * U256::from(index),
            code: if index == 2 { Bytes::from_static(&[0xfe]) } else { Bytes::new() },
            storage: (1..u64::from(index)).map(|slot| (U256::from(slot), U256::from(slot << 40))).collect(),
        };
        let state: ModelState = (0..4).map(|index| (address(index), account(index))).collect();
        let mut model = Self { states: vec![state], hashes: Vec::new() };
        model.hashes.push(model.genesis_block().header.hash_slow());
        model
    }

    pub(super) fn head(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    pub(super) fn genesis(&self) -> Genesis {
        let alloc = self.states[0].iter().map(|(address, account)| {
            let account = GenesisAccount {
                nonce: Some(account.nonce),
                balance: account.balance,
                code: (!account.code.is_empty()).then(|| account.code.clone()),
                storage: Some(account.storage.iter().map(|(slot, value)| ((*slot).into(), (*value).into())).collect()),
                private_key: None,
            };
            (*address, account)
        });
        Genesis { gas_limit: 30_000_000, alloc: alloc.collect(), ..Genesis::default() }
    }

    pub(super) fn genesis_block(&self) -> Block {
        let header = Header { state_root: model_root(&self.states[0]), gas_limit: 30_000_000, ..Header::default() };
        Block { header, body: BlockBody::default() }
    }

    pub(super) fn initialize(&self, store: &ChainStore) {
        store.initialize(&self.genesis(), &self.genesis_block()).unwrap();
    }

    /// Moves the model and every store by a step.
    pub(super) fn step(&mut self, step: &Step, stores: &[&ChainStore]) {
        match step {
            Step::Rewind(blocks) => {
                let number = self.head().saturating_sub(u64::from(*blocks));
                self.states.truncate(number as usize + 1);
                self.hashes.truncate(number as usize + 1);
                for store in stores {
                    assert_eq!(store.rewind_to(number).unwrap().hash(), self.hashes[number as usize]);
                }
            }
            Step::Block(touches) => {
                let mut state = self.states.last().unwrap().clone();
                let changes = changes(&mut state, touches);
                let block = self.block(&state, touches.len() as u64);
                for store in stores {
                    commit(store, &block, &changes);
                }
                self.hashes.push(block.header.hash_slow());
                self.states.push(state);
            }
        }
    }

    /// Like [`Self::step`] with a block, which is written and not settled.
    pub(super) fn append(&mut self, step: &Step, store: &ChainStore) {
        let Step::Block(touches) = step else { panic!("not a block") };
        let mut state = self.states.last().unwrap().clone();
        let changes = changes(&mut state, touches);
        let block = self.block(&state, touches.len() as u64);
        with_parts(store, &block, &changes, |parts| store.append(parts).map(drop));
        self.hashes.push(block.header.hash_slow());
        self.states.push(state);
    }

    fn block(&self, state: &ModelState, transactions: u64) -> Block {
        let number = self.head() + 1;
        let parent_hash = *self.hashes.last().unwrap();
        let state_root = model_root(state);
        let header = Header { number, parent_hash, state_root, timestamp: number, ..Header::default() };
        // The parent's hash in the input makes transactions of different forks different.
        let transactions = (0..transactions).map(|nonce| transaction(nonce, parent_hash)).collect();
        Block { header, body: BlockBody { transactions, ommers: Vec::new(), withdrawals: None } }
    }

    /// Asks the store everything about every block, and compares.
    pub(super) fn check(&self, store: &ChainStore) {
        let head = store.head().unwrap();
        assert_eq!((head.number, head.hash()), (self.head(), *self.hashes.last().unwrap()));
        for number in 0..=self.head() {
            self.check_state(store, number);
        }
        assert!(store.header(self.head() + 1).unwrap().is_none());
        assert!(store.state_at(self.head() + 1).is_err());
    }

    /// Walks over the whole state after a block, at once and in pages, and compares.
    fn check_walk(&self, store: &ChainStore, number: u64) {
        let state = &self.states[number as usize];
        let expected: Vec<_> = state.iter().map(|(address, account)| (*address, account.trie_account())).collect();
        let snapshot = store.state_at(number).unwrap();
        let walked: Vec<_> = snapshot.accounts(Address::ZERO).map(Result::unwrap).collect();
        assert_eq!(walked, expected, "block {number}");
        let paged = pages(Address::ZERO, |start| store.accounts_at(number, start, 2).unwrap());
        assert_eq!(paged, expected, "block {number}");
        let mut hashed = expected.clone();
        hashed.sort_by_key(|(address, _)| keccak256(address));
        let paged = pages(B256::ZERO, |start| store.accounts_by_hash_at(number, start, 3).unwrap());
        assert_eq!(paged.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>(), hashed, "block {number}");
        for index in 0..9 {
            let address = address(index);
            let mut slots: Vec<_> =
                state.get(&address).into_iter().flat_map(|account| account.storage.clone()).collect();
            let paged = pages(U256::ZERO, |start| store.storage_range_at(number, address, start, 2).unwrap());
            assert_eq!(paged, slots, "block {number}, {address}");
            slots.sort_by_key(|(slot, _)| keccak256(slot.to_be_bytes::<32>()));
            let paged = pages(B256::ZERO, |start| store.storage_by_hash_at(number, address, start, 2).unwrap());
            assert_eq!(paged.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>(), slots, "block {number}");
        }
    }

    pub(super) fn check_state(&self, store: &ChainStore, number: u64) {
        self.check_walk(store, number);
        let state = &self.states[number as usize];
        let snapshot = store.state_at(number).unwrap();
        assert_eq!(snapshot.block_hash_ref(number).unwrap(), self.hashes[number as usize]);
        for index in 0..9 {
            let address = address(index);
            let expected = state.get(&address);
            assert_eq!(snapshot.account(address).unwrap(), expected.map(ModelAccount::trie_account), "block {number}");
            assert_eq!(
                snapshot.code(address).unwrap(),
                expected.map(|account| account.code.clone()).unwrap_or_default()
            );
            for slot in (0..7).map(U256::from) {
                let value = expected.and_then(|account| account.storage.get(&slot)).copied().unwrap_or_default();
                assert_eq!(snapshot.storage_ref(address, slot).unwrap(), value, "block {number}, {address}, {slot}");
            }
        }
    }
}

/// Everything, one page after the other.
fn pages<K: Copy, V>(start: K, read: impl Fn(K) -> Page<K, V>) -> Vec<(K, V)> {
    let (mut entries, mut start) = (Vec::new(), Some(start));
    while let Some(from) = start {
        let page = read(from);
        entries.extend(page.entries);
        start = page.next;
    }
    entries
}

/// Changes the state, and says how.
pub(super) fn changes(state: &mut ModelState, touches: &BTreeMap<u8, Touch>) -> StateChanges {
    let mut changes = StateChanges::default();
    for (index, touch) in touches {
        let address = address(*index);
        let nothing = || ModelAccount { nonce: 0, balance: U256::ZERO, code: Bytes::new(), storage: BTreeMap::new() };
        let mut account = state.get(&address).cloned().unwrap_or_else(nothing);
        let (slots, is_storage_wiped) = match touch.clone() {
            Touch::Set { nonce, balance, slots } => {
                (account.nonce, account.balance) = (nonce, U256::from(balance));
                (slots, false)
            }
            Touch::Deploy { code, slots } => {
                account.code = vec![0x60, code].into();
                (slots, false)
            }
            Touch::Destroy => {
                let change = AccountChange { is_storage_wiped: true, ..AccountChange::default() };
                changes.accounts.insert(address, change);
                state.remove(&address);
                continue;
            }
            Touch::Recreate { balance, slots } => {
                account = ModelAccount { balance: U256::from(balance), ..nothing() };
                (slots, true)
            }
            Touch::Empty => {
                account = nothing();
                (BTreeMap::new(), true)
            }
        };
        let storage: BTreeMap<U256, U256> =
            slots.iter().map(|(slot, value)| (U256::from(*slot), U256::from(*value))).collect();
        account.storage.extend(&storage);
        account.storage.retain(|_, value| !value.is_zero());
        if !account.code.is_empty() {
            changes.code.insert(account.code_hash(), account.code.clone());
        }
        let fields = Account {
            nonce: account.nonce,
            balance: account.balance,
            bytecode_hash: (!account.code.is_empty()).then(|| account.code_hash()),
        };
        changes.accounts.insert(address, AccountChange { account: Some(fields), is_storage_wiped, storage });
        state.insert(address, account);
    }
    changes
}

pub(super) fn commit(store: &ChainStore, block: &Block, changes: &StateChanges) {
    with_parts(store, block, changes, |parts| store.commit(parts).map(drop));
}

fn with_parts(
    store: &ChainStore,
    block: &Block,
    changes: &StateChanges,
    write: impl FnOnce(CommitBlock<'_>) -> Result<(), StoreError>,
) {
    let state = store.state_root_after(block.header.number - 1, changes).unwrap();
    let count = block.body.transactions.len() as u64;
    let senders: Vec<Address> = (0..count).map(|index| address(index as u8)).collect();
    let receipts: Vec<Receipt> = (0..count).map(receipt).collect();
    let requests = requests(block.header.number);
    let (hash, senders, receipts) = (block.header.hash_slow(), &senders[..], &receipts[..]);
    write(CommitBlock { block, hash, senders, receipts, requests: &requests, state: &state }).unwrap();
}

pub(super) fn requests(number: u64) -> Requests {
    Requests::new(vec![Bytes::copy_from_slice(&[&[0xcd][..], &number.to_be_bytes()].concat())])
}

pub(super) fn transaction(nonce: u64, input: B256) -> Transaction {
    let fields = TxLegacy { nonce, input: input.into(), ..TxLegacy::default() };
    fields.into_signed(Signature::test_signature()).into()
}

pub(super) fn receipt(index: u64) -> Receipt {
    let topics = vec![keccak256(index.to_be_bytes()); index as usize % 5];
    let log = Log { address: address(7), data: LogData::new_unchecked(topics, Bytes::from_static(b"logged")) };
    let status = match index % 3 {
        0 => Eip658Value::Eip658(true),
        1 => Eip658Value::Eip658(false),
        _ => Eip658Value::PostState(B256::repeat_byte(index as u8)),
    };
    let fields = ReceiptFields { status, cumulative_gas_used: 21_000 * (index + 1), logs: vec![log] };
    Receipt::from_typed(TxType::try_from(index as u8 % 5).unwrap(), fields.with_bloom())
}

/// Rows: table, key, value.
pub(super) type Dump = Vec<(Table, Vec<u8>, Vec<u8>)>;

/// All rows of all tables.
pub(super) fn dump(store: &ChainStore) -> Dump {
    let mut rows = Vec::new();
    for table in Table::ALL {
        for row in store.tables().range(table, &[], None) {
            let (key, value) = row.unwrap();
            rows.push((table, key, value));
        }
    }
    rows
}
