//! Telling the world of a block, when it is safe to.
//!
//! A block is written by the miner and settled here (see [`ChainStore::settle`]): on a node that does not wait for its disk
//! in the miner's own thread, on one that does in a thread of its own. Then the miner goes on building while the disk works,
//! and all blocks that were written meanwhile share the next wait (group commit).

use super::MinerError;
use crate::{
    service::{ChainEvent, Head, Shared},
    store::StoreError,
    types::ExecutedBlock,
};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

/// Blocks that may be written and not settled; then the miner waits for the disk.
const UNSETTLED_BLOCKS_MAX: usize = 256;

/// A block that was written, to be announced.
pub(super) struct Announcement {
    pub(super) head: Head,
    pub(super) executed: Arc<ExecutedBlock>,
    /// From the first look at its transactions until it was written.
    pub(super) took: Duration,
}

/// Whoever settles blocks and tells of them, in their order.
pub(super) struct Announcer {
    shared: Arc<Shared>,
    /// To the thread that waits for the disk; `None`: nobody has to.
    thread: Option<(SyncSender<Message>, std::thread::JoinHandle<()>)>,
    /// Why the last settling failed. Written blocks stay unannounced until one succeeds.
    fault: Arc<Mutex<Option<StoreError>>>,
    /// Not settled yet, of a node without a thread.
    waiting: Vec<Announcement>,
}

enum Message {
    Block(Announcement),
    /// Tell when everything before this has been announced, or could not be.
    Barrier(SyncSender<Result<(), StoreError>>),
}

impl Announcer {
    pub(super) fn start(shared: Arc<Shared>) -> std::io::Result<Self> {
        let fault = Arc::default();
        let thread = match shared.chain.waits_for_disk() {
            false => None,
            true => {
                let (send, receive) = sync_channel(UNSETTLED_BLOCKS_MAX);
                let (shared, fault) = (shared.clone(), Arc::clone(&fault));
                let settle = move || settle_all(&shared, &receive, &fault);
                Some((send, std::thread::Builder::new().name("settler".to_owned()).spawn(settle)?))
            }
        };
        Ok(Self { shared, thread, fault, waiting: Vec::new() })
    }

    /// Why blocks cannot be settled now, if they cannot.
    pub(super) fn fault(&self) -> Option<StoreError> {
        self.fault.lock().clone()
    }

    /// Announces a block once it is settled.
    pub(super) fn announce(&mut self, block: Announcement) -> Result<(), MinerError> {
        match &self.thread {
            Some((send, _)) => send.send(Message::Block(block)).map_err(|_| MinerError::Stopped),
            None => {
                self.waiting.push(block);
                self.settle_now()
            }
        }
    }

    /// Waits until every block that was made has been announced.
    pub(super) fn finish(&mut self) -> Result<(), MinerError> {
        let Some((send, _)) = &self.thread else { return self.settle_now() };
        let (done, wait) = sync_channel(1);
        send.send(Message::Barrier(done)).map_err(|_| MinerError::Stopped)?;
        Ok(wait.recv().map_err(|_| MinerError::Stopped)??)
    }

    /// Announces what is left, and ends the thread.
    pub(super) fn stop(mut self) {
        if let Err(error) = self.finish() {
            tracing::error!(%error, "the last blocks may not be on disk");
        }
        if let Some((send, thread)) = self.thread.take() {
            drop(send);
            if thread.join().is_err() {
                tracing::error!("the settler's thread ended with a panic");
            }
        }
    }

    fn settle_now(&mut self) -> Result<(), MinerError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let settled = settle(&self.shared, &mut self.waiting);
        *self.fault.lock() = settled.as_ref().err().cloned();
        Ok(settled?)
    }
}

fn settle_all(shared: &Shared, messages: &Receiver<Message>, fault: &Mutex<Option<StoreError>>) {
    let mut waiting = Vec::new();
    while let Ok(first) = messages.recv() {
        let mut barriers = Vec::new();
        for message in std::iter::once(first).chain(messages.try_iter()) {
            match message {
                Message::Block(block) => waiting.push(block),
                Message::Barrier(done) => barriers.push(done),
            }
        }
        let settled = settle(shared, &mut waiting);
        *fault.lock() = settled.as_ref().err().cloned();
        for done in barriers {
            // Whoever no longer waits does not need to know.
            let _ = done.send(settled.clone());
        }
    }
}

/// Settles everything that was written, and tells of these blocks. After an error they wait for the next try.
fn settle(shared: &Shared, waiting: &mut Vec<Announcement>) -> Result<(), StoreError> {
    if waiting.is_empty() {
        return Ok(());
    }
    shared.chain.settle()?;
    for Announcement { head, executed, took } in waiting.drain(..) {
        let records = executed.records.0.iter().map(|group| group.records.len()).sum::<usize>();
        tracing::info!(
            number = head.number, transactions = executed.block.body.transactions.len(), records,
            gas = executed.block.header.gas_used, ?took, hash = %head.hash, "block made"
        );
        shared.pool.settled(head.number);
        shared.memo.learn(&executed.records);
        shared.head_is(head);
        shared.tell(ChainEvent::NewBlock(executed));
    }
    Ok(())
}
