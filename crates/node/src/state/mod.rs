//! Accounts, code and storage as of a block; what a block changes of them.

mod base;
mod changes;
mod codes;
pub(crate) mod history;
mod overlay;
pub(crate) mod proof;
mod range;
mod snapshot;
pub(crate) mod update;
mod witness;

pub use base::BaseLayer;
pub use changes::{AccountChange, Noted, StateChanges};
pub use codes::CodeCache;
pub use overlay::{MalformedCode, StateOverlay};
pub use proof::{AccountProof, SlotProof};
pub use range::{AccountEntry, Page, SlotEntry};
pub use snapshot::StateSnapshot;
pub use update::{AccountDiff, SlotDiff, StateUpdate};
pub use witness::{StateKeys, StateWitness};
