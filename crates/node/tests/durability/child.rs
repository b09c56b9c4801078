//! The process that is killed: a node that makes a block per transfer and says which blocks it was told of.

use alloy::{
    consensus::{SignableTransaction, TxEip1559, TxEnvelope},
    eips::Encodable2718,
    network::TxSignerSync,
    signers::local::PrivateKeySigner,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use cryptlet_node::{
    ChainEvent, ChainSpec, NoFabric, Node, NodeConfig, NodeHandle,
    chain_spec::{dev_accounts, dev_genesis},
    store::{ChainStore, StoreOptions},
};
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
};

const FOLDER: &str = "CRYPTLET_TEST_FOLDER";
const SYNC: &str = "CRYPTLET_TEST_SYNC";
/// Transfers on their way at once, so that blocks are built while others wait for the disk.
const IN_FLIGHT: usize = 8;

pub(crate) fn options(sync: bool) -> StoreOptions {
    // Little is kept in memory: the database also writes sorted files and compacts them while it is killed, and the tries that
    // are found are behind by few blocks or many.
    let trie_rows_buffered_bytes_max = 128 << 10;
    StoreOptions { sync, memtables_bytes: 256 << 10, trie_rows_buffered_bytes_max, ..StoreOptions::default() }
}

pub(crate) fn start(folder: &Path, options: &StoreOptions) -> NodeHandle {
    let chain = ChainStore::open(folder, options).expect("the chain opens");
    let spec = ChainSpec::from_genesis(dev_genesis(&Default::default())).expect("a valid genesis");
    Node::start(NodeConfig::default(), Arc::new(spec), chain, Arc::new(NoFabric)).expect("it starts")
}

/// If this process was started to be killed: runs until it is.
pub(crate) fn run_if_asked() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let sync = std::env::var_os(SYNC).is_some();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(make_blocks(&PathBuf::from(folder), sync))
}

async fn make_blocks(folder: &Path, sync: bool) {
    let node = start(folder, &options(sync));
    super::say("ready");
    let mut events = node.subscribe();
    let key = &dev_accounts()[0];
    let account = node.chain().latest_state().expect("a state").account(key.address()).expect("an account");
    let mut nonce = account.map_or(0, |account| account.nonce);
    for _ in 0..IN_FLIGHT {
        node.submit(transfer(key, nonce, 64)).await.expect("the pool takes it");
        nonce += 1;
    }
    loop {
        match events.recv().await.expect("the node runs") {
            ChainEvent::NewBlock(block) => {
                super::say(&format!("acknowledged {} {}", block.block.header.number, block.hash));
                node.submit(transfer(key, nonce, 64)).await.expect("the pool takes it");
                nonce += 1;
            }
            ChainEvent::Dropped { transaction, reason } => panic!("{transaction} was dropped: {reason}"),
            _ => {}
        }
    }
}

pub(crate) fn transfer(key: &PrivateKeySigner, nonce: u64, input_bytes: usize) -> Bytes {
    let mut tx = TxEip1559 {
        chain_id: 31_337,
        nonce,
        gas_limit: 21_000 + 40 * input_bytes as u64,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::left_padding_from(&(nonce % 50 + 10_000).to_be_bytes())),
        value: U256::ONE,
        // Does not compress.
        input: (0..input_bytes.div_ceil(32))
            .flat_map(|word| alloy_primitives::keccak256((nonce, word).abi()).0)
            .collect::<Vec<u8>>()
            .into(),
        ..TxEip1559::default()
    };
    let signature = key.sign_transaction_sync(&mut tx).expect("a key signs");
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}

trait Abi {
    fn abi(&self) -> Vec<u8>;
}

impl Abi for (u64, usize) {
    fn abi(&self) -> Vec<u8> {
        [self.0.to_be_bytes(), (self.1 as u64).to_be_bytes()].concat()
    }
}

/// A running child, and what it has said.
pub(crate) struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    /// The last block it was told of.
    pub(crate) acknowledged: Vec<(u64, B256)>,
}

impl Running {
    /// This test binary again, running nothing but `test`.
    pub(crate) fn start(test: &str, folder: &Path, sync: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        command.args(["--exact", "--nocapture", test]).env(FOLDER, folder).stdout(Stdio::piped());
        if sync {
            command.env(SYNC, "1");
        }
        let mut child = command.spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        while !lines.next().expect("it gets ready").expect("a line").ends_with("ready") {}
        Self { child, lines, acknowledged: Vec::new() }
    }

    /// Reads until it was told of so many more blocks.
    pub(crate) fn wait_for(&mut self, blocks: usize) {
        let wanted = self.acknowledged.len() + blocks;
        while self.acknowledged.len() < wanted {
            let line = self.lines.next().expect("it runs until it is killed").expect("a line");
            self.acknowledged.extend(acknowledgement(&line));
        }
    }

    /// Kills it, and reads what it had said until then.
    pub(crate) fn kill(mut self) -> Vec<(u64, B256)> {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        self.acknowledged.extend(self.lines.map_while(Result::ok).filter_map(|line| acknowledgement(&line)));
        self.acknowledged
    }
}

fn acknowledgement(line: &str) -> Option<(u64, B256)> {
    // A line that was cut by the kill was never said.
    let (number, hash) = line.split_once("acknowledged ")?.1.split_once(' ')?;
    Some((number.parse().ok()?, hash.parse().ok().filter(|_| hash.len() == 66)?))
}
