//! Exchanges of ethereum/execution-apis, and what this node says of itself.

use crate::support::{account, dev, logging, number};
use alloy_primitives::B256;
use serde_json::{Value, json};

const EXCHANGES: &str = include_str!("../../../../tests/vectors/execution-apis.io");

#[tokio::test]
async fn exchanges_are_as_in_the_execution_apis() {
    let served = dev().await;
    let (mut name, mut request, mut checked) = ("", "", 0);
    for line in EXCHANGES.lines() {
        match line.split_at_checked(3) {
            Some(("// ", comment)) => name = comment,
            Some((">> ", text)) => request = text,
            Some(("<< ", text)) => {
                let expected: Value = serde_json::from_str(text).unwrap();
                let answer = served.post(request).await;
                assert_eq!(answer["error"]["code"], expected["error"]["code"], "{name}: {answer}");
                assert_eq!(answer.get("result"), expected.get("result"), "{name}: {answer}");
                let words = expected["error"]["message"].as_str().unwrap_or_default();
                // What geth's JSON decoder says of a parameter is its own.
                if !words.starts_with("invalid argument") {
                    assert_eq!(answer["error"]["message"], expected["error"]["message"], "{name}");
                }
                checked += 1;
            }
            _ => {}
        }
    }
    assert_eq!(checked, EXCHANGES.lines().filter(|line| line.starts_with(">> ")).count());
}

#[tokio::test]
async fn the_node_says_what_it_can_be_asked_for() {
    let served = dev().await;
    let capabilities = served.call("eth_capabilities", json!([])).await;
    let from_genesis = json!({ "disabled": false, "oldestBlock": "0x0" });
    for resource in ["state", "tx", "logs", "receipts", "blocks", "stateproofs"] {
        assert_eq!(capabilities[resource], from_genesis, "{resource}");
    }
    assert_eq!(capabilities["head"]["number"], "0x0");
    let config = served.call("eth_config", json!([])).await;
    assert_eq!((&config["current"]["chainId"], &config["next"]), (&json!("0x7a69"), &Value::Null));
    assert!(config["current"]["forkId"].as_str().unwrap().len() == 10, "{config}");
    // A dev chain has a delegate.
    assert!(config["current"]["precompiles"]["CRYPTO_DELEGATE"].is_string(), "{config}");
}

#[tokio::test]
async fn slots_of_several_accounts_are_read_at_once() {
    let served = dev().await;
    let receipt = served.send(json!({ "from": account(0), "data": logging(B256::ZERO) })).await;
    assert_eq!(number(&receipt["status"]), 1);
    let contract = receipt["contractAddress"].as_str().unwrap();
    let empty = "0xc1cadaffffffffffffffffffffffffffffffffff";
    let values = served.call("eth_getStorageValues", json!([{ contract: ["0x0", "0x1"], empty: ["0x0"] }])).await;
    let word = |value: u8| B256::with_last_byte(value);
    assert_eq!(values, json!({ contract: [word(42), word(0)], empty: [word(0)] }));
}
