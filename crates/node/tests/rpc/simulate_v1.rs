//! `eth_simulateV1`. Figures that do not depend on the chain (receipts roots, gas, codes, words) are those of
//! ethereum/execution-apis `tests/eth_simulateV1`.

use crate::support::{Served, account, dev, number};
use alloy_primitives::{Address, B256, U256, address, keccak256};
use serde_json::{Value, json};

const FROM: Address = address!("c000000000000000000000000000000000000000");
const TO: Address = address!("c100000000000000000000000000000000000000");
const THIRD: Address = address!("c200000000000000000000000000000000000000");
/// Receipts root of one successful transfer without logs.
const ONE_TRANSFER: &str = "0xf78dfb743fbd92ade140711c8bbc542b5e307f0ab7984eff35d751969fe57efa";
/// The same of two.
const TWO_TRANSFERS: &str = "0x75308898d571eafb5cd8cde8278bf5b3d13c5f6ec074926de3bb895b519264e1";
/// Runtime code that returns the hash of the block before the one it runs in.
const RETURNS_PARENT_HASH: &str = "0x600143034060005260206000f3";
/// Runtime code that returns the word at slot 0.
const RETURNS_SLOT_0: &str = "0x60005460005260206000f3";

async fn simulate(served: &Served, payload: Value) -> Value {
    served.call("eth_simulateV1", json!([payload, "latest"])).await
}

async fn refusal(served: &Served, payload: Value) -> (i64, String) {
    served.error("eth_simulateV1", json!([payload, "latest"])).await
}

fn one(block: Value) -> Value {
    json!({ "blockStateCalls": [block] })
}

#[tokio::test]
async fn calls_build_on_each_other_and_blocks_on_blocks() {
    let served = dev().await;
    let head = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    let payload = json!({ "blockStateCalls": [
        {
            "stateOverrides": { FROM.to_string(): { "balance": "0x3e8" } },
            "calls": [
                { "from": FROM, "to": TO, "value": "0x3e8" },
                { "from": TO, "to": THIRD, "value": "0x3e8" },
            ],
        },
        { "calls": [{ "from": THIRD, "to": FROM, "value": "0x3e8" }] },
    ] });
    let blocks = simulate(&served, payload).await;
    let [first, second] = &blocks.as_array().unwrap()[..] else { panic!("{blocks}") };
    for call in first["calls"].as_array().unwrap() {
        let expected = json!({
            "returnData": "0x", "logs": [], "gasUsed": "0x5208", "maxUsedGas": "0x5208", "status": "0x1",
        });
        assert_eq!(*call, expected);
    }
    assert_eq!((&first["parentHash"], &second["parentHash"]), (&head["hash"], &first["hash"]));
    assert_eq!([number(&first["number"]), number(&second["number"])], [1, 2]);
    assert_eq!(number(&first["timestamp"]), number(&head["timestamp"]) + 12);
    assert_eq!(number(&second["timestamp"]), number(&head["timestamp"]) + 24);
    assert_eq!((&first["gasUsed"], &first["baseFeePerGas"]), (&json!("0xa410"), &json!("0x0")));
    assert_eq!((&first["receiptsRoot"], &second["receiptsRoot"]), (&json!(TWO_TRANSFERS), &json!(ONE_TRANSFER)));
    assert_eq!(first["transactions"].as_array().unwrap().len(), 2);
    assert_ne!(first["stateRoot"], second["stateRoot"]);
    // What a client computes of the header is the hash it is told, and nothing has happened.
    let header: alloy::consensus::Header = serde_json::from_value(first.clone()).unwrap();
    assert_eq!(json!(header.hash_slow()), first["hash"]);
    assert_eq!(served.height().await, 0);
    assert_eq!(served.call("eth_getBalance", json!([FROM, "latest"])).await, "0x0");
}

#[tokio::test]
async fn the_state_root_is_that_of_a_real_block() {
    let served = dev().await;
    // An empty block after the head has the root that the system calls make; the same block mined has the same.
    let head = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    served.call("evm_mine", json!([])).await;
    let mined = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    let overrides = json!({
        "time": mined["timestamp"], "prevRandao": mined["mixHash"], "feeRecipient": mined["miner"],
        "baseFeePerGas": mined["baseFeePerGas"], "gasLimit": mined["gasLimit"],
    });
    let payload = one(json!({ "blockOverrides": overrides }));
    let simulated = served.call("eth_simulateV1", json!([payload, head["number"]])).await;
    assert_eq!(simulated[0]["stateRoot"], mined["stateRoot"]);
    assert_eq!(simulated[0]["hash"], mined["hash"], "{simulated} {mined}");
}

#[tokio::test]
async fn transfers_are_told_as_logs_but_are_no_logs() {
    let served = dev().await;
    let block = json!({
        "stateOverrides": { FROM.to_string(): { "balance": "0x7d0" } },
        "calls": [{ "from": FROM, "to": TO, "value": "0x3e8" }],
    });
    let payload = json!({ "blockStateCalls": [block], "traceTransfers": true });
    let blocks = simulate(&served, payload).await;
    let log = &blocks[0]["calls"][0]["logs"][0];
    assert_eq!(log["address"], "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
    let transfer = keccak256("Transfer(address,address,uint256)");
    assert_eq!(log["topics"], json!([transfer, FROM.into_word(), TO.into_word()]));
    assert_eq!(log["data"], json!(B256::from(U256::from(1_000))));
    assert_eq!((&log["blockHash"], &log["logIndex"]), (&blocks[0]["hash"], &json!("0x0")));
    assert_eq!((&log["blockNumber"], &log["blockTimestamp"]), (&blocks[0]["number"], &blocks[0]["timestamp"]));
    assert_eq!(log["transactionHash"], blocks[0]["transactions"][0]);
    assert_eq!(blocks[0]["receiptsRoot"], ONE_TRANSFER);
    let bloom = format!("0x{}", "0".repeat(512));
    assert_eq!(blocks[0]["logsBloom"], bloom);
}

#[tokio::test]
async fn gaps_are_filled_with_blocks_whose_hashes_calls_can_see() {
    let served = dev().await;
    let payload = one(json!({
        "blockOverrides": { "number": "0x5" },
        "stateOverrides": { TO.to_string(): { "code": RETURNS_PARENT_HASH } },
        "calls": [{ "to": TO }],
    }));
    let blocks = simulate(&served, payload).await;
    let blocks = blocks.as_array().unwrap();
    assert_eq!(blocks.iter().map(|block| number(&block["number"])).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(blocks[4]["calls"][0]["returnData"], blocks[3]["hash"]);
    assert_eq!(blocks[3]["calls"], json!([]));
}

#[tokio::test]
async fn failures_of_calls_are_results_with_codes() {
    let served = dev().await;
    let code = |code: &str| json!({ TO.to_string(): { "code": code } });
    let payload = json!({ "blockStateCalls": [
        { "stateOverrides": code("0x60006000fd"), "calls": [{ "to": TO }] },
        { "stateOverrides": code("0xfe"), "calls": [{ "to": TO, "gas": "0x7530" }] },
    ] });
    let blocks = simulate(&served, payload).await;
    let reverted = &blocks[0]["calls"][0];
    assert_eq!(reverted["error"], json!({ "code": 3, "message": "execution reverted", "data": "0x" }));
    assert_eq!((&reverted["status"], &reverted["logs"]), (&json!("0x0"), &json!([])));
    let halted = &blocks[1]["calls"][0];
    assert_eq!(halted["error"], json!({ "code": -32015, "message": "invalid opcode: INVALID" }));
    assert_eq!((&halted["gasUsed"], &halted["returnData"]), (&json!("0x7530"), &json!("0x")));
}

#[tokio::test]
async fn what_cannot_be_simulated_is_refused_with_the_codes_of_the_specification() {
    let served = dev().await;
    let call = |call: Value| one(json!({ "calls": [call] }));
    let validated = |mut payload: Value| {
        payload["validation"] = json!(true);
        payload
    };
    let nonce = |nonce: &str| {
        json!({ "calls": [{ "from": account(0), "to": TO, "nonce": nonce }],
        "blockOverrides": { "baseFeePerGas": "0x0" }, "stateOverrides": { account(0).to_string(): { "nonce": "0xa" } } })
    };
    let moved = |from: Address, to: Address| {
        one(json!({ "stateOverrides": { from.to_string(): { "movePrecompileToAddress": to } } }))
    };
    let precompile = Address::with_last_byte(1);
    let both = json!({ TO.to_string(): { "state": {}, "stateDiff": {} } });
    let many: Vec<Value> = vec![json!({}); 257];
    let cases = [
        (json!({ "blockStateCalls": [] }), -32602, "empty input"),
        (json!({ "blockStateCalls": many }), -38026, "too many blocks"),
        (one(json!({ "blockOverrides": { "number": "0x0" } })), -38020, "block numbers must be in order: 0 <= 0"),
        (one(json!({ "blockOverrides": { "time": "0x0" } })), -38021, "block timestamps must be in order: 0 <= 0"),
        (validated(one(nonce("0x0"))), -38010, "err: nonce too low: address 0x"),
        (validated(one(nonce("0xb"))), -38011, "err: nonce too high: address 0x"),
        (
            call(json!({ "from": FROM, "to": TO, "value": "0x3e8" })),
            -38014,
            "err: insufficient funds for gas * price + value: address 0xC000000000000000000000000000000000000000 \
             have 0 want 1000 (supplied gas ",
        ),
        (
            call(json!({ "from": FROM, "to": TO, "gas": "0x0" })),
            -38013,
            "err: intrinsic gas too low: have 0, want 21000 (supplied gas 0)",
        ),
        (
            validated(one(json!({ "blockOverrides": { "baseFeePerGas": "0xa" },
                "calls": [{ "from": FROM, "to": TO, "maxFeePerGas": "0x0", "maxPriorityFeePerGas": "0x0" }] }))),
            -38012,
            "err: max fee per gas less than block base fee: address 0xC000000000000000000000000000000000000000, \
             maxFeePerGas: 0, baseFee: 10 (supplied gas ",
        ),
        (
            one(json!({ "blockOverrides": { "gasLimit": "0x5208" }, "calls": [{ "gas": "0x5209", "to": TO }] })),
            -38015,
            "block gas limit reached: 21001 >= 21000",
        ),
        (
            call(json!({ "gasPrice": "0x1", "maxFeePerGas": "0x1" })),
            -32602,
            "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified",
        ),
        (moved(FROM, TO), -32000, "account 0xC000000000000000000000000000000000000000 is not a precompile"),
        (moved(precompile, precompile), -38022, "account 0x0000000000000000000000000000000000000001: move"),
        (
            one(json!({ "stateOverrides": both })),
            -32000,
            "account 0xc100000000000000000000000000000000000000 has both 'state' and 'stateDiff'",
        ),
    ];
    for (payload, code, words) in cases {
        let (found, message) = refusal(&served, payload).await;
        assert_eq!(found, code, "{message}");
        assert!(message.to_lowercase().starts_with(&words.to_lowercase()), "{message} is not {words}");
    }
}

#[tokio::test]
async fn gas_is_handed_down_from_call_to_call() {
    let served = dev().await;
    let payload = json!({
        "blockStateCalls": [{ "calls": [{ "from": FROM, "to": TO }, { "from": FROM, "to": TO }] }],
        "returnFullTransactions": true,
    });
    let blocks = simulate(&served, payload).await;
    let [first, second] = &blocks[0]["transactions"].as_array().unwrap()[..] else { panic!("{blocks}") };
    assert_eq!(number(&first["gas"]) - number(&second["gas"]), 21_000);
    assert_eq!([&first["nonce"], &second["nonce"]], ["0x0", "0x1"]);
    assert_eq!((&first["from"], &first["type"]), (&json!(FROM.to_string().to_lowercase()), &json!("0x2")));
    assert_eq!([&first["v"], &first["r"], &first["s"], &first["yParity"]], ["0x0"; 4]);
    assert_eq!((&first["blockHash"], &first["blockNumber"]), (&blocks[0]["hash"], &blocks[0]["number"]));
}

#[tokio::test]
async fn precompiles_move_and_storage_is_replaced_or_changed() {
    let served = dev().await;
    let identity = Address::with_last_byte(4);
    let payload = json!({ "blockStateCalls": [
        {
            "stateOverrides": { identity.to_string(): { "movePrecompileToAddress": THIRD } },
            "calls": [{ "to": THIRD, "input": "0x1234" }, { "to": identity, "input": "0x1234" }],
        },
        {
            "stateOverrides": { TO.to_string(): { "code": RETURNS_SLOT_0, "stateDiff": { B256::ZERO.to_string(): B256::with_last_byte(7) } } },
            "calls": [{ "to": TO }],
        },
        { "stateOverrides": { TO.to_string(): { "state": {} } }, "calls": [{ "to": TO }] },
    ] });
    let blocks = simulate(&served, payload).await;
    let returned = |block: usize, call: usize| blocks[block]["calls"][call]["returnData"].clone();
    assert_eq!((returned(0, 0), returned(0, 1)), (json!("0x1234"), json!("0x")));
    assert_eq!((returned(1, 0), returned(2, 0)), (json!(B256::with_last_byte(7)), json!(B256::ZERO)));
    // The same move in eth_call.
    let moved = json!({ identity.to_string(): { "movePrecompileToAddress": THIRD } });
    let output = served.call("eth_call", json!([{ "to": THIRD, "input": "0x5678" }, "latest", moved])).await;
    assert_eq!(output, "0x5678");
}

#[tokio::test]
async fn withdrawals_are_paid_out() {
    let served = dev().await;
    let withdrawal = json!({ "index": "0x0", "validatorIndex": "0x0", "address": FROM, "amount": "0x1" });
    let payload = json!({ "blockStateCalls": [
        { "blockOverrides": { "withdrawals": [withdrawal] } },
        { "calls": [{ "from": FROM, "to": TO, "value": "0x3b9aca00" }] },
    ] });
    let blocks = simulate(&served, payload).await;
    assert_eq!(
        blocks[0]["withdrawals"],
        json!([{ "index": "0x0", "validatorIndex": "0x0",
        "address": FROM.to_string().to_lowercase(), "amount": "0x1" }])
    );
    assert_eq!(blocks[1]["calls"][0]["status"], "0x1");
}
