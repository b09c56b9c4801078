//! Time and randomness come in through parameters, so that tests can hold both still.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What the host reads instead of the machine's clock.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Unix time in whole seconds.
    fn unix_seconds(&self) -> u64;
}

/// Where the host takes key material and jitter from.
pub trait Entropy: Send + Sync + fmt::Debug + 'static {
    /// Fills the buffer with bytes nobody can predict.
    fn fill(&self, bytes: &mut [u8]);
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_seconds(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
    }
}

/// The operating system's randomness.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // A machine without randomness must not make keys; there is nothing sensible to go on with.
        getrandom::fill(bytes).expect("the operating system provides randomness");
    }
}
