//! Memory and RocksDB are the same store, and both are the model.

use super::model::{Dump, Model, Step, Touch, address, commit, dump, receipt, requests, steps, transaction};
use crate::{
    state::{AccountChange, StateChanges},
    store::{
        ChainStore, LogQuery, StoreError, StoreOptions,
        schema::{Table, meta},
    },
};
use alloy_primitives::{B256, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, proof::verify_proof};
use proptest::prelude::*;
use reth_primitives_traits::Account;
use std::collections::BTreeMap;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn both_twins_answer_like_the_model_at_every_block(steps in steps(1..24), buffered in buffered()) {
        let folder = tempfile::tempdir().unwrap();
        let (memory, rocks) = (ChainStore::in_memory(), ChainStore::open(folder.path(), &buffered).unwrap());
        let mut model = Model::new();
        model.initialize(&memory);
        model.initialize(&rocks);
        for step in &steps {
            model.step(step, &[&memory, &rocks]);
        }
        model.check(&memory);
        model.check(&rocks);
        prop_assert!(rows_of_the_chain(&memory).eq(rows_of_the_chain(&rocks)));

        // What waited in memory is lost with it, and made again.
        drop(rocks);
        let reopened = ChainStore::open(folder.path(), &buffered).unwrap();
        model.check(&reopened);
        prop_assert_eq!(reopened.genesis().unwrap(), model.genesis());
        prop_assert!(rows_of_the_chain(&memory).eq(rows_of_the_chain(&reopened)));
    }

    #[test]
    fn tries_that_wait_are_proved_where_they_were_the_heads(before in steps(1..8), after in steps(1..8), buffered in buffered()) {
        let folder = tempfile::tempdir().unwrap();
        let store = ChainStore::open(folder.path(), &buffered).unwrap();
        let mut model = Model::new();
        model.initialize(&store);
        before.iter().for_each(|step| model.step(step, &[&store]));
        let (held, was) = (store.tables(), dump(&store));
        after.iter().for_each(|step| model.step(step, &[&store]));
        for (table, key, value) in &was {
            prop_assert_eq!(held.get(*table, key).unwrap(), Some(value.clone()));
        }
        let rows = Table::ALL.into_iter().flat_map(|table| {
            held.range(table, &[], None).map(move |row| row.map(|(key, value)| (table, key, value)).unwrap())
        });
        prop_assert!(rows.eq(was));
    }

    #[test]
    fn accounts_and_slots_are_proved_at_every_block(steps in steps(1..16)) {
        let store = ChainStore::in_memory();
        let mut model = Model::new();
        model.initialize(&store);
        steps.iter().for_each(|step| model.step(step, &[&store]));
        let slots: Vec<U256> = (0..7).map(U256::from).collect();
        for number in 0..=model.head() {
            let root = store.header(number).unwrap().unwrap().state_root;
            for index in 0..9 {
                let proof = store.proof(number, address(index), &slots).unwrap();
                let key = Nibbles::unpack(keccak256(address(index)));
                verify_proof(root, key, proof.account.map(alloy_rlp::encode), &proof.proof).unwrap();
                let storage_root = proof.account.map_or(EMPTY_ROOT_HASH, |account| account.storage_root);
                for slot in &proof.slots {
                    let key = Nibbles::unpack(keccak256(B256::from(slot.slot)));
                    let value = (!slot.value.is_zero()).then(|| alloy_rlp::encode(slot.value));
                    verify_proof(storage_root, key, value, &slot.proof).unwrap();
                }
            }
        }
    }

    #[test]
    fn no_block_with_wanted_logs_is_left_out(steps in steps(1..24), position in 0..4usize, wanted in 0..6u64, from in 0..6u64) {
        let store = ChainStore::in_memory();
        let mut model = Model::new();
        model.initialize(&store);
        steps.iter().for_each(|step| model.step(step, &[&store]));
        let topic = keccak256(wanted.to_be_bytes());
        let mut topics: [Vec<B256>; 4] = Default::default();
        topics[position] = vec![topic, keccak256("nobody's")];
        let queries = [
            LogQuery::default(),
            LogQuery { addresses: vec![address(7)], topics: Default::default() },
            LogQuery { addresses: vec![address(6)], topics: Default::default() },
            LogQuery { addresses: vec![address(6), address(7)], topics },
        ];
        for query in queries {
            let has = |number: u64| {
                let receipts = store.receipts(number).unwrap().unwrap();
                receipts.iter().flat_map(|receipt| receipt.logs()).any(|log| {
                    let fits = |(at, wanted): (usize, &Vec<B256>)| {
                        wanted.is_empty() || log.topics().get(at).is_some_and(|topic| wanted.contains(topic))
                    };
                    (query.addresses.is_empty() || query.addresses.contains(&log.address))
                        && query.topics.iter().enumerate().all(fits)
                })
            };
            let (mut found, head) = (Vec::new(), model.head());
            let all = store.blocks_with_logs(from..=head, &query);
            all.try_for_each(|number| { found.push(number); Ok::<_, StoreError>(true) }).unwrap();
            prop_assert!(found.is_sorted_by(|a, b| a < b) && found.iter().all(|number| (from..=head).contains(number)));
            let wanted: Vec<u64> = (from..=head).filter(|number| has(*number)).collect();
            prop_assert!(wanted.iter().all(|number| found.contains(number)), "{wanted:?} {found:?}");
            // With one kind of term nothing else is found.
            if query.topics.iter().all(Vec::is_empty) {
                prop_assert_eq!(found, wanted);
            }
        }
    }

    #[test]
    fn rewinding_leaves_exactly_what_was_there(before in steps(1..8), after in steps(1..8)) {
        let blocks = |steps: Vec<Step>| steps.into_iter().filter(|step| matches!(step, Step::Block(_)));
        let store = ChainStore::in_memory();
        let mut model = Model::new();
        model.initialize(&store);
        blocks(before).for_each(|step| model.step(&step, &[&store]));
        let (number, kept) = (model.head(), dump(&store));
        blocks(after).for_each(|step| model.step(&step, &[&store]));
        store.rewind_to(number).unwrap();
        // Codes stay: they are found by hash, and another block may bring them back.
        let without_code = |rows: Dump| rows.into_iter().filter(|row| row.0 != Table::Code);
        prop_assert!(without_code(dump(&store)).eq(without_code(kept)));
    }

    #[test]
    fn the_root_after_a_past_block_is_the_one_it_had(steps in steps(2..12), touched in 0..8u8) {
        let store = ChainStore::in_memory();
        let mut model = Model::new();
        model.initialize(&store);
        steps.iter().for_each(|step| model.step(step, &[&store]));
        for number in 0..=model.head() {
            let root = store.header(number).unwrap().unwrap().state_root;
            let nothing = StateChanges::default();
            prop_assert_eq!(store.state_root_after(number, &nothing).unwrap().root(), root);

            let mut state = model.states[number as usize].clone();
            let account = Account { nonce: 77, ..Account::default() };
            let change = AccountChange { account: Some(account), is_storage_wiped: true, storage: BTreeMap::new() };
            let changes = StateChanges { accounts: [(address(touched), change)].into(), ..Default::default() };
            let account = super::model::ModelAccount {
                nonce: 77, balance: U256::ZERO, code: Default::default(), storage: BTreeMap::new(),
            };
            state.insert(address(touched), account);
            prop_assert_eq!(store.state_root_after(number, &changes).unwrap().root(), super::model::model_root(&state));
        }
    }
}

/// Rows of tries that are written at once, soon, or not before the store is closed.
fn buffered() -> impl Strategy<Value = StoreOptions> {
    let limits = (prop_oneof![Just(0usize), 500..10_000usize, Just(1 << 20)], prop_oneof![0..6u64, Just(1_024)]);
    limits.prop_map(|(trie_rows_buffered_bytes_max, trie_rows_buffered_blocks_max)| StoreOptions {
        trie_rows_buffered_bytes_max,
        trie_rows_buffered_blocks_max,
        ..StoreOptions::default()
    })
}

/// All rows but those that only a disk needs.
fn rows_of_the_chain(store: &ChainStore) -> impl Iterator<Item = (Table, Vec<u8>, Vec<u8>)> {
    let of_the_disk = [meta::FORMAT, meta::TRIES];
    dump(store)
        .into_iter()
        .filter(move |(table, key, _)| *table != Table::Meta || !of_the_disk.contains(&key.as_slice()))
}

fn funded(nonce: u64) -> Step {
    let slots = (0..6).map(|slot| (slot, nonce)).collect();
    Step::Block([(1, Touch::Set { nonce, balance: nonce, slots })].into())
}

#[test]
fn a_snapshot_does_not_move_with_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    for store in [ChainStore::in_memory(), ChainStore::open(folder.path(), &StoreOptions::default()).unwrap()] {
        let mut model = Model::new();
        model.initialize(&store);
        (1..=3).for_each(|nonce| model.step(&funded(nonce), &[&store]));
        let (at_head, at_past) = (store.state_at(3).unwrap(), store.state_at(2).unwrap());
        // Another fork from block 1 on, and further than before.
        model.step(&Step::Rewind(2), &[&store]);
        (10..=14).for_each(|nonce| model.step(&funded(nonce), &[&store]));
        assert_eq!(at_head.account(address(1)).unwrap().unwrap().nonce, 3);
        assert_eq!(at_head.storage(address(1), U256::from(5)).unwrap(), U256::from(3));
        assert_eq!(at_past.account(address(1)).unwrap().unwrap().nonce, 2);
        assert_eq!(at_past.storage(address(1), U256::from(5)).unwrap(), U256::from(2));
        assert_eq!(store.latest_state().unwrap().account(address(1)).unwrap().unwrap().nonce, 14);
    }
}

#[test]
fn a_snapshot_outlives_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let store = ChainStore::open(folder.path(), &StoreOptions::default()).unwrap();
    let model = Model::new();
    model.initialize(&store);
    let snapshot = store.latest_state().unwrap();
    drop(store);
    assert_eq!(snapshot.account(address(3)).unwrap().unwrap().nonce, 3);
    let error = ChainStore::open(folder.path(), &StoreOptions::default()).err().unwrap();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(snapshot);
    assert_eq!(ChainStore::open(folder.path(), &StoreOptions::default()).unwrap().head().unwrap().number, 0);
}

#[test]
fn what_belongs_to_a_block_is_found_by_number_and_by_hash() {
    let store = ChainStore::in_memory();
    let mut model = Model::new();
    model.initialize(&store);
    let touches: BTreeMap<u8, Touch> =
        (0..7).map(|index| (index, Touch::Set { nonce: 1, balance: 1, slots: BTreeMap::new() })).collect();
    (0..3).for_each(|_| model.step(&Step::Block(touches.clone()), &[&store]));

    for number in 1..=3 {
        let hash = model.hashes[number as usize];
        let block = store.block(number).unwrap().unwrap();
        assert_eq!((block.hash, block.number()), (hash, number));
        assert_eq!(block.block.header.hash_slow(), hash);
        assert_eq!(store.block_by_hash(hash).unwrap().unwrap(), block);
        assert_eq!(store.header_by_hash(hash).unwrap().unwrap(), block.sealed_header());
        assert_eq!(store.block_hash(number).unwrap(), Some(hash));
        assert_eq!(store.requests(number).unwrap().unwrap(), requests(number));
        assert_eq!(store.receipts(number).unwrap().unwrap(), (0..7).map(receipt).collect::<Vec<_>>());
        for index in 0..7 {
            let expected = transaction(index, model.hashes[number as usize - 1]);
            let location = store.transaction_location(*expected.tx_hash()).unwrap().unwrap();
            assert_eq!((location.block_number, location.index), (number, index));
            let found = block.recovered_transaction(index).unwrap();
            assert_eq!((found.inner(), found.signer()), (&expected, address(index as u8)));
        }
        assert!(block.recovered_transaction(7).is_none());
    }
    assert_eq!(store.blocks(0..=10).count(), 4);
    assert!(store.block_by_hash(B256::ZERO).unwrap().is_none());
    assert!(store.transaction_location(B256::ZERO).unwrap().is_none());

    // A rewound block is gone, with its indices.
    let gone = transaction(0, model.hashes[2]);
    let hash = model.hashes[3];
    store.rewind_to(2).unwrap();
    assert!(store.transaction_location(*gone.tx_hash()).unwrap().is_none());
    assert!(store.block_by_hash(hash).unwrap().is_none());
    assert!(store.receipts(3).unwrap().is_none());
}

#[test]
fn code_is_kept_once() {
    let store = ChainStore::in_memory();
    let mut model = Model::new();
    model.initialize(&store);
    let deploy = |index| Step::Block([(index, Touch::Deploy { code: 9, slots: BTreeMap::new() })].into());
    (4..8).for_each(|index| model.step(&deploy(index), &[&store]));
    model.check(&store);
    assert_eq!(
        dump(&store).iter().filter(|row| row.0 == Table::Code).count(),
        2,
        "one of genesis, one deployed four times"
    );
}

#[test]
fn commit_names_what_does_not_fit() {
    let store = ChainStore::in_memory();
    let mut model = Model::new();
    model.initialize(&store);
    model.step(&funded(1), &[&store]);
    let stale = store.state_root_after(0, &StateChanges::default()).unwrap();
    let fresh = store.state_root_after(1, &StateChanges::default()).unwrap();
    let mut block = store.block(1).unwrap().unwrap().block;
    let senders = [address(0)];
    let receipts = [receipt(0)];
    let requests = requests(2);
    let attempt = |block: &crate::types::Block, state, senders, receipts| {
        let hash = block.header.hash_slow();
        store
            .commit(crate::store::CommitBlock { block, hash, senders, receipts, requests: &requests, state })
            .unwrap_err()
    };
    assert!(matches!(attempt(&block, &fresh, &senders, &receipts), StoreError::NotOnHead { number: 1, .. }));
    block.header.number = 2;
    block.header.parent_hash = model.hashes[1];
    assert!(matches!(attempt(&block, &stale, &senders, &receipts), StoreError::StaleUpdate { base_number: 0, .. }));
    let header = block.header.state_root;
    block.header.state_root = B256::repeat_byte(1);
    let error = attempt(&block, &fresh, &senders, &receipts);
    assert!(
        matches!(error, StoreError::StateRootMismatch { number: 2, computed, .. } if computed == header),
        "{error}"
    );
    block.header.state_root = header;
    assert!(matches!(attempt(&block, &fresh, &[], &receipts), StoreError::Malformed { .. }));
    assert!(matches!(attempt(&block, &fresh, &senders, &[]), StoreError::Malformed { .. }));
    assert_eq!(store.head().unwrap().number, 1);
    block.body.transactions = vec![transaction(0, B256::ZERO)];
    commit(&store, &block, &StateChanges::default());
    assert_eq!(store.head().unwrap().number, 2);
}
