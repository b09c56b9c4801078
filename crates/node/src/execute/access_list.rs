//! The list of what a block accesses, and of what it leaves there (EIP-7928): from Amsterdam on, the header commits to it.
//!
//! The state notes what is committed to it, under an index that says when: 0 for what comes before the transactions, then one
//! for each of them, then one for what comes after. Before Amsterdam nothing is noted.
//!
//! What a block does that Ethereum does not know is not in the list: development edits are part of the state that the block
//! starts from, and the delegate reads its registry in the parent's state. Both come with the block as requests.

use super::{
    fault::{BlockFault, FaultReason},
    watched::BlockState,
};
use alloy::eips::eip7928::{ITEM_COST, bal::Bal};
use alloy_primitives::{B256, Bytes};
use revm::{database_interface::bal::BalState, state::bal::BlockAccessIndex};

/// What a block accesses, in the order that EIP-7928 gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessList {
    list: Bal,
    hash: B256,
}

/// From here on, `state` notes what is committed to it. What it noted before is forgotten.
pub(crate) fn begin(state: &mut BlockState) {
    state.bal_state = BalState::new().with_bal_builder();
}

/// What is committed from now on belongs to the transaction with this index or, if there is none, to what comes after the
/// transactions.
pub(crate) fn set_transaction(state: &mut BlockState, index: u64) {
    state.set_bal_index(BlockAccessIndex::from_tx_index(index));
}

/// What has been noted; `None` if nothing was.
pub(crate) fn take(state: &mut BlockState) -> Option<AccessList> {
    state.take_built_alloy_bal().map(|list| AccessList::new(Bal::new(list)))
}

impl Default for AccessList {
    /// Of a block that accesses nothing.
    fn default() -> Self {
        Self::new(Bal::default())
    }
}

impl AccessList {
    fn new(list: Bal) -> Self {
        let hash = list.compute_hash();
        Self { list, hash }
    }

    /// What the header says of it: the hash of its RLP.
    pub fn hash(&self) -> B256 {
        self.hash
    }

    /// The accounts.
    pub fn list(&self) -> &Bal {
        &self.list
    }

    /// Its RLP.
    pub fn rlp(&self) -> Bytes {
        alloy_rlp::encode(&self.list).into()
    }

    /// Is the list as short as a block with this gas limit must keep it?
    pub(super) fn check_length(&self, number: u64, gas_limit: u64) -> Result<(), BlockFault> {
        let (items, items_max) = (self.list.total_bal_items(), gas_limit / ITEM_COST as u64);
        if items > items_max {
            return Err(BlockFault::of_block(number, FaultReason::AccessListItems { items, items_max }));
        }
        Ok(())
    }
}
