//! The `txpool_` namespace. A parked transaction counts as pending: it could be in any of the next blocks.

use super::{
    Rpc, RpcError,
    convert::{self, RpcTransaction},
};
use crate::pool::PooledEntry;
use alloy::consensus::Transaction as _;
use alloy_primitives::{Address, U64};
use jsonrpsee::{RpcModule, proc_macros::rpc};
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

/// Transactions by nonce; JSON wants the nonce as a decimal string.
type ByNonce<T> = BTreeMap<String, T>;
type Queues = BTreeMap<Address, BTreeMap<u64, Arc<PooledEntry>>>;

/// Something of every transaction.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Content<T> {
    pending: BTreeMap<String, ByNonce<T>>,
    queued: BTreeMap<String, ByNonce<T>>,
}

/// The transactions of one sender.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ContentFrom {
    pending: ByNonce<RpcTransaction>,
    queued: ByNonce<RpcTransaction>,
}

/// How many there are.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Status {
    pending: U64,
    queued: U64,
}

#[rpc(server, namespace = "txpool")]
pub(crate) trait Txpool {
    #[method(name = "status")]
    fn status(&self) -> Result<Status, RpcError>;

    #[method(name = "content")]
    fn content(&self) -> Result<Content<RpcTransaction>, RpcError>;

    #[method(name = "contentFrom")]
    fn content_from(&self, address: Address) -> Result<ContentFrom, RpcError>;

    #[method(name = "inspect")]
    fn inspect(&self) -> Result<Content<String>, RpcError>;
}

impl TxpoolServer for Rpc {
    fn status(&self) -> Result<Status, RpcError> {
        let status = self.node.pool_status();
        Ok(Status { pending: U64::from(status.pending), queued: U64::from(status.queued) })
    }

    fn content(&self) -> Result<Content<RpcTransaction>, RpcError> {
        let content = self.node.pool_content();
        Ok(Content { pending: show(&content.pending, whole), queued: show(&content.queued, whole) })
    }

    fn content_from(&self, address: Address) -> Result<ContentFrom, RpcError> {
        let content = self.node.pool_content();
        let of = |queues: &Queues| queues.get(&address).map(|queue| by_nonce(queue, whole)).unwrap_or_default();
        Ok(ContentFrom { pending: of(&content.pending), queued: of(&content.queued) })
    }

    fn inspect(&self) -> Result<Content<String>, RpcError> {
        let content = self.node.pool_content();
        Ok(Content { pending: show(&content.pending, summary), queued: show(&content.queued, summary) })
    }
}

pub(super) fn methods(rpc: &Rpc) -> RpcModule<()> {
    rpc.clone().into_rpc().remove_context()
}

/// By sender, written with its checksum as geth does.
fn show<T>(queues: &Queues, view: impl Fn(&PooledEntry) -> T + Copy) -> BTreeMap<String, ByNonce<T>> {
    queues.iter().map(|(address, queue)| (address.to_checksum(None), by_nonce(queue, view))).collect()
}

fn by_nonce<T>(queue: &BTreeMap<u64, Arc<PooledEntry>>, view: impl Fn(&PooledEntry) -> T) -> ByNonce<T> {
    queue.iter().map(|(nonce, entry)| (nonce.to_string(), view(entry))).collect()
}

fn whole(entry: &PooledEntry) -> RpcTransaction {
    convert::pending(entry.transaction().clone())
}

/// geth's one-line form.
fn summary(entry: &PooledEntry) -> String {
    let transaction = entry.transaction();
    let to = transaction.to().map_or_else(|| "contract creation".to_owned(), |to| to.to_string());
    let (value, gas, price) = (transaction.value(), transaction.gas_limit(), transaction.max_fee_per_gas());
    format!("{to}: {value} wei + {gas} gas × {price} wei")
}
