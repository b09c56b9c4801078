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

#[tokio::test]
async fn logs_of_blocks_that_are_gone_are_told_as_removed() {
    let served = dev().await;
    let mut socket = served.web_socket().await;
    let topic = B256::repeat_byte(0x33);
    let logs = socket.call("eth_subscribe", json!(["logs", { "topics": [topic] }])).await;
    let filter = served.call("eth_newFilter", json!([{ "topics": [topic] }])).await;
    let snapshot = served.call("evm_snapshot", json!([])).await;
    let mut told = Vec::new();
    for _ in 0..2 {
        let receipt = served.send(json!({ "from": account(0), "data": logging(topic) })).await;
        told.push(socket.told(&logs).await);
        assert_eq!(told.last(), Some(&receipt["logs"][0]));
    }
    let changes = served.call("eth_getFilterChanges", json!([filter])).await;
    assert_eq!(changes, json!(told));
    assert_eq!(served.call("evm_revert", json!([snapshot])).await, true);
    let replaced = served.send(json!({ "from": account(1), "data": logging(topic) })).await;
    for log in &mut told {
        log["removed"] = json!(true);
        assert_eq!(socket.told(&logs).await, *log);
    }
    told.push(replaced["logs"][0].clone());
    assert_eq!(socket.told(&logs).await, told[2]);
    assert_eq!(served.call("eth_getFilterChanges", json!([filter])).await, json!(told));
    assert_eq!(served.call("eth_getFilterChanges", json!([filter])).await, json!([]));
}

#[tokio::test]
async fn a_filter_that_was_not_asked_during_a_rewind_tells_the_new_blocks() {
    let served = dev().await;
    let snapshot = served.call("evm_snapshot", json!([])).await;
    let filter = served.call("eth_newBlockFilter", json!([])).await;
    served.call("anvil_mine", json!(["0x2"])).await;
    assert_eq!(served.call("eth_getFilterChanges", json!([filter])).await.as_array().unwrap().len(), 2);
    served.call("evm_revert", json!([snapshot])).await;
    served.call("anvil_mine", json!(["0x3"])).await;
    let told = served.call("eth_getFilterChanges", json!([filter])).await;
    let mut hashes = Vec::new();
    for height in ["0x1", "0x2", "0x3"] {
        hashes.push(served.call("eth_getBlockByNumber", json!([height, false])).await["hash"].clone());
    }
    assert_eq!(told, json!(hashes));
}

#[tokio::test]
async fn receipts_are_told_of_all_transactions_or_of_some() {
    let served = dev().await;
    let mut socket = served.web_socket().await;
    let all = socket.call("eth_subscribe", json!(["transactionReceipts"])).await;
    let none =
        socket.call("eth_subscribe", json!(["transactionReceipts", { "transactionHashes": [B256::ZERO] }])).await;
    let receipt = served.send(json!({ "from": account(0), "to": account(1) })).await;
    assert_eq!(socket.told(&all).await, json!([receipt]));
    let hash = &receipt["transactionHash"];
    let one = socket.call("eth_subscribe", json!(["transactionReceipts", { "transactionHashes": [hash] }])).await;
    let next = served.send(json!({ "from": account(0), "to": account(1) })).await;
    assert_eq!(socket.told(&all).await, json!([next]));
    assert!(!socket.was_told(&none) && !socket.was_told(&one));
    let many = json!(["transactionReceipts", { "transactionHashes": vec![B256::ZERO; 201] }]);
    assert_eq!(socket.answer("eth_subscribe", many).await["error"]["code"], -32602);
}
