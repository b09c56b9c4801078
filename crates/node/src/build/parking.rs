//! Transactions that wait for cryptlets: what each has learnt so far, what it waits for, and until when.
//!
//! Invariants:
//! * a parked transaction waits for at most one call: the first that its transcript does not answer;
//! * the anchor of a call is fixed when the call is first met at its position, so a transaction whose call changes while
//!   it waits (because the state did) does not wait longer for it;
//! * a call that has waited [`ParkingConfig::unavailable_after_blocks`] blocks and [`ParkingConfig::patience_ms`] is answered
//!   `Unavailable`, by us; and after [`ANCHOR_AGE_MAX`] blocks in any case. So every parked transaction becomes runnable
//!   after finitely many blocks.

use super::backoff::{Backoff, Moment};
use alloy_primitives::{B256, map::HashMap};
use cryptlet_attestation::{RecoveredRecord, record::ANCHOR_DEPTH_MAX};
use cryptlet_primitives::{FabricDomain, FabricFault, Invocation, InvocationKey, Record, UnavailableReason};
use std::collections::VecDeque;

/// A block that calls refer to: the parent of the block that was being built when the call was first met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
}

/// Age of an anchor at which nobody waits any longer, however patient: a few blocks later no record with it would hold.
const ANCHOR_AGE_MAX: u64 = ANCHOR_DEPTH_MAX - 16;

#[derive(Clone, Copy, Debug)]
pub(super) struct ParkingConfig {
    pub(super) domain: FabricDomain,
    pub(super) unavailable_after_blocks: u32,
    /// Blocks may follow each other fast; a host gets at least this long.
    pub(super) patience_ms: u64,
    pub(super) backoff: Backoff,
    pub(super) in_flight_max: usize,
}

/// What the lot wants done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Order {
    Dispatch { transaction: B256, invocation: Box<Invocation>, attempt: u32 },
    Cancel { key: InvocationKey },
    Resume { transaction: B256 },
}

/// What may be told of a parked transaction.
#[derive(Clone, Debug)]
pub struct ParkedView {
    /// The call it waits for, unless it is about to run again.
    pub waiting_for: Option<Invocation>,
    /// Attempts that failed.
    pub failed_attempts: u32,
    /// What the last of them said.
    pub last_fault: Option<FabricFault>,
    /// Records it has.
    pub records: usize,
}

#[derive(Debug)]
pub(super) struct ParkingLot {
    config: ParkingConfig,
    parked: HashMap<B256, Parked>,
    by_key: HashMap<InvocationKey, B256>,
    /// Calls that may go out as soon as fewer are in flight.
    backlog: VecDeque<InvocationKey>,
    in_flight: usize,
}

#[derive(Debug, Default)]
struct Parked {
    transcript: Vec<RecoveredRecord>,
    /// By position of the call.
    met: Vec<Met>,
    wait: Option<Wait>,
}

/// When a call was first met at a position.
#[derive(Clone, Copy, Debug)]
struct Met {
    anchor: Anchor,
    at_ms: u64,
}

#[derive(Debug)]
struct Wait {
    invocation: Invocation,
    met: Met,
    failed_attempts: u32,
    last_fault: Option<FabricFault>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Backlog,
    InFlight,
    BackingOff { until_ms: u64 },
}

impl ParkingLot {
    pub(super) fn new(config: ParkingConfig) -> Self {
        let (parked, by_key) = (HashMap::default(), HashMap::default());
        Self { config, parked, by_key, backlog: VecDeque::new(), in_flight: 0 }
    }

    /// The records that a transaction has so far.
    pub(super) fn transcript(&self, transaction: B256) -> &[RecoveredRecord] {
        self.parked.get(&transaction).map_or(&[], |parked| &parked.transcript)
    }

    /// Transactions that wait for an answer.
    pub(super) fn waiting(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn view(&self, transaction: B256) -> Option<ParkedView> {
        let parked = self.parked.get(&transaction)?;
        let wait = parked.wait.as_ref();
        Some(ParkedView {
            waiting_for: wait.map(|wait| wait.invocation.clone()),
            failed_attempts: wait.map_or(0, |wait| wait.failed_attempts),
            last_fault: wait.and_then(|wait| wait.last_fault.clone()),
            records: parked.transcript.len(),
        })
    }

    /// A run met a call that the first `position` records of the transcript do not answer. Returns the transcript to run
    /// again with at once, if the call's time is already over.
    pub(super) fn suspend(
        &mut self,
        transaction: B256,
        mut invocation: Invocation,
        parent: Anchor,
        now_ms: u64,
        orders: &mut Vec<Order>,
    ) -> bool {
        self.stop_waiting(transaction, orders);
        let position = invocation.sequence as usize;
        let parked = self.parked.entry(transaction).or_default();
        parked.transcript.truncate(position);
        // Positions before this one that the transcript does not hold cannot be: a run meets its calls in order.
        let now = Met { anchor: parent, at_ms: now_ms };
        parked.met.resize(parked.met.len().max(position + 1), now);
        if parent.number + 1 - parked.met[position].anchor.number > ANCHOR_DEPTH_MAX {
            // It could not run for so long that no record with this anchor holds any more.
            parked.met[position] = now;
        }
        let met = parked.met[position];
        invocation.request.anchorBlock = met.anchor.number;
        invocation.request.anchorHash = met.anchor.hash;
        if self.is_over(met, parent.number + 1, now_ms) {
            // Only a call that replaced another at its position comes here: the position has waited long enough.
            self.answer_unavailable(transaction, invocation, UnavailableReason::DeadlineExceeded);
            return true;
        }
        let key = invocation.key();
        let wait = Wait { invocation, met, failed_attempts: 0, last_fault: None, phase: Phase::Backlog };
        self.parked.entry(transaction).or_default().wait = Some(wait);
        self.by_key.insert(key, transaction);
        self.backlog.push_back(key);
        self.drain_backlog(orders);
        false
    }

    /// An attempt ended. What is not waited for any more is ignored.
    pub(super) fn answered(
        &mut self,
        key: InvocationKey,
        outcome: Result<Box<RecoveredRecord>, FabricFault>,
        at: Moment,
        orders: &mut Vec<Order>,
    ) {
        let Some(transaction) = self.by_key.get(&key).copied() else { return };
        let Some(parked) = self.parked.get_mut(&transaction) else { return };
        let Some(wait) = parked.wait.as_mut().filter(|wait| wait.phase == Phase::InFlight) else { return };
        self.in_flight -= 1;
        match outcome {
            Ok(record) => {
                parked.transcript.push(*record);
                parked.wait = None;
                self.by_key.remove(&key);
                orders.push(Order::Resume { transaction });
            }
            Err(fault) => {
                wait.failed_attempts += 1;
                let delay_ms = self.config.backoff.delay_ms(wait.failed_attempts, at.jitter_per_mille);
                wait.phase = Phase::BackingOff { until_ms: at.now_ms.saturating_add(delay_ms) };
                wait.last_fault = Some(fault);
            }
        }
        self.drain_backlog(orders);
    }

    /// Time passed: calls whose back-off is over go out again.
    pub(super) fn tick(&mut self, now_ms: u64, orders: &mut Vec<Order>) {
        for (key, transaction) in &self.by_key {
            let wait = self.parked.get_mut(transaction).and_then(|parked| parked.wait.as_mut());
            let due = wait.filter(|wait| matches!(wait.phase, Phase::BackingOff { until_ms } if until_ms <= now_ms));
            if let Some(wait) = due {
                wait.phase = Phase::Backlog;
                self.backlog.push_back(*key);
            }
        }
        self.drain_backlog(orders);
    }

    /// The next block is this one: calls that have waited long enough are answered `Unavailable`.
    pub(super) fn next_block_is(&mut self, number: u64, now_ms: u64, orders: &mut Vec<Order>) {
        let over: Vec<B256> = self
            .by_key
            .values()
            .filter(|transaction| {
                let wait = self.parked.get(*transaction).and_then(|parked| parked.wait.as_ref());
                wait.is_some_and(|wait| self.is_over(wait.met, number, now_ms))
            })
            .copied()
            .collect();
        for transaction in over {
            let Some(wait) = self.stop_waiting(transaction, orders) else { continue };
            let reason = wait.last_fault.map_or(UnavailableReason::DeadlineExceeded, |fault| fault.reason);
            self.answer_unavailable(transaction, wait.invocation, reason);
            orders.push(Order::Resume { transaction });
        }
        self.drain_backlog(orders);
    }

    /// Forgets everything.
    pub(super) fn forget_all(&mut self) -> Vec<B256> {
        self.by_key.clear();
        self.backlog.clear();
        self.in_flight = 0;
        self.parked.drain().map(|(transaction, _)| transaction).collect()
    }

    /// The transaction is in a block, or gone.
    pub(super) fn forget(&mut self, transaction: B256, orders: &mut Vec<Order>) {
        self.stop_waiting(transaction, orders);
        self.parked.remove(&transaction);
        self.drain_backlog(orders);
    }

    /// When the next back-off ends.
    pub(super) fn wake_at_ms(&self) -> Option<u64> {
        let waits = self.parked.values().filter_map(|parked| parked.wait.as_ref());
        let ends = waits.filter_map(|wait| match wait.phase {
            Phase::BackingOff { until_ms } => Some(until_ms),
            Phase::Backlog | Phase::InFlight => None,
        });
        ends.min()
    }

    fn is_over(&self, met: Met, block: u64, now_ms: u64) -> bool {
        let age = block.saturating_sub(met.anchor.number);
        let is_patient = now_ms < met.at_ms.saturating_add(self.config.patience_ms) && age < ANCHOR_AGE_MAX;
        age >= u64::from(self.config.unavailable_after_blocks) && !is_patient
    }

    fn stop_waiting(&mut self, transaction: B256, orders: &mut Vec<Order>) -> Option<Wait> {
        let wait = self.parked.get_mut(&transaction)?.wait.take()?;
        let key = wait.invocation.key();
        self.by_key.remove(&key);
        self.backlog.retain(|waiting| *waiting != key);
        if wait.phase == Phase::InFlight {
            self.in_flight -= 1;
            orders.push(Order::Cancel { key });
        }
        Some(wait)
    }

    fn answer_unavailable(&mut self, transaction: B256, invocation: Invocation, reason: UnavailableReason) {
        let record = RecoveredRecord::recover(Record::unavailable(&invocation, reason), &self.config.domain);
        self.parked.entry(transaction).or_default().transcript.push(record);
    }

    fn drain_backlog(&mut self, orders: &mut Vec<Order>) {
        while self.in_flight < self.config.in_flight_max {
            let Some(key) = self.backlog.pop_front() else { return };
            let Some(transaction) = self.by_key.get(&key).copied() else { continue };
            let Some(wait) = self.parked.get_mut(&transaction).and_then(|parked| parked.wait.as_mut()) else {
                continue;
            };
            wait.phase = Phase::InFlight;
            self.in_flight += 1;
            let (invocation, attempt) = (Box::new(wait.invocation.clone()), wait.failed_attempts);
            orders.push(Order::Dispatch { transaction, invocation, attempt });
        }
    }
}
