//! Calls of cryptlets, as a client sees them: waiting, recorded, traced and rehearsed.

use crate::{
    signing::{Behaviour, CODE_DIGEST, Chain, Traffic, cryptlet, fast_config, fast_limits},
    support::{Served, account, number, serve_node},
};
use alloy_primitives::{Bytes, U256, hex};
use alloy_sol_types::SolCall;
use cryptlet_attestation::signature::result_digest;
use cryptlet_primitives::Record;
use serde_json::{Value, json};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

async fn start() -> (Chain, Served) {
    let chain = Chain::start(fast_limits(), fast_config()).await;
    let served = serve_node(chain.node.clone(), |_| ()).await;
    (chain, served)
}

fn call(chain: &Chain, call: impl SolCall) -> Value {
    json!({ "from": account(0), "to": chain.traffic, "data": hex::encode_prefixed(call.abi_encode()) })
}

fn chained(chain: &Chain) -> Value {
    let input = Bytes::from_static(b"hello");
    call(chain, Traffic::chainedCall { cryptlet: cryptlet().0, count: U256::from(2), input })
}

#[tokio::test]
async fn records_are_shown_whole_and_verify() {
    let (chain, served) = start().await;
    let estimate = number(&served.call("eth_estimateGas", json!([chained(&chain)])).await);
    let hash = served.call("eth_sendTransaction", json!([chained(&chain)])).await;
    chain.receipt(hash.as_str().unwrap().parse().unwrap()).await;
    let receipt = served.call("eth_getTransactionReceipt", json!([hash])).await;
    assert_eq!(receipt["status"], "0x1");
    assert!(estimate >= number(&receipt["gasUsed"]), "{estimate} {receipt}");

    let shown = served.call("cryptlet_getRecords", json!([hash])).await;
    assert_eq!((&shown["blockHash"], &shown["blockNumber"]), (&receipt["blockHash"], &receipt["blockNumber"]));
    let entries = shown["records"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    for (sequence, entry) in entries.iter().enumerate() {
        let record: Record = serde_json::from_value(entry.clone()).unwrap();
        assert!(record.is_self_consistent());
        assert_eq!(entry["sequence"], sequence);
        assert_eq!(entry["status"], "ok");
        assert_eq!(entry["unavailableReason"], Value::Null);
        assert_eq!(entry["resultDigest"], json!(result_digest(&record.result, &chain.spec.domain())));
        assert_eq!(entry["recoveredSigner"], json!(chain.fabric.signer.address()));
        assert_eq!(entry["instance"]["signer"], entry["recoveredSigner"]);
        assert_eq!(entry["cryptlet"]["codeDigest"], json!(CODE_DIGEST));
    }

    let raw = served.call("cryptlet_getRawBlock", json!([receipt["blockNumber"]])).await;
    assert!(raw["requests"][0].as_str().unwrap().starts_with("0xcd"), "{raw}");
}

#[tokio::test]
async fn a_trace_of_the_past_asks_no_host() {
    let (chain, served) = start().await;
    let hash = served.call("eth_sendTransaction", json!([chained(&chain)])).await;
    chain.receipt(hash.as_str().unwrap().parse().unwrap()).await;
    let receipt = served.call("eth_getTransactionReceipt", json!([hash])).await;
    chain.fabric.behave(Behaviour::Down);
    let asked = chain.fabric.asked.load(Ordering::Relaxed);
    let trace = served.call("debug_traceTransaction", json!([hash, { "tracer": "callTracer" }])).await;
    assert_eq!(trace["gasUsed"], receipt["gasUsed"]);
    let to_delegate = trace["calls"].as_array().unwrap().iter();
    let to_delegate = to_delegate.filter(|call| call["to"] == "0x000000000000000000000000000000000000cd00");
    assert_eq!(to_delegate.count(), 2, "{trace}");
    assert_eq!(chain.fabric.asked.load(Ordering::Relaxed), asked);
}

#[tokio::test]
async fn a_call_is_answered_by_a_dry_run() {
    let (chain, served) = start().await;
    let input = Bytes::from_static(b"what?");
    let answer =
        served.call("eth_call", json!([call(&chain, Traffic::askCall { cryptlet: cryptlet().0, input })])).await;
    let output = Traffic::askCall::abi_decode_returns(&hex::decode(answer.as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(output[..32], alloy_primitives::keccak256("what?")[..]);

    let input = Bytes::from_static(b"fail, please");
    let failing = call(&chain, Traffic::onceCall { cryptlet: cryptlet().0, input });
    let (code, message) = served.error("eth_call", json!([failing])).await;
    assert_eq!((code, message.as_str()), (3, "execution reverted: CryptletError(12, CryptletFailed)"));

    chain.fabric.behave(Behaviour::Down);
    let (code, message) = served.error("eth_call", json!([chained(&chain)])).await;
    assert_eq!(code, -32000);
    assert!(message.contains("no dry-run answer came"), "{message}");
}

#[tokio::test]
async fn the_registry_is_read_by_name_and_by_id() {
    let (chain, served) = start().await;
    let by_name = served.call("cryptlet_getCryptlet", json!(["traffic"])).await;
    assert_eq!(by_name["cryptletId"], json!(cryptlet()));
    assert_eq!((&by_name["kind"], &by_name["status"]), (&json!("utility"), &json!("active")));
    let instance = &by_name["instances"][0];
    assert_eq!(instance["signer"], json!(chain.fabric.signer.address()));
    assert_eq!((&instance["isActive"], &instance["provider"]), (&json!(true), &json!("software")));
    assert_eq!(served.call("cryptlet_getCryptlet", json!([cryptlet()])).await, by_name);
    let (_, message) = served.error("cryptlet_getCryptlet", json!(["trafic"])).await;
    assert!(message.ends_with("registered are: traffic"), "{message}");
}

#[tokio::test]
async fn a_transaction_that_waits_for_a_cryptlet_is_pending_until_its_one_receipt() {
    let (chain, served) = start().await;
    chain.fabric.behave(Behaviour::Never);
    let input = Bytes::from_static(b"anybody?");
    let mut transaction = call(&chain, Traffic::guardedCall { cryptlet: cryptlet().0, input });
    transaction["gas"] = json!("0x2dc6c0");
    let sent = Instant::now();
    let hash = served.call("eth_sendTransaction", json!([transaction])).await;
    assert!(sent.elapsed() < Duration::from_secs(5), "nobody waits for a cryptlet");

    let shown = served.call("eth_getTransactionByHash", json!([hash])).await;
    let waiting = served.call("cryptlet_pending", json!([hash])).await;
    let receipt = served.call("eth_getTransactionReceipt", json!([hash])).await;
    if receipt.is_null() {
        assert_eq!(shown["blockNumber"], Value::Null);
        assert_eq!(waiting["transactionHash"], hash);
        assert_eq!(waiting["invocation"]["request"]["cryptletId"], json!(cryptlet()));
        let blocks_max = u64::from(fast_limits().unavailable_after_blocks);
        assert!(number(&waiting["blocksLeft"]) <= blocks_max, "{waiting}");
    }
    chain.receipt(hash.as_str().unwrap().parse().unwrap()).await;
    assert_eq!(served.call("cryptlet_pending", json!([hash])).await, Value::Null);
    let records = served.call("cryptlet_getRecords", json!([hash])).await;
    let [record] = &records["records"].as_array().unwrap()[..] else { panic!("one record: {records}") };
    assert_eq!(record["status"], "unavailable");
    assert!(record["unavailableReason"].is_string(), "{record}");
    assert_eq!((&record["instance"], &record["recoveredSigner"]), (&Value::Null, &Value::Null));
}
