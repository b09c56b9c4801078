//! Places for work that is heavy: so many at once, so many that wait, and not for ever.

use super::RpcError;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bounded number of places with a bounded queue before them.
#[derive(Debug)]
pub(crate) struct Places {
    places: Arc<Semaphore>,
    places_max: usize,
    waiting: AtomicUsize,
    waiting_max: usize,
    patience: Duration,
}

impl Places {
    /// So many places, and so many who may wait for one, for this long.
    pub(crate) fn new(places_max: usize, waiting_max: usize, patience: Duration) -> Self {
        let places = Arc::new(Semaphore::new(places_max));
        Self { places, places_max, waiting: AtomicUsize::new(0), waiting_max, patience }
    }

    /// Waits for a place. It is free again when what is returned is dropped.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, RpcError> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let turn = Turn::take(self).ok_or_else(|| self.busy())?;
        let place = tokio::time::timeout(self.patience, self.places.clone().acquire_owned()).await;
        drop(turn);
        place.map_err(|_| self.busy())?.map_err(|_| self.busy())
    }

    fn busy(&self) -> RpcError {
        RpcError::Busy(self.places_max)
    }
}

/// A place in the queue; given back also when whoever waits goes away.
struct Turn<'a>(&'a Places);

impl<'a> Turn<'a> {
    fn take(places: &'a Places) -> Option<Self> {
        let turn = Self(places);
        (places.waiting.fetch_add(1, Ordering::Relaxed) < places.waiting_max).then_some(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_is_a_bound_on_places_and_on_the_queue() {
        let places = Arc::new(Places::new(1, 1, Duration::from_secs(60)));
        let first = places.enter().await.expect("free");
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { places.enter().await.map(drop) }
        });
        while places.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(places.enter().await.map(drop), Err(RpcError::Busy(1)), "the queue is full");
        drop(first);
        assert_eq!(waiting.await.expect("no panic"), Ok(()));
        assert!(places.enter().await.is_ok());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let places = Places::new(0, 1, Duration::from_millis(10));
        assert_eq!(places.enter().await.map(drop), Err(RpcError::Busy(0)));
        assert_eq!(places.waiting.load(Ordering::Relaxed), 0);
    }
}
