//! When to ask a host again that gave no usable answer.

/// When an input reaches the machine. Clock and randomness come in here and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds on a clock that never runs backwards.
    pub now_ms: u64,
    /// A random number from 0 to 999, to spread retries.
    pub jitter_per_mille: u16,
}

/// Exponential back-off: the n-th retry waits `base_ms · 2ⁿ`, at most `max_ms`, of which a random half is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Wait before the first retry.
    pub base_ms: u64,
    /// Longest wait.
    pub max_ms: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base_ms: 100, max_ms: 5_000 }
    }
}

impl Backoff {
    /// The wait before the retry that follows this many failed attempts (at least one).
    pub fn delay_ms(&self, failed_attempts: u32, jitter_per_mille: u16) -> u64 {
        let doublings = failed_attempts.saturating_sub(1).min(32);
        let full = self.base_ms.saturating_mul(1 << doublings).min(self.max_ms);
        full / 2 + full / 2 * u64::from(jitter_per_mille.min(1_000)) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound_and_jitter_takes_at_most_half() {
        let backoff = Backoff { base_ms: 100, max_ms: 5_000 };
        let longest: Vec<_> = (1..9).map(|attempts| backoff.delay_ms(attempts, 1_000)).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(backoff.delay_ms(3, 0), 200);
        assert_eq!(backoff.delay_ms(u32::MAX, 1_000), 5_000);
    }
}
