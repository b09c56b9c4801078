//! What revm does to a state is what the store writes.

use super::model::dump;
use crate::{
    state::StateChanges,
    store::{ChainStore, CommitBlock, codec::decode_account, schema::Table},
    types::{Block, Header},
};
use alloy::consensus::BlockBody;
use alloy::eips::eip7685::Requests;
use alloy::genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use alloy_trie::root;
use revm::{
    Context, ExecuteCommitEvm, MainBuilder, MainContext,
    context::{ContextTr, TxEnv},
    database::{State, states::bundle_state::BundleRetention},
    primitives::hardfork::SpecId,
};

const SENDER: Address = Address::with_last_byte(0xaa);
const CONTRACT: Address = Address::with_last_byte(0xcc);
/// `PUSH1 0 CALLDATALOAD DUP1 ISZERO PUSH1 0x0e JUMPI PUSH1 0x20 CALLDATALOAD SWAP1 SSTORE STOP; JUMPDEST CALLER SELFDESTRUCT`:
/// call data `slot, value` stores the value; a zero slot destroys the contract.
const STORE_OR_DESTROY: Bytes = Bytes::from_static(&hex!("600035801560 0e57 602035 90 55 00 5b 33 ff"));

fn chain() -> ChainStore {
    let slots = (1..=40u64).map(|slot| (B256::from(U256::from(slot)), B256::from(U256::from(slot))));
    let contract = GenesisAccount {
        nonce: Some(1),
        balance: U256::from(5),
        code: Some(STORE_OR_DESTROY),
        storage: Some(slots.collect()),
        private_key: None,
    };
    let sender = GenesisAccount { balance: U256::from(10).pow(U256::from(18)), ..GenesisAccount::default() };
    let genesis = Genesis { alloc: [(SENDER, sender), (CONTRACT, contract)].into(), ..Genesis::default() };
    let state_root = ChainStore::genesis_state_root(&genesis.alloc).unwrap();
    let store = ChainStore::in_memory();
    let header = Header { state_root, gas_limit: 30_000_000, ..Header::default() };
    store.initialize(&genesis, &Block { header, body: BlockBody::default() }).unwrap();
    store
}

/// Runs transactions as one block and commits what they did.
fn block(store: &ChainStore, spec: SpecId, transactions: &[(TxKind, Bytes)]) {
    let parent = store.head().unwrap();
    let state = store.state_at(parent.number).unwrap();
    let nonce = state.account(SENDER).unwrap().unwrap().nonce;
    let database = State::builder().with_database_ref(state).with_bundle_update().build();
    let context = Context::mainnet().with_db(database);
    let mut evm = context.modify_cfg_chained(|cfg| cfg.set_spec_and_mainnet_gas_params(spec)).build_mainnet();
    for (index, (kind, data)) in transactions.iter().enumerate() {
        let nonce = nonce + index as u64;
        let tx = TxEnv::builder().caller(SENDER).kind(*kind).data(data.clone()).nonce(nonce).gas_limit(1_000_000);
        assert!(evm.transact_commit(tx.build().unwrap()).unwrap().is_success());
    }
    let database = evm.ctx.db_mut();
    database.merge_transitions(BundleRetention::Reverts);
    let state = store.state_root_after(parent.number, &StateChanges::from_bundle(&database.take_bundle())).unwrap();
    let header =
        Header { number: parent.number + 1, parent_hash: parent.hash(), state_root: state.root(), ..Header::default() };
    let block = Block { header, body: BlockBody::default() };
    let (hash, requests) = (block.header.hash_slow(), Requests::default());
    store
        .commit(CommitBlock { block: &block, hash, senders: &[], receipts: &[], requests: &requests, state: &state })
        .unwrap();
    assert_eq!(root_of_flat_tables(store), block.header.state_root);
}

/// The state root of what the flat tables hold, by alloy-trie.
fn root_of_flat_tables(store: &ChainStore) -> B256 {
    let rows = dump(store);
    let slots = |address: &[u8]| {
        let rows = rows.iter().filter(|row| row.0 == Table::Storage && &row.1[..20] == address);
        let slots = rows.map(|row| (B256::from_slice(&row.1[20..]), U256::from_be_slice(&row.2)));
        root::storage_root_unhashed(slots.collect::<Vec<_>>())
    };
    let accounts = rows.iter().filter(|row| row.0 == Table::Accounts).map(|row| {
        let account = decode_account(&row.2).unwrap();
        assert_eq!(account.storage_root, slots(&row.1));
        (Address::from_slice(&row.1), account)
    });
    root::state_root_unhashed(accounts.collect::<Vec<_>>())
}

fn write(slot: u64, value: u64) -> (TxKind, Bytes) {
    let words = [U256::from(slot), U256::from(value)].map(|word| word.to_be_bytes::<32>()).concat();
    (TxKind::Call(CONTRACT), words.into())
}

const DESTROY: (TxKind, Bytes) = (TxKind::Call(CONTRACT), Bytes::new());

#[test]
fn slots_are_written_and_cleared() {
    let store = chain();
    block(&store, SpecId::PRAGUE, &[write(1, 100), write(2, 0), write(99, 7)]);
    block(&store, SpecId::PRAGUE, &[write(99, 0), write(1, 100)]);
    let values = |number, slots: [u64; 4]| {
        let state = store.state_at(number).unwrap();
        slots.map(|slot| state.storage(CONTRACT, U256::from(slot)).unwrap().to::<u64>())
    };
    assert_eq!(values(0, [1, 2, 3, 99]), [1, 2, 3, 0]);
    assert_eq!(values(1, [1, 2, 3, 99]), [100, 0, 3, 7]);
    assert_eq!(values(2, [1, 2, 3, 99]), [100, 0, 3, 0]);
}

#[test]
fn a_destroyed_contract_takes_its_storage_with_it_and_a_rewind_brings_it_back() {
    let store = chain();
    let before = dump(&store);
    block(&store, SpecId::SHANGHAI, &[write(77, 7), DESTROY]);
    let state = store.latest_state().unwrap();
    assert_eq!(state.account(CONTRACT).unwrap(), None);
    assert_eq!(state.storage(CONTRACT, U256::from(5)).unwrap(), U256::ZERO);
    assert!(!dump(&store).iter().any(|row| matches!(row.0, Table::Storage | Table::StorageTrie)));
    assert_eq!(store.state_at(0).unwrap().storage(CONTRACT, U256::from(5)).unwrap(), U256::from(5));
    assert_eq!(store.state_at(0).unwrap().code(CONTRACT).unwrap(), STORE_OR_DESTROY);
    // What was sent there since is a plain account.
    block(&store, SpecId::SHANGHAI, &[(TxKind::Call(CONTRACT), Bytes::new())]);
    store.rewind_to(0).unwrap();
    assert_eq!(dump(&store), before);
}

#[test]
fn since_cancun_only_a_contract_made_in_the_same_transaction_is_destroyed() {
    let store = chain();
    block(&store, SpecId::CANCUN, &[DESTROY]);
    let contract = store.latest_state().unwrap().account(CONTRACT).unwrap().unwrap();
    assert_eq!((contract.nonce, contract.balance), (1, U256::ZERO));
    assert_eq!(store.latest_state().unwrap().storage(CONTRACT, U256::from(5)).unwrap(), U256::from(5));

    // PUSH1 1 PUSH1 2 SSTORE CALLER SELFDESTRUCT, as init code.
    let accounts = |store: &ChainStore| dump(store).iter().filter(|row| row.0 == Table::Accounts).count();
    let before = accounts(&store);
    block(&store, SpecId::CANCUN, &[(TxKind::Create, Bytes::from_static(&hex!("6001600255 33 ff")))]);
    assert_eq!(accounts(&store), before, "it never was");
    // The same without its end: a contract with a slot and no code.
    block(&store, SpecId::CANCUN, &[(TxKind::Create, Bytes::from_static(&hex!("6001600255 00")))]);
    assert_eq!(accounts(&store), before + 1);
}

#[test]
fn a_touched_empty_account_is_not_kept() {
    let store = chain();
    let nobody = Address::with_last_byte(0xee);
    block(&store, SpecId::PRAGUE, &[(TxKind::Call(nobody), Bytes::new())]);
    assert_eq!(store.latest_state().unwrap().account(nobody).unwrap(), None);
}

#[test]
fn pruned_states_are_refused_and_the_others_stay() {
    let store = chain();
    (1..=9).for_each(|number| block(&store, SpecId::PRAGUE, &[write(1, number + 100)]));
    assert_eq!(store.prune_states_below(6).unwrap(), 6);
    assert_eq!(store.prune_states_below(3).unwrap(), 6);
    for number in 6..=9 {
        let value = store.state_at(number).unwrap().storage(CONTRACT, U256::from(1)).unwrap();
        assert_eq!(value, U256::from(number + 100));
        assert_eq!(store.proof(number, CONTRACT, &[U256::from(1)]).unwrap().slots[0].value, value);
    }
    let error = store.state_at(5).unwrap_err().to_string();
    assert!(error.contains("block 5 ") && error.contains("oldest block that is: 6"), "{error}");
    assert!(store.rewind_to(5).is_err());
    assert!(store.block(5).unwrap().is_some());
    assert!(!dump(&store).iter().any(|row| row.0 == Table::ChangedKeys && row.1 <= 6u64.to_be_bytes().to_vec()));
    store.rewind_to(6).unwrap();
    assert_eq!(store.prune_states_below(100).unwrap(), 6);
}
