//! A document onto a chain.

use crate::{
    chain_spec::SystemContracts,
    miner::{DevEdit, MinerError},
    service::NodeHandle,
    store::StoreError,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use cryptlet_primitives::{
    AccountEdit,
    system::{ADMINISTRATORS, ATTESTATION_VERIFIER, CRYPTLET_POLICY, CRYPTLET_REGISTRY, CRYPTO_DELEGATE},
};
use flate2::read::GzDecoder;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
};

/// Bytes of a document, unpacked, at most.
const DOCUMENT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Bytes of edits that one block is made to carry; a bigger state takes several blocks.
const EDIT_BYTES_PER_BLOCK: usize = 8 * 1024 * 1024;
/// Bytes that a slot takes in an edit, about.
const SLOT_BYTES: usize = 70;
/// Bytes that an account takes in an edit beside its code and its slots, about.
const ACCOUNT_BYTES: usize = 80;
/// Empty blocks made to come to the height of the state that is loaded.
const FILLING_BLOCKS_MAX: u64 = 10_000;

/// A state that was dumped by this node or by anvil.
#[derive(Clone, Debug, Deserialize)]
pub struct LoadedState {
    block: Option<Environment>,
    accounts: BTreeMap<Address, LoadedAccount>,
    best_block_number: Option<U256>,
}

/// The head of the chain that was dumped.
#[derive(Clone, Debug, Deserialize)]
struct Environment {
    number: U256,
    // anvil called it so once.
    #[serde(alias = "coinbase")]
    beneficiary: Address,
    timestamp: U256,
    gas_limit: U256,
    basefee: U256,
    prevrandao: Option<B256>,
}

#[derive(Clone, Debug, Deserialize)]
struct LoadedAccount {
    nonce: U256,
    balance: U256,
    #[serde(default)]
    code: Bytes,
    #[serde(default)]
    storage: BTreeMap<U256, U256>,
}

/// Why a state could not be loaded or dumped.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    /// Not a document of this kind. The beginning is anvil's.
    #[error("Failed to decode state dump: {0}")]
    Document(String),
    /// Too long.
    #[error("the state takes more than {bytes_max} bytes")]
    TooLong {
        /// Bytes allowed.
        bytes_max: u64,
    },
    /// The node refused it.
    #[error(transparent)]
    Node(#[from] MinerError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LoadedState {
    /// Reads a document, packed with gzip or plain.
    pub fn read(bytes: &[u8]) -> Result<Self, StateFileError> {
        let wrong = |error: &dyn std::fmt::Display| StateFileError::Document(error.to_string());
        if !bytes.starts_with(&[0x1f, 0x8b]) {
            return serde_json::from_slice(bytes).map_err(|error| wrong(&error));
        }
        let mut unpacked = Vec::new();
        let read = GzDecoder::new(bytes).take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut unpacked);
        if read.map_err(|error| wrong(&error))? as u64 > DOCUMENT_BYTES_MAX {
            return Err(StateFileError::TooLong { bytes_max: DOCUMENT_BYTES_MAX });
        }
        serde_json::from_slice(&unpacked).map_err(|error| wrong(&error))
    }

    /// Lays the state over the one the chain has, as development edits, and seals it: accounts that both have become those of
    /// the document, slot by slot; others stay. The block that carries it has the document's base fee, gas limit,
    /// beneficiary and, if it is not in the chain's past, its time; its number is the document's, if that is not too far.
    /// The contracts of the protocol and of the fabric stay what they are on this chain.
    pub async fn load(self, node: &NodeHandle) -> Result<(), StateFileError> {
        let kept = kept_accounts();
        let state = node.chain().latest_state()?;
        let mut chunk = Chunk::default();
        for (address, account) in self.accounts {
            if kept.contains(&address) {
                continue;
            }
            // As anvil has it: a nonce does not go back, or a contract would be created where one is.
            let nonce_now = state.account(address)?.map_or(0, |account| account.nonce);
            let LoadedAccount { nonce, balance, code, storage } = account;
            let nonce = number(nonce, "nonce")?.max(nonce_now);
            let edit =
                AccountEdit { balance: Some(balance), nonce: Some(nonce), code: Some(code), ..AccountEdit::default() };
            chunk.add(node, address, edit, ACCOUNT_BYTES).await?;
            for (slot, value) in storage {
                chunk.add_slot(node, address, slot, value).await?;
            }
        }
        chunk.lay(node).await?;
        let Some(block) = self.block else {
            node.mine(1, None).await?;
            return Ok(());
        };
        let best = number(self.best_block_number.unwrap_or(block.number), "best_block_number")?;
        let missing = best.saturating_sub(node.head().number + 1);
        if missing <= FILLING_BLOCKS_MAX {
            node.mine(missing, None).await?;
        }
        seal_like(node, &block).await
    }
}

/// Makes the block that stands for the head of the chain that was dumped.
async fn seal_like(node: &NodeHandle, block: &Environment) -> Result<(), StateFileError> {
    if node.chain().head()?.base_fee_per_gas.is_some() {
        node.edit(DevEdit::BaseFee(number(block.basefee, "basefee")?)).await?;
    }
    node.edit(DevEdit::GasLimit(number(block.gas_limit, "gas_limit")?)).await?;
    node.edit(DevEdit::Beneficiary(block.beneficiary)).await?;
    if let Some(prev_randao) = block.prevrandao {
        node.edit(DevEdit::PrevRandao(prev_randao)).await?;
    }
    // What is in the chain's past already cannot come again; then the clock decides.
    let _ = node.time().set_next(number(block.timestamp, "timestamp")?, node.head().timestamp);
    node.mine(1, None).await?;
    Ok(())
}

/// Edits on their way into a block.
#[derive(Default)]
struct Chunk {
    accounts: BTreeMap<Address, AccountEdit>,
    bytes: usize,
}

impl Chunk {
    async fn add(
        &mut self,
        node: &NodeHandle,
        address: Address,
        edit: AccountEdit,
        bytes: usize,
    ) -> Result<(), StateFileError> {
        let bytes = bytes + edit.code.as_ref().map_or(0, |code| code.len());
        self.make_room(node, bytes).await?;
        self.accounts.insert(address, edit);
        Ok(())
    }

    async fn add_slot(
        &mut self,
        node: &NodeHandle,
        address: Address,
        slot: U256,
        value: U256,
    ) -> Result<(), StateFileError> {
        self.make_room(node, SLOT_BYTES).await?;
        self.accounts.entry(address).or_default().storage.insert(slot, value);
        Ok(())
    }

    /// Seals what there is if there is no room for so many bytes more.
    async fn make_room(&mut self, node: &NodeHandle, bytes: usize) -> Result<(), StateFileError> {
        if self.bytes + bytes > EDIT_BYTES_PER_BLOCK && !self.accounts.is_empty() {
            self.lay(node).await?;
            node.mine(1, None).await?;
        }
        self.bytes += bytes;
        Ok(())
    }

    async fn lay(&mut self, node: &NodeHandle) -> Result<(), StateFileError> {
        self.bytes = 0;
        Ok(node.edit(DevEdit::Accounts(std::mem::take(&mut self.accounts))).await?)
    }
}

/// Contracts whose state belongs to the chain they are on.
fn kept_accounts() -> BTreeSet<Address> {
    let of_protocol = SystemContracts::of_ethereum().accounts.into_keys();
    of_protocol
        .chain([CRYPTO_DELEGATE, CRYPTLET_REGISTRY, CRYPTLET_POLICY, ATTESTATION_VERIFIER, ADMINISTRATORS])
        .collect()
}

fn number(value: U256, what: &str) -> Result<u64, StateFileError> {
    u64::try_from(value).map_err(|_| StateFileError::Document(format!("{what} is too large: {value}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_in_every_form_that_anvil_has_had() {
        let document = r#"{
            "block": {"number": "0x2", "coinbase": "0x00000000000000000000000000000000000000aa", "timestamp": 7,
                      "gas_limit": "0x1c9c380", "basefee": 9, "difficulty": "0x0", "prevrandao": null},
            "accounts": {"0x00000000000000000000000000000000000000bb": {"nonce": 3, "balance": "0x5", "code": "0x",
                         "storage": {"0x0": "0x1"}}}
        }"#;
        let state = LoadedState::read(document.as_bytes()).expect("a state");
        let account = &state.accounts[&Address::with_last_byte(0xbb)];
        assert_eq!((account.nonce, account.storage[&U256::ZERO]), (U256::from(3), U256::from(1)));
        assert_eq!(state.block.expect("a block").timestamp, U256::from(7));
    }

    #[test]
    fn something_else_is_refused_in_anvils_words() {
        let error = LoadedState::read(b"\x00").expect_err("not a state");
        assert!(error.to_string().starts_with("Failed to decode state dump"), "{error}");
    }
}
