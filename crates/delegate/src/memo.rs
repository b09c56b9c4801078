//! Calls that have been checked already. A transaction of `k` calls is built in `k + 1` runs, each of which makes the calls
//! of the one before; those need no hashing and no verification again, as long as they are the same.

use crate::{answered::Answered, invoke::Call};
use alloy_primitives::{Address, B256, Bytes, map::HashMap};
use cryptlet_attestation::RecoveredRecord;
use cryptlet_primitives::CryptletId;

/// Calls remembered at most; beyond that all are forgotten.
const CALLS_MAX: usize = 4_096;

/// Checked calls of one block, by transaction and position. Registry, policy and block are the same for all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct CheckedCalls {
    calls: HashMap<(B256, u32), Checked>,
}

/// A call and the record that was found to answer it.
#[derive(Clone, Debug)]
struct Checked {
    cryptlet: CryptletId,
    caller: Address,
    is_static: bool,
    input: Bytes,
    record: RecoveredRecord,
    answered: Answered,
}

impl CheckedCalls {
    /// The answer, if this very call was answered by this very record before.
    pub(crate) fn recall(&self, position: (B256, u32), call: &Call, record: &RecoveredRecord) -> Option<&Answered> {
        let checked = self.calls.get(&position)?;
        let is_same = checked.cryptlet == call.cryptlet
            && checked.caller == call.caller
            && checked.is_static == call.is_static
            && checked.input == call.input
            && checked.record == *record;
        is_same.then_some(&checked.answered)
    }

    pub(crate) fn remember(
        &mut self,
        position: (B256, u32),
        call: &Call,
        record: &RecoveredRecord,
        answered: &Answered,
    ) {
        if self.calls.len() >= CALLS_MAX {
            self.calls.clear();
        }
        let checked = Checked {
            cryptlet: call.cryptlet,
            caller: call.caller,
            is_static: call.is_static,
            input: call.input.clone(),
            record: record.clone(),
            answered: answered.clone(),
        };
        self.calls.insert(position, checked);
    }
}
