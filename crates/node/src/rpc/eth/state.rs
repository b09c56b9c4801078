//! Accounts, code and storage at a block.

use crate::{
    rpc::{Rpc, RpcError, params::storage_key},
    state::StateSnapshot,
};
use alloy::{
    eips::BlockId,
    rpc::types::{AccountInfo, EIP1186AccountProofResponse, EIP1186StorageProof},
    serde::JsonStorageKey,
};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_trie::{EMPTY_ROOT_HASH, KECCAK_EMPTY, TrieAccount};
use jsonrpsee::proc_macros::rpc;
use std::collections::BTreeMap;

/// Storage slots of one `eth_getProof`.
const PROOF_SLOTS_MAX: usize = 1_024;
/// Storage slots of one `eth_getStorageValues`, of all its accounts together (geth: `maxGetStorageSlots`).
const VALUES_MAX: usize = 1_024;

#[rpc(server, namespace = "eth")]
pub(crate) trait EthState {
    #[method(name = "getBalance")]
    fn balance(&self, address: Address, block: Option<BlockId>) -> Result<U256, RpcError>;

    #[method(name = "getTransactionCount")]
    fn transaction_count(&self, address: Address, block: Option<BlockId>) -> Result<U64, RpcError>;

    #[method(name = "getCode")]
    fn code(&self, address: Address, block: Option<BlockId>) -> Result<Bytes, RpcError>;

    #[method(name = "getStorageAt")]
    fn storage_at(&self, address: Address, slot: String, block: Option<BlockId>) -> Result<B256, RpcError>;

    #[method(name = "getStorageValues")]
    fn storage_values(
        &self,
        slots: BTreeMap<Address, Vec<String>>,
        block: Option<BlockId>,
    ) -> Result<BTreeMap<Address, Vec<B256>>, RpcError>;

    #[method(name = "getAccount")]
    fn account(&self, address: Address, block: Option<BlockId>) -> Result<Option<TrieAccount>, RpcError>;

    #[method(name = "getAccountInfo")]
    fn account_info(&self, address: Address, block: Option<BlockId>) -> Result<AccountInfo, RpcError>;

    #[method(name = "getProof")]
    async fn proof(
        &self,
        address: Address,
        slots: Option<Vec<String>>,
        block: Option<BlockId>,
    ) -> Result<EIP1186AccountProofResponse, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl EthStateServer for Rpc {
    fn balance(&self, address: Address, block: Option<BlockId>) -> Result<U256, RpcError> {
        Ok(self.state(block)?.account(address)?.map(|account| account.balance).unwrap_or_default())
    }

    fn transaction_count(&self, address: Address, block: Option<BlockId>) -> Result<U64, RpcError> {
        if block.is_some_and(|block| block.is_pending()) {
            return self.next_nonce(address).map(U64::from);
        }
        let account = self.state(block)?.account(address)?;
        Ok(U64::from(account.map(|account| account.nonce).unwrap_or_default()))
    }

    fn code(&self, address: Address, block: Option<BlockId>) -> Result<Bytes, RpcError> {
        Ok(self.state(block)?.code(address)?)
    }

    fn storage_at(&self, address: Address, slot: String, block: Option<BlockId>) -> Result<B256, RpcError> {
        let slot = storage_key(&slot)?;
        Ok(self.state(block)?.storage(address, slot.as_b256().into())?.into())
    }

    fn storage_values(
        &self,
        slots: BTreeMap<Address, Vec<String>>,
        block: Option<BlockId>,
    ) -> Result<BTreeMap<Address, Vec<B256>>, RpcError> {
        let count: usize = slots.values().map(Vec::len).sum();
        if count == 0 {
            return Err(RpcError::invalid("empty request"));
        }
        if count > VALUES_MAX {
            return Err(RpcError::invalid(format!("too many slots: {count} given, at most {VALUES_MAX}")));
        }
        let state = self.state(block)?;
        let values = |(address, slots): (Address, Vec<String>)| Ok((address, read_slots(&state, address, &slots)?));
        slots.into_iter().map(values).collect()
    }

    fn account(&self, address: Address, block: Option<BlockId>) -> Result<Option<TrieAccount>, RpcError> {
        Ok(self.state(block)?.account(address)?)
    }

    fn account_info(&self, address: Address, block: Option<BlockId>) -> Result<AccountInfo, RpcError> {
        let state = self.state(block)?;
        let account = state.account(address)?.unwrap_or_default();
        Ok(AccountInfo { balance: account.balance, nonce: account.nonce, code: state.code(address)? })
    }

    async fn proof(
        &self,
        address: Address,
        slots: Option<Vec<String>>,
        block: Option<BlockId>,
    ) -> Result<EIP1186AccountProofResponse, RpcError> {
        let slots = slots.unwrap_or_default();
        if slots.len() > PROOF_SLOTS_MAX {
            let given = slots.len();
            return Err(RpcError::invalid(format!("too many keys: {given} given, at most {PROOF_SLOTS_MAX}")));
        }
        let slots = slots.iter().map(|slot| storage_key(slot)).collect::<Result<Vec<_>, _>>()?;
        self.search(move |rpc| rpc.prove(address, &slots, block)).await
    }
}

impl Rpc {
    fn prove(
        &self,
        address: Address,
        keys: &[JsonStorageKey],
        block: Option<BlockId>,
    ) -> Result<EIP1186AccountProofResponse, RpcError> {
        let number = self.number_of(block.unwrap_or_default())?.ok_or(RpcError::HeaderNotFound)?;
        let slots: Vec<U256> = keys.iter().map(|key| key.as_b256().into()).collect();
        let proven = self.node.chain().proof(number, address, &slots)?;
        let account = proven.account.unwrap_or(TrieAccount {
            nonce: 0,
            balance: U256::ZERO,
            storage_root: EMPTY_ROOT_HASH,
            code_hash: KECCAK_EMPTY,
        });
        // The keys are shown as they were given.
        let slots = proven.slots.into_iter().zip(keys);
        let storage_proof =
            slots.map(|(slot, key)| EIP1186StorageProof { key: *key, value: slot.value, proof: slot.proof }).collect();
        Ok(EIP1186AccountProofResponse {
            address,
            balance: account.balance,
            code_hash: account.code_hash,
            nonce: account.nonce,
            storage_hash: account.storage_root,
            account_proof: proven.proof,
            storage_proof,
        })
    }
}

fn read_slots(state: &StateSnapshot, address: Address, slots: &[String]) -> Result<Vec<B256>, RpcError> {
    let read = |slot: &String| Ok(state.storage(address, storage_key(slot)?.as_b256().into())?.into());
    slots.iter().map(read).collect()
}
