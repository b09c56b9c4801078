//! When to make a block.

/// How blocks are paced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// A block as soon as there is a transaction to put in, one transaction each.
    pub automine: bool,
    /// A block every so many milliseconds, empty or not.
    pub interval_ms: Option<u64>,
    /// With [`Self::automine`]: a block this long after the last while a transaction is parked and nothing else arrives, so
    /// that deadlines that are counted in blocks come nearer.
    pub parked_block_interval_ms: u64,
}

impl Default for Cadence {
    fn default() -> Self {
        Self { automine: true, interval_ms: None, parked_block_interval_ms: 1_000 }
    }
}

/// What to put into a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealKind {
    /// One transaction; no block if none can run.
    One,
    /// Whatever fits; a block even if that is nothing.
    All,
}

#[derive(Debug)]
pub(super) struct Pacemaker {
    cadence: Cadence,
    last_seal_ms: u64,
    parked_since_ms: Option<u64>,
}

impl Pacemaker {
    pub(super) fn new(cadence: Cadence, now_ms: u64) -> Self {
        Self { cadence, last_seal_ms: now_ms, parked_since_ms: None }
    }

    pub(super) fn cadence(&self) -> Cadence {
        self.cadence
    }

    pub(super) fn set_cadence(&mut self, cadence: Cadence, now_ms: u64) {
        self.cadence = cadence;
        self.last_seal_ms = now_ms;
    }

    /// A block was made. One that was due by the clock counts as made when it was due, however long it took: the next is
    /// due an interval after that, unless that has passed, too.
    pub(super) fn sealed(&mut self, now_ms: u64) {
        let since_ms = now_ms.saturating_sub(self.last_seal_ms);
        self.last_seal_ms = match self.cadence.interval_ms.map(|interval_ms| interval_ms.max(1)) {
            Some(interval_ms) if since_ms / interval_ms == 1 => self.last_seal_ms.saturating_add(interval_ms),
            _ => now_ms,
        };
    }

    /// A block that was due by the clock was not made: the next try waits as long as a block would have.
    pub(super) fn missed(&mut self, now_ms: u64) {
        if self.wake_at_ms().is_some_and(|at| at <= now_ms) {
            self.last_seal_ms = now_ms;
        }
    }

    pub(super) fn waiting(&mut self, any: bool, now_ms: u64) {
        self.parked_since_ms = if any { self.parked_since_ms.or(Some(now_ms)) } else { None };
    }

    /// Is it time for a block? `runnable`: the pool has something that could go in.
    pub(super) fn due(&self, runnable: bool, now_ms: u64) -> Option<SealKind> {
        if self.wake_at_ms().is_some_and(|at| at <= now_ms) {
            return Some(SealKind::All);
        }
        (runnable && self.cadence.automine).then_some(SealKind::One)
    }

    /// When the next block is due by the clock.
    pub(super) fn wake_at_ms(&self) -> Option<u64> {
        if let Some(interval_ms) = self.cadence.interval_ms {
            return Some(self.last_seal_ms.saturating_add(interval_ms.max(1)));
        }
        let since_ms = self.parked_since_ms.filter(|_| self.cadence.automine)?;
        Some(self.last_seal_ms.max(since_ms).saturating_add(self.cadence.parked_block_interval_ms.max(1)))
    }
}
