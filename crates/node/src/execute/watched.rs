//! What an inspector has seen of one run, for whoever reads it.

use crate::state::StateSnapshot;
use revm::{
    context::{BlockEnv, TxEnv},
    context_interface::result::{HaltReason, ResultAndState},
    database::{State, WrapDatabaseRef},
};

/// The state that transactions and calls run on: a snapshot, and on top of it what has been changed since.
pub type BlockState = State<WrapDatabaseRef<StateSnapshot>>;

/// What an inspector has seen, and everything that reading it may take.
#[derive(Debug)]
pub struct Watched<'a, I> {
    /// The inspector, after the run.
    pub inspector: &'a mut I,
    /// What was run.
    pub transaction: &'a TxEnv,
    /// Where it was run.
    pub block: &'a BlockEnv,
    /// What came of it. It has not been committed to `state`.
    pub result: &'a ResultAndState<HaltReason>,
    /// The state before the run.
    pub state: &'a mut BlockState,
}
