//! Time, and what people may pretend about it.

use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// Where time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Unix time, in seconds.
    fn unix_s(&self) -> u64;
    /// Microseconds on a clock that never runs backwards.
    fn monotonic_us(&self) -> u64;

    /// The same in milliseconds.
    fn monotonic_ms(&self) -> u64 {
        self.monotonic_us() / 1_000
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn unix_s(&self) -> u64 {
        // A clock before 1970 is one that was never set.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    fn monotonic_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Timestamps of the blocks to come. They rise strictly, whatever anybody sets.
pub struct TimeControl {
    clock: Arc<dyn Clock>,
    settings: Mutex<Settings>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    /// Seconds that the chain is ahead of the clock (or behind).
    offset_s: i64,
    /// The next block's timestamp.
    next: Option<u64>,
    /// Seconds from each block to the next, whatever the clock says.
    interval_s: Option<u64>,
}

/// What time it was on the chain, and what was set of it.
#[derive(Clone, Copy, Debug)]
pub struct TimeMark {
    now: u64,
    next: Option<u64>,
    interval_s: Option<u64>,
}

impl std::fmt::Debug for TimeControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TimeControl").field("settings", &*self.settings.lock()).finish_non_exhaustive()
    }
}

impl TimeControl {
    /// The chain follows this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, settings: Mutex::default() }
    }

    /// Moves the chain's time forward; returns how far it is ahead of the clock now, in seconds.
    pub fn increase_s(&self, seconds: u64) -> i64 {
        let mut settings = self.settings.lock();
        settings.offset_s = settings.offset_s.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX));
        settings.offset_s
    }

    /// The chain's time is this now, and goes on from here.
    pub fn set_now(&self, unix_s: u64) -> i64 {
        let mut settings = self.settings.lock();
        settings.offset_s = difference(unix_s, self.clock.unix_s());
        settings.offset_s
    }

    /// The next block has this timestamp, and time goes on from there. It must be after `head_timestamp`.
    pub fn set_next(&self, unix_s: u64, head_timestamp: u64) -> Result<(), TimestampTooLow> {
        if unix_s <= head_timestamp {
            return Err(TimestampTooLow { timestamp: unix_s, head_timestamp });
        }
        self.settings.lock().next = Some(unix_s);
        Ok(())
    }

    /// Every block comes this many seconds after the one before it, whatever the clock says. Returns what was set before.
    pub fn set_interval(&self, seconds: Option<u64>) -> Option<u64> {
        std::mem::replace(&mut self.settings.lock().interval_s, seconds)
    }

    /// The chain's time now, unix seconds.
    pub fn now(&self) -> u64 {
        self.clock.unix_s().saturating_add_signed(self.settings.lock().offset_s)
    }

    /// The chain follows the clock again, and nothing is set.
    pub fn reset(&self) {
        *self.settings.lock() = Settings::default();
    }

    /// What time it is, to come back to.
    pub fn mark(&self) -> TimeMark {
        let now = self.now();
        let settings = *self.settings.lock();
        TimeMark { now, next: settings.next, interval_s: settings.interval_s }
    }

    /// It is that time again, and goes on from there.
    pub fn restore(&self, mark: TimeMark) {
        let offset_s = difference(mark.now, self.clock.unix_s());
        *self.settings.lock() = Settings { offset_s, next: mark.next, interval_s: mark.interval_s };
    }

    /// The timestamp that the block after one with this timestamp gets if it is made now.
    pub fn next_timestamp(&self, parent_timestamp: u64) -> u64 {
        let settings = *self.settings.lock();
        let by_clock = self.clock.unix_s().saturating_add_signed(settings.offset_s);
        let by_interval = settings.interval_s.map(|seconds| parent_timestamp.saturating_add(seconds));
        settings.next.or(by_interval).unwrap_or(by_clock).max(parent_timestamp.saturating_add(1))
    }

    /// A block with this timestamp was made.
    pub(crate) fn block_made(&self, timestamp: u64) {
        let mut settings = self.settings.lock();
        if settings.next.take().is_some() {
            settings.offset_s = difference(timestamp, self.clock.unix_s());
        }
    }
}

/// A timestamp that would not rise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("timestamp {timestamp} is not after the head's, {head_timestamp}")]
pub struct TimestampTooLow {
    /// What was asked for.
    pub timestamp: u64,
    /// What the head has.
    pub head_timestamp: u64,
}

fn difference(later: u64, earlier: u64) -> i64 {
    i64::try_from(i128::from(later) - i128::from(earlier)).unwrap_or(i64::MAX)
}
