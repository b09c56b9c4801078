//! What cryptlets answered last, for simulations with the policy `memo`.

use alloy_primitives::{Address, B256, Bytes};
use cryptlet_delegate::DryRunOutcome;
use cryptlet_primitives::{BlockRecords, CryptletRequest, Record, ResultStatus};
use lru::LruCache;
use parking_lot::Mutex;
use std::num::NonZeroUsize;

/// The last answers of this run of the node, by request. Old ones are forgotten.
#[derive(Debug)]
pub(crate) struct Memo {
    answers: Mutex<LruCache<Question, Remembered>>,
}

/// Two requests that differ in nothing else are the same question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Question {
    cryptlet: B256,
    code: B256,
    caller: Address,
    input: B256,
}

#[derive(Clone, Debug)]
struct Remembered {
    status: ResultStatus,
    output: Bytes,
    units: u64,
}

impl Memo {
    pub(crate) fn new(entries_max: usize) -> Self {
        let entries_max = NonZeroUsize::new(entries_max).unwrap_or(NonZeroUsize::MIN);
        Self { answers: Mutex::new(LruCache::new(entries_max)) }
    }

    /// Remembers what a block's cryptlets answered.
    pub(crate) fn learn(&self, records: &BlockRecords) {
        let mut answers = self.answers.lock();
        for record in records.0.iter().flat_map(|group| &group.records) {
            let Record { request, result, output, .. } = record;
            if let Some(status @ (ResultStatus::Ok | ResultStatus::Error)) = record.status() {
                answers.put(question(request), Remembered { status, output: output.clone(), units: result.units });
            }
        }
    }

    /// The last answer to the same question, and the compute units it took.
    pub(crate) fn recall(&self, request: &CryptletRequest) -> Option<(DryRunOutcome, u64)> {
        let remembered = self.answers.lock().get(&question(request)).cloned()?;
        let outcome = match remembered.status {
            ResultStatus::Ok => DryRunOutcome::Returned(remembered.output),
            ResultStatus::Error | ResultStatus::Unavailable => DryRunOutcome::Failed(remembered.output),
        };
        Some((outcome, remembered.units))
    }
}

fn question(request: &CryptletRequest) -> Question {
    let CryptletRequest { cryptletId, codeDigest, caller, inputHash, .. } = *request;
    Question { cryptlet: cryptletId, code: codeDigest, caller, input: inputHash }
}
