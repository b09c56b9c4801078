//! Traces of past transactions.

use crate::support::{Served, account, dev, logging, number};
use alloy_primitives::B256;
use serde_json::{Value, json};

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

/// A contract that returns what is in slot 0 and adds one to it.
pub(crate) const COUNTER: &str = "0x6012600c60003960126000f36000548060005260010160005560206000f3";

pub(crate) async fn counter(served: &Served) -> Value {
    served.send(json!({ "from": account(0), "data": COUNTER })).await["contractAddress"].take()
}

/// Hashes of three transactions that count, in one block.
pub(crate) async fn three_counts(served: &Served, counter: &Value) -> Vec<Value> {
    served.call("evm_setAutomine", json!([false])).await;
    for index in 0..3 {
        served.call("eth_sendTransaction", json!([{ "from": account(index), "to": counter }])).await;
    }
    served.call("evm_mine", json!([])).await;
    served.call("evm_setAutomine", json!([true])).await;
    let block = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    block["transactions"].as_array().unwrap().clone()
}

pub(crate) fn word(value: u64) -> Value {
    json!(format!("{:#066x}", value))
}

#[tokio::test]
async fn a_block_is_traced_by_its_bytes() {
    let served = dev().await;
    let counter = counter(&served).await;
    let hashes = three_counts(&served, &counter).await;
    let options = json!({ "tracer": "callTracer" });
    let raw = served.call("debug_getRawBlock", json!(["latest"])).await;
    let by_bytes = served.call("debug_traceBlock", json!([raw, options])).await;
    let by_number = served.call("debug_traceBlockByNumber", json!(["latest", options])).await;
    assert_eq!(by_bytes, by_number);
    assert_eq!(by_bytes.as_array().unwrap().len(), hashes.len());
    let outputs: Vec<_> = (0..3).map(|index| by_bytes[index]["result"]["output"].clone()).collect();
    assert_eq!(outputs, [word(0), word(1), word(2)]);
    let error = served.error("debug_traceBlock", json!(["0xc0", options])).await;
    assert!(error.0 == -32000 && error.1.starts_with("could not decode block"), "{error:?}");
}

#[tokio::test]
async fn a_call_sees_a_block_from_within() {
    let served = dev().await;
    let counter = counter(&served).await;
    three_counts(&served, &counter).await;
    for index in 0..=3 {
        let options = json!({ "tracer": "callTracer", "txIndex": format!("{index:#x}") });
        let trace = served.call("debug_traceCall", json!([{ "to": counter }, "latest", options])).await;
        assert_eq!(trace["output"], word(index));
    }
    let options = json!({ "tracer": "callTracer", "txIndex": "0x4" });
    let error = served.error("debug_traceCall", json!([{ "to": counter }, "latest", options])).await;
    assert!(error.1.starts_with("transaction index 4 out of range"), "{error:?}");
}

#[tokio::test]
async fn calls_follow_each_other() {
    let served = dev().await;
    let counter = counter(&served).await;
    three_counts(&served, &counter).await;
    let call = json!({ "to": counter });
    let bundles = json!([{ "transactions": [call, call] }, { "transactions": [call] }]);
    let options = json!({ "tracer": "callTracer" });
    let place = json!({ "blockNumber": "latest", "transactionIndex": 1 });
    let traces = served.call("debug_traceCallMany", json!([bundles, place, options])).await;
    let output = |bundle: usize, call: usize| traces[bundle][call]["output"].clone();
    assert_eq!([output(0, 0), output(0, 1), output(1, 0)], [word(1), word(2), word(3)]);
    let after = served.call("debug_traceCallMany", json!([bundles, null, options])).await;
    assert_eq!(after[1][0]["output"], word(5));
    assert_eq!(served.call("eth_call", json!([call])).await, word(3), "nothing was written");
}

#[tokio::test]
async fn a_trace_ends_when_its_time_is_up() {
    let served = dev().await;
    // JUMPDEST, PUSH1 0, JUMP: for ever.
    let call = json!({ "data": "0x5b600056", "gas": "0x2faf080" });
    let options = json!({ "tracer": "callTracer", "timeout": "1ms" });
    let error = served.error("debug_traceCall", json!([call, "latest", options])).await;
    assert_eq!(error, (-32000, "execution timeout".to_owned()));
    let options = json!({ "tracer": "callTracer", "timeout": "soon" });
    let error = served.error("debug_traceCall", json!([call, "latest", options])).await;
    assert_eq!(error, (-32000, "time: invalid duration \"soon\"".to_owned()));
}

#[tokio::test]
async fn a_trace_that_would_not_fit_is_refused_and_a_limit_makes_it_fit() {
    let served = dev().await;
    let call = json!({ "data": "0x5b600056", "gas": "0x2faf080" });
    let error = served.error("debug_traceCall", json!([call, "latest", {}])).await;
    assert!(error.0 == -32005 && error.1.contains("steps"), "{error:?}");
    let trace = served.call("debug_traceCall", json!([call, "latest", { "limit": 7 }])).await;
    assert_eq!(trace["structLogs"].as_array().unwrap().len(), 7);
    // PUSH1 1, PUSH4 0x000fffff, MSTORE8, then for ever with a memory of 1 MiB.
    let call = json!({ "data": "0x600163000fffff535b600856", "gas": "0x2faf080" });
    let error = served.error("debug_traceCall", json!([call, "latest", { "enableMemory": true }])).await;
    assert!(error.0 == -32005 && error.1.contains("bytes of stack and memory"), "{error:?}");
}

#[tokio::test]
async fn what_cannot_be_traced_is_told() {
    let served = dev().await;
    let missing = served.error("debug_traceTransaction", json!([B256::ZERO])).await;
    assert_eq!(missing, (-32000, "transaction not found".to_owned()));
    let genesis = served.error("debug_traceBlockByNumber", json!(["0x0"])).await;
    assert_eq!(genesis, (-32000, "genesis is not traceable".to_owned()));
    let missing = served.error("debug_traceBlockByNumber", json!(["0x63"])).await;
    assert_eq!(missing, (-32000, "block #99 not found".to_owned()));
    let receipt = served.send(json!({ "from": account(0), "to": account(1) })).await;
    let config = json!([receipt["transactionHash"], { "tracer": "callTracer", "tracerConfig": { "onlyTopCall": 7 } }]);
    assert_eq!(served.error("debug_traceTransaction", config).await.0, -32000);
}
