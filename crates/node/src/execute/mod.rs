//! Executing blocks: one executor for building and for replaying.
//!
//! What differs is only who answers a call of a cryptlet that the transcript does not: [`Execution::build`] hands the call
//! out, [`Execution::replay`] has nobody to ask and rejects the block. No type in this module can reach a host.
//!
//! ```text
//! begin ── edits (0xCE), system calls (EIP-4788, EIP-2935)
//!   └─ transactions
//!        └─ finish: requests (EIP-6110, 7002, 7251, 0xCD, 0xCE)
//!             ├─ seal    header derived   (build)
//!             └─ verify  header compared  (replay)
//! ```

mod executor;
mod fault;
mod finished;
mod header;
mod recovered;
mod replay;

pub use executor::{Execution, ReceiptMaker, RunOutcome, TransactionRun, delegate_scope, evm_env};
pub use fault::{BlockFault, FaultReason};
pub use finished::{FinishedBlock, FinishedExecution};
pub use header::{BlockAttributes, blob_base_fee, next_base_fee, next_excess_blob_gas, next_header, validate_header};
pub use recovered::RecoveredBlock;
pub use replay::{ReplayedBlock, replay_block};
