//! Blobs of transactions that are in blocks. Blocks do not hold them; a development node is asked for them all the same.

use crate::pool::PooledEntry;
use alloy::eips::eip7594::BlobTransactionSidecarVariant;
use alloy_primitives::B256;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// Transactions whose blobs are kept, the newest. A transaction has at most 9 blobs of 128 KiB.
const TRANSACTIONS_MAX: usize = 32;

/// The blobs of the blob transactions that were included last.
#[derive(Debug, Default)]
pub(crate) struct KeptBlobs(Mutex<VecDeque<(B256, BlobTransactionSidecarVariant)>>);

impl KeptBlobs {
    /// Keeps the blobs of a transaction that was included, if it has any.
    pub(crate) fn keep(&self, entry: &PooledEntry) {
        let Some(sidecar) = entry.sidecar() else { return };
        let mut kept = self.0.lock();
        if kept.len() == TRANSACTIONS_MAX {
            kept.pop_front();
        }
        kept.push_back((entry.hash(), sidecar.clone()));
    }

    /// The blobs of a transaction.
    pub(crate) fn of_transaction(&self, hash: B256) -> Option<BlobTransactionSidecarVariant> {
        self.0.lock().iter().find(|(of, _)| *of == hash).map(|(_, sidecar)| sidecar.clone())
    }

    /// All that are kept, the newest first.
    pub(crate) fn all(&self) -> Vec<BlobTransactionSidecarVariant> {
        self.0.lock().iter().rev().map(|(_, sidecar)| sidecar.clone()).collect()
    }
}
