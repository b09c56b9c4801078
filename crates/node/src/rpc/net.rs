//! The `net_` namespace.

use super::{Rpc, RpcError};
use alloy_primitives::U64;
use jsonrpsee::{RpcModule, proc_macros::rpc};

#[rpc(server, namespace = "net")]
pub(crate) trait Net {
    #[method(name = "version", aliases = ["eth_networkId"])]
    fn version(&self) -> Result<String, RpcError>;

    #[method(name = "listening")]
    fn listening(&self) -> Result<bool, RpcError>;

    #[method(name = "peerCount")]
    fn peer_count(&self) -> Result<U64, RpcError>;
}

impl NetServer for Rpc {
    /// The chain id, in decimal.
    fn version(&self) -> Result<String, RpcError> {
        Ok(self.node.spec().chain_id().to_string())
    }

    fn listening(&self) -> Result<bool, RpcError> {
        Ok(true)
    }

    /// Blocks come from this node or a file: it has no peers.
    fn peer_count(&self) -> Result<U64, RpcError> {
        Ok(U64::ZERO)
    }
}

pub(super) fn methods(rpc: &Rpc) -> RpcModule<()> {
    rpc.clone().into_rpc().remove_context()
}
