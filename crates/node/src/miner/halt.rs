//! When blocks cannot be made: the disk is full or broken. Reading goes on; making blocks is tried again until it works.

use super::MinerError;

/// Between two tries.
const RETRY_MS: u64 = 1_000;

/// Said once when it begins and once when it is over, however often it is tried in between.
#[derive(Debug, Default)]
pub(super) struct Halt {
    /// What was said last, and when to try again.
    since: Option<(String, u64)>,
}

impl Halt {
    /// A block was tried.
    pub(super) fn tried(&mut self, error: Option<&MinerError>, now_ms: u64) {
        let Some(error) = error else {
            if self.since.take().is_some() {
                tracing::info!("blocks are made again");
            }
            return;
        };
        let error = error.to_string();
        if self.since.as_ref().is_none_or(|(said, _)| *said != error) {
            tracing::error!(%error, "no block can be made; reading goes on, and it is tried again every second");
        }
        self.since = Some((error, now_ms.saturating_add(RETRY_MS)));
    }

    /// Is it time to try again?
    pub(super) fn is_over(&self, now_ms: u64) -> bool {
        self.wake_at_ms().is_some_and(|at| at <= now_ms)
    }

    pub(super) fn wake_at_ms(&self) -> Option<u64> {
        self.since.as_ref().map(|(_, at)| *at)
    }
}
