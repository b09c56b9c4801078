//! A dev chain in memory, served over JSON-RPC, with no cryptlet host: `cargo run --example serve -- 127.0.0.1:8545`.

use cryptlet_node::{
    ChainSpec, NoFabric, Node, NodeConfig,
    chain_spec::dev_accounts,
    rpc::{RpcConfig, RpcServer},
    store::ChainStore,
};
use std::{error::Error, net::SocketAddr, sync::Arc};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen: SocketAddr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned()).parse()?;
    let (spec, chain) = (Arc::new(ChainSpec::dev()), ChainStore::in_memory());
    let node = Node::start(NodeConfig::default(), spec, chain, Arc::new(NoFabric))?;
    let server = RpcServer::start(node.clone(), RpcConfig::insecure_dev(listen, dev_accounts())).await?;
    eprintln!("http://{}", server.address());
    tokio::signal::ctrl_c().await?;
    server.stop().await;
    node.stop().await;
    Ok(())
}
