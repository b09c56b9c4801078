//! Logs and filters.

use crate::support::{account, dev, logging, number, serve};
use alloy_primitives::B256;
use serde_json::{Value, json};
use std::time::Duration;

const TOPIC: B256 = B256::repeat_byte(0x11);
const OTHER: B256 = B256::repeat_byte(0x22);

#[tokio::test]
async fn logs_are_found_by_address_topic_and_block() {
    let served = dev().await;
    let first = served.send(json!({ "from": account(0), "data": logging(TOPIC) })).await;
    let second = served.send(json!({ "from": account(0), "data": logging(OTHER) })).await;
    let count = |filter: Value| {
        let served = &served;
        async move { served.call("eth_getLogs", json!([filter])).await.as_array().unwrap().len() }
    };
    assert_eq!(count(json!({ "fromBlock": "0x0" })).await, 2);
    assert_eq!(count(json!({})).await, 1, "by default the latest block");
    assert_eq!(count(json!({ "fromBlock": "earliest", "topics": [TOPIC] })).await, 1);
    assert_eq!(count(json!({ "fromBlock": "earliest", "topics": [[TOPIC, OTHER]] })).await, 2);
    assert_eq!(count(json!({ "fromBlock": "earliest", "topics": [null, TOPIC] })).await, 0);
    assert_eq!(count(json!({ "fromBlock": "earliest", "address": second["contractAddress"] })).await, 1);
    assert_eq!(count(json!({ "fromBlock": "0x1", "toBlock": "0x1" })).await, 1);
    assert_eq!(count(json!({ "fromBlock": "0x99" })).await, 0);

    let logs = served.call("eth_getLogs", json!([{ "blockHash": first["blockHash"] }])).await;
    assert_eq!(logs, first["logs"]);
    assert_eq!(logs[0]["topics"], json!([TOPIC]));
    assert_eq!((&logs[0]["logIndex"], &logs[0]["removed"]), (&json!("0x0"), &json!(false)));
    assert_eq!(logs[0]["data"], json!(B256::with_last_byte(42)));

    let backwards = served.error("eth_getLogs", json!([{ "fromBlock": "0x2", "toBlock": "0x1" }])).await;
    assert_eq!(backwards.0, -32602);
    let nowhere = served.error("eth_getLogs", json!([{ "blockHash": B256::repeat_byte(9) }])).await;
    assert_eq!(nowhere, (-32000, "unknown block".to_owned()));
}

#[tokio::test]
async fn a_question_that_is_too_wide_is_told_how_wide_it_may_be() {
    let served = serve(|config| {
        config.limits.log_blocks_max = 2;
        config.limits.logs_max = 1;
    })
    .await;
    for _ in 0..3 {
        served.send(json!({ "from": account(0), "data": logging(TOPIC) })).await;
    }
    let (code, message) = served.error("eth_getLogs", json!([{ "fromBlock": "0x0" }])).await;
    assert_eq!((code, message.contains("4 blocks asked for, at most 2")), (-32005, true), "{message}");
    let (code, message) = served.error("eth_getLogs", json!([{ "fromBlock": "0x2" }])).await;
    assert_eq!((code, message.contains("more than 1 results")), (-32005, true), "{message}");
}

#[tokio::test]
async fn a_log_filter_tells_each_log_once_and_all_when_asked() {
    let served = dev().await;
    served.send(json!({ "from": account(0), "data": logging(TOPIC) })).await;
    let filter = served.call("eth_newFilter", json!([{ "fromBlock": "0x0", "topics": [TOPIC] }])).await;
    assert_eq!(served.call("eth_getFilterChanges", json!([filter])).await, json!([]));
    let receipt = served.send(json!({ "from": account(0), "data": logging(TOPIC) })).await;
    served.send(json!({ "from": account(0), "data": logging(OTHER) })).await;
    assert_eq!(served.call("eth_getFilterChanges", json!([filter])).await, receipt["logs"]);
    assert_eq!(served.call("eth_getFilterChanges", json!([filter])).await, json!([]));
    assert_eq!(served.call("eth_getFilterLogs", json!([filter])).await.as_array().unwrap().len(), 2);
    assert_eq!(served.call("eth_uninstallFilter", json!([filter])).await, true);
    assert_eq!(served.call("eth_uninstallFilter", json!([filter])).await, false);
    let gone = served.error("eth_getFilterChanges", json!([filter])).await;
    assert_eq!(gone, (-32000, "filter not found".to_owned()));
}

#[tokio::test]
async fn block_and_pending_filters_tell_hashes() {
    let served = dev().await;
    let blocks = served.call("eth_newBlockFilter", json!([])).await;
    let pending = served.call("eth_newPendingTransactionFilter", json!([])).await;
    let receipt = served.send(json!({ "from": account(0), "to": account(1) })).await;
    assert_eq!(served.call("eth_getFilterChanges", json!([blocks])).await, json!([receipt["blockHash"]]));
    assert_eq!(served.call("eth_getFilterChanges", json!([pending])).await, json!([receipt["transactionHash"]]));
    assert_eq!(served.call("eth_getFilterChanges", json!([pending])).await, json!([]));
    assert!(number(&blocks) != number(&pending));
}

#[tokio::test]
async fn a_filter_nobody_asks_for_is_forgotten() {
    let served = serve(|config| config.limits.filter_idle_max = Duration::from_millis(50)).await;
    let filter = served.call("eth_newBlockFilter", json!([])).await;
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert_eq!(served.error("eth_getFilterChanges", json!([filter])).await.1, "filter not found");
}
