//! The `eth_` namespace, by what the methods are about.

mod access_lists;
mod accounts;
mod blocks;
mod bundles;
mod calls;
mod config;
mod fees;
mod info;
mod logs;
mod pubsub;
mod simulate;
mod state;
mod transactions;

pub(super) use fees::TipCache;
pub(super) use logs::append_logs;
pub(super) use transactions::EthTransactionsServer;

use super::Rpc;
use jsonrpsee::RpcModule;

/// Every `eth_` method.
pub(super) fn methods(rpc: &Rpc) -> RpcModule<()> {
    let mut all = RpcModule::new(());
    let parts: [jsonrpsee::Methods; 13] = [
        access_lists::EthAccessListsServer::into_rpc(rpc.clone()).into(),
        accounts::EthAccountsServer::into_rpc(rpc.clone()).into(),
        blocks::EthBlocksServer::into_rpc(rpc.clone()).into(),
        bundles::EthBundlesServer::into_rpc(rpc.clone()).into(),
        calls::EthCallsServer::into_rpc(rpc.clone()).into(),
        config::EthConfigServer::into_rpc(rpc.clone()).into(),
        fees::EthFeesServer::into_rpc(rpc.clone()).into(),
        info::EthInfoServer::into_rpc(rpc.clone()).into(),
        logs::EthLogsServer::into_rpc(rpc.clone()).into(),
        pubsub::EthPubSubServer::into_rpc(rpc.clone()).into(),
        simulate::EthSimulateServer::into_rpc(rpc.clone()).into(),
        state::EthStateServer::into_rpc(rpc.clone()).into(),
        transactions::EthTransactionsServer::into_rpc(rpc.clone()).into(),
    ];
    for part in parts {
        all.merge(part).expect("no two files of eth define one method");
    }
    all
}
