//! Proofs of accounts and slots (EIP-1186).

use super::{StateUpdate, snapshot::StateSnapshot};
use crate::{
    store::StoreError,
    trie::{self, OverlaidTrie, StoredTrie},
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount};

/// An account, and the trie nodes from the state root to where it is or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// Which.
    pub address: Address,
    /// The account; `None` if it does not exist (and the proof shows it).
    pub account: Option<TrieAccount>,
    /// RLP of the nodes, from the root down.
    pub proof: Vec<Bytes>,
    /// The slots, in the order they were asked for.
    pub slots: Vec<SlotProof>,
}

/// A slot, and the trie nodes from the account's storage root to where it is or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotProof {
    /// Which.
    pub slot: U256,
    /// Its value.
    pub value: U256,
    /// RLP of the nodes, from the root down.
    pub proof: Vec<Bytes>,
}

/// Proves against the trie in the snapshot's tables, or against what an update would make of it.
pub(crate) fn prove(
    snapshot: &StateSnapshot,
    root: B256,
    update: Option<&StateUpdate>,
    address: Address,
    slots: &[U256],
) -> Result<AccountProof, StoreError> {
    let hashed_address = keccak256(address);
    let accounts = StoredTrie::accounts(snapshot.tables());
    let accounts = OverlaidTrie { below: &accounts, writes: update.map(|update| &update.account_nodes) };
    let storage = StoredTrie::storage(snapshot.tables(), hashed_address);
    let storage =
        OverlaidTrie { below: &storage, writes: update.and_then(|update| update.storage_nodes.get(&hashed_address)) };

    let account = snapshot.account(address)?;
    let storage_root = account.map_or(EMPTY_ROOT_HASH, |account| account.storage_root);
    let prove_slot = |slot: &U256| {
        let key = Nibbles::unpack(keccak256(slot.to_be_bytes::<32>()));
        let value = snapshot.storage(address, *slot)?;
        Ok(SlotProof { slot: *slot, value, proof: trie::prove(&storage, storage_root, &key)? })
    };
    Ok(AccountProof {
        address,
        account,
        proof: trie::prove(&accounts, root, &Nibbles::unpack(hashed_address))?,
        slots: slots.iter().map(prove_slot).collect::<Result<_, StoreError>>()?,
    })
}
