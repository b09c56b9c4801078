//! A state as one JSON document, in anvil's format: what `anvil_dumpState` gives and `--state` writes.
//!
//! ```text
//! block               number, time, beneficiary, gas limit, base fee and PREVRANDAO of the head
//! accounts            nonce, balance, code and storage of every account
//! best_block_number   height of the head
//! blocks              the last blocks, with their transactions   (for nodes that take them; this one does not)
//! transactions        their receipts                             (the same)
//! ```
//!
//! A dump is written as it is read, account by account. A dump that is loaded becomes development edits, carried by the next
//! blocks: so whatever a chain was loaded with, it still replays from its own record.

mod dump;
mod load;

pub use dump::{BLOCKS_DUMPED_MAX, Dump};
pub use load::{LoadedState, StateFileError};
