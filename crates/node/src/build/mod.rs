//! Making blocks out of the pool, with calls of cryptlets in flight.
//!
//! ```text
//!             arrived, answered, sealed, tick                 run against transcripts
//! miner task ───────────────────────────────► Machine ─Seal──► assemble ──suspended──┐
//!     ▲                                          ▲ │                                 │
//!     └── performs ◄── Dispatch, Cancel, WakeAt ─┼─┘                                 │
//!                                                └────────────── Suspended ◄─────────┘
//! ```
//!
//! [`Machine`] is pure: inputs in, [`Effect`]s out; time and jitter come with each input. [`assemble`](assemble()) runs
//! transactions and nothing in it waits: a transaction that reaches a cryptlet whose answer is not in its transcript is
//! *suspended*, its run is thrown away, and the machine *parks* it. `miner` performs the effects.

mod assemble;
mod backoff;
mod cadence;
mod machine;
mod parking;
#[cfg(test)]
mod tests;

pub use assemble::{Assembled, BlockPlan, Suspension, SuspensionVerdict, Transcripts, Unfit, assemble};
pub use backoff::{Backoff, Moment};
pub use cadence::{Cadence, SealKind};
pub use machine::{Effect, Input, Machine, MachineConfig};
pub use parking::{Anchor, ParkedView};
