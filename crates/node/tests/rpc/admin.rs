//! What tools ask about the node itself, and methods of geth's, reth's and anvil's that stand beside the common ones.

use crate::{
    support::{Served, account, big, dev, logging, number, serve, serve_node},
    traces::{counter, three_counts, word},
};
use alloy_primitives::{Address, B256, U256, hex, keccak256};
use cryptlet_node::{
    ChainSpec, NoFabric, Node, NodeConfig,
    chain_file::{ReplayOptions, Replaying, export, replay},
    chain_spec::{EthereumHardfork, dev_genesis, dev_genesis_at, limit_code},
    pool::PoolOrder,
    store::ChainStore,
};
use cryptlet_primitives::FabricLimits;
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc};

#[tokio::test]
async fn the_node_tells_of_itself_as_one_without_peers() {
    let served = serve(|config| config.datadir = Some(PathBuf::from("/data"))).await;
    let info = served.call("admin_nodeInfo", json!([])).await;
    for key in ["id", "name", "enode", "enr", "ip", "ports", "listenAddr", "protocols"] {
        assert!(info.get(key).is_some(), "{key}: {info}");
    }
    assert_eq!(info["ports"], json!({ "discovery": 0, "listener": 0 }));
    assert_eq!(info["protocols"]["eth"]["network"], 31_337);
    assert_eq!(served.call("admin_datadir", json!([])).await, "/data");
    let peer = format!("enode://{}@127.0.0.1:30303", "ab".repeat(64));
    for method in ["addPeer", "removePeer", "addTrustedPeer", "removeTrustedPeer"] {
        assert_eq!(served.call(&format!("admin_{method}"), json!([peer])).await, true);
    }
    assert_eq!(served.call("admin_peers", json!([])).await, json!([]), "and nobody was dialled");
    let (code, message) = served.error("admin_addPeer", json!(["enode://ab@127.0.0.1:1"])).await;
    assert!(code == -32000 && message.starts_with("invalid enode: "), "{code} {message}");
    assert_eq!(served.call("eth_networkId", json!([])).await, "31337");
    assert_eq!(served.call("eth_requestAccounts", json!([])).await, served.call("eth_accounts", json!([])).await);
}

#[tokio::test]
async fn a_transaction_is_sent_and_answered_with_its_receipt() {
    let served = dev().await;
    let transfer = json!({ "from": account(0), "to": account(1), "value": "0x5" });
    let receipt = served.call("eth_sendTransactionSync", json!([transfer])).await;
    assert_eq!(receipt, served.call("eth_getTransactionReceipt", json!([receipt["transactionHash"]])).await);
    served.call("evm_setAutomine", json!([false])).await;
    let (code, _) = served.error("eth_sendTransactionSync", json!([transfer, 50])).await;
    assert_eq!(code, 4, "EIP-7966: in the pool, not in a block");
}

#[tokio::test]
async fn an_account_is_told_whole_and_code_is_found_under_geths_key() {
    let served = dev().await;
    let contract = counter(&served).await;
    let info = served.call("eth_getAccountInfo", json!([contract, "latest"])).await;
    let code = served.call("eth_getCode", json!([contract, "latest"])).await;
    assert_eq!(info, json!({ "balance": "0x0", "nonce": "0x1", "code": code }));
    let hash = keccak256(hex::decode(code.as_str().unwrap()).unwrap());
    let key = format!("0x63{}", hex::encode(hash));
    assert_eq!(served.call("debug_dbGet", json!([key])).await, code);
    assert_eq!(served.error("debug_dbGet", json!([format!("0x63{:064x}", 1)])).await, (-32000, "not found".to_owned()));
    assert_eq!(served.error("debug_dbGet", json!(["0x00"])).await.0, -32602);
    let bad = served.error("debug_traceBadBlock", json!([B256::ZERO])).await;
    assert_eq!(bad, (-32000, format!("bad block {} not found", B256::ZERO)));
}

#[tokio::test]
async fn calls_in_a_row_see_each_other() {
    let served = dev().await;
    let counter = counter(&served).await;
    three_counts(&served, &counter).await;
    let count = json!({ "to": counter });
    let bundles = json!([{ "transactions": [count, count] }, { "transactions": [count] }]);
    let answers = served.call("eth_callMany", json!([bundles, { "blockNumber": "latest" }])).await;
    assert_eq!(answers, json!([[{ "value": word(3) }, { "value": word(4) }], [{ "value": word(5) }]]));
    let within = json!({ "blockNumber": "latest", "transactionIndex": 1 });
    let answers = served.call("eth_callMany", json!([[{ "transactions": [count] }], within])).await;
    assert_eq!(answers[0][0]["value"], word(1), "behind the first transaction of the block");
    let reverting = json!([[{ "transactions": [{ "data": "0x60006000fd" }] }]]);
    let answers = served.call("eth_callMany", reverting).await;
    assert_eq!(answers[0][0]["error"], "execution reverted");
    assert_eq!(served.error("eth_callMany", json!([[]])).await.0, -32602);
}

#[tokio::test]
async fn a_range_of_blocks_is_traced_over_a_subscription() {
    let served = dev().await;
    let counter = counter(&served).await;
    served.call("evm_mine", json!([])).await;
    let hashes = three_counts(&served, &counter).await;
    served.call("evm_mine", json!([])).await;
    let mut socket = served.web_socket().await;
    let options = json!({ "tracer": "callTracer" });
    let told = socket.call("debug_subscribe", json!(["traceChain", "0x1", "0x4", options])).await;
    // Block 2 is empty and is left out; block 4 is empty too, and the last.
    let third = socket.told(&told).await;
    assert_eq!(third["block"], "0x3");
    let traced: Vec<_> = third["traces"].as_array().unwrap().iter().map(|trace| trace["txHash"].clone()).collect();
    assert_eq!(traced, hashes);
    assert_eq!(third["traces"][2]["result"]["output"], word(2));
    let last = socket.told(&told).await;
    assert_eq!((&last["block"], &last["traces"]), (&json!("0x4"), &json!([])));
    assert_eq!(socket.call("debug_unsubscribe", json!([told])).await, true);
    for (params, code, words) in [
        (json!(["traceChain", "0x2", "0x2"]), -32000, "needs to come after"),
        (json!(["traceChain", "0x1", "0x99"]), -32000, "not found"),
        (json!(["traceChain", "0x1"]), -32602, "end block"),
        (json!(["nonsense"]), -32601, "no \"nonsense\" subscription in debug namespace"),
    ] {
        let error = socket.answer("debug_subscribe", params.clone()).await["error"].take();
        assert_eq!(error["code"], code, "{params}: {error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{params}: {error}");
    }
}

async fn at(served: &Served, tag: &str) -> u64 {
    number(&served.call("eth_getBlockByNumber", json!([tag, false])).await["number"])
}

#[tokio::test]
async fn safe_and_finalized_are_the_head_or_epochs_behind_it() {
    let served = dev().await;
    served.call("anvil_mine", json!(["0xa"])).await;
    assert_eq!((at(&served, "safe").await, at(&served, "finalized").await), (10, 10));
    let served = serve(|config| config.blocks_per_epoch = 4).await;
    served.call("anvil_mine", json!(["0xa"])).await;
    assert_eq!((at(&served, "safe").await, at(&served, "finalized").await), (6, 2));
    served.call("evm_setBlockGasLimit", json!(["0x1c9c380"])).await;
    assert_eq!(at(&served, "latest").await, 10);
}

#[tokio::test]
async fn of_two_transactions_the_dearer_goes_first_or_the_earlier() {
    for (order, name, first) in [(PoolOrder::Fees, "fees", 1), (PoolOrder::Arrival, "fifo", 0)] {
        let config = NodeConfig { order, ..NodeConfig::default() };
        let spec = Arc::new(ChainSpec::dev());
        let node = Node::start(config, spec, ChainStore::in_memory(), Arc::new(NoFabric)).unwrap();
        let served = serve_node(node, |_| ()).await;
        assert_eq!(served.call("anvil_nodeInfo", json!([])).await["transactionOrder"], name);
        served.call("evm_setAutomine", json!([false])).await;
        let mut hashes = Vec::new();
        for (index, tip) in [(0, "0x1"), (1, "0x77359400")] {
            let transfer = json!({ "from": account(index), "to": account(5), "maxPriorityFeePerGas": tip });
            hashes.push(served.call("eth_sendTransaction", json!([transfer])).await);
        }
        served.call("evm_mine", json!([])).await;
        let block = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
        assert_eq!(block["transactions"][0], hashes[first], "{name}");
        assert_eq!(block["transactions"][1], hashes[1 - first], "{name}");
    }
}

/// Creation code that leaves a contract of so many zero bytes.
fn sized(bytes: u32) -> String {
    format!("0x62{bytes:06x}6000f3")
}

async fn make(served: &Served, bytes: u32) -> Value {
    let create = json!([{ "from": account(0), "data": sized(bytes), "gas": "0x1c00000" }]);
    served.call("eth_sendTransactionSync", create).await["status"].take()
}

#[tokio::test]
async fn the_bound_on_code_is_the_chains() {
    let served = dev().await;
    assert_eq!(make(&served, 24_576).await, "0x1");
    assert_eq!(make(&served, 24_577).await, "0x0", "EIP-170");

    let mut genesis = dev_genesis(&FabricLimits::default());
    limit_code(&mut genesis, 60_000);
    let (spec, plain) = (ChainSpec::from_genesis(genesis).unwrap(), ChainSpec::dev());
    assert_eq!((spec.code_bytes_max(), plain.code_bytes_max()), (Some(60_000), None));
    let chain = ChainStore::in_memory();
    let node = Node::start(NodeConfig::default(), Arc::new(spec.clone()), chain.clone(), Arc::new(NoFabric)).unwrap();
    let served = serve_node(node, |_| ()).await;
    assert_eq!(make(&served, 60_000).await, "0x1");
    assert_eq!(make(&served, 60_001).await, "0x0");
    let called = served.call("eth_call", json!([{ "data": sized(50_000) }])).await;
    assert_eq!(called.as_str().unwrap().len(), 2 + 2 * 50_000);
    // Whoever has the genesis and the blocks comes to the same state; whoever has another genesis has another chain.
    let root = served.call("eth_getBlockByNumber", json!(["latest", false])).await["stateRoot"].take();
    let mut file = Vec::new();
    export(&chain, 1..=u64::MAX, &mut file, &mut |_| {}).unwrap();
    let mut replaying = Replaying { progress: &mut |_| {}, block: &mut |_| {} };
    let replayed = replay(&file[..], ReplayOptions::default(), &mut replaying).unwrap();
    assert_eq!(json!(replayed.state_root), root);
}

#[tokio::test]
async fn positions_of_topics_that_take_anything_still_want_a_topic() {
    let served = dev().await;
    let mut socket = served.web_socket().await;
    let one = socket.call("eth_subscribe", json!(["logs", { "topics": [null] }])).await;
    let three = socket.call("eth_subscribe", json!(["logs", { "topics": [null, null, null] }])).await;
    let filter = served.call("eth_newFilter", json!([{ "topics": [null, null] }])).await;
    served.send(json!({ "from": account(0), "data": logging(B256::repeat_byte(1)) })).await;
    // LOG3 of nothing, with the topics 1, 2 and 3.
    let receipt = served.send(json!({ "from": account(0), "data": "0x60036002600160006000a300" })).await;
    assert_eq!(receipt["logs"][0]["topics"].as_array().unwrap().len(), 3);
    let count = |topics: Value| {
        let filter = json!([{ "fromBlock": "0x0", "topics": topics }]);
        let served = &served;
        async move { served.call("eth_getLogs", filter).await.as_array().unwrap().len() }
    };
    assert_eq!(count(json!([])).await, 2);
    assert_eq!(count(json!([null])).await, 2);
    assert_eq!(count(json!([null, null, null])).await, 1);
    assert_eq!(count(json!([null, null, null, null])).await, 0);
    assert_eq!(served.call("eth_getFilterChanges", json!([filter])).await, receipt["logs"]);
    assert_eq!(socket.told(&one).await["topics"].as_array().unwrap().len(), 1);
    assert_eq!(socket.told(&three).await, receipt["logs"][0]);
}

#[tokio::test]
async fn bounds_of_a_web_socket_are_told_with_geths_codes() {
    let served = serve(|config| {
        config.limits.subscriptions_per_connection_max = 1;
        config.limits.batch_requests_max = 2;
        config.limits.response_bytes_max = 600;
        config.limits.batch_response_bytes_max = 20;
    })
    .await;
    let mut socket = served.web_socket().await;
    socket.call("eth_subscribe", json!(["newHeads"])).await;
    let error = socket.answer("eth_subscribe", json!(["newHeads"])).await["error"].take();
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!(-32000), &json!("too many subscriptions on this connection"))
    );
    let large = json!({ "code": -32003, "message": "response too large" });
    assert_eq!(socket.answer("eth_getBlockByNumber", json!(["latest", true])).await["error"], large);
    let answer = served.answer("eth_getBlockByNumber", json!(["latest", true])).await;
    assert_eq!(answer["error"], large, "as over HTTP");
    let call = json!({ "jsonrpc": "2.0", "id": 7, "method": "eth_chainId", "params": [] });
    let answers = socket.message(&json!([call, call, call])).await;
    assert_eq!(
        answers,
        json!([{ "jsonrpc": "2.0", "id": 7, "error": { "code": -32600, "message": "batch too large" } }])
    );
    let answers = socket.message(&json!([call, call])).await;
    assert_eq!((&answers[0]["result"], &answers[1]["error"]), (&json!("0x7a69"), &large));
}

#[tokio::test]
async fn a_tip_is_suggested_or_none() {
    let served = dev().await;
    assert_eq!(served.call("eth_maxPriorityFeePerGas", json!([])).await, "0x3b9aca00");
    let served = serve(|config| config.default_tip = 0).await;
    assert_eq!(served.call("eth_maxPriorityFeePerGas", json!([])).await, "0x0");
    let price = big(&served.call("eth_gasPrice", json!([])).await);
    assert_eq!(price, big(&served.call("eth_baseFee", json!([])).await));
    assert!(price > U256::ZERO);
}

#[tokio::test]
async fn a_block_of_osaka_is_as_long_as_eip_7934_lets_it_be() {
    let mut genesis = dev_genesis_at(&FabricLimits::default(), EthereumHardfork::Osaka);
    genesis.gas_limit = 1_000_000_000;
    let spec = Arc::new(ChainSpec::from_genesis(genesis).unwrap());
    let chain = ChainStore::in_memory();
    let node = Node::start(NodeConfig::default(), spec, chain.clone(), Arc::new(NoFabric)).unwrap();
    let served = serve_node(node, |_| ()).await;
    served.call("evm_setAutomine", json!([false])).await;
    let data = format!("0x{}", "00".repeat(127 * 1024));
    for _ in 0..68 {
        let long =
            json!({ "from": account(0), "to": account(1), "data": data, "gas": "0x200000", "gasPrice": "0x77359400" });
        served.call("eth_sendTransaction", json!([long])).await;
    }
    served.call("evm_mine", json!([{ "blocks": 2 }])).await;
    let mut counts = Vec::new();
    for height in ["0x1", "0x2"] {
        let block = served.call("eth_getBlockByNumber", json!([height, false])).await;
        assert!(number(&block["size"]) <= 8 << 20, "{}", block["size"]);
        counts.push(block["transactions"].as_array().unwrap().len());
    }
    assert_eq!(counts, [64, 4]);
    let mut file = Vec::new();
    export(&chain, 1..=u64::MAX, &mut file, &mut |_| {}).unwrap();
    let mut replaying = Replaying { progress: &mut |_| {}, block: &mut |_| {} };
    assert_eq!(replay(&file[..], ReplayOptions::default(), &mut replaying).unwrap().blocks, 2);
}

#[tokio::test]
async fn impersonated_transactions_of_newer_types_are_what_the_chain_replays() {
    let served = dev().await;
    let stranger = Address::repeat_byte(0xaa);
    served.call("anvil_setBalance", json!([stranger, "0xde0b6b3a7640000"])).await;
    served.call("anvil_impersonateAccount", json!([stranger])).await;
    // EIP-4844: a block takes no blobs that nobody has, so the node wants them with the transaction.
    let mut versioned = B256::repeat_byte(1);
    versioned.0[0] = 1;
    let blobs = json!({
        "from": stranger, "to": account(1), "gas": "0x5208", "maxFeePerBlobGas": "0x10", "blobVersionedHashes": [versioned],
    });
    let (code, message) = served.error("eth_sendTransaction", json!([blobs])).await;
    assert!(code == -32602 && message.contains("missing sidecar"), "{code} {message}");
    let authorization = json!({
        "chainId": "0x7a69", "address": account(2), "nonce": "0x0", "yParity": "0x0", "r": "0x1", "s": "0x1",
    });
    let delegating =
        json!({ "from": stranger, "to": account(1), "gas": "0x30000", "authorizationList": [authorization] });
    let receipt = served.send(delegating).await;
    assert_eq!((&receipt["type"], &receipt["status"]), (&json!("0x4"), &json!("0x1")));
    let mut file = Vec::new();
    export(served.node.chain(), 1..=u64::MAX, &mut file, &mut |_| {}).unwrap();
    let mut replaying = Replaying { progress: &mut |_| {}, block: &mut |_| {} };
    let replayed = replay(&file[..], ReplayOptions::default(), &mut replaying).unwrap();
    assert_eq!(replayed.head_hash, served.node.chain().head().unwrap().hash());
}
