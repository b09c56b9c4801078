//! Transactions that wait, and those that are not taken.

use crate::support::{Served, account, dev, number};
use serde_json::{Value, json};

async fn quiet() -> Served {
    let served = dev().await;
    served.call("evm_setAutomine", json!([false])).await;
    served
}

#[tokio::test]
async fn a_waiting_transaction_is_shown_as_pending() {
    let served = quiet().await;
    let hash = served.call("eth_sendTransaction", json!([{ "from": account(0), "to": account(1) }])).await;
    let shown = served.call("eth_getTransactionByHash", json!([hash])).await;
    assert_eq!((&shown["blockHash"], &shown["blockNumber"]), (&Value::Null, &Value::Null));
    assert_eq!(shown["transactionIndex"], Value::Null);
    assert_eq!(served.call("eth_getTransactionReceipt", json!([hash])).await, Value::Null);
    assert_eq!(served.call("eth_getTransactionCount", json!([account(0), "pending"])).await, "0x1");
    assert_eq!(served.call("eth_getTransactionCount", json!([account(0), "latest"])).await, "0x0");
    let pending = served.call("eth_getBlockByNumber", json!(["pending", false])).await;
    assert_eq!(pending["transactions"], json!([hash]));
    assert_eq!(served.call("eth_getBlockTransactionCountByNumber", json!(["pending"])).await, "0x1");

    served.call("evm_mine", json!([])).await;
    assert_eq!(served.call("eth_getTransactionReceipt", json!([hash])).await["status"], "0x1");
}

#[tokio::test]
async fn txpool_tells_pending_from_queued() {
    let served = quiet().await;
    served.call("eth_sendTransaction", json!([{ "from": account(0), "to": account(1), "gas": "0x5208" }])).await;
    let ahead = json!([{ "from": account(0), "to": account(1), "gas": "0x5208", "nonce": "0x5" }]);
    served.call("eth_sendTransaction", ahead).await;
    assert_eq!(served.call("txpool_status", json!([])).await, json!({ "pending": "0x1", "queued": "0x1" }));
    let content = served.call("txpool_content", json!([])).await;
    let sender = account(0).to_string();
    let pending = content["pending"].as_object().unwrap();
    let (address, by_nonce) = pending.iter().next().unwrap();
    assert_eq!(address.to_lowercase(), sender.to_lowercase());
    assert_eq!(number(&by_nonce["0"]["nonce"]), 0);
    assert!(content["queued"][address]["5"].is_object(), "{content}");
    let line = served.call("txpool_inspect", json!([])).await["pending"][address]["0"].clone();
    assert!(line.as_str().unwrap().contains("0 wei + 21000 gas × "), "{line}");
    let of_sender = served.call("txpool_contentFrom", json!([sender])).await;
    assert_eq!(of_sender["pending"]["0"], by_nonce["0"]);
}

#[tokio::test]
async fn refusals_of_the_pool_use_geths_words() {
    let served = dev().await;
    let signed = |transaction: Value| {
        let served = &served;
        async move { served.call("eth_signTransaction", json!([transaction])).await["raw"].clone() }
    };
    let first = signed(json!({ "from": account(0), "to": account(1), "gas": "0x5208", "nonce": "0x0" })).await;
    served.call("eth_sendRawTransaction", json!([first])).await;
    let other = json!({ "from": account(0), "to": account(2), "gas": "0x5208", "nonce": "0x0" });
    let poor = json!({ "from": account(1), "to": account(2), "gas": "0x5208", "value": "0xffffffffffffffffffff" });
    let lean = json!({ "from": account(1), "to": account(2), "gas": "0x5207" });
    for (raw, words) in [
        (signed(other).await, "nonce too low"),
        (signed(poor).await, "insufficient funds for gas * price + value"),
        (signed(lean).await, "intrinsic gas too low"),
    ] {
        let (code, message) = served.error("eth_sendRawTransaction", json!([raw])).await;
        assert_eq!(code, -32000);
        assert!(message.starts_with(words), "{message}");
    }
    assert_eq!(served.error("eth_sendRawTransaction", json!(["0x1234"])).await.0, -32000);

    served.call("evm_setAutomine", json!([false])).await;
    let waiting = signed(json!({ "from": account(3), "to": account(1), "gas": "0x5208" })).await;
    served.call("eth_sendRawTransaction", json!([waiting])).await;
    let again = served.error("eth_sendRawTransaction", json!([waiting])).await;
    assert_eq!((again.0, again.1.as_str()), (-32000, "already known"));
}

#[tokio::test]
async fn a_dropped_transaction_is_gone() {
    let served = quiet().await;
    let hash = served.call("eth_sendTransaction", json!([{ "from": account(0), "to": account(1) }])).await;
    assert_eq!(served.call("anvil_dropTransaction", json!([hash])).await, hash);
    assert_eq!(served.call("eth_getTransactionByHash", json!([hash])).await, Value::Null);
    assert_eq!(served.call("hardhat_dropTransaction", json!([hash])).await, false);
}
