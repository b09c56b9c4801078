//! What a chain under Amsterdam shows: slots, access lists, and gas of two kinds.

use crate::support::{Served, account, dev, dev_under, hash, logging, number};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use cryptlet_node::chain_spec::EthereumHardfork;
use serde_json::{Value, json};

/// `SLOTNUM` (EIP-7843) as the answer of a call.
const SLOT_OF_THE_BLOCK: &str = "0x4b5f5260205ff3";

async fn amsterdam() -> Served {
    dev_under(EthereumHardfork::Amsterdam).await
}

async fn latest(served: &Served) -> Value {
    served.call("eth_getBlockByNumber", json!(["latest", false])).await
}

#[tokio::test]
async fn a_block_shows_what_it_accessed_and_its_header_commits_to_it() {
    let served = amsterdam().await;
    let receipt = served.send(json!({ "from": account(0), "data": logging(B256::repeat_byte(7)) })).await;
    assert_eq!(receipt["status"], "0x1");
    let block = latest(&served).await;
    assert_eq!((&block["number"], &block["slotNumber"]), (&json!("0x1"), &json!("0x1")));

    let raw: Bytes =
        serde_json::from_value(served.call("debug_getRawBlockAccessList", json!(["latest"])).await).unwrap();
    assert_eq!(keccak256(&raw), hash(&block["blockAccessListHash"]));
    let list = served.call("eth_getBlockAccessList", json!([block["hash"]])).await;
    let addresses: Vec<_> = list.as_array().unwrap().iter().map(|account| account["address"].as_str()).collect();
    assert!(addresses.is_sorted() && addresses.len() >= 8, "{addresses:?}");
    let account_of = |address: &Value| {
        let found = list.as_array().unwrap().iter().find(|account| account["address"] == *address);
        found.unwrap_or_else(|| panic!("{address} is not in {list}")).clone()
    };
    let slot = |number: u8| json!(B256::with_last_byte(number));
    let created = account_of(&receipt["contractAddress"]);
    let expected = json!({
        "address": receipt["contractAddress"],
        "storageChanges": [{ "key": slot(0), "changes": [{ "index": "0x1", "value": slot(42) }] }],
        "storageReads": [],
        "balanceChanges": [],
        "nonceChanges": [{ "index": "0x1", "value": "0x1" }],
        "codeChanges": [{ "index": "0x1", "code": "0x00" }],
    });
    assert_eq!(created, expected);
    let sender = account_of(&json!(account(0)));
    let balance = served.call("eth_getBalance", json!([account(0), "latest"])).await;
    assert_eq!(sender["balanceChanges"], json!([{ "index": "0x1", "value": balance }]));
    assert_eq!(sender["nonceChanges"], json!([{ "index": "0x1", "value": "0x1" }]));
    // The ring of block hashes (EIP-2935) is written before the transactions.
    let ring = account_of(&json!("0x0000f90827f1c53a10cb7a02335b175320002935"));
    assert_eq!(ring["storageChanges"][0]["changes"][0]["index"], "0x0");
    served.stop().await;
}

#[tokio::test]
async fn where_there_is_no_list_that_is_told() {
    let served = amsterdam().await;
    assert_eq!(served.call("eth_getBlockAccessList", json!(["0x0"])).await, json!([]));
    assert_eq!(served.call("debug_getRawBlockAccessList", json!(["earliest"])).await, json!("0xc0"));
    assert_eq!(served.call("eth_getBlockAccessList", json!([B256::ZERO])).await, Value::Null);
    served.stop().await;
    let served = dev().await;
    let error = served.error("eth_getBlockAccessList", json!(["latest"])).await;
    assert_eq!(error, (4445, "Block access list not available for pre-Amsterdam blocks".to_owned()));
    assert_eq!(latest(&served).await.get("slotNumber"), None);
    served.stop().await;
}

#[tokio::test]
async fn the_system_contracts_of_the_fork_are_told_and_are_there() {
    let served = amsterdam().await;
    let config = served.call("eth_config", json!([])).await;
    let contracts = config["current"]["systemContracts"].as_object().unwrap();
    assert_eq!(contracts.len(), 7);
    for name in ["BUILDER_DEPOSIT_CONTRACT_ADDRESS", "BUILDER_EXIT_CONTRACT_ADDRESS"] {
        assert!(served.call("eth_getCode", json!([contracts[name], "latest"])).await.as_str().unwrap().len() > 400);
    }
    // EIP-7997: as on every chain where it was deployed by a transaction.
    let factory = served.call("eth_getCode", json!(["0x4e59b44847b379578588920ca78fbf26c0b4956c", "latest"])).await;
    let code: Bytes = serde_json::from_value(factory).unwrap();
    let known = "0x2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989";
    assert_eq!(keccak256(&code).to_string(), known);
    served.stop().await;
}

#[tokio::test]
async fn what_is_estimated_is_enough_for_ether_code_and_storage() {
    let served = amsterdam().await;
    let (new, known) = (Address::repeat_byte(0x61), account(3));
    let first_ether = json!({ "from": account(0), "to": new, "value": "0x1" });
    let no_ether = json!({ "from": account(0), "to": known });
    let code = json!({ "from": account(0), "data": logging(B256::repeat_byte(7)) });
    let mut used = Vec::new();
    for transaction in [first_ether, no_ether, code] {
        let estimate = served.call("eth_estimateGas", json!([transaction])).await;
        let mut transaction = transaction;
        transaction["gas"] = estimate.clone();
        let receipt = served.send(transaction).await;
        assert_eq!(receipt["status"], "0x1");
        let (estimate, spent) = (number(&estimate), number(&receipt["gasUsed"]));
        assert!(spent <= estimate && estimate <= spent + spent / 20 + 5_000, "{estimate} was enough for {spent}");
        // What is put into the state is counted apart, and the greater sum stands in the header.
        let in_header = number(&latest(&served).await["gasUsed"]);
        assert!(in_header <= spent, "{in_header} of {spent}");
        used.push(spent);
    }
    assert!(used[0] > 100_000, "a new account is state: {used:?}");
    assert!(used[1] < 21_000, "EIP-2780: {used:?}");
    served.stop().await;
}

#[tokio::test]
async fn a_block_that_is_simulated_accesses_what_it_accesses_when_mined() {
    let served = amsterdam().await;
    let transaction = json!({ "from": account(0), "to": Address::repeat_byte(0x62), "value": "0x5", "gas": "0x30d40" });
    let simulated = served
        .call("eth_simulateV1", json!([{ "blockStateCalls": [{ "calls": [transaction] }, { "calls": [] }] }, "latest"]))
        .await;
    assert_eq!((&simulated[0]["slotNumber"], &simulated[1]["slotNumber"]), (&json!("0x1"), &json!("0x2")));
    let lists = [&simulated[0], &simulated[1]].map(|block| hash(&block["blockAccessListHash"]));
    assert_ne!(lists[0], lists[1]);
    served.send(transaction).await;
    let mined = latest(&served).await;
    assert_eq!(simulated[0]["gasUsed"], mined["gasUsed"]);
    served.stop().await;
}

#[tokio::test]
async fn a_block_is_built_for_the_slot_that_was_asked_for() {
    let served = amsterdam().await;
    let head = latest(&served).await;
    let attributes = json!({
        "timestamp": format!("{:#x}", number(&head["timestamp"]) + 7),
        "prevRandao": B256::repeat_byte(3),
        "suggestedFeeRecipient": account(9),
        "withdrawals": [{ "index": "0x1", "validatorIndex": "0x2", "address": Address::repeat_byte(0x77), "amount": "0x5" }],
        "parentBeaconBlockRoot": B256::repeat_byte(4),
        "slotNumber": "0x4d",
    });
    let built = served.call("testing_buildBlockV1", json!([head["hash"], attributes, []])).await;
    let payload = &built["executionPayload"];
    assert_eq!(payload["slotNumber"], "0x4d");
    let list: Bytes = serde_json::from_value(payload["blockAccessList"].clone()).unwrap();
    let paid = [&[0x94], Address::repeat_byte(0x77).as_slice()].concat();
    assert!(list.windows(paid.len()).any(|bytes| bytes == paid), "who is paid by a withdrawal is in the list");
    served.stop().await;
}

#[tokio::test]
async fn contracts_read_the_slot() {
    let served = amsterdam().await;
    let contract = Address::repeat_byte(0x63);
    served.call("anvil_setCode", json!([contract, SLOT_OF_THE_BLOCK])).await;
    served.call("evm_mine", json!([])).await;
    let slot = latest(&served).await["slotNumber"].clone();
    let read = served.call("eth_call", json!([{ "to": contract }, slot])).await;
    assert_eq!(read, json!(B256::from(U256::from(number(&slot)))));
    served.stop().await;
}
