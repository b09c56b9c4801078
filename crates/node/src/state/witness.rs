//! What of a state a block needs: the trie nodes by which whoever has only the state's root can read what the block reads,
//! and find the root of the state that it makes.

use super::{StateChanges, history, update};
use crate::{
    store::{ChainStore, StoreError, blocks::existing_header, chain::REPLAYED_CHANGES_MAX},
    trie::{self, Change, OverlaidTrie, StoredTrie, TrieSource},
};
use alloy::eips::BlockNumHash;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, KECCAK_EMPTY, Nibbles, TrieAccount};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};

/// Accounts, and slots of each.
pub type StateKeys = BTreeMap<Address, BTreeSet<U256>>;

/// Trie nodes, and what they lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateWitness {
    /// RLP of the nodes, each once.
    pub nodes: Vec<Bytes>,
    /// Root of the state that the changes make.
    pub root_after: B256,
}

impl ChainStore {
    /// The nodes of the state after block `number` on the ways to these keys, and those that applying these changes takes
    /// beside them.
    pub fn state_witness(
        &self,
        number: u64,
        keys: &StateKeys,
        changes: &StateChanges,
    ) -> Result<StateWitness, StoreError> {
        let snapshot = self.state_at(number)?;
        let (tables, head) = (snapshot.tables(), snapshot.head_number());
        let header = existing_header(tables, number)?;
        let past = if number == head {
            None
        } else {
            let back = history::changes_back_to(tables, head, number, REPLAYED_CHANGES_MAX)?;
            let base = BlockNumHash::new(number, header.hash());
            let past = update::prepare(tables, None, base, existing_header(tables, head)?.state_root, &back)?;
            past.check_root(number, header.state_root)?;
            Some(past)
        };

        let seen = Mutex::new(BTreeMap::new());
        let stored = StoredTrie::accounts(tables);
        let accounts = OverlaidTrie { below: &stored, writes: past.as_ref().map(|past| &past.account_nodes) };
        let accounts = Recording { trie: &accounts, seen: &seen };
        let mut leaves = Vec::new();
        let addresses: BTreeSet<&Address> = keys.keys().chain(changes.accounts.keys()).collect();
        for address in addresses {
            let hashed = keccak256(address);
            let key = Nibbles::unpack(hashed);
            trie::prove(&accounts, header.state_root, &key)?;
            let stored = StoredTrie::storage(tables, hashed);
            let writes = past.as_ref().and_then(|past| past.storage_nodes.get(&hashed));
            let storage = OverlaidTrie { below: &stored, writes };
            let storage = Recording { trie: &storage, seen: &seen };
            let root = snapshot.account(*address)?.map_or(EMPTY_ROOT_HASH, |account| account.storage_root);
            for slot in keys.get(address).into_iter().flatten() {
                trie::prove(&storage, root, &slot_key(slot))?;
            }
            let Some(change) = changes.accounts.get(address) else { continue };
            let value = match &change.account {
                None => None,
                Some(account) => {
                    let root = if change.is_storage_wiped { EMPTY_ROOT_HASH } else { root };
                    let mut slots: Vec<Change> = change.storage.iter().map(slot_leaf).collect();
                    slots.sort_unstable_by_key(|change| change.key);
                    let (storage_root, _) = trie::update(&storage, root, &slots)?;
                    let code_hash = account.bytecode_hash.unwrap_or(KECCAK_EMPTY);
                    let (nonce, balance) = (account.nonce, account.balance);
                    Some(alloy_rlp::encode(TrieAccount { nonce, balance, storage_root, code_hash }))
                }
            };
            leaves.push(Change { key, value });
        }
        leaves.sort_unstable_by_key(|change| change.key);
        let (root_after, _) = trie::update(&accounts, header.state_root, &leaves)?;
        Ok(StateWitness { nodes: seen.into_inner().into_values().collect(), root_after })
    }
}

fn slot_key(slot: &U256) -> Nibbles {
    Nibbles::unpack(keccak256(slot.to_be_bytes::<32>()))
}

fn slot_leaf((slot, value): (&U256, &U256)) -> Change {
    Change { key: slot_key(slot), value: (!value.is_zero()).then(|| alloy_rlp::encode(value)) }
}

/// A trie that remembers which nodes were read.
struct Recording<'a, S> {
    trie: &'a S,
    /// By hash, so that each is there once.
    seen: &'a Mutex<BTreeMap<B256, Bytes>>,
}

impl<S: TrieSource> TrieSource for Recording<'_, S> {
    fn node(&self, path: &Nibbles) -> Result<Option<Vec<u8>>, StoreError> {
        let node = self.trie.node(path)?;
        // Shorter nodes are in their parents, but for the root.
        if let Some(rlp) = node.as_ref().filter(|rlp| rlp.len() >= 32 || path.is_empty()) {
            self.seen.lock().insert(keccak256(rlp), rlp.clone().into());
        }
        Ok(node)
    }

    fn name(&self) -> String {
        self.trie.name()
    }
}
