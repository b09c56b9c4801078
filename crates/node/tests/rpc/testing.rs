//! `testing_buildBlockV1`, and what tools ask about the node.

use crate::{
    support::{Served, account, dev, number},
    traces::{counter, word},
};
use alloy_primitives::{B256, keccak256};
use serde_json::{Value, json};

async fn signed(served: &Served, from: usize, nonce: u64, to: &Value) -> Value {
    let nonce = format!("{nonce:#x}");
    let unsigned = json!([{ "from": account(from), "to": to, "gas": "0x186a0", "nonce": nonce }]);
    served.call("eth_signTransaction", unsigned).await["raw"].take()
}

async fn attributes(served: &Served) -> (Value, Value) {
    let head = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    let attributes = json!({
        "timestamp": format!("{:#x}", number(&head["timestamp"]) + 7),
        "prevRandao": B256::repeat_byte(3),
        "suggestedFeeRecipient": account(9),
        "withdrawals": [],
        "parentBeaconBlockRoot": B256::repeat_byte(4),
    });
    (head["hash"].clone(), attributes)
}

#[tokio::test]
async fn a_block_is_built_from_the_transactions_given_and_changes_nothing() {
    let served = dev().await;
    let counter = counter(&served).await;
    let (parent, attributes) = attributes(&served).await;
    let transactions = json!([signed(&served, 1, 0, &counter).await, signed(&served, 1, 1, &counter).await]);
    let params = json!([parent, attributes, transactions, "0xc0de"]);
    let built = served.call("testing_buildBlockV1", params).await;
    let payload = &built["executionPayload"];
    assert_eq!((&payload["parentHash"], &payload["extraData"]), (&parent, &json!("0xc0de")));
    assert_eq!(payload["transactions"], transactions);
    assert_eq!((&payload["blockNumber"], &payload["timestamp"]), (&json!("0x2"), &attributes["timestamp"]));
    assert_eq!(
        (payload["prevRandao"].clone(), built["shouldOverrideBuilder"].clone()),
        (json!(B256::repeat_byte(3)), json!(false))
    );
    assert!(number(&payload["gasUsed"]) > 42_000 && number(&built["blockValue"]) > 0, "{built}");
    assert_eq!(built["blobsBundle"], json!({ "commitments": [], "proofs": [], "blobs": [] }));
    assert_eq!(served.height().await, 1, "nothing was stored");
    assert_eq!(served.call("eth_call", json!([{ "to": counter }])).await, word(0));
    // In one object, as the spec had it first: the same block.
    let object = json!([{
        "parentBlockHash": parent, "payloadAttributes": attributes, "transactions": transactions, "extraData": "0xc0de",
    }]);
    assert_eq!(
        served.call("testing_buildBlockV1", object).await["executionPayload"]["blockHash"],
        payload["blockHash"]
    );
}

#[tokio::test]
async fn what_is_built_is_what_would_be_mined() {
    let served = dev().await;
    served.call("evm_setAutomine", json!([false])).await;
    let (parent, mut attributes) = attributes(&served).await;
    served.call("eth_sendTransaction", json!([{ "from": account(0), "to": account(1), "value": "0x1" }])).await;
    let head = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    // The node's own attributes.
    let parent_hash: B256 = serde_json::from_value(parent.clone()).unwrap();
    attributes["prevRandao"] =
        json!(keccak256([b"cryptlet/prevrandao/v1".as_slice(), parent_hash.as_slice()].concat()));
    attributes["suggestedFeeRecipient"] = head["miner"].clone();
    attributes["parentBeaconBlockRoot"] = json!(B256::ZERO);
    let built = served.call("testing_buildBlockV1", json!([parent, attributes, null])).await;
    served.call("evm_setNextBlockTimestamp", json!([attributes["timestamp"]])).await;
    served.call("evm_mine", json!([])).await;
    let mined = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(built["executionPayload"]["blockHash"], mined["hash"]);
    assert_eq!(built["executionPayload"]["stateRoot"], mined["stateRoot"]);
}

#[tokio::test]
async fn what_cannot_be_built_is_told() {
    let served = dev().await;
    let (parent, attributes) = attributes(&served).await;
    let late = signed(&served, 1, 5, &json!(account(2))).await;
    let error = served.error("testing_buildBlockV1", json!([parent, attributes, [late]])).await;
    assert!(error.0 == -32602 && error.1.starts_with("transaction 0: "), "{error:?}");
    let error = served.error("testing_buildBlockV1", json!([B256::ZERO, attributes, []])).await;
    assert_eq!(error, (-32602, format!("unknown parent block {}", B256::ZERO)));
    let error = served.error("testing_buildBlockV1", json!([parent, attributes, ["0x00"]])).await;
    assert_eq!(error.0, -32602);
    assert_eq!(served.error("testing_buildBlockV1", json!([parent])).await.0, -32602);
    let long = format!("0x{}", "00".repeat(33));
    assert_eq!(served.error("testing_buildBlockV1", json!([parent, attributes, [], long])).await.0, -32602);
}

#[tokio::test]
async fn the_node_tells_what_it_is_and_what_it_offers() {
    let served = dev().await;
    let modules = served.call("rpc_modules", json!([])).await;
    for name in ["eth", "debug", "trace", "ots", "erigon", "testing", "admin", "txpool", "rpc"] {
        assert_eq!(modules[name], "1.0", "{name}");
    }
    let info = served.call("admin_nodeInfo", json!([])).await;
    let genesis = served.call("eth_getBlockByNumber", json!(["0x0", false])).await;
    assert_eq!(info["protocols"]["eth"]["genesis"], genesis["hash"]);
    assert_eq!(info["protocols"]["eth"]["network"], 31337);
    assert_eq!(served.call("admin_peers", json!([])).await, json!([]));
}
