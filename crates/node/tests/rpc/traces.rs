//! Traces of past transactions.

use crate::support::{account, dev, logging, number};
use alloy_primitives::B256;
use serde_json::json;

#[tokio::test]
async fn the_default_tracer_tells_every_step() {
    let served = dev().await;
    let receipt = served.send(json!({ "from": account(0), "data": logging(B256::ZERO) })).await;
    let trace = served.call("debug_traceTransaction", json!([receipt["transactionHash"]])).await;
    assert_eq!(trace["failed"], false);
    assert_eq!(trace["gas"].as_u64().unwrap(), number(&receipt["gasUsed"]));
    let steps: Vec<_> = trace["structLogs"].as_array().unwrap().iter().map(|step| step["op"].clone()).collect();
    assert_eq!(steps.first(), Some(&json!("PUSH1")));
    assert!(steps.contains(&json!("LOG1")) && steps.contains(&json!("SSTORE")), "{steps:?}");
}

#[tokio::test]
async fn the_call_tracer_tells_the_calls_and_the_prestate_tracer_the_accounts() {
    let served = dev().await;
    let receipt = served.send(json!({ "from": account(0), "data": logging(B256::ZERO) })).await;
    let hash = &receipt["transactionHash"];
    let calls = served.call("debug_traceTransaction", json!([hash, { "tracer": "callTracer" }])).await;
    assert_eq!(calls["type"], "CREATE");
    assert_eq!(calls["to"], receipt["contractAddress"]);
    assert_eq!(calls["gasUsed"], receipt["gasUsed"]);
    let before = served.call("debug_traceTransaction", json!([hash, { "tracer": "prestateTracer" }])).await;
    let sender = account(0).to_string().to_lowercase();
    assert!(before.as_object().unwrap().keys().any(|address| address.to_lowercase() == sender), "{before}");
}

#[tokio::test]
async fn a_block_is_traced_transaction_by_transaction() {
    let served = dev().await;
    served.call("evm_setAutomine", json!([false])).await;
    let mut hashes = Vec::new();
    for index in 0..3 {
        let transfer = json!([{ "from": account(index), "to": account(5), "value": "0x1" }]);
        hashes.push(served.call("eth_sendTransaction", transfer).await);
    }
    served.call("evm_mine", json!([])).await;
    let traces = served.call("debug_traceBlockByNumber", json!(["latest", { "tracer": "callTracer" }])).await;
    let block = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    let traced: Vec<_> = traces.as_array().unwrap().iter().map(|trace| trace["txHash"].clone()).collect();
    assert_eq!(json!(traced), block["transactions"]);
    assert!(hashes.iter().all(|hash| traced.contains(hash)));
    assert!(traces.as_array().unwrap().iter().all(|trace| trace["result"]["value"] == "0x1"), "{traces}");
}

#[tokio::test]
async fn what_cannot_be_traced_is_told() {
    let served = dev().await;
    let missing = served.error("debug_traceTransaction", json!([B256::ZERO])).await;
    assert_eq!(missing, (-32000, "transaction not found".to_owned()));
    let receipt = served.send(json!({ "from": account(0), "to": account(1) })).await;
    let script = json!([receipt["transactionHash"], { "tracer": "{ result: () => 1 }" }]);
    assert_eq!(served.error("debug_traceTransaction", script).await.0, -32602);
}
