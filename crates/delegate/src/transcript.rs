//! The transcript of a transaction: the answers to its cryptlet calls, in order, and how far execution has come.
//!
//! The cursor is outside the journal: a call inside a frame that is reverted stays consumed, because whoever executes the
//! transaction again will make that call again. Each run begins at the first answer.
//!
//! What answers a block and what answers a rehearsal are different types:
//!
//! ```
//! # use cryptlet_delegate::{DryRunAnswer, Transcript};
//! # use cryptlet_attestation::RecoveredRecord;
//! fn of_a_block(record: RecoveredRecord) -> Transcript<RecoveredRecord> {
//!     Transcript::from_answers(vec![record])
//! }
//! ```
//!
//! so that a dry-run answer cannot become a record:
//!
//! ```compile_fail,E0308
//! # use cryptlet_delegate::{DryRunAnswer, Transcript};
//! # use cryptlet_attestation::RecoveredRecord;
//! fn of_a_block(record: DryRunAnswer) -> Transcript<RecoveredRecord> {
//!     Transcript::from_answers(vec![record])
//! }
//! ```

use alloy_primitives::{B256, Bytes, keccak256};
use cryptlet_attestation::RecoveredRecord;
use cryptlet_primitives::{
    FabricAnswer, FabricFault, Invocation, InvocationKey, Record, ResultStatus, UnavailableReason,
};

mod sealed {
    pub trait Sealed {}
    impl Sealed for cryptlet_attestation::RecoveredRecord {}
    impl Sealed for super::DryRunAnswer {}
}

/// What a transcript can hold: records, or answers to dry runs. Nothing else.
pub trait Answer: sealed::Sealed {}

impl Answer for RecoveredRecord {}
impl Answer for DryRunAnswer {}

/// The answers to a transaction's calls, in order, and how many of them execution has consumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript<A: Answer = RecoveredRecord> {
    answers: Vec<A>,
    consumed: usize,
}

/// The transcript of a simulation.
pub type Rehearsal = Transcript<DryRunAnswer>;

impl<A: Answer> Default for Transcript<A> {
    fn default() -> Self {
        Self { answers: Vec::new(), consumed: 0 }
    }
}

impl<A: Answer> Transcript<A> {
    /// With no answers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With these answers, none consumed.
    pub fn from_answers(answers: Vec<A>) -> Self {
        Self { answers, consumed: 0 }
    }

    /// Appends the answer to the call for which the last run was suspended.
    pub fn push(&mut self, answer: A) {
        self.answers.push(answer);
    }

    /// All answers, consumed or not.
    pub fn answers(&self) -> &[A] {
        &self.answers
    }

    /// How many answers the last run consumed.
    pub const fn consumed_count(&self) -> usize {
        self.consumed
    }

    /// The answers that the last run consumed.
    pub fn consumed(&self) -> &[A] {
        &self.answers[..self.consumed]
    }

    /// Position of the next call, from 0.
    pub(crate) fn sequence(&self) -> u32 {
        u32::try_from(self.consumed).unwrap_or(u32::MAX)
    }

    pub(crate) fn next(&self) -> Option<&A> {
        self.answers.get(self.consumed)
    }

    pub(crate) fn advance(&mut self) {
        self.consumed = (self.consumed + 1).min(self.answers.len());
    }

    pub(crate) fn into_answers(self) -> Vec<A> {
        self.answers
    }

    pub(crate) fn rewind(&mut self) {
        self.consumed = 0;
    }

    /// Forgets the answers that execution did not ask for.
    pub(crate) fn drop_unconsumed(&mut self) {
        self.answers.truncate(self.consumed);
    }
}

impl Transcript {
    /// The records, consumed or not.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.answers.iter().map(RecoveredRecord::record)
    }
}

/// The answer to a call in a simulation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRunAnswer {
    pub(crate) key: InvocationKey,
    pub(crate) outcome: DryRunOutcome,
    pub(crate) units: u64,
}

/// How a simulated call ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DryRunOutcome {
    /// The cryptlet returns this.
    Returned(Bytes),
    /// The cryptlet fails with this.
    Failed(Bytes),
    /// No host answers.
    Unavailable(UnavailableReason),
    /// This node does not simulate the cryptlet.
    Denied,
}

impl DryRunAnswer {
    /// An answer that the node makes up or remembers (simulation policies `memo`, `stub` and `deny`, or a fault of the
    /// host), using this many compute units.
    pub fn new(invocation: &Invocation, outcome: DryRunOutcome, units: u64) -> Self {
        Self { key: invocation.key(), outcome, units: units.min(invocation.units_max) }
    }

    /// An answer that the fabric gave to a dry run. Its signature is in another domain and is not looked at; that it
    /// answers this call, within what was paid for, is.
    pub fn from_fabric(invocation: &Invocation, answer: FabricAnswer) -> Result<Self, FabricFault> {
        use UnavailableReason::{Malformed, OverLimit, WrongRequest};
        let FabricAnswer { result, output, .. } = answer;
        expect_hash(WrongRequest, "the result answers request", invocation.request_hash(), result.requestHash)?;
        expect_hash(Malformed, "the result signs an output with hash", keccak256(&output), result.outputHash)?;
        if output.len() > invocation.output_bytes_max as usize || result.units > invocation.units_max {
            let detail = format!(
                "{} bytes and {} units; at most {} bytes and {} units were paid for",
                output.len(),
                result.units,
                invocation.output_bytes_max,
                invocation.units_max
            );
            return Err(FabricFault::new(OverLimit, detail));
        }
        let outcome = match ResultStatus::try_from(result.status) {
            Ok(ResultStatus::Ok) => DryRunOutcome::Returned(output),
            Ok(ResultStatus::Error) => DryRunOutcome::Failed(output),
            _ => return Err(FabricFault::new(Malformed, format!("status {} in a dry run", result.status))),
        };
        Ok(Self::new(invocation, outcome, result.units))
    }
}

fn expect_hash(reason: UnavailableReason, what: &str, expected: B256, found: B256) -> Result<(), FabricFault> {
    if expected == found {
        return Ok(());
    }
    Err(FabricFault::new(reason, format!("{what} {found}; expected {expected}")))
}
