//! What makes a run worthless. None of these can be caused by a contract, and none by a host: a block is wrong, or this
//! node is.

use crate::parent::ParentStateError;
use alloy_primitives::B256;
use cryptlet_attestation::RecordFault;
use cryptlet_primitives::CryptletId;

/// Why the delegate stopped a run, other than to wait for an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DelegateError {
    /// The block's fault: execution asks for an answer that the block does not carry.
    #[error("cryptlet call {sequence} (cryptlet {cryptlet}, key {key}) has no record in the block")]
    MissingRecord {
        /// Position of the call among the transaction's calls, from 0.
        sequence: u32,
        /// Cryptlet called.
        cryptlet: CryptletId,
        /// Call key that a record would have.
        key: B256,
    },
    /// The block's fault: the next record answers another call than the one that execution makes.
    #[error("cryptlet call {sequence}: the record's {field} is {found}, but execution calls with {expected}")]
    RecordMismatch {
        /// Position of the call among the transaction's calls, from 0.
        sequence: u32,
        /// First field of the request that differs.
        field: &'static str,
        /// What execution asks.
        expected: B256,
        /// What the record answers.
        found: B256,
    },
    /// The block's fault: the record does not hold in this block.
    #[error("cryptlet call {sequence}: {fault}")]
    InvalidRecord {
        /// Position of the call among the transaction's calls, from 0.
        sequence: u32,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// The block's fault: it carries answers that nobody asked for.
    #[error("the transaction has {given} cryptlet records, but execution consumed {consumed}")]
    ExtraRecords {
        /// Records that execution consumed.
        consumed: usize,
        /// Records in the block.
        given: usize,
    },
    /// This node's fault: the parent block's state cannot be read.
    #[error(transparent)]
    ParentState(#[from] ParentStateError),
    /// This node's fault: it executes a transaction without saying against which transcript.
    #[error("the transaction runs without a transcript; run it with build_, replay_ or simulate_transaction")]
    NoTranscript,
}
