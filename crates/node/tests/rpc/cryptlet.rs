//! The namespace of the fabric, as far as it can be seen without a host.

use crate::support::{account, dev};
use alloy_primitives::B256;
use alloy_rlp::Decodable;
use cryptlet_node::{ChainSpec, types::Block};
use cryptlet_primitives::FabricLimits;
use serde_json::{Value, json};

#[tokio::test]
async fn the_fabric_of_the_chain_is_told() {
    let served = dev().await;
    let fabric = served.call("cryptlet_getFabric", json!([])).await;
    let limits: FabricLimits = serde_json::from_value(fabric["limits"].clone()).unwrap();
    assert_eq!(limits, FabricLimits::default());
    assert_eq!(fabric["limitsDigest"], json!(limits.digest()));
    assert_eq!(fabric["delegate"], "0x000000000000000000000000000000000000cd00");
    assert_eq!(fabric["domain"]["name"], "CryptletFabric");
    assert_eq!(fabric["dryRunDomain"]["name"], "CryptletFabricDryRun");
    let genesis = served.call("eth_getBlockByNumber", json!(["earliest", false])).await;
    assert_eq!(fabric["domain"]["salt"], genesis["hash"]);
    // Slot 0 of the delegate commits to the limits.
    let slot = served.call("eth_getStorageAt", json!([fabric["delegate"], "0x0"])).await;
    assert_eq!(slot, fabric["limitsDigest"]);
}

#[tokio::test]
async fn an_unknown_cryptlet_is_an_error_that_says_what_there_is() {
    let served = dev().await;
    let (code, message) = served.error("cryptlet_getCryptlet", json!(["equity-tools"])).await;
    assert_eq!(code, -32001);
    assert!(message.contains("\"equity-tools\"") && message.contains("registered are: none"), "{message}");
    assert_eq!(served.error("cryptlet_getCryptlet", json!([B256::repeat_byte(1)])).await.0, -32001);
}

#[tokio::test]
async fn a_transaction_without_cryptlets_has_no_records_and_an_unknown_one_is_null() {
    let served = dev().await;
    let receipt = served.send(json!({ "from": account(0), "to": account(1) })).await;
    let records = served.call("cryptlet_getRecords", json!([receipt["transactionHash"]])).await;
    assert_eq!(records["records"], json!([]));
    assert_eq!(records["blockHash"], receipt["blockHash"]);
    assert_eq!(records["transactionIndex"], "0x0");
    assert_eq!(served.call("cryptlet_getRecords", json!([B256::ZERO])).await, Value::Null);
    assert_eq!(served.call("cryptlet_pending", json!([B256::ZERO])).await, Value::Null);
}

#[tokio::test]
async fn the_chain_can_be_read_whole() {
    let served = dev().await;
    served.send(json!({ "from": account(0), "to": account(1) })).await;
    let genesis = served.call("cryptlet_getGenesis", json!([])).await;
    let spec = ChainSpec::from_json(&genesis.to_string()).unwrap();
    assert_eq!(spec.genesis_hash(), served.node.spec().genesis_hash());
    let raw = served.call("cryptlet_getRawBlock", json!(["latest"])).await;
    let bytes = alloy_primitives::hex::decode(raw["block"].as_str().unwrap()).unwrap();
    let block = Block::decode(&mut &bytes[..]).unwrap();
    assert_eq!(block.header.hash_slow(), served.node.head().hash);
    assert_eq!(raw["requests"], json!([]));
}
