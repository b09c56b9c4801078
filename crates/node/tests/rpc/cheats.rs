//! Every cheat: what it answers, what is seen at once, and what the next block has of it.

use crate::support::{Served, account, big, dev, number, serve_node};
use alloy_primitives::{Address, B256, U256, hex};
use cryptlet_node::{ChainSpec, NoFabric, Node, NodeConfig, chain_spec::dev_genesis, store::ChainStore};
use cryptlet_primitives::FabricLimits;
use serde_json::{Value, json};
use std::sync::Arc;

/// A contract that answers every call with the slot keccak256(first two arguments): a token's books.
pub(crate) const BOOKS: &str = "0x6040600460003760406000205460005260206000f3";
const ETHER: &str = "0xde0b6b3a7640000";

fn stranger() -> Address {
    Address::repeat_byte(0xaa)
}

async fn balance(served: &Served, of: Address) -> U256 {
    big(&served.call("eth_getBalance", json!([of, "latest"])).await)
}

/// A dev chain that was not told to take development edits.
async fn strict() -> Served {
    let mut genesis = dev_genesis(&FabricLimits::default());
    genesis.config.extra_fields.remove("cryptletDevEdits");
    let spec = Arc::new(ChainSpec::from_genesis(genesis).unwrap());
    let node = Node::start(NodeConfig::default(), spec, ChainStore::in_memory(), Arc::new(NoFabric)).unwrap();
    serve_node(node, |_| ()).await
}

#[tokio::test]
async fn balances_are_seen_at_once_and_stay() {
    let served = dev().await;
    for (method, done) in [("anvil_setBalance", Value::Null), ("hardhat_setBalance", json!(true))] {
        assert_eq!(served.call(method, json!([stranger(), ETHER])).await, done);
        assert_eq!(balance(&served, stranger()).await, big(&json!(ETHER)));
    }
    served.call("tenderly_addBalance", json!([stranger(), "0x1"])).await;
    served.call("anvil_addBalance", json!([stranger(), 2])).await;
    assert_eq!(balance(&served, stranger()).await, big(&json!(ETHER)) + U256::from(3));
    served.call("evm_mine", json!([])).await;
    assert_eq!(balance(&served, stranger()).await, big(&json!(ETHER)) + U256::from(3));
    assert_eq!(big(&served.call("eth_getBalance", json!([stranger(), "0x0"])).await), U256::ZERO, "the past is past");
    served.call("evm_setAccountBalance", json!([stranger(), "0x0"])).await;
    assert_eq!(balance(&served, stranger()).await, U256::ZERO);
}

#[tokio::test]
async fn nonces_code_and_storage_are_set() {
    let served = dev().await;
    assert!(served.call("anvil_setNonce", json!([stranger(), "0x7"])).await.is_null());
    assert_eq!(served.call("eth_getTransactionCount", json!([stranger(), "latest"])).await, "0x7");
    served.call("evm_setAccountNonce", json!([stranger(), "0x9"])).await;
    assert_eq!(served.call("eth_getTransactionCount", json!([stranger(), "pending"])).await, "0x9");
    let (code, message) = served.error("hardhat_setNonce", json!([stranger(), "0x1"])).await;
    assert_eq!((code, &*message), (-32000, "New nonce (1) must not be smaller than the existing nonce (9)"));
    assert_eq!(served.call("hardhat_setCode", json!([stranger(), "0x602a60005260206000f3"])).await, true);
    assert_eq!(served.call("eth_getCode", json!([stranger(), "latest"])).await, "0x602a60005260206000f3");
    let answer = served.call("eth_call", json!([{ "to": stranger() }, "latest"])).await;
    assert_eq!(big(&answer), U256::from(0x2a));
    let word = B256::with_last_byte(5);
    assert_eq!(served.call("anvil_setStorageAt", json!([stranger(), "0x1", word])).await, true);
    assert_eq!(served.call("hardhat_setStorageAt", json!([stranger(), "0x2", word])).await, true);
    for block in ["latest", "pending", "0x0"] {
        let shown = served.call("eth_getStorageAt", json!([stranger(), "0x1", block])).await;
        assert_eq!(shown, json!(word), "{block}: the head by its number is the head");
    }
    served.call("evm_mine", json!([])).await;
    assert_eq!(served.call("eth_getStorageAt", json!([stranger(), "0x2", "latest"])).await, json!(word));
    assert_eq!(served.call("eth_getCode", json!([stranger(), "0x0"])).await, "0x");
    served.call("anvil_setCode", json!([stranger(), "0x"])).await;
    assert_eq!(served.call("eth_getCode", json!([stranger(), "latest"])).await, "0x");
    let (code, message) = served.error("anvil_setCode", json!([stranger(), "0xef0100"])).await;
    assert!(code == -32000 && message.contains("EIP-7702"), "{code} {message}");
}

#[tokio::test]
async fn slots_of_an_account_with_nothing_else_are_kept() {
    let served = dev().await;
    let word = B256::with_last_byte(5);
    served.call("anvil_setStorageAt", json!([stranger(), "0x1", word])).await;
    assert_eq!(served.call("eth_getStorageAt", json!([stranger(), "0x1", "latest"])).await, json!(word));
    served.call("evm_mine", json!([])).await;
    assert_eq!(served.call("eth_getStorageAt", json!([stranger(), "0x1", "latest"])).await, json!(word));
}

#[tokio::test]
async fn what_was_set_is_in_the_next_blocks_record() {
    let served = dev().await;
    assert!(served.call("cryptlet_getDevEdits", json!(["pending"])).await.is_null());
    served.call("anvil_setBalance", json!([stranger(), "0x5"])).await;
    let pending = served.call("cryptlet_getDevEdits", json!(["pending"])).await;
    served.call("evm_mine", json!([])).await;
    assert!(served.call("cryptlet_getDevEdits", json!(["pending"])).await.is_null());
    let edits = served.call("cryptlet_getDevEdits", json!(["0x1"])).await;
    assert_eq!(edits, pending);
    assert_eq!(edits["accounts"][stranger().to_string().to_lowercase()]["balance"], "0x5");
    let raw = served.call("cryptlet_getRawBlock", json!(["0x1"])).await;
    assert!(raw["requests"].as_array().unwrap().iter().any(|request| request.as_str().unwrap().starts_with("0xce")));
    served.call("evm_mine", json!([])).await;
    assert!(served.call("cryptlet_getDevEdits", json!(["0x2"])).await.is_null(), "once is enough");
}

#[tokio::test]
async fn whoever_is_impersonated_sends_and_nobody_else() {
    let served = dev().await;
    let transfer = json!({ "from": stranger(), "to": account(1), "value": "0x1" });
    assert!(served.error("eth_sendTransaction", json!([transfer])).await.1.starts_with("unknown account"));
    served.call("anvil_setBalance", json!([stranger(), ETHER])).await;
    // A contract may be impersonated too (EIP-3607).
    served.call("anvil_setCode", json!([stranger(), "0x00"])).await;
    assert!(served.call("anvil_impersonateAccount", json!([stranger()])).await.is_null());
    let accounts = served.call("eth_accounts", json!([])).await;
    assert!(accounts.as_array().unwrap().contains(&json!(stranger())));
    for kind in [
        transfer.clone(),
        json!({ "from": stranger(), "to": account(1), "gasPrice": "0x77359400", "type": "0x0" }),
        json!({ "from": stranger(), "to": account(1), "accessList": [], "gasPrice": "0x77359400" }),
    ] {
        let receipt = served.send(kind).await;
        assert_eq!((&receipt["status"], &receipt["from"]), (&json!("0x1"), &json!(stranger())));
        let shown = served.call("eth_getTransactionByHash", json!([receipt["transactionHash"]])).await;
        assert_eq!(shown["from"], json!(stranger()));
        let block = receipt["blockNumber"].clone();
        let edits = served.call("cryptlet_getDevEdits", json!([block])).await;
        assert_eq!(edits["impersonated"]["0"], json!(stranger()));
        let trace = served.call("debug_traceTransaction", json!([receipt["transactionHash"]])).await;
        assert_eq!(trace["failed"], false);
        // What nobody signed is not taken as if somebody had.
        let raw = served.call("eth_getRawTransactionByHash", json!([receipt["transactionHash"]])).await;
        assert!(served.error("eth_sendRawTransaction", json!([raw])).await.1.starts_with("invalid sender"));
    }
    served.call("anvil_stopImpersonatingAccount", json!([stranger()])).await;
    assert!(served.error("eth_sendTransaction", json!([transfer])).await.1.starts_with("unknown account"));
    served.call("hardhat_autoImpersonateAccount", json!([true])).await;
    served.send(transfer.clone()).await;
    served.call("anvil_autoImpersonateAccount", json!([false])).await;
    assert!(served.error("eth_sendTransaction", json!([transfer])).await.1.starts_with("unknown account"));
    let hash = served.call("eth_sendUnsignedTransaction", json!([transfer])).await;
    assert_eq!(served.call("eth_getTransactionReceipt", json!([hash])).await["status"], "0x1");
}

#[tokio::test]
async fn equal_transactions_of_two_senders_have_two_hashes() {
    let served = dev().await;
    served.call("anvil_autoImpersonateAccount", json!([true])).await;
    let mut hashes = Vec::new();
    for sender in [stranger(), Address::repeat_byte(0xbb)] {
        served.call("anvil_setBalance", json!([sender, ETHER])).await;
        let same = json!({ "from": sender, "to": account(1), "gas": "0x5208", "gasPrice": "0x77359400" });
        hashes.push(served.call("eth_sendTransaction", json!([same])).await);
    }
    assert_ne!(hashes[0], hashes[1]);
}

#[tokio::test]
async fn the_next_header_is_as_it_was_set() {
    let served = dev().await;
    let randao = B256::repeat_byte(0x77);
    served.call("hardhat_setCoinbase", json!([stranger()])).await;
    served.call("hardhat_setPrevRandao", json!([randao])).await;
    served.call("anvil_setNextBlockBaseFeePerGas", json!(["0x77359400"])).await;
    assert_eq!(served.call("evm_setBlockGasLimit", json!(["0x5f5e100"])).await, true);
    let pending = served.call("eth_getBlockByNumber", json!(["pending", false])).await;
    served.call("evm_mine", json!([])).await;
    let block = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    for field in ["miner", "mixHash", "baseFeePerGas", "gasLimit"] {
        assert_eq!(block[field], pending[field], "{field}");
    }
    assert_eq!(block["miner"], json!(stranger()));
    assert_eq!(block["mixHash"], json!(randao));
    assert_eq!((&block["baseFeePerGas"], &block["gasLimit"]), (&json!("0x77359400"), &json!("0x5f5e100")));
    served.call("evm_mine", json!([])).await;
    let next = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!((&next["miner"], &next["gasLimit"]), (&json!(stranger()), &json!("0x5f5e100")), "those two stay");
    assert_ne!(next["mixHash"], json!(randao));
    assert!(number(&next["baseFeePerGas"]) < 0x7735_9400);
    let (code, message) = served.error("anvil_setMinGasPrice", json!(["0x1"])).await;
    assert_eq!((code, &*message), (-32602, "anvil_setMinGasPrice is not supported when EIP-1559 is active"));
    assert!(served.error("anvil_setChainId", json!([1])).await.1.contains("genesis"));
    assert_eq!(served.error("anvil_setBlockGasLimit", json!(["0x1"])).await.0, -32602);
}

#[tokio::test]
async fn a_transaction_waits_for_the_balance_that_a_cheat_gives() {
    let served = dev().await;
    served.call("anvil_impersonateAccount", json!([stranger()])).await;
    let transfer = json!({ "from": stranger(), "to": account(1), "gas": "0x5208", "value": "0x1" });
    assert!(served.error("eth_sendTransaction", json!([transfer])).await.1.contains("insufficient funds"));
    served.call("anvil_setBalance", json!([stranger(), ETHER])).await;
    served.send(transfer).await;
}

#[tokio::test]
async fn a_snapshot_keeps_what_was_set_before_it_and_forgets_what_came_after() {
    let served = dev().await;
    served.call("anvil_setBalance", json!([stranger(), "0x5"])).await;
    let snapshot = served.call("evm_snapshot", json!([])).await;
    let later = served.call("anvil_snapshot", json!([])).await;
    let metadata = served.call("anvil_metadata", json!([])).await;
    assert_eq!(metadata["snapshots"][snapshot.as_str().unwrap()][0], 0);
    served.call("anvil_setBalance", json!([stranger(), "0x6"])).await;
    served.call("evm_increaseTime", json!([86_400])).await;
    served.call("evm_mine", json!([])).await;
    served.call("anvil_setBalance", json!([stranger(), "0x7"])).await;
    assert_eq!(balance(&served, stranger()).await, U256::from(7));
    assert_eq!(served.call("evm_revert", json!([snapshot])).await, true);
    assert_eq!(balance(&served, stranger()).await, U256::from(5));
    assert_eq!(served.height().await, 0);
    assert_eq!(served.call("anvil_revert", json!([later])).await, false, "it went with the one before it");
    served.call("evm_mine", json!([])).await;
    assert_eq!(balance(&served, stranger()).await, U256::from(5));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let block = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    assert!(number(&block["timestamp"]) < now + 1_000, "the time is that of the snapshot again");
}

#[tokio::test]
async fn tokens_are_dealt_by_finding_their_slot() {
    let served = dev().await;
    let token = Address::repeat_byte(0x70);
    served.call("anvil_setCode", json!([token, BOOKS])).await;
    let balance_of = |owner: Address| {
        let data = [&hex!("70a08231")[..], owner.into_word().as_slice()].concat();
        json!([{ "to": token, "data": hex::encode_prefixed(data) }, "latest"])
    };
    assert!(served.call("anvil_dealERC20", json!([account(0), token, "0x64"])).await.is_null());
    assert_eq!(big(&served.call("eth_call", balance_of(account(0))).await), U256::from(0x64));
    assert_eq!(served.call("hardhat_dealERC20", json!([account(1), token, "0x65"])).await, true);
    assert_eq!(big(&served.call("eth_call", balance_of(account(1))).await), U256::from(0x65));
    assert!(served.call("anvil_setERC20Allowance", json!([account(0), account(1), token, "0x66"])).await.is_null());
    let words = [account(0).into_word(), account(1).into_word()].concat();
    let data = hex::encode_prefixed([&hex!("dd62ed3e")[..], &words].concat());
    assert_eq!(big(&served.call("eth_call", json!([{ "to": token, "data": data }])).await), U256::from(0x66));
    let (code, message) = served.error("anvil_setERC20Balance", json!([account(0), account(1), "0x1"])).await;
    assert_eq!((code, &*message), (-32603, "Unable to set ERC20 balance, no slot found"));
}

#[tokio::test]
async fn the_pool_is_emptied_by_transaction_by_sender_and_altogether() {
    let served = dev().await;
    served.call("evm_setAutomine", json!([false])).await;
    let send = async |from: usize| {
        served.call("eth_sendTransaction", json!([{ "from": account(from), "to": account(1) }])).await
    };
    let first = send(0).await;
    assert_eq!(served.call("anvil_dropTransaction", json!([first])).await, first);
    assert!(served.call("anvil_dropTransaction", json!([first])).await.is_null());
    assert_eq!(served.call("hardhat_dropTransaction", json!([first])).await, false);
    send(0).await;
    send(2).await;
    served.call("anvil_removePoolTransactions", json!([account(0)])).await;
    assert_eq!(served.call("txpool_status", json!([])).await, json!({ "pending": "0x1", "queued": "0x0" }));
    served.call("hardhat_dropAllTransactions", json!([])).await;
    assert_eq!(served.call("txpool_status", json!([])).await, json!({ "pending": "0x0", "queued": "0x0" }));
}

#[tokio::test]
async fn blocks_come_by_the_interval_that_was_set_and_by_the_clock() {
    let served = dev().await;
    served.call("anvil_setBlockTimestampInterval", json!([50])).await;
    served.call("anvil_mine", json!(["0x2"])).await;
    let time =
        async |block: &str| number(&served.call("eth_getBlockByNumber", json!([block, false])).await["timestamp"]);
    assert_eq!(time("0x2").await - time("0x1").await, 50);
    assert_eq!(served.call("anvil_removeBlockTimestampInterval", json!([])).await, true);
    assert_eq!(served.call("anvil_removeBlockTimestampInterval", json!([])).await, false);
    served.call("anvil_setIntervalMining", json!([1000])).await;
    assert_eq!(served.call("anvil_getIntervalMining", json!([])).await, 1000);
    assert_eq!(served.call("anvil_getAutomine", json!([])).await, false);
    served.call("evm_setIntervalMining", json!([2000])).await;
    assert_eq!(served.call("anvil_getIntervalMining", json!([])).await, 2, "hardhat's milliseconds");
    served.call("evm_setIntervalMining", json!([5])).await;
    assert_eq!(served.call("anvil_getIntervalMining", json!([])).await, 5, "anvil's seconds");
    served.call("anvil_setAutomine", json!([true])).await;
    assert!(served.call("anvil_getIntervalMining", json!([])).await.is_null());
    let now = served.call("evm_setTime", json!([4_000_000_000_u64])).await;
    assert!(now.as_u64().unwrap() > 1_000_000_000);
    let mined = served.call("evm_mine_detailed", json!([{ "blocks": 2 }])).await;
    assert_eq!(mined.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_detailed_block_shows_what_its_transactions_returned() {
    let served = dev().await;
    served.call("evm_setAutomine", json!([false])).await;
    let reverting = crate::support::reverting(&[7; 4]);
    let transaction = json!({ "from": account(0), "data": reverting, "gas": "0x186a0" });
    served.call("eth_sendTransaction", json!([transaction])).await;
    let mined = served.call("anvil_mine_detailed", json!([])).await;
    assert_eq!(mined[0]["transactions"][0]["output"], "0x07070707");
}

#[tokio::test]
async fn a_reorganization_puts_other_blocks_in_place() {
    let served = dev().await;
    for _ in 0..3 {
        served.send(json!({ "from": account(0), "to": stranger(), "value": "0x1" })).await;
    }
    let before = served.call("eth_getBlockByNumber", json!(["0x2", false])).await;
    let sent = json!([{ "from": account(0), "to": stranger(), "value": "0x64" }, 0]);
    assert!(served.call("anvil_reorg", json!([2, [sent]])).await.is_null());
    assert_eq!(served.height().await, 3);
    let after = served.call("eth_getBlockByNumber", json!(["0x2", false])).await;
    assert_ne!(before["hash"], after["hash"]);
    assert_eq!(after["transactions"].as_array().unwrap().len(), 1);
    assert_eq!(balance(&served, stranger()).await, U256::from(0x65));
    let empty = served.call("eth_getBlockByNumber", json!(["0x3", false])).await;
    assert_eq!(empty["transactions"], json!([]));
    let (code, message) = served.error("anvil_reorg", json!([9, []])).await;
    assert!(code == -32602 && message.starts_with("Reorg depth must not exceed current chain height"), "{message}");
    let (_, message) = served.error("anvil_reorg", json!([1, [[{ "from": account(0) }, 1]]])).await;
    assert!(message.starts_with("Block number for reorg tx will exceed the reorged chain height"), "{message}");
    served.call("anvil_rollback", json!([2])).await;
    assert_eq!(served.height().await, 1);
    let (code, message) = served.error("anvil_rollback", json!([2])).await;
    assert!(code == -32602 && message.starts_with("Rollback depth must not exceed"), "{message}");
}

#[tokio::test]
async fn an_empty_reorganization_still_makes_other_blocks() {
    let served = dev().await;
    served.call("anvil_mine", json!(["0x3"])).await;
    let before = served.call("eth_getBlockByNumber", json!(["0x1", false])).await;
    served.call("anvil_reorg", json!([3, []])).await;
    let after = served.call("eth_getBlockByNumber", json!(["0x1", false])).await;
    assert_ne!(before["hash"], after["hash"]);
}

#[tokio::test]
async fn a_reset_goes_back_to_where_the_node_began() {
    let served = dev().await;
    served.send(json!({ "from": account(0), "to": account(1), "value": "0x1" })).await;
    served.call("anvil_setBalance", json!([stranger(), "0x5"])).await;
    served.call("evm_increaseTime", json!([86_400])).await;
    assert_eq!(served.call("hardhat_reset", json!([])).await, true);
    assert_eq!((served.height().await, balance(&served, stranger()).await), (0, U256::ZERO));
    assert!(served.call("anvil_reset", json!([{ "forking": null }])).await.is_null());
    let forking = json!([{ "forking": { "jsonRpcUrl": "http://localhost:1", "blockNumber": 7 } }]);
    assert!(served.error("anvil_reset", forking).await.1.contains("genesis alone"));
    assert!(served.error("anvil_setRpcUrl", json!(["http://x"])).await.1.contains("genesis alone"));
}

#[tokio::test]
async fn a_chain_without_the_setting_refuses_and_names_it() {
    let served = strict().await;
    let word = B256::ZERO;
    for (method, params) in [
        ("anvil_setBalance", json!([stranger(), "0x1"])),
        ("hardhat_setNonce", json!([stranger(), "0x1"])),
        ("anvil_setCode", json!([stranger(), "0x00"])),
        ("anvil_setStorageAt", json!([stranger(), "0x0", word])),
        ("anvil_setNextBlockBaseFeePerGas", json!(["0x1"])),
        ("evm_setBlockGasLimit", json!(["0x5f5e100"])),
        ("anvil_impersonateAccount", json!([stranger()])),
        ("anvil_autoImpersonateAccount", json!([true])),
        ("eth_sendUnsignedTransaction", json!([{ "from": stranger(), "to": stranger() }])),
    ] {
        let (code, message) = served.error(method, params).await;
        assert!(code == -32000 && message.contains("cryptletDevEdits"), "{method}: {code} {message}");
    }
    // What rules allow anyway needs no setting.
    served.call("anvil_setCoinbase", json!([stranger()])).await;
    let snapshot = served.call("evm_snapshot", json!([])).await;
    served.call("evm_mine", json!([])).await;
    assert_eq!(served.call("evm_revert", json!([snapshot])).await, true);
}

#[tokio::test]
async fn small_things_are_answered_as_the_others_do() {
    let served = dev().await;
    let info = served.call("anvil_nodeInfo", json!([])).await;
    assert_eq!((&info["hardFork"], &info["transactionOrder"]), (&json!("Prague"), &json!("fees")));
    assert_eq!(served.call("anvil_getGenesisTime", json!([])).await, 0);
    assert!(served.call("anvil_getBlobByHash", json!([B256::ZERO])).await.is_null());
    assert!(served.call("anvil_getBlobsByTransactionHash", json!([B256::ZERO])).await.is_null());
    assert_eq!(served.call("hardhat_setLoggingEnabled", json!([true])).await, true);
    assert!(served.call("anvil_enableTraces", json!([])).await.is_null());
    assert_eq!(served.call("hardhat_addCompilationResult", json!(["0.8.30", {}, {}])).await, false);
    assert_eq!(served.call("hardhat_getStackTraceFailuresCount", json!([])).await, 0);
    assert_eq!(served.call("hardhat_intervalMine", json!([])).await, true);
    assert_eq!(served.height().await, 1);
    assert!(served.error("anvil_impersonateSignature", json!([])).await.1.contains("ecrecover"));
}

#[tokio::test]
async fn a_dumped_state_is_loaded_by_another_chain() {
    let (from, to) = (dev().await, dev().await);
    from.call("anvil_setBalance", json!([stranger(), ETHER])).await;
    from.call("anvil_setCode", json!([stranger(), "0x600160005500"])).await;
    from.call("anvil_setStorageAt", json!([stranger(), "0x7", B256::repeat_byte(2)])).await;
    from.call("anvil_mine", json!(["0x5"])).await;
    from.call("anvil_setNonce", json!([stranger(), "0x9"])).await;
    let dumped = from.call("anvil_dumpState", json!([])).await;
    assert!(dumped.as_str().unwrap().starts_with("0x1f8b"), "packed with gzip");
    to.call("anvil_setStorageAt", json!([stranger(), "0x8", B256::repeat_byte(3)])).await;
    assert_eq!(to.call("hardhat_loadState", json!([dumped])).await, true);
    assert_eq!(to.height().await, 5);
    assert_eq!(balance(&to, stranger()).await, big(&json!(ETHER)));
    assert_eq!(to.call("eth_getTransactionCount", json!([stranger(), "latest"])).await, "0x9", "set after the head");
    assert_eq!(to.call("eth_getCode", json!([stranger(), "latest"])).await, "0x600160005500");
    for (slot, byte) in [("0x7", 2), ("0x8", 3)] {
        let shown = to.call("eth_getStorageAt", json!([stranger(), slot, "latest"])).await;
        assert_eq!(shown, json!(B256::repeat_byte(byte)), "a state is laid over the one that is there");
    }
    let (code, message) = to.error("anvil_loadState", json!(["0x00"])).await;
    assert!(code == -32602 && message.starts_with("Failed to decode state dump"), "{code} {message}");
}
