//! JSON-RPC, as Ethereum clients expect it. One file per group of methods; `docs/json-rpc.md` lists them all.
//!
//! A request comes in over HTTP (`listen`, `http`), IPC (`ipc`) or a WebSocket (jsonrpsee, behind `websocket`), or from this
//! process (`inside`); `dispatch` finds its method and writes the answer, once the chain is ready (`readiness`). `server` starts them all. Then comes one method in one of the files below, all of
//! which are implementations on `Rpc`. Methods read the store or ask the [`NodeHandle`]; none of them takes a lock that a
//! block holds while it is made.

mod accounts;
mod admin;
mod chain_view;
mod config;
mod convert;
mod cryptlet;
mod dev;
mod dispatch;
mod error;
mod eth;
mod filters;
mod fork;
mod http;
mod inside;
mod ipc;
mod listen;
mod log_filter;
mod net;
mod params;
mod personal;
mod places;
mod readiness;
mod recent;
mod registry;
mod send;
mod server;
mod shown_log;
mod trace;
mod txpool;
mod web3;
mod websocket;

pub use config::{CorsOrigins, Namespace, RpcConfig, RpcLimits, VirtualHosts, WebSocketConfig};
pub use error::RpcError;
pub use inside::InsideCalls;
pub use server::{RpcServer, RpcStartError};

use crate::service::NodeHandle;
use accounts::Accounts;
use filters::Filters;
use jsonrpsee::RpcModule;
use places::Places;
use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

/// What every method can reach. Clones are cheap.
#[derive(Clone)]
pub(crate) struct Rpc(Arc<Context>);

/// See [`Rpc`].
pub(crate) struct Context {
    node: NodeHandle,
    accounts: Accounts,
    client_version: String,
    filters: Filters,
    limits: RpcLimits,
    simulations: Places,
    searches: Places,
    /// Tracers that clients write, if they are offered: whatever one of them does, it does not keep a second core busy.
    scripts: Option<Places>,
    /// Where the chain is kept, if it is kept anywhere.
    datadir: Option<PathBuf>,
    /// Blocks between the head and `safe`, and between that and `finalized`.
    blocks_per_epoch: u64,
    tips: eth::TipCache,
    recent: recent::RecentBlocks,
    snapshots: dev::Snapshots,
    /// Held from the choice of a nonce until a transaction that nobody signed is in the pool.
    unsigned_turn: tokio::sync::Mutex<()>,
    arrival: send::ArrivalMining,
}

impl std::ops::Deref for Rpc {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.0
    }
}

impl Rpc {
    fn new(node: NodeHandle, config: &RpcConfig) -> Self {
        let limits = config.limits;
        let filters = Filters::new(limits.filters_max, limits.filter_idle_max, node.rewinds().clone());
        Self(Arc::new(Context {
            node,
            accounts: Accounts::new(config.insecure_accounts.clone()),
            client_version: config.client_version.clone().unwrap_or_else(web3::client_version),
            filters,
            limits,
            simulations: Places::new(limits.simulations_max, limits.waiting_max, limits.call_time_max),
            searches: Places::new(limits.searches_max, limits.waiting_max, limits.call_time_max),
            scripts: config.insecure_scripts.then(|| Places::new(1, limits.waiting_max, limits.call_time_max)),
            datadir: config.datadir.clone(),
            blocks_per_epoch: config.blocks_per_epoch,
            tips: eth::TipCache::new(config.default_tip),
            recent: recent::RecentBlocks::default(),
            snapshots: dev::Snapshots::default(),
            unsigned_turn: tokio::sync::Mutex::default(),
            arrival: send::ArrivalMining::default(),
        }))
    }

    /// Runs work that keeps a core busy on a thread of its own.
    async fn search<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let place = self.searches.enter().await?;
        let rpc = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work(&rpc)
        });
        done.await.map_err(RpcError::internal)?
    }
}

/// The methods of these namespaces.
fn methods(rpc: &Rpc, namespaces: &BTreeSet<Namespace>) -> RpcModule<()> {
    let mut module = admin::rpc_methods(namespaces);
    for namespace in namespaces {
        let methods = match namespace {
            Namespace::Eth => eth::methods(rpc),
            Namespace::Net => net::methods(rpc),
            Namespace::Web3 => web3::methods(rpc),
            Namespace::Personal => personal::methods(rpc),
            Namespace::Txpool => txpool::methods(rpc),
            Namespace::Cryptlet => cryptlet::methods(rpc),
            Namespace::Evm => dev::evm_methods(rpc),
            Namespace::Anvil => dev::anvil_methods(rpc),
            Namespace::Hardhat => dev::hardhat_methods(rpc),
            Namespace::Debug => trace::debug_methods(rpc),
            Namespace::Trace => trace::trace_methods(rpc),
            Namespace::Ots => trace::ots_methods(rpc),
            Namespace::Erigon => trace::erigon_methods(rpc),
            Namespace::Testing => trace::testing_methods(rpc),
            Namespace::Admin => admin::methods(rpc),
        };
        module.merge(methods).expect("no two namespaces share a name");
        if *namespace == Namespace::Anvil {
            module.merge(dev::anvil_extras(rpc)).expect("no two namespaces share a name");
        }
    }
    module
}
