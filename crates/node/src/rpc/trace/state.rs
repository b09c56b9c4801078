//! States in the `debug_` namespace: what changed, what is there, what came between.

use super::Number;
use crate::{
    rpc::{Rpc, RpcError},
    state::{StateSnapshot, history},
    store::StoredBlock,
};
use alloy::eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use jsonrpsee::proc_macros::rpc;
use revm::database::CacheState;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// Accounts of one `debug_accountRange` or `debug_dumpBlock` (geth's `AccountRangeMaxResults`).
const ACCOUNTS_MAX: usize = 256;
/// Slots shown in one of them, of all accounts together.
const DUMPED_SLOTS_MAX: usize = 100_000;
/// Slots of one `debug_storageRangeAt`.
const SLOTS_MAX: usize = 16_384;
/// Blocks that one `debug_getModifiedAccounts…` may span.
const MODIFIED_BLOCKS_MAX: u64 = 100_000;
/// Accounts that it may return.
const MODIFIED_ACCOUNTS_MAX: usize = 1_000_000;

#[rpc(server, namespace = "debug")]
pub(crate) trait DebugState {
    #[method(name = "getBadBlocks")]
    fn bad_blocks(&self) -> Result<Vec<Value>, RpcError>;

    #[method(name = "getModifiedAccountsByNumber")]
    async fn modified_accounts_by_number(&self, start: Number, end: Option<Number>) -> Result<Vec<Address>, RpcError>;

    #[method(name = "getModifiedAccountsByHash")]
    async fn modified_accounts_by_hash(&self, start: B256, end: Option<B256>) -> Result<Vec<Address>, RpcError>;

    #[method(name = "storageRangeAt")]
    async fn storage_range_at(
        &self,
        block: BlockId,
        transaction_index: Number,
        address: Address,
        start: Bytes,
        slots_max: Number,
    ) -> Result<StorageRange, RpcError>;

    #[method(name = "accountRange")]
    async fn account_range(
        &self,
        block: BlockId,
        start: Bytes,
        accounts_max: Number,
        no_code: bool,
        no_storage: bool,
        incompletes: Option<bool>,
    ) -> Result<Dump, RpcError>;

    #[method(name = "dumpBlock")]
    async fn dump_block(&self, block: BlockNumberOrTag) -> Result<Dump, RpcError>;

    #[method(name = "intermediateRoots")]
    async fn intermediate_roots(&self, block: B256, options: Option<Value>) -> Result<Vec<B256>, RpcError>;

    #[method(name = "setHead")]
    async fn set_head(&self, number: Number) -> Result<(), RpcError>;

    #[method(name = "printBlock")]
    fn print_block(&self, number: Number) -> Result<String, RpcError>;

    #[method(name = "getAccessibleState")]
    fn accessible_state(&self, from: BlockNumberOrTag, to: BlockNumberOrTag) -> Result<u64, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl DebugStateServer for Rpc {
    /// A bad block ends an import; a node that serves has seen none.
    fn bad_blocks(&self) -> Result<Vec<Value>, RpcError> {
        Ok(Vec::new())
    }

    async fn modified_accounts_by_number(&self, start: Number, end: Option<Number>) -> Result<Vec<Address>, RpcError> {
        let head = self.node.head().number;
        for (which, number) in [("start", Some(start)), ("end", end)] {
            if let Some(Number(number)) = number.filter(|number| number.0 > head) {
                return Err(RpcError::refused(format!("{which} block {number} not found")));
            }
        }
        self.search(move |rpc| rpc.modified_accounts(start.0, end.map(|end| end.0))).await
    }

    async fn modified_accounts_by_hash(&self, start: B256, end: Option<B256>) -> Result<Vec<Address>, RpcError> {
        let number = |which, hash| {
            let missing = || RpcError::refused(format!("{which} block {hash} not found"));
            self.node.chain().block_number(hash)?.ok_or_else(missing)
        };
        let (start, end) = (number("start", start)?, end.map(|end| number("end", end)).transpose()?);
        self.search(move |rpc| rpc.modified_accounts(start, end)).await
    }

    async fn storage_range_at(
        &self,
        block: BlockId,
        transaction_index: Number,
        address: Address,
        start: Bytes,
        slots_max: Number,
    ) -> Result<StorageRange, RpcError> {
        let start = hash_from(&start)?;
        let slots_max = usize::try_from(slots_max.0).unwrap_or(SLOTS_MAX).min(SLOTS_MAX);
        let index = usize::try_from(transaction_index.0).unwrap_or(usize::MAX);
        self.search(move |rpc| {
            let block = rpc.block(block)?.ok_or(RpcError::HeaderNotFound)?;
            let count = block.block.body.transactions.len();
            if index > count || (index == count && count > 0) {
                let words = format!("transaction index {index} out of range for block {}", block.hash);
                return Err(RpcError::refused(words));
            }
            if block.number() == rpc.node.chain().first_block()? {
                // geth's words.
                return Err(RpcError::refused("no transaction in genesis"));
            }
            let base = rpc.state_before(&block, index)?;
            rpc.storage_range(block.number() - 1, &base.changed, address, start, slots_max)
        })
        .await
    }

    async fn account_range(
        &self,
        block: BlockId,
        start: Bytes,
        accounts_max: Number,
        no_code: bool,
        no_storage: bool,
        _incompletes: Option<bool>,
    ) -> Result<Dump, RpcError> {
        let start = hash_from(&start)?;
        let asked = usize::try_from(accounts_max.0).unwrap_or_default();
        let accounts_max = if asked == 0 { ACCOUNTS_MAX } else { asked.min(ACCOUNTS_MAX) };
        self.search(move |rpc| rpc.dump(block, start, accounts_max, !no_code, !no_storage)).await
    }

    async fn dump_block(&self, block: BlockNumberOrTag) -> Result<Dump, RpcError> {
        self.search(move |rpc| rpc.dump(block.into(), B256::ZERO, ACCOUNTS_MAX, true, true)).await
    }

    async fn intermediate_roots(&self, block: B256, _options: Option<Value>) -> Result<Vec<B256>, RpcError> {
        self.search(move |rpc| {
            let missing = || RpcError::refused(format!("block {block} not found"));
            let block = rpc.block(block.into())?.ok_or_else(missing)?;
            rpc.roots_within(&block)
        })
        .await
    }

    async fn set_head(&self, Number(number): Number) -> Result<(), RpcError> {
        if number > self.node.head().number {
            return Err(RpcError::HeaderNotFound);
        }
        self.node.rewind_to(number).await?;
        Ok(())
    }

    fn print_block(&self, Number(number): Number) -> Result<String, RpcError> {
        let missing = || RpcError::refused(format!("block #{number} not found"));
        Ok(format!("{:#?}", self.block(number.into())?.ok_or_else(missing)?.block))
    }

    fn accessible_state(&self, from: BlockNumberOrTag, to: BlockNumberOrTag) -> Result<u64, RpcError> {
        let number = |tag: BlockNumberOrTag| self.number_of(tag.into())?.ok_or(RpcError::HeaderNotFound);
        let (from, to) = (number(from)?, number(to)?);
        if from == to {
            return Err(RpcError::refused("from and to needs to be different"));
        }
        // Everything from the oldest state to the head can be read.
        let oldest = self.node.chain().oldest_state()?;
        let found = if from >= oldest { from } else { oldest };
        let is_between = if from < to { found < to } else { found > to };
        is_between.then_some(found).ok_or_else(|| RpcError::refused("no state found"))
    }
}

impl Rpc {
    /// Accounts that differ between the states after two blocks, by address. With one block: between its parent and it.
    fn modified_accounts(&self, start: u64, end: Option<u64>) -> Result<Vec<Address>, RpcError> {
        let (start, end) = match end {
            Some(end) if start >= end => {
                let words = format!("start block height ({start}) must be less than end block height ({end})");
                return Err(RpcError::refused(words));
            }
            Some(end) => (start, end),
            None if start == 0 => return Err(RpcError::refused("block 0 has no parent")),
            None => (start - 1, start),
        };
        if end - start > MODIFIED_BLOCKS_MAX {
            return Err(RpcError::LimitExceeded(format!("at most {MODIFIED_BLOCKS_MAX} blocks at a time")));
        }
        let (before, after) = (self.node.chain().state_at(start)?, self.node.chain().state_at(end)?);
        let mut found = BTreeMap::new();
        for number in start + 1..=end {
            for (address, _) in history::changed_keys(after.tables(), number)?.0 {
                found.entry(address).or_insert(());
            }
            if found.len() > MODIFIED_ACCOUNTS_MAX {
                let words = format!("more than {MODIFIED_ACCOUNTS_MAX} accounts; ask for fewer blocks");
                return Err(RpcError::LimitExceeded(words));
            }
        }
        let mut modified = Vec::with_capacity(found.len());
        for address in found.into_keys() {
            // What was changed and changed back is not modified.
            if before.account(address)? != after.account(address)? {
                modified.push(address);
            }
        }
        Ok(modified)
    }

    /// Slots of an account in the order of their hashes: those after block `number`, with what has changed since.
    fn storage_range(
        &self,
        number: u64,
        changed: &CacheState,
        address: Address,
        start: B256,
        slots_max: usize,
    ) -> Result<StorageRange, RpcError> {
        let cached = changed.accounts.get(&address);
        let overlay = cached.and_then(|cached| cached.account.as_ref()).map(|account| &account.storage);
        let is_gone = cached.is_some_and(|cached| cached.status.was_destroyed() || cached.account.is_none());
        let hidden = overlay.map_or(0, |overlay| overlay.len());
        let mut slots = BTreeMap::new();
        let mut complete_below = None;
        if !is_gone {
            // Some of these may have become zero since; enough remain.
            let page = self.node.chain().storage_by_hash_at(number, address, start, slots_max + hidden)?;
            complete_below = page.next;
            slots.extend(page.entries);
        }
        for (slot, value) in overlay.into_iter().flatten() {
            let hash = keccak256(slot.to_be_bytes::<32>());
            if value.is_zero() {
                slots.remove(&hash);
            } else if hash >= start && complete_below.is_none_or(|next| hash < next) {
                slots.insert(hash, (*slot, *value));
            }
        }
        let next_key = slots.keys().nth(slots_max).copied().or(complete_below);
        let entry = |(hash, (slot, value)): (B256, (U256, U256))| {
            (hash, StorageEntry { key: Some(slot.into()), value: value.into() })
        };
        Ok(StorageRange { storage: slots.into_iter().take(slots_max).map(entry).collect(), next_key })
    }

    fn dump(
        &self,
        id: BlockId,
        start: B256,
        accounts_max: usize,
        with_code: bool,
        with_storage: bool,
    ) -> Result<Dump, RpcError> {
        let (header, _) = self.header(id)?.ok_or(RpcError::HeaderNotFound)?;
        let page = self.node.chain().accounts_by_hash_at(header.number, start, accounts_max)?;
        let state = self.node.chain().state_at(header.number)?;
        let mut slots_left = DUMPED_SLOTS_MAX;
        let mut accounts = BTreeMap::new();
        for (key, (address, account)) in page.entries {
            let code = if with_code { state.code(address)? } else { Bytes::new() };
            let storage =
                if with_storage { dumped_storage(&state, address, &mut slots_left)? } else { BTreeMap::new() };
            let dumped = DumpedAccount {
                balance: account.balance.to_string(),
                nonce: account.nonce,
                root: account.storage_root,
                code_hash: account.code_hash,
                code,
                storage,
                address,
                key,
            };
            accounts.insert(address.to_checksum(None), dumped);
        }
        Ok(Dump { root: alloy_primitives::hex::encode(header.state_root), accounts, next: page.next })
    }

    /// Root of the state after each transaction of a block.
    fn roots_within(&self, block: &StoredBlock) -> Result<Vec<B256>, RpcError> {
        let recovered = self.recovered(block)?;
        let mut rerun = self.rerun(&recovered, revm::inspector::NoOpInspector {})?;
        let mut roots = Vec::with_capacity(rerun.transactions_left());
        while rerun.transactions_left() > 0 {
            rerun.skip(1)?;
            let changes = rerun.changes_so_far();
            roots.push(self.node.chain().state_root_after(block.number() - 1, &changes)?.root());
        }
        Ok(roots)
    }
}

fn dumped_storage(
    state: &StateSnapshot,
    address: Address,
    slots_left: &mut usize,
) -> Result<BTreeMap<B256, String>, RpcError> {
    let mut dumped = BTreeMap::new();
    for entry in state.slots(address, U256::ZERO) {
        let (slot, value) = entry?;
        let words = || format!("more than {DUMPED_SLOTS_MAX} slots; ask for fewer accounts, or without storage");
        *slots_left = slots_left.checked_sub(1).ok_or_else(|| RpcError::LimitExceeded(words()))?;
        dumped.insert(slot.into(), alloy_primitives::hex::encode(value.to_be_bytes_trimmed_vec()));
    }
    Ok(dumped)
}

/// A key of geth's range methods: up to 32 bytes, the rest zero.
fn hash_from(bytes: &Bytes) -> Result<B256, RpcError> {
    if bytes.len() > 32 {
        return Err(RpcError::invalid(format!("a start key has at most 32 bytes, not {}", bytes.len())));
    }
    Ok(B256::right_padding_from(bytes))
}

/// As geth answers `debug_storageRangeAt`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StorageRange {
    /// By hashed slot.
    storage: BTreeMap<B256, StorageEntry>,
    next_key: Option<B256>,
}

/// A slot and its value.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StorageEntry {
    key: Option<B256>,
    value: B256,
}

/// Some accounts of a state, as geth dumps them.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Dump {
    root: String,
    accounts: BTreeMap<String, DumpedAccount>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "base64")]
    next: Option<B256>,
}

/// An account, as geth dumps it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DumpedAccount {
    balance: String,
    nonce: u64,
    root: B256,
    code_hash: B256,
    #[serde(skip_serializing_if = "is_empty")]
    code: Bytes,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    storage: BTreeMap<B256, String>,
    address: Address,
    key: B256,
}

fn is_empty(code: &Bytes) -> bool {
    code.is_empty()
}

/// As Go's JSON has bytes.
fn base64<S: Serializer>(hash: &Option<B256>, serializer: S) -> Result<S::Ok, S::Error> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = hash.unwrap_or_default();
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for position in 0..4 {
            let sextet = (bits >> (18 - 6 * position)) & 0x3f;
            text.push(if position <= group.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    serializer.serialize_str(&text)
}
