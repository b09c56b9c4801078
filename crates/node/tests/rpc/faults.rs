//! A damaged database, as clients meet it: a typed error that names the damage, never a wrong answer.

use super::support::{Served, account, serve_node};
use alloy_primitives::{U256, hex};
use cryptlet_node::{
    ChainSpec, NoFabric, Node, NodeConfig,
    store::{Batch, ChainStore, KeyValue, KeyValueRead, RocksKeyValue, StoreOptions, schema::Table},
};
use serde_json::json;
use std::{path::Path, sync::Arc};

const INTERNAL_ERROR: i64 = -32603;

async fn open(folder: &Path) -> Served {
    let chain = ChainStore::open(folder, &StoreOptions::default()).expect("it opens");
    let node = Node::start(NodeConfig::default(), Arc::new(ChainSpec::dev()), chain, Arc::new(NoFabric)).unwrap();
    serve_node(node, |_| ()).await
}

async fn close(served: Served) {
    let node = served.node.clone();
    served.stop().await;
    node.stop().await;
}

/// A chain of a few transfers, and then these rows of it damaged: one bit of each value of the table.
async fn damaged(folder: &Path, table: Table) {
    let served = open(folder).await;
    for index in 1..4 {
        served.send(json!({ "from": account(0), "to": account(index), "value": "0x1" })).await;
    }
    close(served).await;
    let tables = RocksKeyValue::open(folder, &StoreOptions::default()).expect("it opens");
    let mut batch = Batch::default();
    for row in tables.range(table, &[], None) {
        let (key, mut value) = row.expect("it is sound yet");
        let last = value.len() - 1;
        value[last / 2] ^= 0x40;
        value.truncate(last);
        batch.put(table, key, value);
    }
    assert!(!batch.is_empty());
    tables.write(batch).expect("there is room");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_account_is_named_and_no_block_is_made_on_it() {
    let folder = tempfile::tempdir().unwrap();
    damaged(folder.path(), Table::Accounts).await;
    let served = open(folder.path()).await;
    let (code, message) = served.error("eth_getBalance", json!([account(0), "latest"])).await;
    assert_eq!(code, INTERNAL_ERROR, "{message}");
    assert!(message.contains("the database is damaged") && message.contains("`accounts`"), "{message}");
    let key = hex::encode(account(0));
    assert!(message.contains(&key), "{message} does not name {key}");
    // The block that would touch it is not made, and whoever asks for it is told why.
    let height = served.height().await;
    let (code, message) = served.error("evm_mine", json!([])).await;
    assert!(message.contains("the database is damaged"), "{code} {message}");
    assert_eq!(served.height().await, height);
    // What is not damaged is still answered.
    assert_eq!(served.call("eth_getBlockByNumber", json!(["latest", false])).await["number"], "0x3");
    close(served).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_trie_node_is_named_and_never_proved() {
    let folder = tempfile::tempdir().unwrap();
    damaged(folder.path(), Table::AccountTrie).await;
    let served = open(folder.path()).await;
    let slots: [U256; 0] = [];
    let (code, message) = served.error("eth_getProof", json!([account(1), slots, "latest"])).await;
    assert_eq!(code, INTERNAL_ERROR, "{message}");
    assert!(message.contains("trie node at path") && message.contains("account trie"), "{message}");
    let height = served.height().await;
    let (_, message) = served.error("evm_mine", json!([])).await;
    assert!(message.contains("trie node at path"), "{message}");
    assert_eq!(served.height().await, height);
    // The flat state is another table, and sound.
    assert_eq!(served.call("eth_getBalance", json!([account(9), "latest"])).await, "0x21e19e0c9bab2400000");
    close(served).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_bodies_and_receipts_are_named() {
    for (table, method, params) in [
        (Table::Bodies, "eth_getBlockByNumber", json!(["0x2", true])),
        (Table::Receipts, "eth_getBlockReceipts", json!(["0x2"])),
    ] {
        let folder = tempfile::tempdir().unwrap();
        damaged(folder.path(), table).await;
        let served = open(folder.path()).await;
        let (code, message) = served.error(method, params).await;
        assert_eq!(code, INTERNAL_ERROR, "{message}");
        assert!(message.contains(&format!("`{}`", table.name())), "{message}");
        assert!(served.call("eth_chainId", json!([])).await.is_string());
        close(served).await;
    }
}
