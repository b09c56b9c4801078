//! `debug_executionWitness` put to the test: blocks are executed again by someone who has nothing but the parent's header
//! and the witness, and come to the same state root.

use crate::{
    support::{Served, account, dev, logging},
    traces::{counter, three_counts},
};
use alloy::consensus::transaction::SignerRecoverable;
use alloy_evm::{
    Evm,
    block::BlockExecutor,
    eth::{EthBlockExecutionCtx, EthBlockExecutor},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256, map::HashMap};
use alloy_rlp::Decodable;
use alloy_trie::{
    EMPTY_ROOT_HASH, KECCAK_EMPTY, Nibbles, TrieAccount,
    nodes::{RlpNode, TrieNode},
};
use cryptlet_delegate::{DelegateContext, DelegateEvm};
use cryptlet_node::{
    execute::{ReceiptMaker, evm_env},
    state::StateChanges,
    store::StoreError,
    trie::{self, Change, TrieSource},
    types::{Block, Header, RecoveredTransaction},
};
use revm::{
    DatabaseRef,
    database::{State, WrapDatabaseRef, states::bundle_state::BundleRetention},
    primitives::StorageKey,
    state::{AccountInfo, Bytecode},
};
use serde_json::json;
use std::{borrow::Cow, collections::BTreeMap};

/// Everything whoever has no state knows.
#[derive(Debug)]
struct Witness {
    nodes: HashMap<B256, Bytes>,
    codes: HashMap<B256, Bytes>,
    headers: BTreeMap<u64, B256>,
    root: B256,
}

/// Something was not in the witness.
#[derive(Debug, thiserror::Error)]
#[error("not in the witness: {0}")]
struct Missing(String);

impl revm::context::DBErrorMarker for Missing {}

impl Witness {
    async fn of(served: &Served, block: u64) -> (Self, Header) {
        let answer = served.call("debug_executionWitness", json!([format!("{block:#x}")])).await;
        let list = |name: &str| serde_json::from_value::<Vec<Bytes>>(answer[name].clone()).unwrap();
        let by_hash = |bytes: Vec<Bytes>| bytes.into_iter().map(|bytes| (keccak256(&bytes), bytes)).collect();
        let headers = list("headers");
        let parent = Header::decode(&mut headers.last().unwrap().as_ref()).unwrap();
        let numbered = headers.iter().map(|rlp| (Header::decode(&mut rlp.as_ref()).unwrap().number, keccak256(rlp)));
        let witness = Self {
            nodes: by_hash(list("state")),
            codes: by_hash(list("codes")),
            headers: numbered.collect(),
            root: parent.state_root,
        };
        (witness, parent)
    }

    /// The leaf at a key, found from a root through nodes that are each named by their hash.
    fn leaf(&self, root: B256, key: B256) -> Result<Option<Vec<u8>>, Missing> {
        if root == EMPTY_ROOT_HASH {
            return Ok(None);
        }
        let key = Nibbles::unpack(key);
        let mut reference = RlpNode::word_rlp(&root);
        let mut depth = 0;
        loop {
            match self.node(&reference)? {
                TrieNode::EmptyRoot => return Ok(None),
                TrieNode::Leaf(leaf) => return Ok((key.slice(depth..) == leaf.key).then_some(leaf.value)),
                TrieNode::Extension(extension) => {
                    if !key.slice(depth..).starts_with(&extension.key) {
                        return Ok(None);
                    }
                    depth += extension.key.len();
                    reference = extension.child;
                }
                TrieNode::Branch(branch) => {
                    let nibble = key.get(depth).unwrap();
                    let branch = branch.as_ref();
                    let mut children = branch.children();
                    let child = children.find(|(at, _)| *at == nibble).and_then(|(_, child)| child);
                    let Some(child) = child else { return Ok(None) };
                    depth += 1;
                    reference = child.clone();
                }
            }
        }
    }

    fn node(&self, reference: &RlpNode) -> Result<TrieNode, Missing> {
        let rlp = match reference.as_hash() {
            Some(hash) => self.nodes.get(&hash).ok_or_else(|| Missing(format!("node {hash}")))?.to_vec(),
            None => reference.to_vec(),
        };
        Ok(TrieNode::decode(&mut rlp.as_slice()).unwrap())
    }

    fn account(&self, address: Address) -> Result<Option<TrieAccount>, Missing> {
        let leaf = self.leaf(self.root, keccak256(address))?;
        Ok(leaf.map(|rlp| TrieAccount::decode(&mut rlp.as_slice()).unwrap()))
    }

    /// The nodes that can be reached from a root, by path.
    fn by_path(&self, root: B256) -> Paths {
        let mut paths = BTreeMap::new();
        let mut left = vec![(Nibbles::new(), RlpNode::word_rlp(&root))];
        while let Some((path, reference)) = left.pop() {
            let Ok(node) = self.node(&reference) else { continue };
            let rlp = match reference.as_hash() {
                Some(hash) => self.nodes[&hash].to_vec(),
                None => reference.to_vec(),
            };
            paths.insert(path, rlp);
            match node {
                TrieNode::Extension(extension) => left.push((path.join(&extension.key), extension.child)),
                TrieNode::Branch(branch) => {
                    for (nibble, child) in branch.as_ref().children() {
                        let mut below = path;
                        below.push(nibble);
                        left.extend(child.map(|child| (below, child.clone())));
                    }
                }
                TrieNode::Leaf(_) | TrieNode::EmptyRoot => {}
            }
        }
        Paths(paths)
    }

    /// The root of the state that these changes make.
    fn root_after(&self, changes: &StateChanges) -> B256 {
        let sorted = |mut leaves: Vec<Change>| {
            leaves.sort_unstable_by_key(|change| change.key);
            leaves
        };
        let mut leaves = Vec::new();
        for (address, change) in &changes.accounts {
            let key = Nibbles::unpack(keccak256(address));
            let Some(account) = &change.account else {
                leaves.push(Change { key, value: None });
                continue;
            };
            let before = self.account(*address).unwrap().map_or(EMPTY_ROOT_HASH, |account| account.storage_root);
            let before = if change.is_storage_wiped { EMPTY_ROOT_HASH } else { before };
            let slots = change.storage.iter().map(|(slot, value)| Change {
                key: Nibbles::unpack(keccak256(slot.to_be_bytes::<32>())),
                value: (!value.is_zero()).then(|| alloy_rlp::encode(value)),
            });
            let (storage_root, _) = trie::update(&self.by_path(before), before, &sorted(slots.collect())).unwrap();
            let code_hash = account.bytecode_hash.unwrap_or(KECCAK_EMPTY);
            let after = TrieAccount { nonce: account.nonce, balance: account.balance, storage_root, code_hash };
            leaves.push(Change { key, value: Some(alloy_rlp::encode(after)) });
        }
        trie::update(&self.by_path(self.root), self.root, &sorted(leaves)).unwrap().0
    }
}

impl DatabaseRef for Witness {
    type Error = Missing;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Missing> {
        let info = |account: TrieAccount| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            account_id: None,
            code: None,
        };
        Ok(self.account(address)?.map(info))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Missing> {
        if hash == KECCAK_EMPTY {
            return Ok(Bytecode::default());
        }
        let code = self.codes.get(&hash).ok_or_else(|| Missing(format!("code {hash}")))?;
        Ok(Bytecode::new_raw(code.clone()))
    }

    fn storage_ref(&self, address: Address, slot: StorageKey) -> Result<U256, Missing> {
        let root = self.account(address)?.map_or(EMPTY_ROOT_HASH, |account| account.storage_root);
        let leaf = self.leaf(root, keccak256(slot.to_be_bytes::<32>()))?;
        Ok(leaf.map(|rlp| U256::decode(&mut rlp.as_slice()).unwrap()).unwrap_or_default())
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Missing> {
        self.headers.get(&number).copied().ok_or_else(|| Missing(format!("header {number}")))
    }
}

/// Trie nodes by path.
struct Paths(BTreeMap<Nibbles, Vec<u8>>);

impl TrieSource for Paths {
    fn node(&self, path: &Nibbles) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(path).cloned())
    }

    fn name(&self) -> String {
        "the witness".to_owned()
    }
}

/// Executes a block with nothing but its witness, and checks everything its header says of the state.
async fn execute_statelessly(served: &Served, number: u64) {
    let (witness, parent) = Witness::of(served, number).await;
    let raw = served.call("debug_getRawBlock", json!([format!("{number:#x}")])).await;
    let raw: Bytes = serde_json::from_value(raw).unwrap();
    let block = Block::decode(&mut raw.as_ref()).unwrap();
    assert_eq!(block.header.parent_hash, parent.hash_slow());

    let spec = served.node.spec();
    let database = State::builder().with_database(WrapDatabaseRef(&witness)).with_bundle_update().build();
    let evm = DelegateEvm::new(database, evm_env(spec, &block.header), DelegateContext::default());
    let context = EthBlockExecutionCtx {
        parent_hash: block.header.parent_hash,
        parent_beacon_block_root: block.header.parent_beacon_block_root,
        ommers: &[],
        withdrawals: Some(Cow::Owned(Vec::new())),
        extra_data: block.header.extra_data.clone(),
        tx_count_hint: None,
        slot_number: None,
    };
    let rules = spec.rules(&block.header);
    let mut executor = EthBlockExecutor::new(evm, context, rules, ReceiptMaker);
    executor.apply_pre_execution_changes().unwrap();
    for transaction in &block.body.transactions {
        let sender = transaction.recover_signer().unwrap();
        let recovered = RecoveredTransaction::new_unchecked(transaction.clone(), sender);
        executor.execute_transaction(&recovered).unwrap();
    }
    let (evm, result) = executor.finish().unwrap();
    assert_eq!(result.gas_used, block.header.gas_used);
    let (mut database, _) = evm.finish();
    database.merge_transitions(BundleRetention::PlainState);
    let changes = StateChanges::from_bundle(&database.take_bundle());
    assert_eq!(witness.root_after(&changes), block.header.state_root, "block {number}");
}

#[tokio::test]
async fn blocks_are_executed_by_whoever_has_only_their_witness() {
    let served = dev().await;
    let counter = counter(&served).await;
    three_counts(&served, &counter).await;
    served.send(json!({ "from": account(0), "to": account(1), "value": "0x1" })).await;
    served.send(json!({ "from": account(0), "data": logging(B256::repeat_byte(1)) })).await;
    // Asks for the hash of the block 5 before: PUSH1 5, NUMBER, SUB, BLOCKHASH, PUSH1 0, SSTORE.
    served.send(json!({ "from": account(0), "data": "0x600543034060005500" })).await;
    // Writes a slot and clears it again in the next block, so that a trie shrinks.
    let toggle = "0x6008600c60003960086000f36000541560005500";
    let toggle = served.send(json!({ "from": account(0), "data": toggle })).await["contractAddress"].take();
    for _ in 0..2 {
        served.send(json!({ "from": account(0), "to": toggle, "gas": "0x186a0" })).await;
    }
    for number in 1..=served.height().await {
        execute_statelessly(&served, number).await;
    }
}

#[tokio::test]
async fn a_witness_of_the_past_is_the_one_the_head_had() {
    let served = dev().await;
    let counter = counter(&served).await;
    three_counts(&served, &counter).await;
    let then = served.call("debug_executionWitness", json!(["latest"])).await;
    let number = format!("{:#x}", served.height().await);
    three_counts(&served, &counter).await;
    assert_eq!(served.call("debug_executionWitness", json!([number])).await, then);
}
