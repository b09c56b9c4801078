//! The answer log: what was answered to a live call key, for good.
//!
//! An answer is on disk before it is sent, so a host that is killed and started again says the same. The log is bounded: two
//! segments, of which the older is dropped when the newer is full. A key is worth asking again only while its anchor is
//! within 256 blocks, so what is dropped is long useless.
//!
//! Kept per key: the *outcome* (status, output, time observed), which never changes, and the answers signed for it: one for
//! each request, since a transaction that was dropped and came back asks under another anchor with the same key.

mod segment;

use crate::error::HostError;
use alloy_primitives::{B256, Bytes};
use alloy_rlp::{Decodable, Encodable};
use cryptlet_primitives::{FabricAnswer, Invocation, InvocationKey, Record, RegistrationId, ResultStatus};
use parking_lot::{Condvar, Mutex};
use segment::Segment;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Answers kept for one key; a transaction does not come back more often.
const ANSWERS_PER_KEY_MAX: usize = 8;

/// What an answer must outlive before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The machine: written and flushed to the disk.
    Machine,
    /// This process: written. For development.
    Process,
}

/// What was answered to a key the first time. Whatever is signed for the key later says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) status: u8,
    pub(crate) output_hash: B256,
    pub(crate) observed_at: u64,
}

#[derive(Debug)]
pub(crate) struct AnswerLog {
    folder: PathBuf,
    segment_bytes_max: u64,
    durability: Durability,
    state: Mutex<State>,
    committed: Condvar,
}

#[derive(Debug)]
struct State {
    previous: Option<Arc<Segment>>,
    current: Arc<Segment>,
    index: HashMap<InvocationKey, Kept>,
    /// Bytes that wait to be written, and where they will stand.
    pending: Vec<u8>,
    pending_records: Vec<(Arc<Record>, u64, u32)>,
    /// Tickets given out, and the last that is on disk.
    tickets: u64,
    committed: u64,
    is_committing: bool,
    failure: Option<String>,
}

#[derive(Debug)]
struct Kept {
    outcome: Outcome,
    answers: Vec<Place>,
}

#[derive(Clone, Debug)]
struct Place {
    request_hash: B256,
    registration: RegistrationId,
    segment: u64,
    offset: u64,
    bytes: u32,
}

impl AnswerLog {
    /// Opens the log in a folder and reads what is in it. `bytes_max` bounds both segments together.
    pub(crate) fn open(folder: &Path, bytes_max: u64, durability: Durability) -> Result<Self, HostError> {
        crate::files::create_dir(folder)?;
        let previous = Segment::open_if_there(&folder.join("previous.log"), 0)?;
        let current = Segment::open(&folder.join("current.log"), 1)?;
        let mut index = HashMap::new();
        for segment in previous.iter().chain([&current]) {
            segment.scan(|payload, offset| {
                let record = decode(payload, segment.path())?;
                insert(&mut index, &record, segment.number(), offset, payload.len() as u32);
                Ok(())
            })?;
        }
        let state = State {
            previous: previous.map(Arc::new),
            current: Arc::new(current),
            index,
            pending: Vec::new(),
            pending_records: Vec::new(),
            tickets: 0,
            committed: 0,
            is_committing: false,
            failure: None,
        };
        Ok(Self {
            folder: folder.to_owned(),
            segment_bytes_max: bytes_max / 2,
            durability,
            state: Mutex::new(state),
            committed: Condvar::new(),
        })
    }

    /// What was answered to this key, if anything was.
    pub(crate) fn outcome(&self, key: InvocationKey) -> Option<Outcome> {
        self.state.lock().index.get(&key).map(|kept| kept.outcome)
    }

    /// The newest answer to exactly this request, with the instance that signed it.
    pub(crate) fn find(&self, key: InvocationKey, request_hash: B256) -> Result<Option<FabricAnswer>, HostError> {
        let (segment, place) = {
            let state = self.state.lock();
            let places = state.index.get(&key).map(|kept| kept.answers.as_slice()).unwrap_or_default();
            let Some(place) = places.iter().rev().find(|place| place.request_hash == request_hash) else {
                return Ok(None);
            };
            let holds = |segment: &&Arc<Segment>| segment.number() == place.segment;
            let Some(segment) = state.previous.iter().chain([&state.current]).find(holds) else { return Ok(None) };
            (Arc::clone(segment), place.clone())
        };
        let payload = segment.read(place.offset, place.bytes)?;
        let record = decode(&payload, segment.path())?;
        Ok(Some(FabricAnswer { result: record.result, output: record.output, signature: record.signature }))
    }

    /// The instance whose answer to this request is kept.
    pub(crate) fn signer(&self, key: InvocationKey, request_hash: B256) -> Option<RegistrationId> {
        let state = self.state.lock();
        let places = &state.index.get(&key)?.answers;
        places.iter().rev().find(|place| place.request_hash == request_hash).map(|place| place.registration)
    }

    /// Number of keys with an answer.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().index.len()
    }

    /// Keeps an answer; it is durable when this returns. Callers that come together share one flush.
    pub(crate) fn keep(&self, invocation: &Invocation, answer: &FabricAnswer) -> Result<(), HostError> {
        let record = Record {
            request: invocation.request,
            result: answer.result,
            output: answer.output.clone(),
            signature: answer.signature,
        };
        let mut payload = Vec::with_capacity(record.length());
        record.encode(&mut payload);

        let mut state = self.state.lock();
        state.tickets += 1;
        let ticket = state.tickets;
        let offset = state.pending.len() as u64;
        segment::frame(&payload, &mut state.pending);
        state.pending_records.push((Arc::new(record), offset, payload.len() as u32));
        while state.committed < ticket && state.failure.is_none() {
            if state.is_committing {
                self.committed.wait(&mut state);
            } else {
                self.commit(&mut state);
            }
        }
        match &state.failure {
            Some(why) if state.committed < ticket => {
                Err(HostError::io("write", state.current.path(), std::io::Error::other(why.clone())))
            }
            _ => Ok(()),
        }
    }

    /// Writes everything that waits, with the lock released while the disk works.
    fn commit(&self, state: &mut parking_lot::MutexGuard<'_, State>) {
        if state.current.bytes() >= self.segment_bytes_max
            && let Err(error) = self.rotate(state)
        {
            state.failure = Some(error.to_string());
            self.committed.notify_all();
            return;
        }
        state.is_committing = true;
        let (bytes, records) = (std::mem::take(&mut state.pending), std::mem::take(&mut state.pending_records));
        let (segment, upto) = (Arc::clone(&state.current), state.tickets);
        let start = segment.bytes();
        let written = parking_lot::MutexGuard::unlocked(state, || segment.append(&bytes, self.durability));
        state.is_committing = false;
        match written {
            Ok(()) => {
                for (record, offset, length) in records {
                    let place = start + offset + segment::HEADER_BYTES;
                    insert(&mut state.index, &record, segment.number(), place, length);
                }
                state.committed = upto;
            }
            Err(error) => {
                tracing::error!(%error, "the answer log cannot be written; no further live call will be answered");
                state.failure = Some(error.to_string());
            }
        }
        self.committed.notify_all();
    }

    fn rotate(&self, state: &mut State) -> Result<(), HostError> {
        let (current, previous) = (self.folder.join("current.log"), self.folder.join("previous.log"));
        std::fs::rename(&current, &previous).map_err(|error| HostError::io("rename", &current, error))?;
        let next = Segment::open(&current, state.current.number() + 1)?;
        let dropped = state.previous.take().map(|segment| segment.number());
        state.previous = Some(std::mem::replace(&mut state.current, Arc::new(next)));
        state.index.retain(|_, kept| {
            kept.answers.retain(|place| Some(place.segment) != dropped);
            !kept.answers.is_empty()
        });
        Ok(())
    }
}

impl Outcome {
    pub(crate) fn of(answer: &FabricAnswer) -> Self {
        Self {
            status: answer.result.status,
            output_hash: answer.result.outputHash,
            observed_at: answer.result.observedAt,
        }
    }

    /// Does an answer say what was said first? Its time may not differ either: a cryptlet may have used it.
    pub(crate) fn agrees_with(&self, answer: &FabricAnswer) -> bool {
        *self == Self::of(answer)
    }

    /// For people.
    pub(crate) fn describe(&self) -> String {
        match ResultStatus::try_from(self.status) {
            Ok(status) => format!("{status:?} with output hash {}", self.output_hash),
            Err(number) => format!("status {number} with output hash {}", self.output_hash),
        }
    }
}

fn insert(index: &mut HashMap<InvocationKey, Kept>, record: &Record, segment: u64, offset: u64, bytes: u32) {
    use alloy_sol_types::SolStruct;
    let outcome = Outcome {
        status: record.result.status,
        output_hash: record.result.outputHash,
        observed_at: record.result.observedAt,
    };
    let kept = index.entry(InvocationKey(record.request.key)).or_insert_with(|| Kept { outcome, answers: Vec::new() });
    if kept.answers.len() >= ANSWERS_PER_KEY_MAX {
        kept.answers.remove(0);
    }
    kept.answers.push(Place {
        request_hash: record.request.eip712_hash_struct(),
        registration: RegistrationId(record.result.registrationId),
        segment,
        offset,
        bytes,
    });
}

fn decode(payload: &[u8], path: &Path) -> Result<Record, HostError> {
    let mut rest = payload;
    let record = Record::decode(&mut rest).map_err(|error| HostError::damaged(path, error))?;
    if !rest.is_empty() {
        return Err(HostError::damaged(path, "a record is followed by stray bytes"));
    }
    Ok(Record { output: Bytes::copy_from_slice(&record.output), ..record })
}

#[cfg(test)]
mod tests;
