//! Transactions, their blocks and receipts.

use crate::support::{account, big, dev, hash, logging, number};
use alloy::{
    eips::eip2718::Decodable2718,
    network::{EthereumWallet, TransactionBuilder},
    primitives::utils::parse_ether,
    providers::{Provider, ProviderBuilder},
    rpc::types::TransactionRequest,
};
use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_rlp::Decodable;
use cryptlet_node::{chain_spec::dev_accounts, types::Transaction};
use serde_json::{Value, json};

#[tokio::test]
async fn a_transfer_is_in_a_block_with_the_next_request() {
    let served = dev().await;
    let receipt = served.send(json!({ "from": account(0), "to": account(1), "value": "0x5" })).await;
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(receipt["type"], "0x2");
    assert_eq!(number(&receipt["gasUsed"]), 21_000);
    assert_eq!(number(&receipt["blockNumber"]), 1);
    assert_eq!(receipt["contractAddress"], Value::Null);
    assert_eq!(receipt["logs"], json!([]));

    let by_hash = served.call("eth_getTransactionByHash", json!([receipt["transactionHash"]])).await;
    assert_eq!(by_hash["blockHash"], receipt["blockHash"]);
    assert_eq!(by_hash["value"], "0x5");
    assert_eq!(big(&by_hash["gasPrice"]), big(&receipt["effectiveGasPrice"]));
    let by_index = json!([receipt["blockHash"], "0x0"]);
    assert_eq!(served.call("eth_getTransactionByBlockHashAndIndex", by_index).await, by_hash);
    assert_eq!(served.call("eth_getTransactionByBlockNumberAndIndex", json!(["latest", "0x0"])).await, by_hash);
    assert_eq!(served.call("eth_getTransactionByBlockNumberAndIndex", json!(["latest", "0x1"])).await, Value::Null);
    assert_eq!(served.call("eth_getTransactionBySenderAndNonce", json!([account(0), "0x0"])).await, by_hash);
    assert_eq!(served.call("eth_getBlockReceipts", json!(["latest"])).await, json!([receipt]));

    let raw: Bytes =
        serde_json::from_value(served.call("eth_getRawTransactionByHash", json!([by_hash["hash"]])).await).unwrap();
    assert_eq!(Transaction::decode_2718(&mut &raw[..]).unwrap().tx_hash(), &hash(&by_hash["hash"]));
}

#[tokio::test]
async fn a_block_is_shown_as_ethereum_clients_expect_it() {
    let served = dev().await;
    let receipt = served.send(json!({ "from": account(0), "to": account(1), "value": "0x5" })).await;
    let block = served.call("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(block["hash"], receipt["blockHash"]);
    assert_eq!(block["transactions"], json!([receipt["transactionHash"]]));
    assert_eq!(block["nonce"], "0x0000000000000000");
    assert_eq!(block["uncles"], json!([]));
    assert_eq!(block["withdrawals"], json!([]));
    for field in ["requestsHash", "parentBeaconBlockRoot", "logsBloom", "stateRoot", "receiptsRoot", "mixHash"] {
        assert!(block[field].is_string(), "{field}: {block}");
    }
    let full = served.call("eth_getBlockByHash", json!([block["hash"], true])).await;
    assert_eq!(full["transactions"][0]["hash"], receipt["transactionHash"]);
    let raw: Bytes = serde_json::from_value(served.call("debug_getRawBlock", json!(["latest"])).await).unwrap();
    assert_eq!(number(&block["size"]), raw.len() as u64);
    let header: Bytes = serde_json::from_value(served.call("debug_getRawHeader", json!(["latest"])).await).unwrap();
    assert_eq!(keccak256(&header), hash(&block["hash"]));
    cryptlet_node::types::Block::decode(&mut &raw[..]).unwrap();

    assert_eq!(served.call("eth_getBlockTransactionCountByNumber", json!(["latest"])).await, "0x1");
    assert_eq!(served.call("eth_getUncleCountByBlockHash", json!([block["hash"]])).await, "0x0");
    assert_eq!(served.call("eth_getUncleByBlockNumberAndIndex", json!(["latest", "0x0"])).await, Value::Null);
}

#[tokio::test]
async fn what_is_not_there_is_null() {
    let served = dev().await;
    let nothing = B256::repeat_byte(9);
    assert_eq!(served.call("eth_getBlockByNumber", json!(["0x99", false])).await, Value::Null);
    for method in ["eth_getBlockByHash", "eth_getTransactionByHash", "eth_getTransactionReceipt"] {
        assert_eq!(served.call(method, json!([nothing])).await, Value::Null, "{method}");
    }
    assert_eq!(served.call("eth_getBlockReceipts", json!(["0x99"])).await, Value::Null);
    let (code, message) = served.error("eth_getBalance", json!([account(0), "0x99"])).await;
    assert_eq!((code, message.as_str()), (-32000, "header not found"));
}

#[tokio::test]
async fn every_block_tag_means_a_block() {
    let served = dev().await;
    served.send(json!({ "from": account(0), "to": account(1) })).await;
    let height = |tag: &'static str| {
        let served = &served;
        async move { number(&served.call("eth_getBlockByNumber", json!([tag, false])).await["number"]) }
    };
    assert_eq!(height("earliest").await, 0);
    assert_eq!(height("latest").await, 1);
    assert_eq!(height("safe").await, 1);
    assert_eq!(height("finalized").await, 1);
    assert_eq!(height("pending").await, 2);
    let pending = served.call("eth_getBlockByNumber", json!(["pending", true])).await;
    assert_eq!((&pending["hash"], &pending["nonce"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn state_is_read_at_any_block() {
    let served = dev().await;
    let to = account(1);
    let before = big(&served.call("eth_getBalance", json!([to, "latest"])).await);
    let receipt = served.send(json!({ "from": account(0), "to": to, "value": "0x5" })).await;
    assert_eq!(big(&served.call("eth_getBalance", json!([to])).await), before + U256::from(5));
    assert_eq!(big(&served.call("eth_getBalance", json!([to, "0x0"])).await), before);
    let by_hash = json!([to, { "blockHash": receipt["blockHash"], "requireCanonical": true }]);
    assert_eq!(big(&served.call("eth_getBalance", by_hash).await), before + U256::from(5));
    assert_eq!(served.call("eth_getTransactionCount", json!([account(0), "latest"])).await, "0x1");
    assert_eq!(served.call("eth_getTransactionCount", json!([account(0), "earliest"])).await, "0x0");
}

#[tokio::test]
async fn a_creation_leaves_code_storage_and_a_proof_of_both() {
    let served = dev().await;
    let receipt = served.send(json!({ "from": account(0), "data": logging(B256::repeat_byte(7)) })).await;
    let address = receipt["contractAddress"].clone();
    assert_eq!(address, json!(account(0).create(0)));
    assert_eq!(served.call("eth_getCode", json!([address, "latest"])).await, "0x00");
    let word = served.call("eth_getStorageAt", json!([address, "0x0", "latest"])).await;
    assert_eq!(word, json!(B256::from(U256::from(42))));
    assert_eq!(served.call("eth_getStorageAt", json!([address, "0x0", "0x0"])).await, json!(B256::ZERO));

    let proof: alloy::rpc::types::EIP1186AccountProofResponse =
        serde_json::from_value(served.call("eth_getProof", json!([address, ["0x0", "0x1"], "latest"])).await).unwrap();
    let root = hash(&served.call("eth_getBlockByNumber", json!(["latest", false])).await["stateRoot"]);
    let account = alloy_trie::TrieAccount {
        nonce: proof.nonce,
        balance: proof.balance,
        storage_root: proof.storage_hash,
        code_hash: proof.code_hash,
    };
    let key = alloy_trie::Nibbles::unpack(keccak256(proof.address));
    alloy_trie::proof::verify_proof(root, key, Some(alloy_rlp::encode(account)), &proof.account_proof).unwrap();
    let [full, empty] = &proof.storage_proof[..] else { panic!("two slots") };
    let slot = |slot: u64| alloy_trie::Nibbles::unpack(keccak256(B256::from(U256::from(slot))));
    let value = Some(alloy_rlp::encode(full.value));
    alloy_trie::proof::verify_proof(proof.storage_hash, slot(0), value, &full.proof).unwrap();
    alloy_trie::proof::verify_proof(proof.storage_hash, slot(1), None, &empty.proof).unwrap();
}

#[tokio::test]
async fn a_batch_of_raw_transactions_finds_all_their_receipts() {
    const EACH: u64 = 20;
    let served = dev().await;
    let mut batch = Vec::new();
    for nonce in 0..EACH {
        for sender in 0..3 {
            let request =
                json!([{ "from": account(sender), "to": account(4), "value": "0x1", "nonce": format!("{nonce:#x}") }]);
            batch.push(("eth_sendRawTransaction", json!([served.call("eth_signTransaction", request).await["raw"]])));
        }
    }
    // Refused in the middle and at the end of those that follow each other, and parameters that are none.
    let again = batch[0].clone();
    batch.insert(30, again);
    batch.extend([("eth_sendRawTransaction", json!(["0x00"])), ("eth_sendRawTransaction", json!([]))]);
    let sent = batch.len();
    let hashes = batch.iter().filter_map(|(_, params)| serde_json::from_value::<Bytes>(params[0].clone()).ok());
    let receipts = hashes.map(|raw| ("eth_getTransactionReceipt", json!([keccak256(raw)]))).collect::<Vec<_>>();
    batch.push(("eth_getTransactionCount", json!([account(2), "latest"])));
    batch.extend(receipts);
    let requests = batch.iter().enumerate();
    let requests = requests
        .map(|(id, (method, params))| json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));

    let answers = served.post(Value::from(requests.collect::<Vec<_>>()).to_string()).await;
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), batch.len());
    let refused = answers[..sent]
        .iter()
        .filter(|answer| answer.get("error").is_some())
        .map(|answer| answer["id"].as_u64().unwrap());
    assert_eq!(refused.collect::<Vec<_>>(), [30, sent as u64 - 2, sent as u64 - 1]);
    assert_eq!(number(&answers[sent]["result"]), EACH);
    let missing = answers[sent + 1..].iter().filter(|answer| answer["result"].is_null()).count();
    assert_eq!(missing, 1, "of 0x00, which is none");
    assert_eq!(served.height().await, 3 * EACH);
}

#[tokio::test]
async fn a_raw_transaction_can_be_waited_for() {
    let served = dev().await;
    let request = json!([{ "from": account(0), "to": account(1), "value": "0x1" }]);
    let signed = served.call("eth_signTransaction", request).await;
    let receipt = served.call("eth_sendRawTransactionSync", json!([signed["raw"]])).await;
    assert_eq!(receipt["transactionHash"], signed["tx"]["hash"]);
    assert_eq!(receipt["status"], "0x1");
}

#[tokio::test]
async fn alloy_deploys_and_transfers_like_on_any_node() {
    let served = dev().await;
    let wallet = EthereumWallet::from(dev_accounts()[3].clone());
    let provider = ProviderBuilder::new().wallet(wallet).connect_http(served.url().parse().unwrap());
    let code: Bytes = logging(B256::repeat_byte(1)).parse().unwrap();
    let creation = TransactionRequest::default().with_deploy_code(code);
    let receipt = provider.send_transaction(creation).await.unwrap().get_receipt().await.unwrap();
    assert!(receipt.status() && receipt.contract_address.is_some());
    assert_eq!(receipt.inner.logs().len(), 1);
    let transfer = TransactionRequest::default().with_to(account(4)).with_value(parse_ether("1").unwrap());
    let receipt = provider.send_transaction(transfer).await.unwrap().get_receipt().await.unwrap();
    assert_eq!(receipt.gas_used, 21_000);
    assert_eq!(provider.get_balance(account(4)).await.unwrap(), parse_ether("10001").unwrap());
    let block = provider.get_block(receipt.block_hash.unwrap().into()).full().await.unwrap().unwrap();
    assert_eq!(block.header.hash, block.header.inner.hash_slow());
}
