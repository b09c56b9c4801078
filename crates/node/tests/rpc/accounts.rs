//! What the node signs.

use crate::support::{account, dev, serve};
use alloy_primitives::{Address, Signature};
use serde_json::{Value, json};

fn signature(value: &Value) -> Signature {
    Signature::from_raw(&alloy_primitives::hex::decode(value.as_str().unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn the_accounts_are_those_of_the_well_known_mnemonic() {
    let served = dev().await;
    let accounts = served.call("eth_accounts", json!([])).await;
    assert_eq!(accounts.as_array().unwrap().len(), 10);
    assert_eq!(accounts[0], "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");
}

#[tokio::test]
async fn messages_are_signed_as_eip_191_has_it() {
    let served = dev().await;
    let by_eth = served.call("eth_sign", json!([account(0), "0x68656c6c6f"])).await;
    let by_wallet = served.call("personal_sign", json!(["0x68656c6c6f", account(0)])).await;
    assert_eq!(by_eth, by_wallet);
    assert_eq!(signature(&by_eth).recover_address_from_msg("hello").unwrap(), account(0));
}

#[tokio::test]
async fn typed_data_is_signed_whether_it_comes_as_object_or_text() {
    let served = dev().await;
    let data = json!({
        "types": {
            "EIP712Domain": [{ "name": "name", "type": "string" }],
            "Mail": [{ "name": "to", "type": "address" }, { "name": "amounts", "type": "uint256[]" }],
        },
        "primaryType": "Mail",
        "domain": { "name": "Test" },
        "message": { "to": Address::ZERO, "amounts": [1, "2", "0x3"] },
    });
    let by_object = served.call("eth_signTypedData_v4", json!([account(0), data])).await;
    let by_text = served.call("eth_signTypedData_v4", json!([account(0), data.to_string()])).await;
    assert_eq!(by_object, by_text);
    let typed: alloy_dyn_abi::TypedData = serde_json::from_value(data).unwrap();
    let digest = typed.eip712_signing_hash().unwrap();
    assert_eq!(signature(&by_object).recover_address_from_prehash(&digest).unwrap(), account(0));
}

#[tokio::test]
async fn concurrent_sends_of_one_account_get_nonces_of_their_own() {
    let served = dev().await;
    let send = || served.call("eth_sendTransaction", json!([{ "from": account(0), "to": account(1) }]));
    let hashes = futures::future::join_all((0..20).map(|_| send())).await;
    for hash in &hashes {
        assert_eq!(served.call("eth_getTransactionReceipt", json!([hash])).await["status"], "0x1");
    }
    assert_eq!(served.call("eth_getTransactionCount", json!([account(0), "latest"])).await, "0x14");
}

#[tokio::test]
async fn a_legacy_request_becomes_a_legacy_transaction() {
    let served = dev().await;
    let receipt = served.send(json!({ "from": account(0), "to": account(1), "gasPrice": "0x77359400" })).await;
    assert_eq!(receipt["type"], "0x0");
    let both = json!([{ "from": account(0), "gasPrice": "0x1", "maxFeePerGas": "0x1" }]);
    assert_eq!(served.error("eth_sendTransaction", both).await.0, -32602);
    let other_chain = json!([{ "from": account(0), "to": account(1), "chainId": "0x1" }]);
    assert_eq!(served.error("eth_sendTransaction", other_chain).await.0, -32602);
}

#[tokio::test]
async fn a_node_without_keys_signs_for_nobody() {
    let served = serve(|config| config.insecure_accounts.clear()).await;
    assert_eq!(served.call("eth_accounts", json!([])).await, json!([]));
    let (code, message) = served.error("eth_sendTransaction", json!([{ "from": account(0), "to": account(1) }])).await;
    assert_eq!(code, -32000);
    assert!(message.starts_with("unknown account"), "{message}");
}
