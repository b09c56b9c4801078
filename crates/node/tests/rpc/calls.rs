//! Calls that leave no trace.

use crate::support::{account, dev, logging, number, reverting};
use alloy_primitives::{Address, B256, hex};
use alloy_sol_types::{Revert, SolError};
use serde_json::json;

/// Runtime code that returns the number 42.
const RETURNS_42: &str = "0x602a60005260206000f3";
/// Runtime code that returns the block number.
const RETURNS_NUMBER: &str = "0x4360005260206000f3";

#[tokio::test]
async fn a_revert_is_code_3_with_the_raw_output() {
    let served = dev().await;
    let output = Revert::from("too poor").abi_encode();
    for method in ["eth_call", "eth_estimateGas"] {
        let answer = served.answer(method, json!([{ "from": account(0), "data": reverting(&output) }])).await;
        assert_eq!(answer["error"]["code"], 3, "{method}: {answer}");
        assert_eq!(answer["error"]["message"], "execution reverted: too poor", "{method}");
        assert_eq!(answer["error"]["data"], hex::encode_prefixed(&output), "{method}");
    }
    let bare = served.answer("eth_call", json!([{ "data": reverting(&[]) }])).await;
    assert_eq!(bare["error"], json!({ "code": 3, "message": "execution reverted", "data": "0x" }));
}

#[tokio::test]
async fn a_transaction_that_would_revert_is_not_sent() {
    let served = dev().await;
    let answer = served.answer("eth_sendTransaction", json!([{ "from": account(0), "data": reverting(&[1]) }])).await;
    assert_eq!((&answer["error"]["code"], &answer["error"]["data"]), (&json!(3), &json!("0x01")));
    assert_eq!(served.height().await, 0);
}

#[tokio::test]
async fn an_exceptional_halt_is_32000() {
    let served = dev().await;
    let (code, message) = served.error("eth_call", json!([{ "data": "0xfe" }])).await;
    assert_eq!(code, -32000);
    assert!(message.contains("invalid opcode"), "{message}");
}

#[tokio::test]
async fn state_and_block_can_be_overridden() {
    let served = dev().await;
    let to = Address::repeat_byte(0x77);
    let code = |code: &str| json!({ to.to_string(): { "code": code } });
    let output = served.call("eth_call", json!([{ "to": to }, "latest", code(RETURNS_42)])).await;
    assert_eq!(output, json!(B256::with_last_byte(42)));
    let block = json!({ "number": "0x63" });
    let output = served.call("eth_call", json!([{ "to": to }, "latest", code(RETURNS_NUMBER), block])).await;
    assert_eq!(output, json!(B256::with_last_byte(0x63)));
    assert_eq!(served.call("eth_call", json!([{ "to": to }, "latest"])).await, "0x");
}

#[tokio::test]
async fn an_estimate_is_enough_and_a_plain_transfer_is_exact() {
    let served = dev().await;
    let transfer = json!([{ "from": account(0), "to": account(1), "value": "0x1" }]);
    assert_eq!(number(&served.call("eth_estimateGas", transfer).await), 21_000);
    let creation = json!({ "from": account(0), "data": logging(B256::ZERO) });
    let estimate = number(&served.call("eth_estimateGas", json!([creation])).await);
    let receipt = served.send(creation).await;
    assert!(estimate >= number(&receipt["gasUsed"]), "{estimate} {receipt}");
}

#[tokio::test]
async fn contradictory_data_and_input_are_refused() {
    let served = dev().await;
    let (code, message) = served.error("eth_call", json!([{ "data": "0x01", "input": "0x02" }])).await;
    assert_eq!(code, -32602);
    assert!(message.contains("\"input\""), "{message}");
}

#[tokio::test]
async fn a_call_at_a_block_that_is_not_there_says_so() {
    let served = dev().await;
    let (code, message) = served.error("eth_call", json!([{ "to": account(1) }, "0x99"])).await;
    assert_eq!((code, message.as_str()), (-32000, "header not found"));
}

#[tokio::test]
async fn an_access_list_names_the_slots_that_a_call_touches() {
    let served = dev().await;
    let to = Address::repeat_byte(0x77);
    // SLOAD of slot 5.
    let code = json!({ to.to_string(): { "code": "0x60055450" } });
    let answer = served.call("eth_createAccessList", json!([{ "to": to }, "latest", code])).await;
    let slot = json!(B256::with_last_byte(5));
    assert_eq!(answer["accessList"], json!([{ "address": to.to_string().to_lowercase(), "storageKeys": [slot] }]));
    assert!(number(&answer["gasUsed"]) > 21_000, "{answer}");
    let failing = served.call("eth_createAccessList", json!([{ "data": reverting(&[]) }])).await;
    assert_eq!(failing["error"], "execution reverted");
}

#[tokio::test]
async fn a_call_can_be_traced() {
    let served = dev().await;
    let to = Address::repeat_byte(0x77);
    let overrides = json!({ to.to_string(): { "code": RETURNS_42 } });
    let options = json!({ "tracer": "callTracer", "stateOverrides": overrides });
    let trace = served.call("debug_traceCall", json!([{ "from": account(0), "to": to }, "latest", options])).await;
    assert_eq!((&trace["type"], &trace["output"]), (&json!("CALL"), &json!(B256::with_last_byte(42))));
    let steps = served.call("debug_traceCall", json!([{ "to": to }, "latest", { "stateOverrides": overrides }])).await;
    assert_eq!(steps["structLogs"].as_array().unwrap().len(), 6, "{steps}");
}
