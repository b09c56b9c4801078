//! What the block explorer Otterscan asks.

use crate::{
    support::{account, dev, logging, number, reverting},
    traces::{counter, three_counts},
};
use alloy_primitives::B256;
use serde_json::{Value, json};

/// Creation code of a contract that sends one wei to the address in its input.
const PAYER: &str = "0x6017600c60003960176000f3600060006000600060016000355af160005260206000f3";

#[tokio::test]
async fn the_version_and_the_headers_are_told() {
    let served = dev().await;
    assert_eq!(served.call("ots_getApiLevel", json!([])).await, 8);
    let header = served.call("eth_getHeaderByNumber", json!(["0x0"])).await;
    assert_eq!(served.call("ots_getHeaderByNumber", json!(["0x0"])).await, header);
    assert_eq!(served.call("erigon_getHeaderByNumber", json!(["0x0"])).await, header);
}

#[tokio::test]
async fn code_and_creator_of_a_contract_are_found() {
    let served = dev().await;
    served.send(json!({ "from": account(0), "to": account(1) })).await;
    let receipt = served.send(json!({ "from": account(3), "data": logging(B256::ZERO) })).await;
    served.send(json!({ "from": account(0), "to": account(1) })).await;
    let contract = &receipt["contractAddress"];
    assert_eq!(served.call("ots_hasCode", json!([contract, "latest"])).await, true);
    assert_eq!(served.call("ots_hasCode", json!([contract, "0x1"])).await, false);
    assert_eq!(served.call("ots_hasCode", json!([account(0), "latest"])).await, false);
    let creator = served.call("ots_getContractCreator", json!([contract])).await;
    assert_eq!(creator, json!({ "hash": receipt["transactionHash"], "creator": account(3) }));
    assert_eq!(served.call("ots_getContractCreator", json!([account(0)])).await, Value::Null);
}

#[tokio::test]
async fn errors_and_inner_payments_of_a_transaction_are_told() {
    let served = dev().await;
    let failed = served.send(json!({ "from": account(0), "data": reverting(&[0xca, 0xfe]), "gas": "0x30d40" })).await;
    assert_eq!(served.call("ots_getTransactionError", json!([failed["transactionHash"]])).await, "0xcafe");

    let payer = served.send(json!({ "from": account(0), "data": PAYER, "value": "0x5" })).await;
    assert_eq!(served.call("ots_getTransactionError", json!([payer["transactionHash"]])).await, "0x");
    let input = format!("0x{:0>64}", &account(4).to_string()[2..]);
    let call = json!({ "from": account(0), "to": payer["contractAddress"], "data": input });
    let paid = served.send(call).await;
    let inner = served.call("ots_getInternalOperations", json!([paid["transactionHash"]])).await;
    let expected = json!([{ "type": 0, "from": payer["contractAddress"], "to": account(4), "value": "0x1" }]);
    assert_eq!(lower(&inner), lower(&expected));
    let trace = served.call("ots_traceTransaction", json!([paid["transactionHash"]])).await;
    let told: Vec<_> = trace.as_array().unwrap().iter().map(|entry| (&entry["type"], &entry["depth"])).collect();
    assert_eq!(told, [(&json!("CALL"), &json!(0)), (&json!("CALL"), &json!(1))]);
    assert_eq!(served.call("ots_traceTransaction", json!([B256::ZERO])).await, Value::Null);

    // Whoever is only paid from within appears too.
    let found = served.call("ots_searchTransactionsBefore", json!([account(4), 0, 10])).await;
    let hashes: Vec<_> = found["txs"].as_array().unwrap().iter().map(|tx| &tx["hash"]).collect();
    assert_eq!(hashes, [&paid["transactionHash"]]);
}

#[tokio::test]
async fn a_block_is_told_with_its_fees_and_page_by_page() {
    let served = dev().await;
    let counter = counter(&served).await;
    let hashes = three_counts(&served, &counter).await;
    let details = served.call("ots_getBlockDetails", json!(["latest"])).await;
    let receipts = served.call("eth_getBlockReceipts", json!(["latest"])).await;
    let fee = |receipt: &Value| number(&receipt["gasUsed"]) * number(&receipt["effectiveGasPrice"]);
    let fees: u64 = receipts.as_array().unwrap().iter().map(fee).sum();
    assert_eq!(number(&details["totalFees"]), fees);
    assert_eq!(details["block"]["transactionCount"], 3);
    assert_eq!(details["block"].get("transactions"), None);
    assert_eq!(details["issuance"]["issuance"], "0x0");
    assert_eq!(served.call("ots_getBlockDetailsByHash", json!([details["block"]["hash"]])).await, details);

    let page = |index: u64| json!(["latest", index, 2]);
    let last = served.call("ots_getBlockTransactions", page(0)).await;
    let shown = |page: &Value| -> Vec<Value> {
        page["fullblock"]["transactions"].as_array().unwrap().iter().map(|tx| tx["hash"].clone()).collect()
    };
    assert_eq!(shown(&last), hashes[1..]);
    assert_eq!(last["receipts"][0]["logs"], Value::Null);
    assert_eq!(last["fullblock"]["transactionCount"], 3);
    assert_eq!(shown(&served.call("ots_getBlockTransactions", page(1)).await), hashes[..1]);
    assert_eq!(served.error("ots_getBlockTransactions", json!(["latest", 0, 0])).await.0, -32602);
}

#[tokio::test]
async fn transactions_are_found_by_who_takes_part() {
    let served = dev().await;
    let mut hashes = Vec::new();
    for _ in 0..5 {
        let receipt = served.send(json!({ "from": account(0), "to": account(7), "value": "0x1" })).await;
        hashes.push(receipt["transactionHash"].clone());
        served.send(json!({ "from": account(1), "to": account(2) })).await;
    }
    let of = |found: &Value| -> Vec<Value> {
        found["txs"].as_array().unwrap().iter().map(|tx| tx["hash"].clone()).collect()
    };
    let newest = served.call("ots_searchTransactionsBefore", json!([account(7), 0, 2])).await;
    assert_eq!(of(&newest), [hashes[4].clone(), hashes[3].clone()]);
    assert_eq!((&newest["firstPage"], &newest["lastPage"]), (&json!(true), &json!(false)));
    assert_eq!(newest["receipts"][0]["transactionHash"], hashes[4]);
    assert!(newest["receipts"][0]["timestamp"].is_string(), "{newest}");
    let block = number(&newest["txs"][1]["blockNumber"]);
    let rest = served.call("ots_searchTransactionsBefore", json!([account(7), block, 10])).await;
    assert_eq!(of(&rest), [hashes[2].clone(), hashes[1].clone(), hashes[0].clone()]);
    assert_eq!((&rest["firstPage"], &rest["lastPage"]), (&json!(false), &json!(true)));
    let oldest = served.call("ots_searchTransactionsAfter", json!([account(7), 0, 2])).await;
    assert_eq!(of(&oldest), [hashes[1].clone(), hashes[0].clone()]);
    assert_eq!((&oldest["firstPage"], &oldest["lastPage"]), (&json!(false), &json!(true)));
    let hash = served.call("ots_getTransactionBySenderAndNonce", json!([account(0), 3])).await;
    assert_eq!(hash, hashes[3]);
    assert_eq!(served.call("ots_getTransactionBySenderAndNonce", json!([account(0), 99])).await, Value::Null);
}

fn lower(value: &Value) -> String {
    value.to_string().to_lowercase()
}
