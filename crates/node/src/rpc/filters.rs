//! Installed filters (`eth_newFilter` and its kin): what each still has to tell, and when it is forgotten.
//!
//! A filter over blocks or logs keeps no results, only the height it has told up to (and, when the chain goes back, which
//! of the logs it told are gone); one over pending transactions keeps its place in the node's bounded stream of events.
//! So a filter costs next to nothing, whether it is polled or not.

use super::{RpcError, eth::append_logs, log_filter::LogFilter};
use crate::service::{ChainEvent, Rewind};
use alloy::{
    eips::BlockNumberOrTag,
    rpc::types::{Filter, FilterBlockOption, Log},
};
use alloy_primitives::U256;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::broadcast::{self, error::TryRecvError};

/// What a filter looks for.
#[derive(Debug)]
pub(crate) enum FilterKind {
    /// Logs. `next` is the first block not told yet; `removed` are logs that were told and whose blocks are gone.
    Logs { filter: Box<LogFilter>, next: u64, removed: Vec<Log> },
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

/// Logs that one filter may have to take back at once; of more only the last are told.
const REMOVED_LOGS_MAX: usize = 20_000;

impl FilterKind {
    /// The chain went back: what was told of the blocks that are gone is told as removed.
    fn rewound(&mut self, rewind: &Rewind) {
        let first_gone = rewind.head.number + 1;
        match self {
            Self::Logs { filter, next, removed } => {
                for gone in rewind.removed.iter().filter(|gone| gone.block.number() < *next) {
                    append_logs(removed, filter, &gone.block, &gone.receipts, true);
                }
                let surplus = removed.len().saturating_sub(REMOVED_LOGS_MAX);
                removed.drain(..surplus);
                if *next > first_gone && !waits_for(filter, *next) {
                    *next = first_gone;
                }
            }
            Self::Blocks { next } => *next = first_gone.min(*next),
            Self::Pending { .. } => {}
        }
    }
}

/// Is this the first block that the filter is about, still to come?
fn waits_for(filter: &Filter, next: u64) -> bool {
    match filter.block_option {
        FilterBlockOption::Range { from_block: Some(BlockNumberOrTag::Number(from)), .. } => from == next,
        _ => false,
    }
}

/// All filters of a server.
#[derive(Debug)]
pub(crate) struct Filters {
    filters_max: usize,
    idle_max: Duration,
    rewinds: broadcast::Sender<Arc<Rewind>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    installed: HashMap<U256, Installed>,
    /// Listened to while there are filters.
    rewinds: Option<broadcast::Receiver<Arc<Rewind>>>,
}

impl State {
    fn follow_rewinds(&mut self) {
        let Some(rewinds) = &mut self.rewinds else { return };
        loop {
            match rewinds.try_recv() {
                Ok(rewind) => self.installed.values_mut().for_each(|filter| filter.kind.rewound(&rewind)),
                // What was missed is missed; each filter goes on above the head when it is asked.
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }
}

impl Filters {
    /// None yet. At most `filters_max` at once; one nobody asks for `idle_max` is forgotten.
    pub(crate) fn new(filters_max: usize, idle_max: Duration, rewinds: broadcast::Sender<Arc<Rewind>>) -> Self {
        Self { filters_max, idle_max, rewinds, state: Mutex::default() }
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
        state.follow_rewinds();
        if state.rewinds.is_none() {
            state.rewinds = Some(self.rewinds.subscribe());
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
        state.follow_rewinds();
        // geth's words (`errFilterNotFound`).
        let installed = state.installed.get_mut(&id).ok_or_else(|| RpcError::refused("filter not found"))?;
        installed.last_asked = now;
        Ok(look(&mut installed.kind))
    }

    fn forget_idle(&self, state: &mut State, now: Instant) {
        state.installed.retain(|_, filter| now.saturating_duration_since(filter.last_asked) <= self.idle_max);
        if state.installed.is_empty() {
            state.rewinds = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(300);

    fn filters(filters_max: usize) -> Filters {
        Filters::new(filters_max, IDLE, broadcast::Sender::new(4))
    }

    fn blocks() -> FilterKind {
        FilterKind::Blocks { next: 1 }
    }

    #[test]
    fn a_filter_that_is_asked_for_lives_and_an_idle_one_is_forgotten() {
        let (filters, start) = (filters(10), Instant::now());
        let [asked, idle] = [(); 2].map(|()| filters.install(blocks(), start).expect("room"));
        filters.with(asked, start + IDLE, |_| ()).expect("there");
        let later = start + IDLE + Duration::from_secs(1);
        assert!(filters.with(asked, later, |_| ()).is_ok());
        assert_eq!(filters.with(idle, later, |_| ()), Err(RpcError::refused("filter not found")));
    }

    #[test]
    fn there_is_room_for_so_many_filters_and_no_more() {
        let (filters, start) = (filters(1), Instant::now());
        let first = filters.install(blocks(), start).expect("room");
        assert!(matches!(filters.install(blocks(), start), Err(RpcError::LimitExceeded(_))));
        assert!(filters.uninstall(first));
        assert!(!filters.uninstall(first));
        assert!(filters.install(blocks(), start).is_ok());
    }

    #[test]
    fn after_a_rewind_a_filter_tells_the_new_blocks_of_the_same_heights() {
        let (filters, start) = (filters(1), Instant::now());
        let id = filters.install(FilterKind::Blocks { next: 7 }, start).expect("room");
        let head = crate::service::Head { number: 3, hash: Default::default(), timestamp: 0 };
        filters.rewinds.send(Arc::new(Rewind { head, removed: Vec::new() })).expect("it listens");
        let next = filters.with(id, start, |kind| match kind {
            FilterKind::Blocks { next } => *next,
            _ => 0,
        });
        assert_eq!(next, Ok(4));
    }
}
