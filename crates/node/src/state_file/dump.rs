//! A state into a document.

use crate::{
    state::StateSnapshot,
    store::{ChainStore, StoreError, StoredBlock},
    types::{Header, Receipt, Transaction},
};
use alloy::consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use cryptlet_primitives::impersonated_sender;
use revm::DatabaseRef;
use serde::{
    Serialize, Serializer,
    ser::{Error as _, SerializeMap, SerializeSeq},
};
use std::{collections::BTreeSet, io::Write};

/// Blocks that go along with a state, the newest.
pub const BLOCKS_DUMPED_MAX: u64 = 1_024;

/// A state to be written. What cheats set since the head is in it.
pub struct Dump {
    chain: ChainStore,
    state: StateSnapshot,
    head: Header,
    first: u64,
}

impl Dump {
    /// Of the chain as it is now. It does not change while it is written.
    pub fn of(chain: &ChainStore) -> Result<Self, StoreError> {
        let state = chain.latest_state()?;
        let head = chain.header(state.number())?.ok_or(StoreError::NotInitialized)?.into_inner();
        Ok(Self { chain: chain.clone(), state, head, first: chain.first_block()? })
    }

    /// Writes it as JSON.
    pub fn write(&self, out: impl Write) -> serde_json::Result<()> {
        serde_json::to_writer(out, &self)
    }

    fn block_numbers(&self) -> impl Iterator<Item = u64> + use<> {
        let head = self.head.number;
        (head.saturating_sub(BLOCKS_DUMPED_MAX - 1).max(self.first)..=head).rev()
    }

    fn block(&self, number: u64) -> Result<Option<StoredBlock>, StoreError> {
        self.chain.block(number)
    }
}

impl Serialize for &Dump {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_map(Some(6))?;
        document.serialize_entry("block", &BlockEnvironment::of(&self.head))?;
        document.serialize_entry("accounts", &Accounts(&self.state))?;
        document.serialize_entry("best_block_number", &self.head.number)?;
        document.serialize_entry("blocks", &Blocks(self))?;
        document.serialize_entry("transactions", &Receipts(self))?;
        document.serialize_entry("historical_states", &())?;
        document.end()
    }
}

#[derive(Serialize)]
struct BlockEnvironment {
    number: U64,
    beneficiary: Address,
    timestamp: U64,
    gas_limit: u64,
    basefee: u64,
    difficulty: U256,
    prevrandao: B256,
    blob_excess_gas_and_price: BlobPrice,
}

#[derive(Serialize)]
struct BlobPrice {
    excess_blob_gas: u64,
    blob_gasprice: u128,
}

impl BlockEnvironment {
    fn of(head: &Header) -> Self {
        let excess_blob_gas = head.excess_blob_gas.unwrap_or_default();
        Self {
            number: U64::from(head.number),
            beneficiary: head.beneficiary,
            timestamp: U64::from(head.timestamp),
            gas_limit: head.gas_limit,
            basefee: head.base_fee_per_gas.unwrap_or_default(),
            difficulty: head.difficulty,
            prevrandao: head.mix_hash,
            blob_excess_gas_and_price: BlobPrice { excess_blob_gas, blob_gasprice: 1 },
        }
    }
}

struct Accounts<'a>(&'a StateSnapshot);

#[derive(Serialize)]
struct Account<'a> {
    nonce: u64,
    balance: U256,
    code: Bytes,
    storage: Storage<'a>,
}

struct Storage<'a> {
    state: &'a StateSnapshot,
    address: Address,
}

impl Serialize for Accounts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let state = self.0;
        let edited = state.overlay().map(|overlay| overlay.accounts().keys().copied().collect::<BTreeSet<_>>());
        let edited = edited.unwrap_or_default();
        let mut accounts = serializer.serialize_map(None)?;
        for entry in state.accounts(Address::ZERO) {
            let (address, _) = entry.map_err(S::Error::custom)?;
            if !edited.contains(&address) {
                write_account(&mut accounts, state, address)?;
            }
        }
        for address in edited {
            write_account(&mut accounts, state, address)?;
        }
        accounts.end()
    }
}

fn write_account<M: SerializeMap>(accounts: &mut M, state: &StateSnapshot, address: Address) -> Result<(), M::Error> {
    let Some(account) = state.account(address).map_err(M::Error::custom)? else { return Ok(()) };
    let code = state.code_by_hash_ref(account.code_hash).map_err(M::Error::custom)?.original_bytes();
    let storage = Storage { state, address };
    accounts.serialize_entry(&address, &Account { nonce: account.nonce, balance: account.balance, code, storage })
}

impl Serialize for Storage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let edit = self.state.overlay().and_then(|overlay| overlay.accounts().get(&self.address));
        let mut slots = serializer.serialize_map(None)?;
        if !edit.is_some_and(|edit| edit.is_cleared) {
            for entry in self.state.slots(self.address, U256::ZERO) {
                let (slot, value) = entry.map_err(S::Error::custom)?;
                if !edit.is_some_and(|edit| edit.storage.contains_key(&slot)) {
                    slots.serialize_entry(&B256::from(slot), &B256::from(value))?;
                }
            }
        }
        for (slot, value) in edit.into_iter().flat_map(|edit| &edit.storage) {
            if !value.is_zero() {
                slots.serialize_entry(&B256::from(*slot), &B256::from(*value))?;
            }
        }
        slots.end()
    }
}

struct Blocks<'a>(&'a Dump);

#[derive(Serialize)]
struct DumpedBlock<'a> {
    header: &'a Header,
    transactions: Vec<DumpedTransaction<'a>>,
    ommers: &'a [Header],
    withdrawals: Option<()>,
}

#[derive(Serialize)]
struct DumpedTransaction<'a> {
    transaction: &'a Transaction,
    impersonated_sender: Option<Address>,
}

impl Serialize for Blocks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut blocks = serializer.serialize_seq(None)?;
        for number in self.0.block_numbers() {
            let Some(stored) = self.0.block(number).map_err(S::Error::custom)? else { continue };
            let transaction = |transaction| DumpedTransaction {
                transaction,
                impersonated_sender: impersonated_sender(Transaction::signature(transaction)),
            };
            blocks.serialize_element(&DumpedBlock {
                header: &stored.block.header,
                transactions: stored.block.body.transactions.iter().map(transaction).collect(),
                ommers: &stored.block.body.ommers,
                withdrawals: None,
            })?;
        }
        blocks.end()
    }
}

struct Receipts<'a>(&'a Dump);

#[derive(Serialize)]
struct Mined {
    info: MinedInfo,
    receipt: Receipt,
    block_hash: B256,
    block_number: u64,
}

#[derive(Serialize)]
struct MinedInfo {
    transaction_hash: B256,
    transaction_index: u64,
    from: Address,
    to: Option<Address>,
    contract_address: Option<Address>,
    /// Whoever loads this can trace by executing.
    traces: [(); 0],
    exit: &'static str,
    out: Option<Bytes>,
    nonce: u64,
    gas_used: u64,
}

impl Serialize for Receipts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = serializer.serialize_seq(None)?;
        for number in self.0.block_numbers() {
            let Some(block) = self.0.block(number).map_err(S::Error::custom)? else { continue };
            let receipts = self.0.chain.receipts(number).map_err(S::Error::custom)?.unwrap_or_default();
            for mined in mined(&block, receipts) {
                all.serialize_element(&mined)?;
            }
        }
        all.end()
    }
}

fn mined(block: &StoredBlock, receipts: Vec<Receipt>) -> impl Iterator<Item = Mined> {
    let mut gas_before = 0;
    let transactions = block.block.body.transactions.iter().zip(&block.senders).zip(receipts).enumerate();
    transactions.map(move |(index, ((transaction, sender), receipt))| {
        let gas_used = receipt.cumulative_gas_used() - gas_before;
        gas_before = receipt.cumulative_gas_used();
        let info = MinedInfo {
            transaction_hash: *transaction.tx_hash(),
            transaction_index: index as u64,
            from: *sender,
            to: transaction.to(),
            contract_address: transaction.is_create().then(|| sender.create(transaction.nonce())),
            traces: [],
            exit: if receipt.status() { "Stop" } else { "Revert" },
            out: None,
            nonce: transaction.nonce(),
            gas_used,
        };
        Mined { info, receipt, block_hash: block.hash, block_number: block.number() }
    })
}
