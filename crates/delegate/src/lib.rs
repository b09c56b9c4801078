#![doc = include_str!("../README.md")]

pub mod alloy;
mod answered;
mod answers;
mod collision;
pub mod context;
pub mod error;
mod invoke;
mod memo;
pub mod parent;
pub mod precompile;
mod price;
pub mod registry_layout;
mod reply;
pub mod run;
pub mod transcript;
mod verify;

pub use alloy::{DelegateEvm, DelegateEvmContext, DelegateEvmFactory};
pub use collision::StorageLook;
pub use context::{Anchor, BlockSpending, DelegateContext, DelegateScope, DelegateSlot, SimulationGas};
pub use error::DelegateError;
pub use parent::{DatabaseParent, ParentState, ParentStateError};
pub use precompile::{DelegatePrecompiles, MovedPrecompiles};
pub use run::{
    BuildOutcome, Built, Executed, ReplayError, SimulateOutcome, Suspension, build_to_end, build_transaction,
    replay_transaction, simulate_transaction,
};
pub use transcript::{Answer, DryRunAnswer, DryRunOutcome, Rehearsal, Transcript};
pub use verify::verify_in_scope;
