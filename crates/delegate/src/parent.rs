//! The parent block's state, as far as the delegate reads it.
//!
//! Registry and policy are read where the block began, not through the journal: what a transaction changes there holds
//! from the next block on, so that records can be verified before anything is executed.

use alloy_primitives::{Address, B256, U256};
use revm::database_interface::DatabaseRef;
use std::fmt::Debug;

/// The parent state cannot be read: this node's fault, never the block's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parent state cannot be read: {0}")]
pub struct ParentStateError(pub String);

/// Read-only view of the state in which a block begins.
pub trait ParentState: Debug + Send + Sync {
    /// The word in this slot; zero if there is none.
    fn storage(&self, address: Address, slot: U256) -> Result<U256, ParentStateError>;

    /// Hash of the canonical block with this number, if it is one of the 256 before the block that is executed. The
    /// delegate does not ask for numbers outside that range.
    fn ancestor_hash(&self, number: u64) -> Result<Option<B256>, ParentStateError>;
}

/// Any revm database as a parent state. It must stay as it was when the block began.
#[derive(Clone, Debug)]
pub struct DatabaseParent<DB>(pub DB);

impl<DB: DatabaseRef<Error: Debug> + Debug + Send + Sync> ParentState for DatabaseParent<DB> {
    fn storage(&self, address: Address, slot: U256) -> Result<U256, ParentStateError> {
        self.0.storage_ref(address, slot).map_err(|error| ParentStateError(format!("{error:?}")))
    }

    fn ancestor_hash(&self, number: u64) -> Result<Option<B256>, ParentStateError> {
        let hash = self.0.block_hash_ref(number).map_err(|error| ParentStateError(format!("{error:?}")))?;
        Ok((!hash.is_zero()).then_some(hash))
    }
}
