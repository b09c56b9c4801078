//! Subscriptions over WebSocket.

use crate::support::{account, dev, logging, number};
use alloy_primitives::B256;
use serde_json::json;

#[tokio::test]
async fn every_block_is_told_in_order() {
    let served = dev().await;
    let mut socket = served.web_socket().await;
    assert_eq!(socket.call("eth_chainId", json!([])).await, "0x7a69");
    let heads = socket.call("eth_subscribe", json!(["newHeads"])).await;
    assert!(heads.as_str().unwrap().starts_with("0x"), "{heads}");
    served.call("anvil_mine", json!(["0x14"])).await;
    for height in 1..=20 {
        let head = socket.told(&heads).await;
        assert_eq!(number(&head["number"]), height);
        let block = served.call("eth_getBlockByNumber", json!([head["number"], false])).await;
        assert_eq!(head["hash"], block["hash"]);
        assert_eq!(head["parentHash"], block["parentHash"]);
    }
    assert_eq!(socket.call("eth_unsubscribe", json!([heads])).await, true);
}

#[tokio::test]
async fn logs_are_told_as_filtered() {
    let served = dev().await;
    let mut socket = served.web_socket().await;
    let topic = B256::repeat_byte(0x33);
    let logs = socket.call("eth_subscribe", json!(["logs", { "topics": [topic] }])).await;
    served.send(json!({ "from": account(0), "data": logging(B256::repeat_byte(0x44)) })).await;
    let receipt = served.send(json!({ "from": account(0), "data": logging(topic) })).await;
    assert_eq!(socket.told(&logs).await, receipt["logs"][0]);
}

#[tokio::test]
async fn pending_transactions_are_told_by_hash_or_whole() {
    let served = dev().await;
    let mut socket = served.web_socket().await;
    let hashes = socket.call("eth_subscribe", json!(["newPendingTransactions"])).await;
    let whole = socket.call("eth_subscribe", json!(["newPendingTransactions", true])).await;
    let receipt = served.send(json!({ "from": account(0), "to": account(1) })).await;
    assert_eq!(socket.told(&hashes).await, receipt["transactionHash"]);
    let transaction = socket.told(&whole).await;
    assert_eq!(transaction["hash"], receipt["transactionHash"]);
    assert_eq!(transaction["from"], receipt["from"]);
}

#[tokio::test]
async fn after_a_rewind_the_new_blocks_are_told() {
    let served = dev().await;
    let mut socket = served.web_socket().await;
    let heads = socket.call("eth_subscribe", json!(["newHeads"])).await;
    let snapshot = served.call("evm_snapshot", json!([])).await;
    served.call("evm_mine", json!([])).await;
    assert_eq!(number(&socket.told(&heads).await["number"]), 1);
    assert_eq!(served.call("evm_revert", json!([snapshot])).await, true);
    served.call("evm_mine", json!([])).await;
    assert_eq!(number(&socket.told(&heads).await["number"]), 1);
}

#[tokio::test]
async fn what_cannot_be_subscribed_to_is_refused() {
    let served = dev().await;
    let mut socket = served.web_socket().await;
    assert_eq!(socket.answer("eth_subscribe", json!(["nonsense"])).await["error"]["code"], -32602);
    assert_eq!(socket.answer("eth_subscribe", json!(["logs", true])).await["error"]["code"], -32602);
    let (code, message) = served.error("eth_subscribe", json!(["newHeads"])).await;
    assert_eq!(code, -32000);
    assert!(message.contains("WebSocket"), "{message}");
}
