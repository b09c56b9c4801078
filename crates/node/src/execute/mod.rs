//! Executing blocks: one executor for building and for replaying.
//!
//! What differs is only who answers a call of a cryptlet that the transcript does not: [`Execution::build`] hands the call
//! out, [`Execution::replay`] has nobody to ask and rejects the block. No type in this module can reach a host.
//!
//! ```text
//! begin ── edits (0xCE), DAO fork, system calls (EIP-4788, EIP-2935)
//!   └─ transactions
//!        └─ finish: requests (EIP-6110, 7002, 7251, 8282, 0xCD, 0xCE), rewards, withdrawals, access list (EIP-7928)
//!             ├─ seal    header derived   (build)
//!             └─ verify  header compared  (replay)
//! ```

pub(crate) mod access_list;
mod blame;
mod dao;
mod difficulty;
mod environment;
mod executor;
mod fault;
mod finished;
mod header;
mod intermediate;
mod occupied;
mod recovered;
mod replay;
mod rerun;
mod uncles;
mod validate;
mod watched;

pub use access_list::AccessList;
pub use difficulty::{DIFFICULTY_MIN, next_difficulty};
pub(crate) use environment::BodyEffects;
pub use environment::{anchor, delegate_scope, evm_env};
pub use executor::{Execution, ReceiptMaker, RunOutcome, TransactionRun};
pub use fault::{BlockFault, FaultReason, UncleFault};
pub use finished::{FinishedBlock, FinishedExecution};
pub(crate) use header::next_slot;
pub use header::{BlockAttributes, blob_base_fee, next_base_fee, next_excess_blob_gas, next_header};
pub use occupied::has_storage;
pub use recovered::RecoveredBlock;
pub use replay::{ReplayedBlock, replay_block};
pub use rerun::Rerun;
pub use uncles::{Ancestor, UNCLE_ANCESTORS_MAX, UNCLES_MAX, validate_uncles};
pub(crate) use validate::BLOCK_BYTES_MAX;
pub use validate::{ParentBlock, validate_header};
pub use watched::{BlockState, Watched};
