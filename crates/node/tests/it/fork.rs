//! A chain that continues another: it reads what it never touched over there, and is replayed without it.

use crate::{replay::export_all, support::sign_transaction};
use alloy::eips::BlockId;
use alloy::genesis::{Genesis, GenesisAccount};
use alloy::rpc::types::TransactionRequest;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, hex};
use cryptlet_node::{
    ChainSpec, NoFabric, Node, NodeConfig, NodeHandle, SimulationRequest,
    chain_file::{ChainFileReader, ReplayOptions, Replaying, replay},
    chain_spec::{dev_accounts, dev_genesis},
    execute::{BlockFault, RecoveredBlock, replay_block},
    fork::{
        BASE_ROWS_REQUEST_TYPE, BaseAccount, BaseKey, BaseRows, BaseValue, ForkCache, ForkFault, ForkPoint, ForkSource,
        ForwardOutcome,
    },
    service::CallResult,
    store::ChainStore,
    types::BlockWithRequests,
};
use cryptlet_primitives::FabricLimits;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Given 32 bytes, returns the slot of that name; given 64, sets it.
const SLOTS_CODE: [u8; 28] = hex!("366040146013576000355460005260206000f35b6020356000355500");
const SLOTS: Address = address!("0000000000000000000000000000000000051075");
/// Has a balance over there, and nothing else.
const SAVER: Address = address!("0000000000000000000000000000000000005afe");

/// The other chain: this project's own node, a few blocks long.
async fn other_chain() -> NodeHandle {
    let mut genesis = dev_genesis(&FabricLimits::default());
    let slots = [(1, 7), (2, 9)].map(|(slot, value)| (B256::with_last_byte(slot), B256::with_last_byte(value)));
    let contract = GenesisAccount::default().with_code(Some(Bytes::from_static(&SLOTS_CODE)));
    genesis.alloc.insert(SLOTS, contract.with_storage(Some(slots.into())));
    genesis.alloc.insert(SAVER, GenesisAccount::default().with_balance(U256::from(1_000)));
    let spec = Arc::new(ChainSpec::from_genesis(genesis).expect("a valid genesis"));
    let node =
        Node::start(NodeConfig::default(), spec, ChainStore::in_memory(), Arc::new(NoFabric)).expect("it starts");
    node.mine(5, None).await.expect("it mines");
    node
}

/// Answers from the other node's store, and remembers what it was asked.
struct OtherChain {
    node: NodeHandle,
    block: u64,
    asked: Mutex<Vec<BaseKey>>,
}

impl OtherChain {
    fn value(&self, key: BaseKey) -> BaseValue {
        let state = self.node.chain().state_at(self.block).expect("the block is there");
        match key {
            BaseKey::Account(address) => {
                BaseValue::Account(state.account(address).expect("it reads").map(|account| BaseAccount {
                    nonce: account.nonce,
                    balance: account.balance,
                    code: state.code(address).expect("it reads"),
                }))
            }
            BaseKey::Slot(address, slot) => BaseValue::Slot(state.storage(address, slot).expect("it reads")),
            BaseKey::BlockHash(number) => {
                BaseValue::BlockHash(self.node.chain().block_hash(number).expect("it reads").unwrap_or_default())
            }
        }
    }
}

impl ForkSource for OtherChain {
    fn fetch(&self, keys: Vec<BaseKey>) -> BoxFuture<'static, Result<Vec<BaseValue>, ForkFault>> {
        self.asked.lock().extend(&keys);
        let values = keys.into_iter().map(|key| self.value(key)).collect();
        Box::pin(async move { Ok(values) })
    }

    fn forward(&self, _: String, _: Option<Box<RawValue>>) -> BoxFuture<'static, ForwardOutcome> {
        Box::pin(async { Err(ForkFault("nothing is forwarded here".to_owned())) })
    }
}

/// What is done to the rows of a block, and what to call it.
type RowChange = (&'static str, Box<dyn Fn(&mut BaseRows)>);

struct Forked {
    node: NodeHandle,
    spec: Arc<ChainSpec>,
    source: Arc<OtherChain>,
    cache: Arc<ForkCache>,
}

fn genesis_after(other: &NodeHandle, block: u64) -> Genesis {
    let header = other.chain().header(block).expect("it reads").expect("it is there");
    let mut genesis = dev_genesis(&FabricLimits::default());
    genesis.number = Some(block);
    genesis.parent_hash = Some(header.parent_hash);
    genesis.timestamp = header.timestamp;
    genesis.base_fee_per_gas = header.base_fee_per_gas.map(u128::from);
    let point = ForkPoint { chain_id: other.spec().chain_id(), block_number: block, block_hash: header.hash() };
    genesis.config.extra_fields.insert_value("cryptletFork".to_owned(), point).expect("plain numbers");
    genesis
}

async fn forked() -> Forked {
    let other = other_chain().await;
    let spec = Arc::new(ChainSpec::from_genesis(genesis_after(&other, 5)).expect("a valid genesis"));
    let source = Arc::new(OtherChain { node: other, block: 5, asked: Mutex::default() });
    let cache = Arc::new(ForkCache::new(source.clone()));
    let config = NodeConfig { fork: Some(cache.clone()), ..NodeConfig::default() };
    let node = Node::start(config, spec.clone(), ChainStore::in_memory(), Arc::new(NoFabric)).expect("it starts");
    Forked { node, spec, source, cache }
}

impl Forked {
    /// Sends a transaction and waits until it is in a block; returns the block's number.
    async fn transact(&self, nonce: u64, to: Address, input: Bytes) -> u64 {
        let mut head = self.node.watch_head();
        let raw = sign_transaction(&dev_accounts()[0], self.spec.chain_id(), nonce, TxKind::Call(to), input, 200_000);
        let hash = self.node.submit(raw).await.expect("the pool takes it");
        loop {
            head.borrow_and_update();
            if let Some(at) = self.node.chain().transaction_location(hash).expect("it reads") {
                let receipts = self.node.chain().receipts(at.block_number).expect("it reads").expect("they are there");
                assert!(receipts[at.index as usize].status(), "transaction {nonce} failed");
                return at.block_number;
            }
            head.changed().await.expect("the node runs");
        }
    }

    async fn set(&self, nonce: u64, slot: u64, value: u64) -> u64 {
        let words = [slot, value].map(|word| U256::from(word).to_be_bytes::<32>());
        self.transact(nonce, SLOTS, words.concat().into()).await
    }

    /// What the contract returns for a slot after a block; what is not known yet is fetched, as JSON-RPC does it.
    async fn get(&self, slot: u64, block: u64) -> U256 {
        let input = Bytes::from(U256::from(slot).to_be_bytes::<32>());
        let call = TransactionRequest { to: Some(TxKind::Call(SLOTS)), ..Default::default() }.input(input.into());
        for _ in 0..10 {
            match self.node.simulate(SimulationRequest::new(call.clone(), BlockId::number(block))).await {
                Ok(outcome) => {
                    let CallResult::Success(output) = outcome.result else { panic!("the call failed") };
                    return U256::from_be_slice(&output);
                }
                Err(_) => self.cache.fetch_wanted().await.expect("the other chain answers"),
            }
        }
        panic!("the call needs more than ten rounds of fetching");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_touched_is_read_over_there_and_what_was_is_not() {
    let chain = forked().await;
    assert_eq!(chain.node.head().number, 5);
    assert_eq!(
        (chain.get(1, 5).await, chain.get(2, 5).await, chain.get(3, 5).await),
        (U256::from(7), U256::from(9), U256::ZERO)
    );

    let emptied = chain.set(0, 1, 0).await;
    let changed = chain.set(1, 2, 5).await;
    assert_eq!((emptied, changed), (6, 7));
    assert_eq!(chain.get(1, changed).await, U256::ZERO, "a slot that was emptied here is not read over there again");
    assert_eq!(chain.get(2, changed).await, U256::from(5));
    assert_eq!(chain.get(1, 5).await, U256::from(7), "the past is as it was");
    assert_eq!(chain.get(2, emptied).await, U256::from(9));

    chain.node.rewind_to(5).await.expect("it goes back");
    assert_eq!((chain.get(1, 5).await, chain.get(2, 5).await), (U256::from(7), U256::from(9)));
    chain.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_adds_to_what_an_account_has_over_there() {
    let chain = forked().await;
    chain.transact(0, SAVER, Bytes::new()).await;
    let state = chain.node.chain().latest_state().expect("it reads");
    assert_eq!(state.account(SAVER).expect("it reads").expect("it is there").balance, U256::from(1_000));
    chain.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_is_asked_for_twice() {
    let chain = forked().await;
    for nonce in 0..6 {
        chain.set(nonce, 1 + nonce % 3, 40 + nonce).await;
    }
    let mut asked = chain.source.asked.lock().clone();
    let all = asked.len();
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), all);
    chain.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forked_chain_is_replayed_without_the_chain_it_was_forked_from() {
    let chain = forked().await;
    for (nonce, (slot, value)) in [(1, 0), (2, 5), (3, 0), (1, 8), (4, 1)].into_iter().enumerate() {
        chain.set(nonce as u64, slot, value).await;
    }
    chain.transact(5, SAVER, Bytes::new()).await;
    let head = chain.node.chain().head().expect("it reads");
    let file = export_all(chain.node.chain());
    chain.source.node.stop().await;
    chain.node.stop().await;

    let mut replaying = Replaying { progress: &mut |_| {}, block: &mut |_| {} };
    let report = replay(&file[..], ReplayOptions::default(), &mut replaying).expect("it replays");
    assert_eq!((report.head_number, report.head_hash, report.state_root), (head.number, head.hash(), head.state_root));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_changed_added_or_left_out_make_the_block_invalid() {
    let chain = forked().await;
    chain.set(0, 1, 0).await;
    let file = export_all(chain.node.chain());
    chain.node.stop().await;

    let attempt = |change: &dyn Fn(&mut BaseRows)| -> Result<(), BlockFault> {
        let store = ChainStore::in_memory();
        let parent = store.initialize(chain.spec.genesis(), &chain.spec.genesis_block()).expect("it starts");
        let mut reader = ChainFileReader::open(&file[..]).expect("it opens");
        let BlockWithRequests { block, requests } = reader.next().expect("a block").expect("well-formed");
        let change_request = |request: Bytes| {
            if request[0] != BASE_ROWS_REQUEST_TYPE {
                return request;
            }
            let mut rows = BaseRows::from_request_data(&request[1..]).expect("well-formed");
            change(&mut rows);
            rows.to_request()
        };
        let requests = requests.into_iter().map(change_request).collect::<Vec<_>>().into();
        let recovered = RecoveredBlock::recover(&chain.spec, BlockWithRequests { block, requests })?;
        replay_block(&chain.spec, &store, &parent, recovered).map(|_| ())
    };
    attempt(&|_| {}).expect("untouched, it is valid");
    let (slot_1, slot_2) = ((SLOTS, U256::from(1)), (SLOTS, U256::from(2)));
    let changes: [RowChange; 5] = [
        ("a slot", Box::new(move |rows| *rows.slots.get_mut(&slot_1).expect("it was read") += U256::from(1))),
        (
            "a balance",
            Box::new(|rows| {
                rows.accounts.get_mut(&SLOTS).expect("read").as_mut().expect("there").balance += U256::from(1)
            }),
        ),
        ("a row more", Box::new(move |rows| _ = rows.slots.insert(slot_2, U256::from(9)))),
        ("a row less", Box::new(move |rows| _ = rows.slots.remove(&slot_1))),
        ("no account", Box::new(|rows| _ = rows.accounts.remove(&SLOTS))),
    ];
    for (what, change) in &changes {
        let fault = attempt(change).expect_err(what);
        assert!(fault.blames_block(), "{what}: {fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forked_chain_does_not_start_without_the_other_one_in_reach() {
    let other = other_chain().await;
    let spec = Arc::new(ChainSpec::from_genesis(genesis_after(&other, 5)).expect("a valid genesis"));
    let started = Node::start(NodeConfig::default(), spec, ChainStore::in_memory(), Arc::new(NoFabric));
    let error = started.map(|_| ()).expect_err("nobody can answer");
    assert!(error.to_string().contains("continues chain 31337 from block 5"), "{error}");
}
