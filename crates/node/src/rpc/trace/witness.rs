//! `debug_executionWitness`: everything that executing a block takes besides the block and its requests, so that whoever
//! has only the parent's header can execute it and check every root.

use crate::{
    execute::{BlockState, anchor, delegate_scope},
    rpc::{Rpc, RpcError},
    state::StateKeys,
};
use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use cryptlet_delegate::{ParentState, ParentStateError};
use jsonrpsee::proc_macros::rpc;
use parking_lot::Mutex;
use revm::{
    Inspector,
    bytecode::opcode::{SLOAD, SSTORE},
    context::ContextTr,
    interpreter::{
        Interpreter,
        interpreter_types::{InputsTr, Jumps},
    },
};
use serde::Serialize;
use std::{collections::BTreeSet, sync::Arc};

/// As reth answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Witness {
    /// RLP of the trie nodes of the parent's state, each once.
    state: Vec<Bytes>,
    /// Codes that are run or read.
    codes: Vec<Bytes>,
    /// Addresses and slots that are read or written, not hashed.
    keys: Vec<Bytes>,
    /// RLP of the headers from the oldest whose hash is asked for to the parent, ascending.
    headers: Vec<Bytes>,
}

#[rpc(server, namespace = "debug")]
pub(crate) trait DebugWitness {
    #[method(name = "executionWitness")]
    async fn execution_witness(&self, block: BlockNumberOrTag) -> Result<Witness, RpcError>;

    #[method(name = "executionWitnessByBlockHash")]
    async fn execution_witness_by_hash(&self, hash: B256) -> Result<Witness, RpcError>;

    #[method(name = "codeByHash")]
    fn code_by_hash(&self, hash: B256, block: Option<BlockId>) -> Result<Option<Bytes>, RpcError>;

    #[method(name = "dbGet")]
    fn db_get(&self, key: String) -> Result<Bytes, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl DebugWitnessServer for Rpc {
    async fn execution_witness(&self, block: BlockNumberOrTag) -> Result<Witness, RpcError> {
        self.search(move |rpc| rpc.witness(block.into())).await
    }

    async fn execution_witness_by_hash(&self, hash: B256) -> Result<Witness, RpcError> {
        self.search(move |rpc| rpc.witness(hash.into())).await
    }

    fn code_by_hash(&self, hash: B256, block: Option<BlockId>) -> Result<Option<Bytes>, RpcError> {
        Ok(self.state(block)?.code_with_hash(hash)?)
    }

    /// As reth and anvil have it: of geth's database, what every node has under the same key is code, under `c` and its hash.
    fn db_get(&self, key: String) -> Result<Bytes, RpcError> {
        let bytes = match key.strip_prefix("0x") {
            Some(digits) => hex::decode(digits).map_err(|error| RpcError::invalid(format!("the key: {error}")))?,
            None => key.into_bytes(),
        };
        let hash = bytes.strip_prefix(b"c").and_then(|hash| B256::try_from(hash).ok()).ok_or_else(|| {
            RpcError::invalid("only code is kept under a key of geth's: a byte `c` (0x63) and the 32 bytes of its hash")
        })?;
        // geth's words.
        self.state(None)?.code_with_hash(hash)?.ok_or_else(|| RpcError::refused("not found"))
    }
}

impl Rpc {
    fn witness(&self, id: BlockId) -> Result<Witness, RpcError> {
        let block = self.block(id)?.ok_or(RpcError::HeaderNotFound)?;
        let genesis = || RpcError::refused("the genesis block is not executed; it has no witness");
        let before = block.number().checked_sub(1).ok_or_else(genesis)?;
        let parent = self.node.chain().header(before)?.ok_or_else(genesis)?;
        let recovered = self.recovered(&block)?;
        let mut rerun = self.rerun(&recovered, Slots::default())?;
        let reads = Arc::new(ParentReads::of(self.node.chain().state_at(before)?));
        if let Some(scope) = delegate_scope(self.node.spec(), anchor(&parent), self.node.chain().state_at(before)?) {
            rerun.set_delegate_scope(cryptlet_delegate::DelegateScope { state: reads.clone(), ..scope });
        }
        let mut keys = StateKeys::default();
        while rerun.transactions_left() > 0 {
            let slots = rerun.watch(|watched| std::mem::take(&mut watched.inspector.0))?;
            slots.into_iter().for_each(|(address, slot)| _ = keys.entry(address).or_default().insert(slot));
        }
        let (finished, state) = rerun.finish()?;
        let changes = finished.changes();
        add_cached(&mut keys, &state);
        let (asked_slots, asked_hashes) = reads.take();
        asked_slots.into_iter().for_each(|(address, slot)| _ = keys.entry(address).or_default().insert(slot));

        let found = self.node.chain().state_witness(before, &keys, changes)?;
        if found.root_after != block.block.header.state_root {
            let words = format!("the witness of block {} leads to root {}", block.number(), found.root_after);
            return Err(RpcError::internal(words));
        }
        let codes = self.codes_before(before, &keys, &state)?;
        let oldest = (0..before).filter(|number| before - number < 256 && state.block_hashes.get(*number).is_some());
        let oldest = oldest.chain(asked_hashes).min().unwrap_or(before).min(before);
        Ok(Witness { state: found.nodes, codes, keys: plain(&keys), headers: self.headers(oldest..=before)? })
    }

    /// The codes that were loaded, of those that accounts had before the block.
    fn codes_before(&self, number: u64, keys: &StateKeys, state: &BlockState) -> Result<Vec<Bytes>, RpcError> {
        let before = self.node.chain().state_at(number)?;
        let mut hashes = BTreeSet::new();
        for address in keys.keys() {
            hashes.extend(before.account(*address)?.map(|account| account.code_hash));
        }
        let loaded = hashes.iter().filter_map(|hash| state.cache.contracts.get(hash));
        Ok(loaded.map(|code| code.original_bytes()).filter(|code| !code.is_empty()).collect())
    }

    fn headers(&self, numbers: std::ops::RangeInclusive<u64>) -> Result<Vec<Bytes>, RpcError> {
        let header = |number| {
            let header = self.node.chain().header(number)?.ok_or(RpcError::HeaderNotFound)?;
            Ok(alloy_rlp::encode(header.inner()).into())
        };
        numbers.map(header).collect()
    }
}

/// What the EVM has loaded. Slots of accounts that were destroyed on the way are not there any more: see [`Slots`].
fn add_cached(keys: &mut StateKeys, state: &BlockState) {
    for (address, cached) in &state.cache.accounts {
        let slots = keys.entry(*address).or_default();
        if let Some(account) = &cached.account {
            slots.extend(account.storage.keys());
        }
    }
}

fn plain(keys: &StateKeys) -> Vec<Bytes> {
    let mut plain: Vec<Bytes> = keys.keys().map(|address| address.to_vec().into()).collect();
    let slots: BTreeSet<U256> = keys.values().flatten().copied().collect();
    plain.extend(slots.into_iter().map(|slot| slot.to_be_bytes::<32>().to_vec().into()));
    plain
}

/// Notes the slots that are read or written.
#[derive(Debug, Default)]
struct Slots(BTreeSet<(Address, U256)>);

impl<C: ContextTr> Inspector<C> for Slots {
    fn step(&mut self, interpreter: &mut Interpreter, _: &mut C) {
        if matches!(interpreter.bytecode.opcode(), SLOAD | SSTORE)
            && let Some(slot) = interpreter.stack.data().last()
        {
            self.0.insert((interpreter.input.target_address(), *slot));
        }
    }
}

/// The parent's state as the delegate reads it, which does not go through the EVM.
#[derive(Debug)]
struct ParentReads {
    state: cryptlet_delegate::DatabaseParent<crate::state::StateSnapshot>,
    seen: Mutex<Seen>,
}

/// Slots, and heights of ancestors.
type Seen = (BTreeSet<(Address, U256)>, BTreeSet<u64>);

impl ParentReads {
    fn of(state: crate::state::StateSnapshot) -> Self {
        Self { state: cryptlet_delegate::DatabaseParent(state), seen: Mutex::default() }
    }

    fn take(&self) -> Seen {
        std::mem::take(&mut self.seen.lock())
    }
}

impl ParentState for ParentReads {
    fn storage(&self, address: Address, slot: U256) -> Result<U256, ParentStateError> {
        self.seen.lock().0.insert((address, slot));
        self.state.storage(address, slot)
    }

    fn ancestor_hash(&self, number: u64) -> Result<Option<B256>, ParentStateError> {
        self.seen.lock().1.insert(number);
        self.state.ancestor_hash(number)
    }
}
