//! A chain that was cheated on replays like any other; one whose record of that was touched does not.

use crate::{
    cheats::BOOKS,
    support::{Served, account, dev, dev_under},
};
use alloy_primitives::{Address, B256, Bytes, U256};
use cryptlet_node::{
    ChainSpec,
    chain_file::{ChainFileReader, ChainFileWriter, ReplayOptions, Replaying, export, replay},
    chain_spec::{EthereumHardfork, dev_genesis},
    store::{ChainStore, PendingEdits, StoreOptions},
    types::BlockWithRequests,
};
use cryptlet_primitives::{DEV_EDITS_REQUEST_TYPE, DevEdits, FabricLimits};
use serde_json::json;

const ETHER: &str = "0xde0b6b3a7640000";

/// A chain on which every kind of cheat has been.
async fn cheated() -> Served {
    cheat(dev().await).await
}

async fn cheat(served: Served) -> Served {
    let (contract, token) = (Address::repeat_byte(0xaa), Address::repeat_byte(0x70));
    served.call("anvil_setBalance", json!([contract, ETHER])).await;
    served.call("anvil_setCode", json!([contract, "0x600160005500"])).await;
    served.call("anvil_setNonce", json!([contract, "0x5"])).await;
    served.call("anvil_setStorageAt", json!([contract, "0x0", B256::repeat_byte(1)])).await;
    served.call("anvil_setStorageAt", json!([contract, "0x7", B256::repeat_byte(2)])).await;
    served.call("anvil_impersonateAccount", json!([contract])).await;
    served.send(json!({ "from": contract, "to": account(1), "value": "0x1" })).await;
    // The contract's own code writes over a slot that a cheat set.
    served.call("anvil_setStorageAt", json!([contract, "0x0", B256::repeat_byte(3)])).await;
    served.send(json!({ "from": account(0), "to": contract })).await;
    served.call("anvil_setCode", json!([token, BOOKS])).await;
    served.call("anvil_dealERC20", json!([account(0), token, "0x64"])).await;
    served.call("anvil_setNextBlockBaseFeePerGas", json!(["0x77359400"])).await;
    served.call("evm_setBlockGasLimit", json!(["0x5f5e100"])).await;
    served.call("anvil_setCoinbase", json!([contract])).await;
    served.call("hardhat_setPrevRandao", json!([B256::repeat_byte(7)])).await;
    served.call("evm_increaseTime", json!([1_000])).await;
    served.call("evm_mine", json!([])).await;
    let snapshot = served.call("evm_snapshot", json!([])).await;
    served.call("anvil_setBalance", json!([contract, "0x0"])).await;
    served.call("evm_mine", json!([])).await;
    served.call("evm_revert", json!([snapshot])).await;
    served.call("anvil_setStorageAt", json!([Address::repeat_byte(0xcc), "0x0", B256::repeat_byte(4)])).await;
    served.call("anvil_mine", json!(["0x3", "0xa"])).await;
    served.call("anvil_reorg", json!([2, [[{ "from": account(2), "to": account(3), "value": "0x9" }, 1]]])).await;
    served
}

fn blocks_of(chain: &ChainStore) -> Vec<BlockWithRequests> {
    let mut file = Vec::new();
    export(chain, 1..=u64::MAX, &mut file, &mut |_| {}).unwrap();
    ChainFileReader::open(&file[..]).unwrap().collect::<Result<_, _>>().unwrap()
}

fn file_of(spec: &ChainSpec, blocks: &[BlockWithRequests]) -> Vec<u8> {
    let mut writer = ChainFileWriter::begin(Vec::new(), spec.genesis(), 1).unwrap();
    for BlockWithRequests { block, requests } in blocks {
        writer.append(block.clone(), block.header.hash_slow(), requests.clone()).unwrap();
    }
    writer.finish().unwrap()
}

fn replayed(file: &[u8]) -> Result<cryptlet_node::chain_file::ReplayReport, String> {
    let mut replaying = Replaying { progress: &mut |_| {}, block: &mut |_| {} };
    replay(file, ReplayOptions::default(), &mut replaying).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_chain_built_with_every_cheat_replays_to_the_same_head() {
    assert!(replays(&cheated().await) >= 4);
}

/// Its headers commit to what the blocks access as well (EIP-7928).
#[tokio::test]
async fn it_does_so_under_amsterdam() {
    assert!(replays(&cheat(dev_under(EthereumHardfork::Amsterdam).await).await) >= 4);
}

/// Replays the chain to the same head. Says how many of its blocks carry edits.
pub(crate) fn replays(served: &Served) -> u64 {
    let chain = served.node.chain();
    let blocks = blocks_of(chain);
    let edited = blocks.iter().filter(|block| DevEdits::of_requests(block.requests.iter()).unwrap().is_some());
    let edited = edited.count() as u64;
    let report = replayed(&file_of(served.node.spec(), &blocks)).unwrap();
    let head = chain.head().unwrap();
    assert_eq!((report.head_hash, report.state_root), (head.hash(), head.state_root));
    assert_eq!(report.dev_edited_blocks, edited);
    edited
}

/// What it is called, what is done, and what the refusal says.
type Change = (&'static str, fn(&mut DevEdits), &'static str);

#[tokio::test]
async fn whatever_is_done_to_the_edits_is_noticed() {
    let served = cheated().await;
    let blocks = blocks_of(served.node.chain());
    let changes: [Change; 8] = [
        ("a balance", |edits| edits.account(Address::repeat_byte(0xaa)).balance = Some(U256::MAX), "requests"),
        (
            "a slot",
            |edits| {
                edits.account(Address::repeat_byte(0xaa)).storage.remove(&U256::from(7));
            },
            "requests",
        ),
        ("an account more", |edits| edits.account(Address::repeat_byte(9)).nonce = Some(1), "requests"),
        ("an account less", |edits| edits.accounts.clear(), "InvalidTransaction|not valid here|requests"),
        ("nobody impersonated", |edits| edits.impersonated.clear(), "impersonated sender"),
        (
            "somebody else",
            |edits| {
                edits.impersonated.insert(0, Address::ZERO);
            },
            "impersonated sender",
        ),
        (
            "no such transaction",
            |edits| {
                edits.impersonated.insert(9, Address::ZERO);
            },
            "transaction 9",
        ),
        ("a gas limit", |edits| edits.gas_limit = Some(77), "gas limit"),
    ];
    for (what, change, word) in changes {
        let mut blocks = blocks.clone();
        let mut requests = blocks[0].requests.clone().take();
        let place = requests.iter().position(|request| request[0] == DEV_EDITS_REQUEST_TYPE).unwrap();
        let mut edits = DevEdits::from_request_data(&requests[place][1..]).unwrap();
        change(&mut edits);
        requests[place] = edits.to_request();
        blocks[0].requests = requests.into();
        let error = replayed(&file_of(served.node.spec(), &blocks)).unwrap_err();
        assert!(error.starts_with("block 1"), "{what}: {error}");
        assert!(word.split('|').any(|word| error.contains(word)), "{what}: {error}");
    }
    let mut without = blocks.clone();
    let kept = without[0].requests.iter().filter(|request| request[0] != DEV_EDITS_REQUEST_TYPE);
    without[0].requests = kept.cloned().collect::<Vec<_>>().into();
    let error = replayed(&file_of(served.node.spec(), &without)).unwrap_err();
    assert!(error.contains("impersonated sender"), "{error}");
    let mut garbage = blocks.clone();
    garbage[0].requests = vec![Bytes::from(vec![DEV_EDITS_REQUEST_TYPE, 0xc1, 0x01])].into();
    let error = replayed(&file_of(served.node.spec(), &garbage)).unwrap_err();
    assert!(error.contains("development edits of the block are not well-formed"), "{error}");
}

#[tokio::test]
async fn a_chain_that_takes_no_edits_refuses_a_block_with_them() {
    let served = cheated().await;
    let blocks = blocks_of(served.node.chain());
    let mut genesis = dev_genesis(&FabricLimits::default());
    genesis.config.extra_fields.remove("cryptletDevEdits");
    let strict = ChainSpec::from_genesis(genesis).unwrap();
    assert_eq!(strict.genesis_hash(), served.node.spec().genesis_hash());
    let error = replayed(&file_of(&strict, &blocks)).unwrap_err();
    assert!(error.starts_with("block 1") && error.contains("cryptletDevEdits"), "{error}");
}

#[tokio::test]
async fn what_was_set_is_there_when_the_store_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let open = || ChainStore::open(folder.path(), &StoreOptions::default()).unwrap();
    let spec = ChainSpec::dev();
    let mut pending = PendingEdits { prev_randao: Some(B256::repeat_byte(7)), ..PendingEdits::default() };
    pending.edits.account(Address::repeat_byte(0xaa)).balance = Some(U256::from(5));
    let chain = open();
    chain.initialize(spec.genesis(), &spec.genesis_block()).unwrap();
    chain.set_pending_edits(pending.clone()).unwrap();
    drop(chain);
    let chain = open();
    assert_eq!(*chain.pending_edits().unwrap(), pending);
    let seen = chain.latest_state().unwrap().account(Address::repeat_byte(0xaa)).unwrap().unwrap();
    assert_eq!(seen.balance, U256::from(5));
    assert!(chain.state_at(0).unwrap().account(Address::repeat_byte(0xaa)).unwrap().is_none());
    chain.set_pending_edits(PendingEdits::default()).unwrap();
    drop(chain);
    assert!(open().pending_edits().is_none());
}

#[tokio::test]
async fn what_was_set_one_by_one_is_carried_as_one_and_costs_what_is_added() {
    let folder = tempfile::tempdir().unwrap();
    let open = || ChainStore::open(folder.path(), &StoreOptions::default()).unwrap();
    let spec = ChainSpec::dev();
    let chain = open();
    chain.initialize(spec.genesis(), &spec.genesis_block()).unwrap();
    let account = Address::repeat_byte(0xaa);
    let add = |fill: &dyn Fn(&mut DevEdits)| {
        let mut more = PendingEdits::default();
        fill(&mut more.edits);
        chain.add_pending_edits(more)
    };
    for slot in 0..10_000_u64 {
        add(&|edits| {
            edits.account(account).storage.insert(U256::from(slot), U256::from(slot + 1));
        })
        .unwrap();
    }
    add(&|edits| edits.account(account).balance = Some(U256::from(7))).unwrap();
    let refused = add(&|edits| edits.account(account).code = Some(Bytes::from_static(&[0xef, 0x01])));
    assert!(refused.unwrap_err().to_string().contains("EIP-7702"));
    let before = chain.pending_edits().unwrap();
    // Each edit wrote a row of its own, and no row holds what others do.
    let written = chain.pending_edits_written();
    assert_eq!(written.rows, 10_001);
    assert!(written.bytes_max < 100 && written.bytes < 1_000_000, "{written:?}");
    drop(chain);
    let chain = open();
    let pending = chain.pending_edits().unwrap();
    assert_eq!(pending, before);
    assert_eq!(pending.edits.accounts[&account].storage.len(), 10_000);
    let state = chain.latest_state().unwrap();
    assert_eq!(state.storage(account, U256::from(9_999)).unwrap(), U256::from(10_000));
    assert_eq!(state.account(account).unwrap().unwrap().balance, U256::from(7));
    chain.rewind_to(0).unwrap();
    drop((state, chain));
    assert!(open().pending_edits().is_none(), "a rewind takes every row");
}
