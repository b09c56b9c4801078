//! The block builder as a state machine: inputs in, effects out.

use super::{
    backoff::{Backoff, Moment},
    cadence::{Cadence, Pacemaker, SealKind},
    parking::{Anchor, Order, ParkedView, ParkingConfig, ParkingLot},
};
use alloy_primitives::B256;
use cryptlet_attestation::RecoveredRecord;
use cryptlet_primitives::{FabricDomain, FabricFault, Invocation, InvocationKey};

/// What the machine is built with.
#[derive(Clone, Copy, Debug)]
pub struct MachineConfig {
    /// The chain.
    pub domain: FabricDomain,
    /// Blocks a call may wait, from the chain's limits.
    pub unavailable_after_blocks: u32,
    /// Milliseconds a call may wait at least, however fast blocks follow each other.
    pub patience_ms: u64,
    /// Waits between attempts.
    pub backoff: Backoff,
    /// Calls that may be in flight at once; more wait their turn.
    pub in_flight_max: usize,
    /// When blocks are made.
    pub cadence: Cadence,
}

/// Something happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The pool may have something new to run.
    Arrived,
    /// An attempt to get an answer ended; the answer has passed the verifier.
    Answered {
        /// Which call.
        key: InvocationKey,
        /// What came.
        outcome: Result<Box<RecoveredRecord>, FabricFault>,
    },
    /// A block became the head, ours or another's.
    Sealed {
        /// Its number.
        number: u64,
        /// Transactions that are in it.
        included: Vec<B256>,
    },
    /// A try to make a block came to nothing: no transaction could run.
    NothingToSeal,
    /// Transactions left the pool without being included.
    Gone {
        /// Which.
        transactions: Vec<B256>,
    },
    /// Another pace.
    SetCadence(Cadence),
    /// Time passed.
    Tick,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the fabric, and report with [`Input::Answered`].
    Dispatch {
        /// For which transaction.
        transaction: B256,
        /// What to ask.
        invocation: Box<Invocation>,
        /// Attempts that failed before.
        attempt: u32,
    },
    /// Nobody waits for this answer any more.
    Cancel {
        /// Which call.
        key: InvocationKey,
    },
    /// The transaction may run again.
    Resume {
        /// Which.
        transaction: B256,
    },
    /// Make a block, and report with [`Input::Sealed`] or [`Input::NothingToSeal`].
    Seal(SealKind),
}

/// The machine. See the module.
#[derive(Debug)]
pub struct Machine {
    lot: ParkingLot,
    pacemaker: Pacemaker,
    /// There may be something to run that has not been tried since.
    runnable: bool,
    /// A `Seal` is out and has not been reported.
    sealing: bool,
}

impl Machine {
    /// A machine with nothing parked.
    pub fn new(config: MachineConfig, now_ms: u64) -> Self {
        let parking = ParkingConfig {
            domain: config.domain,
            unavailable_after_blocks: config.unavailable_after_blocks,
            patience_ms: config.patience_ms,
            backoff: config.backoff,
            in_flight_max: config.in_flight_max.max(1),
        };
        let pacemaker = Pacemaker::new(config.cadence, now_ms);
        Self { lot: ParkingLot::new(parking), pacemaker, runnable: false, sealing: false }
    }

    /// Takes an input and says what to do, in order.
    pub fn handle(&mut self, input: Input, at: Moment) -> Vec<Effect> {
        let mut orders = Vec::new();
        match input {
            Input::Arrived => self.runnable = true,
            Input::Answered { key, outcome } => self.lot.answered(key, outcome, at, &mut orders),
            Input::Sealed { number, included } => {
                self.sealing = false;
                self.pacemaker.sealed(at.now_ms);
                included.iter().for_each(|transaction| self.lot.forget(*transaction, &mut orders));
                self.lot.next_block_is(number + 1, at.now_ms, &mut orders);
                // One block took one transaction: whether there are more shows when the next is tried.
                self.runnable = true;
            }
            Input::NothingToSeal => {
                self.sealing = false;
                self.runnable = false;
                self.pacemaker.missed(at.now_ms);
            }
            Input::Gone { transactions } => {
                transactions.iter().for_each(|transaction| self.lot.forget(*transaction, &mut orders));
            }
            Input::SetCadence(cadence) => {
                self.pacemaker.set_cadence(cadence, at.now_ms);
                self.runnable = true;
            }
            Input::Tick => self.lot.tick(at.now_ms, &mut orders),
        }
        self.conclude(orders, at.now_ms)
    }

    /// A run of a transaction met a call that its transcript does not answer. Comes while a block is being made, between
    /// [`Effect::Seal`] and its report. Returns `true` if the call's time is over: then the transaction runs again at once.
    pub fn suspend(
        &mut self,
        transaction: B256,
        invocation: Invocation,
        parent: Anchor,
        now_ms: u64,
    ) -> (bool, Vec<Effect>) {
        let mut orders = Vec::new();
        let again = self.lot.suspend(transaction, invocation, parent, now_ms, &mut orders);
        (again, orders.into_iter().map(Effect::from).collect())
    }

    /// An [`Effect::Seal`] that came out is not carried out now. It comes again with the next input.
    pub fn put_seal_off(&mut self) {
        self.sealing = false;
    }

    /// Forgets every parked transaction, with all it has learnt (the chain was rewound). Returns them.
    pub fn forget_all(&mut self) -> Vec<B256> {
        self.lot.forget_all()
    }

    /// The records that a transaction has so far.
    pub fn transcript(&self, transaction: B256) -> &[RecoveredRecord] {
        self.lot.transcript(transaction)
    }

    /// What a transaction waits for, if it is parked.
    pub fn parked(&self, transaction: B256) -> Option<ParkedView> {
        self.lot.view(transaction)
    }

    /// Transactions that wait for an answer.
    pub fn waiting(&self) -> usize {
        self.lot.waiting()
    }

    /// How blocks are paced.
    pub fn cadence(&self) -> Cadence {
        self.pacemaker.cadence()
    }

    /// When [`Input::Tick`] should come next, if nothing else does before.
    pub fn wake_at_ms(&self) -> Option<u64> {
        [self.lot.wake_at_ms(), self.pacemaker.wake_at_ms()].into_iter().flatten().min()
    }

    fn conclude(&mut self, orders: Vec<Order>, now_ms: u64) -> Vec<Effect> {
        self.runnable |= orders.iter().any(|order| matches!(order, Order::Resume { .. }));
        let mut effects: Vec<_> = orders.into_iter().map(Effect::from).collect();
        self.pacemaker.waiting(self.lot.waiting() > 0, now_ms);
        if let Some(kind) = self.pacemaker.due(self.runnable, now_ms).filter(|_| !self.sealing) {
            self.sealing = true;
            effects.push(Effect::Seal(kind));
        }
        effects
    }
}

impl From<Order> for Effect {
    fn from(order: Order) -> Self {
        match order {
            Order::Dispatch { transaction, invocation, attempt } => Self::Dispatch { transaction, invocation, attempt },
            Order::Cancel { key } => Self::Cancel { key },
            Order::Resume { transaction } => Self::Resume { transaction },
        }
    }
}
