//! Mining, time and snapshots.

use crate::support::{account, big, dev, number};
use serde_json::json;

#[tokio::test]
async fn a_snapshot_brings_state_nonces_and_height_back() {
    let served = dev().await;
    served.send(json!({ "from": account(0), "to": account(1), "value": "0x1" })).await;
    let before = served.call("eth_getBalance", json!([account(1)])).await;
    let snapshot = served.call("evm_snapshot", json!([])).await;
    served.send(json!({ "from": account(0), "to": account(1), "value": "0x1" })).await;
    assert!(big(&served.call("eth_getBalance", json!([account(1)])).await) > big(&before));
    assert_eq!(served.call("evm_revert", json!([snapshot])).await, true);
    assert_eq!(served.call("eth_getBalance", json!([account(1)])).await, before);
    assert_eq!(served.height().await, 1);
    assert_eq!(served.call("evm_revert", json!([snapshot])).await, false, "a snapshot is good for once");
    let receipt = served.send(json!({ "from": account(0), "to": account(1), "value": "0x1" })).await;
    assert_eq!(number(&receipt["blockNumber"]), 2);
}

#[tokio::test]
async fn blocks_are_mined_on_request() {
    let served = dev().await;
    assert_eq!(served.call("evm_mine", json!([])).await, "0x0");
    served.call("evm_mine", json!([{ "blocks": 2 }])).await;
    served.call("anvil_mine", json!([])).await;
    assert_eq!(served.call("hardhat_mine", json!(["0x3", "0x3c"])).await, true);
    assert_eq!(served.height().await, 7);
    let time = |block: &'static str| {
        let served = &served;
        async move { number(&served.call("eth_getBlockByNumber", json!([block, false])).await["timestamp"]) }
    };
    assert_eq!(time("0x7").await - time("0x6").await, 60);
    assert!(served.error("anvil_mine", json!(["0xffffffff"])).await.1.contains("at most"));
}

#[tokio::test]
async fn time_moves_as_asked_and_only_forwards() {
    let served = dev().await;
    let now = || async { number(&served.call("eth_getBlockByNumber", json!(["latest", false])).await["timestamp"]) };
    served.call("evm_mine", json!([])).await;
    let start = now().await;
    served.call("evm_increaseTime", json!([3_600])).await;
    served.call("evm_mine", json!([])).await;
    let later = now().await;
    assert!((3_600..3_700).contains(&(later - start)), "{start} {later}");
    served.call("evm_setNextBlockTimestamp", json!([later + 1_000])).await;
    served.call("evm_mine", json!([])).await;
    assert_eq!(now().await, later + 1_000);
    assert_eq!(served.error("evm_setNextBlockTimestamp", json!([later])).await.0, -32602);
}

#[tokio::test]
async fn mining_on_arrival_can_be_turned_off_and_on() {
    let served = dev().await;
    assert_eq!(served.call("hardhat_getAutomine", json!([])).await, true);
    served.call("evm_setAutomine", json!([false])).await;
    assert_eq!(served.call("anvil_getAutomine", json!([])).await, false);
    let hash = served.call("eth_sendTransaction", json!([{ "from": account(0), "to": account(1) }])).await;
    assert!(served.call("eth_getTransactionReceipt", json!([hash])).await.is_null());
    served.call("evm_setAutomine", json!([true])).await;
    served.send(json!({ "from": account(2), "to": account(1) })).await;
    assert_eq!(served.call("eth_getTransactionReceipt", json!([hash])).await["status"], "0x1");
}

#[tokio::test]
async fn the_node_tells_about_itself_as_anvil_does() {
    let served = dev().await;
    let info = served.call("anvil_nodeInfo", json!([])).await;
    assert_eq!(info["environment"]["chainId"], 31_337);
    assert_eq!(info["currentBlockNumber"], "0x0");
    let metadata = served.call("hardhat_metadata", json!([])).await;
    assert_eq!(metadata["chainId"], 31_337);
}
