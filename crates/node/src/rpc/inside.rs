//! Calls out of the process that runs the node, with nothing between: no socket, no waiting until the chain is ready.

use super::dispatch::{Dispatcher, Transport};
use std::sync::Arc;

/// Answers calls of this process.
#[derive(Clone, Debug)]
pub struct InsideCalls(pub(super) Arc<Dispatcher>);

impl InsideCalls {
    /// Answers a message of JSON-RPC, as it would be over IPC. `None`: it only notified. There are no subscriptions.
    pub async fn answer(&self, message: &[u8]) -> Option<String> {
        self.0.handle(message, Transport::Ipc, None).await.map(|answer| answer.json)
    }
}
