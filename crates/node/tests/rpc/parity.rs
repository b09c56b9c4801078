//! Traces as OpenEthereum made them.

use crate::{
    support::{account, dev, number},
    traces::{counter, three_counts, word},
};
use alloy_primitives::B256;
use serde_json::{Value, json};

#[tokio::test]
async fn a_transaction_is_a_list_of_calls() {
    let served = dev().await;
    let counter = counter(&served).await;
    let receipt = served.send(json!({ "from": account(0), "to": counter, "gas": "0x186a0" })).await;
    let traces = served.call("trace_transaction", json!([receipt["transactionHash"]])).await;
    let expected = json!([{
        "type": "call",
        "action": {
            "from": receipt["from"], "to": counter, "callType": "call",
            "gas": traces[0]["action"]["gas"], "input": "0x", "value": "0x0",
        },
        "result": { "gasUsed": traces[0]["result"]["gasUsed"], "output": word(0) },
        "subtraces": 0,
        "traceAddress": [],
        "blockHash": receipt["blockHash"],
        "blockNumber": number(&receipt["blockNumber"]),
        "transactionHash": receipt["transactionHash"],
        "transactionPosition": 0,
    }]);
    assert_eq!(traces, expected);
    let get = |position: Value| json!([receipt["transactionHash"], position]);
    assert_eq!(served.call("trace_get", get(json!(["0x0"]))).await, expected[0]);
    assert_eq!(served.call("trace_get", get(json!(["0x1"]))).await, Value::Null);
    assert_eq!(served.call("trace_get", get(json!(["0x0", "0x0"]))).await, Value::Null);
    assert_eq!(served.call("trace_transaction", json!([B256::ZERO])).await, Value::Null);
}

#[tokio::test]
async fn a_block_is_the_calls_of_its_transactions() {
    let served = dev().await;
    let counter = counter(&served).await;
    let hashes = three_counts(&served, &counter).await;
    let traces = served.call("trace_block", json!(["latest"])).await;
    let traced: Vec<_> = traces.as_array().unwrap().iter().map(|trace| trace["transactionHash"].clone()).collect();
    assert_eq!(traced, hashes);
    assert_eq!(traces[2]["result"]["output"], word(2));
    assert_eq!(served.call("trace_block", json!(["0x0"])).await, json!([]), "the genesis block has no transactions");
    assert_eq!(served.call("trace_block", json!(["0x63"])).await, Value::Null);
}

#[tokio::test]
async fn traces_are_found_by_address_and_paged() {
    let served = dev().await;
    let counter = counter(&served).await;
    three_counts(&served, &counter).await;
    served.send(json!({ "from": account(0), "to": account(1), "value": "0x1" })).await;
    let filter = |more: Value| {
        let mut filter = json!({ "fromBlock": "earliest", "toBlock": "latest", "toAddress": [counter] });
        filter.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([filter])
    };
    let all = served.call("trace_filter", filter(json!({}))).await;
    // The creation and three calls.
    assert_eq!(all.as_array().unwrap().len(), 4);
    let page = served.call("trace_filter", filter(json!({ "after": 1, "count": 2 }))).await;
    assert_eq!(page.as_array().unwrap()[..], all.as_array().unwrap()[1..3]);
    let from_one = served.call("trace_filter", filter(json!({ "fromAddress": [account(1)] }))).await;
    assert_eq!(from_one.as_array().unwrap().len(), 1);
    let union = served.call("trace_filter", filter(json!({ "fromAddress": [account(0)], "mode": "union" }))).await;
    assert_eq!(union.as_array().unwrap().len(), 5);
    let backwards = json!([{ "fromBlock": "0x2", "toBlock": "0x1" }]);
    assert_eq!(served.error("trace_filter", backwards).await.0, -32602);
    let unknown = json!([{ "fromBlock": "0x1", "toBlock": "0x63" }]);
    assert_eq!(served.error("trace_filter", unknown).await, (-32000, "header not found".to_owned()));
}

#[tokio::test]
async fn a_call_tells_its_trace_its_steps_and_what_it_changes() {
    let served = dev().await;
    let counter = counter(&served).await;
    let call = json!({ "from": account(0), "to": counter });
    let types = json!(["trace", "vmTrace", "stateDiff"]);
    let results = served.call("trace_call", json!([call, types, "latest"])).await;
    assert_eq!(results["output"], word(0));
    assert_eq!(results["trace"][0]["action"]["to"], counter);
    assert_eq!(results["vmTrace"]["ops"].as_array().unwrap().len(), 12);
    let slot = &results["stateDiff"][counter.as_str().unwrap()]["storage"][format!("{:#066x}", 0)];
    assert_eq!(*slot, json!({ "*": { "from": word(0), "to": word(1) } }), "{results}");
    let only = served.call("trace_call", json!([call, ["trace"], "latest"])).await;
    assert_eq!((&only["vmTrace"], &only["stateDiff"]), (&Value::Null, &Value::Null));
    let many = served.call("trace_callMany", json!([[[call, ["trace"]], [call, ["trace"]]], "latest"])).await;
    assert_eq!([&many[0]["output"], &many[1]["output"]], [&word(0), &word(1)]);
    let endless = json!({ "data": "0x5b600056", "gas": "0x2faf080" });
    let error = served.error("trace_call", json!([endless, ["vmTrace"], "latest"])).await;
    assert!(error.0 == -32005 && error.1.contains("steps"), "{error:?}");
}

#[tokio::test]
async fn a_signed_transaction_is_traced_before_it_is_sent() {
    let served = dev().await;
    let counter = counter(&served).await;
    let unsigned = json!([{ "from": account(2), "to": counter, "gas": "0x186a0", "nonce": "0x0" }]);
    let signed = served.call("eth_signTransaction", unsigned).await;
    let results = served.call("trace_rawTransaction", json!([signed["raw"], ["trace"]])).await;
    assert_eq!(results["output"], word(0));
    assert_eq!(results["trace"][0]["action"]["from"], json!(account(2)));
    assert_eq!(served.height().await, 1, "it was not sent");
}

#[tokio::test]
async fn the_past_is_replayed_with_all_it_changed() {
    let served = dev().await;
    let counter = counter(&served).await;
    let hashes = three_counts(&served, &counter).await;
    let types = json!(["trace", "stateDiff"]);
    let block = served.call("trace_replayBlockTransactions", json!(["latest", types])).await;
    assert_eq!(block.as_array().unwrap().len(), 3);
    for (index, hash) in hashes.iter().enumerate() {
        let one = served.call("trace_replayTransaction", json!([hash, types])).await;
        assert_eq!(block[index]["transactionHash"], *hash);
        assert_eq!((&block[index]["trace"], &block[index]["stateDiff"]), (&one["trace"], &one["stateDiff"]));
        let change = &one["stateDiff"][counter.as_str().unwrap()]["storage"][format!("{:#066x}", 0)]["*"];
        assert_eq!(*change, json!({ "from": word(index as u64), "to": word(index as u64 + 1) }));
    }
    let missing = served.error("trace_replayTransaction", json!([B256::ZERO, types])).await;
    assert_eq!(missing, (-32000, "transaction not found".to_owned()));
}

#[tokio::test]
async fn gas_is_counted_by_opcode() {
    let served = dev().await;
    let counter = counter(&served).await;
    three_counts(&served, &counter).await;
    let block = served.call("trace_blockOpcodeGas", json!(["latest"])).await;
    let first = &block["transactions"][0];
    let of = |name: &str| first["opcodeGas"].as_array().unwrap().iter().find(|gas| gas["opcode"] == name).cloned();
    assert_eq!(of("SLOAD"), Some(json!({ "opcode": "SLOAD", "count": 1, "gasUsed": 2_100 })));
    assert_eq!(of("ADD"), Some(json!({ "opcode": "ADD", "count": 1, "gasUsed": 3 })));
    let one = served.call("trace_transactionOpcodeGas", json!([first["transactionHash"]])).await;
    assert_eq!(one, *first);
}
