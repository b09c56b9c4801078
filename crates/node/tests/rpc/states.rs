//! States in the `debug_` namespace, and the witness of a block.

use crate::{
    support::{account, dev},
    traces::{counter, three_counts, word},
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use serde_json::{Value, json};

#[tokio::test]
async fn accounts_that_a_block_changed_are_told() {
    let served = dev().await;
    served.send(json!({ "from": account(0), "to": account(1), "value": "0x1" })).await;
    served.send(json!({ "from": account(2), "to": account(3), "value": "0x1" })).await;
    let changed = |answer: Value| -> Vec<Address> { serde_json::from_value(answer).unwrap() };
    let second = changed(served.call("debug_getModifiedAccountsByNumber", json!([2])).await);
    assert!(second.contains(&account(2)) && second.contains(&account(3)) && !second.contains(&account(0)));
    let both = changed(served.call("debug_getModifiedAccountsByNumber", json!(["0x0", "0x2"])).await);
    assert!([0, 1, 2, 3].iter().all(|index| both.contains(&account(*index))), "{both:?}");
    let hash = served.call("eth_getBlockByNumber", json!(["0x2", false])).await["hash"].take();
    assert_eq!(changed(served.call("debug_getModifiedAccountsByHash", json!([hash])).await), second);
    let backwards = served.error("debug_getModifiedAccountsByNumber", json!([2, 1])).await;
    assert_eq!(backwards.1, "start block height (2) must be less than end block height (1)");
    assert_eq!(served.error("debug_getModifiedAccountsByNumber", json!([9])).await.1, "start block 9 not found");
}

#[tokio::test]
async fn slots_are_listed_by_their_hashes_from_within_a_block() {
    let served = dev().await;
    let counter = counter(&served).await;
    three_counts(&served, &counter).await;
    let slot = keccak256(B256::ZERO);
    for index in 1..3 {
        let range = json!(["latest", index, counter, "0x00", 10]);
        let answer = served.call("debug_storageRangeAt", range).await;
        let expected = json!({ slot.to_string(): { "key": word(0), "value": word(index) } });
        assert_eq!(answer, json!({ "storage": expected, "nextKey": null }));
    }
    let empty = served.call("debug_storageRangeAt", json!(["latest", 0, counter, "0x00", 10])).await;
    assert_eq!(empty["storage"], json!({}));
    let nothing = served.call("debug_storageRangeAt", json!(["latest", 2, counter, "0x00", 0])).await;
    assert_eq!(nothing, json!({ "storage": {}, "nextKey": slot }));
    assert_eq!(served.error("debug_storageRangeAt", json!(["latest", 3, counter, "0x00", 10])).await.0, -32000);
}

#[tokio::test]
async fn a_state_is_dumped_in_pages() {
    let served = dev().await;
    let counter = counter(&served).await;
    three_counts(&served, &counter).await;
    let whole = served.call("debug_dumpBlock", json!(["latest"])).await;
    let block = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(format!("0x{}", whole["root"].as_str().unwrap()), block["stateRoot"]);
    let accounts = whole["accounts"].as_object().unwrap();
    let dumped = accounts.values().find(|account| account["address"] == counter).unwrap();
    assert_eq!(dumped["storage"], json!({ B256::ZERO.to_string(): "03" }));
    assert_eq!(dumped["balance"], "0");
    let page = served.call("debug_accountRange", json!(["latest", "0x", 3, true, true, false])).await;
    assert_eq!(page["accounts"].as_object().unwrap().len(), 3);
    assert!(page["next"].as_str().unwrap().ends_with('='), "base64 of 32 bytes: {page}");
    assert!(page["accounts"].as_object().unwrap().values().all(|account| account.get("code").is_none()));
}

#[tokio::test]
async fn the_root_after_the_last_transaction_is_the_blocks() {
    let served = dev().await;
    let counter = counter(&served).await;
    let hashes = three_counts(&served, &counter).await;
    let block = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    let roots = served.call("debug_intermediateRoots", json!([block["hash"]])).await;
    assert_eq!(roots.as_array().unwrap().len(), hashes.len());
    assert_eq!(roots[2], block["stateRoot"], "nothing happens after the transactions here");
    assert_ne!(roots[0], roots[1]);
}

#[tokio::test]
async fn the_head_is_set_back() {
    let served = dev().await;
    for _ in 0..3 {
        served.send(json!({ "from": account(0), "to": account(1) })).await;
    }
    served.call("debug_setHead", json!(["0x1"])).await;
    assert_eq!(served.height().await, 1);
    assert_eq!(served.error("debug_setHead", json!(["0x9"])).await.1, "header not found");
    assert_eq!(served.call("debug_getBadBlocks", json!([])).await, json!([]));
    assert_eq!(served.call("debug_getAccessibleState", json!(["0x1", "0x0"])).await, 1);
    let printed = served.call("debug_printBlock", json!([1])).await;
    assert!(printed.as_str().unwrap().contains("beneficiary"), "{printed}");
}

#[tokio::test]
async fn a_code_is_found_by_its_hash() {
    let served = dev().await;
    let counter = counter(&served).await;
    let code = served.call("eth_getCode", json!([counter, "latest"])).await;
    let bytes: Bytes = serde_json::from_value(code.clone()).unwrap();
    assert_eq!(served.call("debug_codeByHash", json!([keccak256(&bytes)])).await, code);
    assert_eq!(served.call("debug_codeByHash", json!([B256::ZERO])).await, Value::Null);
}

#[tokio::test]
async fn the_witness_of_a_block_leads_to_its_root() {
    let served = dev().await;
    let counter = counter(&served).await;
    three_counts(&served, &counter).await;
    served.send(json!({ "from": account(0), "to": account(1), "value": "0x1" })).await;
    let height = served.height().await;
    for block in 1..=height {
        let witness = served.call("debug_executionWitness", json!([format!("{block:#x}")])).await;
        let parent = served.call("eth_getBlockByNumber", json!([format!("{:#x}", block - 1), false])).await;
        let state: Vec<Bytes> = serde_json::from_value(witness["state"].clone()).unwrap();
        assert!(state.iter().any(|node| json!(keccak256(node)) == parent["stateRoot"]), "the root is there");
        let headers: Vec<Bytes> = serde_json::from_value(witness["headers"].clone()).unwrap();
        assert_eq!(json!(keccak256(headers.last().unwrap())), parent["hash"]);
        let keys: Vec<Bytes> = serde_json::from_value(witness["keys"].clone()).unwrap();
        assert!(keys.iter().any(|key| **key == account(0)[..]));
    }
    let counted = served.call("debug_executionWitness", json!([format!("{:#x}", height - 1)])).await;
    let code = served.call("eth_getCode", json!([counter, "latest"])).await;
    assert!(counted["codes"].as_array().unwrap().contains(&code));
    assert_eq!(served.error("debug_executionWitness", json!(["0x0"])).await.0, -32000);
}
