//! `testing_buildBlockV1`, and what tools ask about the node.

use crate::{
    support::{Served, account, dev, number},
    traces::{counter, word},
};
use alloy::{
    consensus::{BlockBody, EMPTY_OMMER_ROOT_HASH, proofs::calculate_transaction_root},
    eips::{
        Decodable2718,
        eip7685::{EMPTY_REQUESTS_HASH, Requests},
    },
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use cryptlet_node::{
    execute::{RecoveredBlock, replay_block},
    types::{Block, Header, Transaction},
};
use serde_json::{Value, json};

async fn signed(served: &Served, from: usize, nonce: u64, to: &Value) -> Value {
    let nonce = format!("{nonce:#x}");
    let unsigned = json!([{ "from": account(from), "to": to, "gas": "0x186a0", "nonce": nonce }]);
    served.call("eth_signTransaction", unsigned).await["raw"].take()
}

async fn attributes(served: &Served) -> (Value, Value) {
    let head = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    let attributes = json!({
        "timestamp": format!("{:#x}", number(&head["timestamp"]) + 7),
        "prevRandao": B256::repeat_byte(3),
        "suggestedFeeRecipient": account(9),
        "withdrawals": [],
        "parentBeaconBlockRoot": B256::repeat_byte(4),
    });
    (head["hash"].clone(), attributes)
}

#[tokio::test]
async fn a_block_is_built_from_the_transactions_given_and_changes_nothing() {
    let served = dev().await;
    let counter = counter(&served).await;
    let (parent, attributes) = attributes(&served).await;
    let transactions = json!([signed(&served, 1, 0, &counter).await, signed(&served, 1, 1, &counter).await]);
    let params = json!([parent, attributes, transactions, "0xc0de"]);
    let built = served.call("testing_buildBlockV1", params).await;
    let payload = &built["executionPayload"];
    assert_eq!((&payload["parentHash"], &payload["extraData"]), (&parent, &json!("0xc0de")));
    assert_eq!(payload["transactions"], transactions);
    assert_eq!((&payload["blockNumber"], &payload["timestamp"]), (&json!("0x2"), &attributes["timestamp"]));
    assert_eq!(
        (payload["prevRandao"].clone(), built["shouldOverrideBuilder"].clone()),
        (json!(B256::repeat_byte(3)), json!(false))
    );
    assert!(number(&payload["gasUsed"]) > 42_000 && number(&built["blockValue"]) > 0, "{built}");
    assert_eq!(built["blobsBundle"], json!({ "commitments": [], "proofs": [], "blobs": [] }));
    assert_eq!(served.height().await, 1, "nothing was stored");
    assert_eq!(served.call("eth_call", json!([{ "to": counter }])).await, word(0));
    // In one object, as the spec had it first: the same block.
    let object = json!([{
        "parentBlockHash": parent, "payloadAttributes": attributes, "transactions": transactions, "extraData": "0xc0de",
    }]);
    assert_eq!(
        served.call("testing_buildBlockV1", object).await["executionPayload"]["blockHash"],
        payload["blockHash"]
    );
}

#[tokio::test]
async fn what_is_built_is_what_would_be_mined() {
    let served = dev().await;
    served.call("evm_setAutomine", json!([false])).await;
    let (parent, mut attributes) = attributes(&served).await;
    served.call("eth_sendTransaction", json!([{ "from": account(0), "to": account(1), "value": "0x1" }])).await;
    let head = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    // The node's own attributes.
    let parent_hash: B256 = serde_json::from_value(parent.clone()).unwrap();
    attributes["prevRandao"] =
        json!(keccak256([b"cryptlet/prevrandao/v1".as_slice(), parent_hash.as_slice()].concat()));
    attributes["suggestedFeeRecipient"] = head["miner"].clone();
    attributes["parentBeaconBlockRoot"] = json!(B256::ZERO);
    let built = served.call("testing_buildBlockV1", json!([parent, attributes, null])).await;
    served.call("evm_setNextBlockTimestamp", json!([attributes["timestamp"]])).await;
    served.call("evm_mine", json!([])).await;
    let mined = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(built["executionPayload"]["blockHash"], mined["hash"]);
    assert_eq!(built["executionPayload"]["stateRoot"], mined["stateRoot"]);
}

#[tokio::test]
async fn withdrawals_are_paid_and_the_header_says_so() {
    let served = dev().await;
    let (parent, mut attributes) = attributes(&served).await;
    let (poor, gwei) = (Address::repeat_byte(0x77), 5_u64);
    let paid = json!([{ "index": "0x1", "validatorIndex": "0x2", "address": poor, "amount": format!("{gwei:#x}") }]);
    attributes["withdrawals"] = paid.clone();
    for transactions in [json!([signed(&served, 1, 0, &json!(account(2))).await]), json!(null)] {
        let built = served.call("testing_buildBlockV1", json!([parent, attributes, transactions])).await;
        let payload = &built["executionPayload"];
        assert_eq!(payload["withdrawals"], paid);
        // Whoever gets the payload makes the same block of it, and comes to the same state.
        let field = |name: &str| payload[name].clone();
        let number = |name: &str| number(&payload[name]);
        fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
            serde_json::from_value(value).unwrap()
        }
        let raw: Vec<Bytes> = read(field("transactions"));
        let transactions: Vec<_> = raw.iter().map(|raw| Transaction::decode_2718(&mut raw.as_ref()).unwrap()).collect();
        let body = BlockBody { transactions, ommers: vec![], withdrawals: Some(read(paid.clone())) };
        let header = Header {
            parent_hash: read(parent.clone()),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: account(9),
            state_root: read(field("stateRoot")),
            transactions_root: calculate_transaction_root(&body.transactions),
            receipts_root: read(field("receiptsRoot")),
            logs_bloom: read(field("logsBloom")),
            number: number("blockNumber"),
            gas_limit: number("gasLimit"),
            gas_used: number("gasUsed"),
            timestamp: number("timestamp"),
            mix_hash: B256::repeat_byte(3),
            base_fee_per_gas: Some(number("baseFeePerGas")),
            withdrawals_root: body.calculate_withdrawals_root(),
            blob_gas_used: Some(number("blobGasUsed")),
            excess_blob_gas: Some(number("excessBlobGas")),
            parent_beacon_block_root: Some(B256::repeat_byte(4)),
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        };
        assert_eq!(field("blockHash"), json!(header.hash_slow()));
        let (spec, chain) = (served.node.spec(), served.node.chain());
        let block = RecoveredBlock::recover_parts(spec, Block::new(header, body), Some(Requests::default())).unwrap();
        let replayed = replay_block(spec, chain, &chain.head().unwrap(), block).unwrap();
        let account = replayed.state.accounts.iter().find(|diff| diff.address == poor).expect("it was paid");
        assert_eq!(account.after.as_ref().unwrap().balance, U256::from(gwei) * U256::from(1_000_000_000));
    }
    attributes["withdrawals"] = json!(vec![paid[0].clone(); 17]);
    let error = served.error("testing_buildBlockV1", json!([parent, attributes, []])).await;
    assert_eq!(error, (-32602, "17 withdrawals; at most 16".to_owned()));
}

#[tokio::test]
async fn what_cannot_be_built_is_told() {
    let served = dev().await;
    let (parent, attributes) = attributes(&served).await;
    let late = signed(&served, 1, 5, &json!(account(2))).await;
    let error = served.error("testing_buildBlockV1", json!([parent, attributes, [late]])).await;
    assert!(error.0 == -32602 && error.1.starts_with("transaction 0: "), "{error:?}");
    let error = served.error("testing_buildBlockV1", json!([B256::ZERO, attributes, []])).await;
    assert_eq!(error, (-32602, format!("unknown parent block {}", B256::ZERO)));
    let error = served.error("testing_buildBlockV1", json!([parent, attributes, ["0x00"]])).await;
    assert_eq!(error.0, -32602);
    assert_eq!(served.error("testing_buildBlockV1", json!([parent])).await.0, -32602);
    let long = format!("0x{}", "00".repeat(33));
    assert_eq!(served.error("testing_buildBlockV1", json!([parent, attributes, [], long])).await.0, -32602);
}

#[tokio::test]
async fn the_node_tells_what_it_is_and_what_it_offers() {
    let served = dev().await;
    let modules = served.call("rpc_modules", json!([])).await;
    for name in ["eth", "debug", "trace", "ots", "erigon", "testing", "admin", "txpool", "rpc"] {
        assert_eq!(modules[name], "1.0", "{name}");
    }
    let info = served.call("admin_nodeInfo", json!([])).await;
    let genesis = served.call("eth_getBlockByNumber", json!(["0x0", false])).await;
    assert_eq!(info["protocols"]["eth"]["genesis"], genesis["hash"]);
    assert_eq!(info["protocols"]["eth"]["network"], 31337);
    assert_eq!(served.call("admin_peers", json!([])).await, json!([]));
}
