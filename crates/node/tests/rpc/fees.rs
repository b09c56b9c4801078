//! Prices.

use crate::support::{account, big, dev, number};
use alloy_primitives::U256;
use serde_json::{Value, json};

#[tokio::test]
async fn the_suggested_price_covers_the_next_base_fee() {
    let served = dev().await;
    let tip = big(&served.call("eth_maxPriorityFeePerGas", json!([])).await);
    let base_fee = big(&served.call("eth_baseFee", json!([])).await);
    assert_eq!(big(&served.call("eth_gasPrice", json!([])).await), base_fee + tip);
    assert_eq!(tip, U256::from(1_000_000_000));
    assert_eq!(served.call("eth_blobBaseFee", json!([])).await, "0x1");
    let receipt = served.send(json!({ "from": account(0), "to": account(1) })).await;
    let block = served.call("eth_getBlockByHash", json!([receipt["blockHash"], false])).await;
    assert_eq!(big(&block["baseFeePerGas"]), base_fee);
    assert_eq!(big(&receipt["effectiveGasPrice"]), base_fee + tip);
}

#[tokio::test]
async fn fee_history_has_a_row_per_block_and_the_next_base_fee() {
    let served = dev().await;
    for _ in 0..3 {
        served.send(json!({ "from": account(0), "to": account(1) })).await;
    }
    let history = served.call("eth_feeHistory", json!(["0x2", "latest", [25.0, 75.0]])).await;
    assert_eq!(number(&history["oldestBlock"]), 2);
    assert_eq!(history["baseFeePerGas"].as_array().unwrap().len(), 3);
    assert_eq!(history["baseFeePerBlobGas"].as_array().unwrap().len(), 3);
    assert_eq!(history["gasUsedRatio"], json!([21_000.0 / 30_000_000.0, 21_000.0 / 30_000_000.0]));
    assert_eq!(history["reward"], json!([["0x3b9aca00", "0x3b9aca00"], ["0x3b9aca00", "0x3b9aca00"]]));
    let next = served.call("eth_baseFee", json!([])).await;
    assert_eq!(history["baseFeePerGas"][2], next);

    let whole = served.call("eth_feeHistory", json!([1024, "latest"])).await;
    assert_eq!(number(&whole["oldestBlock"]), 0);
    assert_eq!(whole["reward"], Value::Null);
    assert_eq!(served.error("eth_feeHistory", json!(["0x1", "0x99", []])).await.0, -32000);
    assert_eq!(served.error("eth_feeHistory", json!(["0x1", "latest", [70, 20]])).await.0, -32602);
}
