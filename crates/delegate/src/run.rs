//! Runs of a transaction: build, replay, simulate. One executor, told apart by who answers a miss.
//!
//! Each function takes the thing that executes (anything with a [`DelegateSlot`]: an EVM, a block executor) and a closure
//! that executes the transaction once. The closure's error is looked at only if the delegate did not stop the run itself.

use crate::{
    context::{Abort, Answers, BlockSpending, DelegateSlot, Run, SimulationGas},
    error::DelegateError,
    transcript::{Rehearsal, Transcript},
};
use alloy_primitives::B256;
use cryptlet_attestation::RecoveredRecord;
use cryptlet_primitives::Invocation;
use std::fmt;

/// A run that waits for an answer.
#[derive(Clone, Debug)]
pub struct Suspension {
    /// The call that needs it.
    pub invocation: Invocation,
    /// Why the answer that was there is of no use, if there was one: the call has changed since, or the answer no longer
    /// holds. That answer and all after it have been dropped from the transcript.
    pub stale: Option<DelegateError>,
}

/// A transaction that ran to its end.
#[derive(Debug)]
#[must_use = "include it, or its records and its share of the block's budgets are lost"]
pub struct Executed<T> {
    /// What the closure returned.
    pub value: T,
    /// Calls refused because the block's budget was spent. A builder may rather leave the transaction for the next block.
    pub budget_refusals: u32,
    spending: BlockSpending,
    records: Vec<RecoveredRecord>,
}

impl<T> Executed<T> {
    /// Makes the transaction part of the block: counts what it used, and gives out the records that belong to it.
    pub fn include(self, block: &mut impl DelegateSlot) -> (T, Vec<RecoveredRecord>) {
        let delegate = block.delegate_mut();
        delegate.spent = delegate.spent.plus(self.spending);
        (self.value, self.records)
    }

    /// The records that execution consumed.
    pub fn records(&self) -> &[RecoveredRecord] {
        &self.records
    }

    /// Does something to the value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Executed<U> {
        let Self { value, budget_refusals, spending, records } = self;
        Executed { value: f(value), budget_refusals, spending, records }
    }
}

/// How a run ends that builds a block.
#[derive(Debug)]
pub enum BuildOutcome<T, E> {
    /// It ran to its end.
    Finished(Executed<T>),
    /// It waits for an answer. Nothing has happened.
    Suspended(Box<Suspension>),
    /// The executor refused it (nonce, balance, …).
    Invalid(E),
    /// This node cannot execute.
    Failed(DelegateError),
}

/// Why a transaction of a block cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError<E> {
    /// Its records are not those that execution asks for, or this node cannot read the parent state.
    #[error(transparent)]
    Delegate(#[from] DelegateError),
    /// The executor refused it.
    #[error("{0}")]
    Transaction(E),
}

/// How a simulation ends.
#[derive(Debug)]
pub enum SimulateOutcome<T, E> {
    /// It ran to its end.
    Finished(T),
    /// It waits for an answer to this dry run.
    Suspended(Box<Invocation>),
    /// The executor refused it.
    Invalid(E),
    /// This node cannot execute.
    Failed(DelegateError),
}

/// Runs a transaction once, to build a block. After `Suspended` push the record of that invocation and run again.
pub fn build_transaction<X: DelegateSlot, T, E>(
    executor: &mut X,
    transaction_hash: B256,
    transcript: &mut Transcript,
    execute: impl FnOnce(&mut X) -> Result<T, E>,
) -> BuildOutcome<T, E> {
    let answers = Answers::Build(take(transcript));
    let (result, run) = run(executor, transaction_hash, answers, execute);
    if let Answers::Build(used) = run.answers {
        *transcript = used;
    }
    match (run.abort, result) {
        (Some(Abort::Suspended(suspension)), _) => BuildOutcome::Suspended(suspension),
        (Some(Abort::Failed(error)), _) => BuildOutcome::Failed(error),
        (None, Err(error)) => BuildOutcome::Invalid(error),
        (None, Ok(value)) => {
            transcript.drop_unconsumed();
            let records = transcript.consumed().to_vec();
            let (spending, budget_refusals) = (run.spending, run.budget_refusals);
            BuildOutcome::Finished(Executed { value, budget_refusals, spending, records })
        }
    }
}

/// Runs a transaction of a block against the records that the block has for it. There is no other source of answers.
pub fn replay_transaction<X: DelegateSlot, T, E>(
    executor: &mut X,
    transaction_hash: B256,
    records: Vec<RecoveredRecord>,
    execute: impl FnOnce(&mut X) -> Result<T, E>,
) -> Result<Executed<T>, ReplayError<E>> {
    let given = records.len();
    let answers = Answers::Replay(Transcript::from_answers(records));
    let (result, run) = run(executor, transaction_hash, answers, execute);
    let records = match (run.abort, run.answers) {
        (Some(Abort::Failed(error)), _) => return Err(error.into()),
        (None, Answers::Replay(transcript)) => transcript,
        // Only a replay began, and a replay does not suspend.
        _ => return Err(DelegateError::NoTranscript.into()),
    };
    let value = result.map_err(ReplayError::Transaction)?;
    let consumed = records.consumed_count();
    if consumed != given {
        return Err(DelegateError::ExtraRecords { consumed, given }.into());
    }
    let (spending, budget_refusals) = (run.spending, run.budget_refusals);
    Ok(Executed { value, budget_refusals, spending, records: records.into_answers() })
}

/// Runs a transaction once, for `eth_call` and its kin. Its answers are of a type that no block takes.
pub fn simulate_transaction<X: DelegateSlot, T, E>(
    executor: &mut X,
    rehearsal: &mut Rehearsal,
    gas: SimulationGas,
    execute: impl FnOnce(&mut X) -> Result<T, E>,
) -> SimulateOutcome<T, E> {
    let answers = Answers::Simulate(take(rehearsal), gas);
    let (result, run) = run(executor, B256::ZERO, answers, execute);
    if let Answers::Simulate(used, _) = run.answers {
        *rehearsal = used;
    }
    match (run.abort, result) {
        (Some(Abort::Suspended(suspension)), _) => SimulateOutcome::Suspended(Box::new(suspension.invocation)),
        (Some(Abort::Failed(error)), _) => SimulateOutcome::Failed(error),
        (None, Err(error)) => SimulateOutcome::Invalid(error),
        (None, Ok(value)) => SimulateOutcome::Finished(value),
    }
}

/// A transaction with all its answers.
#[derive(Debug)]
pub struct Built<T> {
    /// The last run.
    pub executed: Executed<T>,
    /// Runs it took: one more than the answers that were missing.
    pub runs: u32,
}

/// Runs a transaction until it has all its answers, for those who can wait: tests, tools and examples. `answer` gives the
/// record of an invocation.
pub fn build_to_end<X: DelegateSlot, T, E, F>(
    executor: &mut X,
    transaction_hash: B256,
    transcript: &mut Transcript,
    mut execute: impl FnMut(&mut X) -> Result<T, E>,
    mut answer: impl FnMut(&Invocation) -> Result<RecoveredRecord, F>,
) -> Result<Built<T>, BuildError<E, F>> {
    let mut runs = 0;
    loop {
        runs += 1;
        match build_transaction(executor, transaction_hash, transcript, &mut execute) {
            BuildOutcome::Finished(executed) => return Ok(Built { executed, runs }),
            BuildOutcome::Suspended(suspension) => {
                if let Some(stale) = suspension.stale {
                    return Err(BuildError::Refused(stale));
                }
                transcript.push(answer(&suspension.invocation).map_err(BuildError::Answer)?);
            }
            BuildOutcome::Invalid(error) => return Err(BuildError::Transaction(error)),
            BuildOutcome::Failed(error) => return Err(BuildError::Delegate(error)),
        }
    }
}

/// Why [`build_to_end`] gave up.
#[derive(Debug, thiserror::Error)]
pub enum BuildError<E, F> {
    /// There is no answer.
    #[error("no answer: {0}")]
    Answer(F),
    /// The answer was refused.
    #[error("the answer was refused: {0}")]
    Refused(DelegateError),
    /// The executor refused the transaction.
    #[error("{0}")]
    Transaction(E),
    /// This node cannot execute.
    #[error(transparent)]
    Delegate(DelegateError),
}

fn run<X: DelegateSlot, T, E>(
    executor: &mut X,
    transaction_hash: B256,
    answers: Answers,
    execute: impl FnOnce(&mut X) -> Result<T, E>,
) -> (Result<T, E>, Run) {
    executor.delegate_mut().begin(transaction_hash, answers);
    let result = execute(executor);
    let run = executor.delegate_mut().end().expect("begun above, and only this function ends runs");
    (result, run)
}

fn take<A: crate::transcript::Answer>(transcript: &mut Transcript<A>) -> Transcript<A> {
    let mut taken = std::mem::take(transcript);
    taken.rewind();
    taken
}

impl fmt::Display for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Suspended(suspension) => {
                let Suspension { invocation, .. } = &**suspension;
                write!(f, "cryptlet call {} waits for the answer of {}", invocation.sequence, invocation.cryptlet())
            }
            Self::Failed(error) => error.fmt(f),
        }
    }
}
