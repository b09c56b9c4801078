//! Where the randomness of retries comes from. None of it reaches a block.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::atomic::{AtomicU64, Ordering},
};

/// A source of random numbers, to spread retries.
pub trait Jitter: Send + Sync + 'static {
    /// A number from 0 to 999.
    fn next_per_mille(&self) -> u16;
}

/// Good enough to keep nodes out of step: a counter, hashed with the process's random key.
#[derive(Debug, Default)]
pub struct RandomJitter {
    key: RandomState,
    drawn: AtomicU64,
}

impl RandomJitter {
    /// A source with a key of its own.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Jitter for RandomJitter {
    fn next_per_mille(&self) -> u16 {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        u16::try_from(self.key.hash_one(drawn) % 1_000).unwrap_or_default()
    }
}
