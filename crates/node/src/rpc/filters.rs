//! Installed filters (`eth_newFilter` and its kin): what each still has to tell, and when it is forgotten.
//!
//! A filter over blocks or logs keeps no results, only the height it has told up to; one over pending transactions
//! keeps its place in the node's bounded stream of events. So a filter costs next to nothing, whether it is polled or
//! not.

use super::RpcError;
use crate::service::ChainEvent;
use alloy::rpc::types::Filter;
use alloy_primitives::U256;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::sync::broadcast;

/// What a filter looks for.
#[derive(Debug)]
pub(crate) enum FilterKind {
    /// Logs. `next` is the first block not told yet.
    Logs { filter: Box<Filter>, next: u64 },
    /// Hashes of new blocks. `next` is the first block not told yet.
    Blocks { next: u64 },
    /// Transactions that enter the pool.
    Pending { events: broadcast::Receiver<ChainEvent>, full: bool },
}

#[derive(Debug)]
struct Installed {
    kind: FilterKind,
    last_asked: Instant,
}

/// All filters of a server.
#[derive(Debug)]
pub(crate) struct Filters {
    filters_max: usize,
    idle_max: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    installed: HashMap<U256, Installed>,
}

impl Filters {
    /// None yet. At most `filters_max` at once; one nobody asks for `idle_max` is forgotten.
    pub(crate) fn new(filters_max: usize, idle_max: Duration) -> Self {
        Self { filters_max, idle_max, state: Mutex::default() }
    }

    /// Installs a filter and returns its id.
    pub(crate) fn install(&self, kind: FilterKind, now: Instant) -> Result<U256, RpcError> {
        let mut state = self.state.lock();
        self.forget_idle(&mut state, now);
        if state.installed.len() >= self.filters_max {
            return Err(RpcError::LimitExceeded(format!(
                "too many filters: {} are installed; uninstall some, or use a subscription",
                self.filters_max
            )));
        }
        state.last_id += 1;
        let id = U256::from(state.last_id);
        state.installed.insert(id, Installed { kind, last_asked: now });
        Ok(id)
    }

    /// Takes a filter away. Returns whether it was there.
    pub(crate) fn uninstall(&self, id: U256) -> bool {
        self.state.lock().installed.remove(&id).is_some()
    }

    /// Does something with a filter, which then counts as asked for now.
    pub(crate) fn with<T>(
        &self,
        id: U256,
        now: Instant,
        look: impl FnOnce(&mut FilterKind) -> T,
    ) -> Result<T, RpcError> {
        let mut state = self.state.lock();
        self.forget_idle(&mut state, now);
        // geth's words (`errFilterNotFound`).
        let installed = state.installed.get_mut(&id).ok_or_else(|| RpcError::refused("filter not found"))?;
        installed.last_asked = now;
        Ok(look(&mut installed.kind))
    }

    fn forget_idle(&self, state: &mut State, now: Instant) {
        state.installed.retain(|_, filter| now.saturating_duration_since(filter.last_asked) <= self.idle_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(300);

    fn blocks() -> FilterKind {
        FilterKind::Blocks { next: 1 }
    }

    #[test]
    fn a_filter_that_is_asked_for_lives_and_an_idle_one_is_forgotten() {
        let (filters, start) = (Filters::new(10, IDLE), Instant::now());
        let [asked, idle] = [(); 2].map(|()| filters.install(blocks(), start).expect("room"));
        filters.with(asked, start + IDLE, |_| ()).expect("there");
        let later = start + IDLE + Duration::from_secs(1);
        assert!(filters.with(asked, later, |_| ()).is_ok());
        assert_eq!(filters.with(idle, later, |_| ()), Err(RpcError::refused("filter not found")));
    }

    #[test]
    fn there_is_room_for_so_many_filters_and_no_more() {
        let (filters, start) = (Filters::new(1, IDLE), Instant::now());
        let first = filters.install(blocks(), start).expect("room");
        assert!(matches!(filters.install(blocks(), start), Err(RpcError::LimitExceeded(_))));
        assert!(filters.uninstall(first));
        assert!(!filters.uninstall(first));
        assert!(filters.install(blocks(), start).is_ok());
    }
}
