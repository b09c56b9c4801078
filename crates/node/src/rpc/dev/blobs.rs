//! Blobs of transactions in the pool, and of those that were included lately.

use super::{Dialect, Group, Registered};
use crate::rpc::Rpc;
use alloy::eips::{eip4844::Blob, eip7594::BlobTransactionSidecarVariant};
use alloy_primitives::B256;

pub(super) fn register(group: &mut Group) -> Registered {
    if !group.is(Dialect::Anvil) {
        return Ok(());
    }
    group.offer("getBlobByHash", |params, rpc| async move {
        let wanted: B256 = params.one()?;
        Ok(rpc.blob(wanted))
    })?;
    group.offer("getBlobsByTransactionHash", |params, rpc| async move {
        let hash: B256 = params.one()?;
        let pooled = rpc.node.pooled(hash).and_then(|entry| entry.sidecar().cloned());
        let sidecar = pooled.or_else(|| rpc.node.kept_blobs().of_transaction(hash));
        Ok(sidecar.map(|sidecar| blobs(&sidecar).to_vec()))
    })
}

impl Rpc {
    fn blob(&self, versioned_hash: B256) -> Option<Blob> {
        let pooled = self.node.pool_content().pending.into_values().flat_map(|queue| queue.into_values());
        let pooled = pooled.filter_map(|entry| entry.sidecar().cloned());
        let mut sidecars = self.node.kept_blobs().all().into_iter().chain(pooled);
        sidecars.find_map(|sidecar| {
            let position = sidecar.versioned_hashes().position(|hash| hash == versioned_hash)?;
            blobs(&sidecar).get(position).copied()
        })
    }
}

fn blobs(sidecar: &BlobTransactionSidecarVariant) -> &[Blob] {
    match sidecar {
        BlobTransactionSidecarVariant::Eip4844(sidecar) => &sidecar.blobs,
        BlobTransactionSidecarVariant::Eip7594(sidecar) => &sidecar.blobs,
    }
}
