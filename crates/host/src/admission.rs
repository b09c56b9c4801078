//! Which call runs next. So many run at a time; the others wait, each caller's in a queue of its own, and the queues are served
//! in turn: a contract that calls a thousand times waits for itself, not the others for it.
//!
//! [`FairQueue`] decides and knows no clock, no thread and no task; [`Admission`] wakes whom it names.

use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::Arc,
};
use tokio::sync::{Notify, oneshot};

/// Who waits, by caller, and whose turn it is.
#[derive(Debug)]
pub(crate) struct FairQueue<C, T> {
    waiting: HashMap<C, VecDeque<T>>,
    /// Callers that have somebody waiting, the next one first. Each is here once.
    turns: VecDeque<C>,
    length: usize,
    total_max: usize,
    per_caller_max: usize,
}

/// Why there is no place to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// So many wait in all, and no more may.
    Total(usize),
    /// So many of this caller wait, and no more may.
    Caller(usize),
}

impl<C: Clone + Eq + Hash, T> FairQueue<C, T> {
    pub(crate) fn new(total_max: usize, per_caller_max: usize) -> Self {
        Self { waiting: HashMap::new(), turns: VecDeque::new(), length: 0, total_max, per_caller_max }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Joins the queue of a caller, at its end.
    pub(crate) fn push(&mut self, caller: C, item: T) -> Result<(), Full> {
        if self.length >= self.total_max {
            return Err(Full::Total(self.total_max));
        }
        let queue = self.waiting.entry(caller.clone()).or_default();
        if queue.len() >= self.per_caller_max {
            return Err(Full::Caller(self.per_caller_max));
        }
        if queue.is_empty() {
            self.turns.push_back(caller);
        }
        queue.push_back(item);
        self.length += 1;
        Ok(())
    }

    /// The next one: of the caller whose turn it is, the one who has waited longest.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let caller = self.turns.pop_front()?;
        let queue = self.waiting.get_mut(&caller)?;
        let item = queue.pop_front()?;
        self.length -= 1;
        if queue.is_empty() {
            self.waiting.remove(&caller);
        } else {
            self.turns.push_back(caller);
        }
        Some(item)
    }
}

/// Places to run at, shared by all callers.
#[derive(Debug)]
pub(crate) struct Admission<C: Clone + Eq + Hash> {
    state: Mutex<State<C>>,
    running_max: usize,
    emptied: Notify,
}

#[derive(Debug)]
struct State<C: Clone + Eq + Hash> {
    running: usize,
    queue: FairQueue<C, oneshot::Sender<Place<C>>>,
}

/// A place. Given to whoever is next when dropped.
#[derive(Debug)]
pub(crate) struct Place<C: Clone + Eq + Hash>(Option<Arc<Admission<C>>>);

impl<C: Clone + Eq + Hash> Admission<C> {
    pub(crate) fn new(running_max: usize, waiting_max: usize, per_caller_max: usize) -> Arc<Self> {
        let queue = FairQueue::new(waiting_max, per_caller_max);
        Arc::new(Self { state: Mutex::new(State { running: 0, queue }), running_max, emptied: Notify::new() })
    }

    /// A place at once, or after a wait. Whoever stops waiting leaves the queue when its turn comes.
    pub(crate) async fn enter(self: &Arc<Self>, caller: C) -> Result<Place<C>, Full> {
        let turn = {
            let mut state = self.state.lock();
            if state.running < self.running_max {
                state.running += 1;
                return Ok(Place(Some(Arc::clone(self))));
            }
            let (give, turn) = oneshot::channel();
            state.queue.push(caller, give)?;
            turn
        };
        // The sender is in the queue until it is used, and the queue lives as long as we do.
        Ok(turn.await.expect("a queued call is given its place"))
    }

    pub(crate) fn running(&self) -> usize {
        self.state.lock().running
    }

    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// Ends when nothing runs and nothing waits.
    pub(crate) async fn idle(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.running() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Hands a place on. Never under the lock: a place that nobody wants comes back here.
    fn pass_on(self: Arc<Self>) {
        loop {
            let next = {
                let mut state = self.state.lock();
                let next = state.queue.pop();
                if next.is_none() {
                    state.running -= 1;
                    if state.running == 0 {
                        self.emptied.notify_waiters();
                    }
                }
                next
            };
            let Some(next) = next else { return };
            match next.send(Place(Some(Arc::clone(&self)))) {
                Ok(()) => return,
                // It gave up waiting; the place is still ours to give.
                Err(mut place) => place.0 = None,
            }
        }
    }
}

impl<C: Clone + Eq + Hash> Drop for Place<C> {
    fn drop(&mut self) {
        if let Some(admission) = self.0.take() {
            admission.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_that_calls_a_thousand_times_delays_the_others_by_one_call_each() {
        let mut queue = FairQueue::new(10_000, 5_000);
        for number in 0..1_000 {
            queue.push("noisy", number).unwrap();
        }
        queue.push("quiet", 7_000).unwrap();
        queue.push("calm", 8_000).unwrap();
        queue.push("quiet", 7_001).unwrap();
        let first: Vec<_> = (0..7).filter_map(|_| queue.pop()).collect();
        assert_eq!(first, [0, 7_000, 8_000, 1, 7_001, 2, 3]);
        assert_eq!(queue.len(), 1_003 - 7);
        let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(rest, (4..1_000).collect::<Vec<_>>(), "each caller's own are served in order");
        assert!(queue.waiting.is_empty() && queue.turns.is_empty() && queue.len() == 0);
    }

    #[test]
    fn every_queue_is_bounded_and_a_full_one_leaves_room_for_others() {
        let mut queue = FairQueue::new(5, 3);
        for number in 0..3 {
            queue.push("noisy", number).unwrap();
        }
        assert_eq!(queue.push("noisy", 3), Err(Full::Caller(3)));
        queue.push("quiet", 0).unwrap();
        queue.push("calm", 0).unwrap();
        assert_eq!(queue.push("late", 0), Err(Full::Total(5)));
    }

    /// Runs the scheduler by hand: a place is freed when the test says so.
    #[tokio::test]
    async fn places_go_round_and_one_that_gave_up_is_passed_over() {
        let admission = Admission::new(1, 100, 100);
        let running = admission.enter("noisy").await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (caller, number) in [("noisy", 1), ("noisy", 2), ("noisy", 3), ("quiet", 4), ("gone", 5)] {
            let (admission, order) = (Arc::clone(&admission), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let place = admission.enter(caller).await.unwrap();
                order.lock().push(number);
                drop(place);
            }));
            // One thread: the task runs until it waits.
            tokio::task::yield_now().await;
        }
        assert_eq!((admission.running(), admission.waiting()), (1, 5));
        tasks.pop().unwrap().abort();
        tokio::task::yield_now().await;
        drop(running);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), [1, 4, 2, 3]);
        admission.idle().await;
        assert_eq!((admission.running(), admission.waiting()), (0, 0));
    }
}
