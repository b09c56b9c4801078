//! The `web3_` namespace.

use super::{Rpc, RpcError};
use alloy_primitives::{B256, Bytes, keccak256};
use jsonrpsee::{RpcModule, proc_macros::rpc};

#[rpc(server, namespace = "web3")]
pub(crate) trait Web3 {
    #[method(name = "clientVersion")]
    fn client_version(&self) -> Result<String, RpcError>;

    #[method(name = "sha3")]
    fn sha3(&self, data: Bytes) -> Result<B256, RpcError>;
}

impl Web3Server for Rpc {
    fn client_version(&self) -> Result<String, RpcError> {
        Ok(self.client_version.clone())
    }

    fn sha3(&self, data: Bytes) -> Result<B256, RpcError> {
        Ok(keccak256(data))
    }
}

/// Name, version and platform, as other nodes write it.
pub(super) fn client_version() -> String {
    let (os, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("cryptlet/v{}/{os}-{architecture}", env!("CARGO_PKG_VERSION"))
}

pub(super) fn methods(rpc: &Rpc) -> RpcModule<()> {
    rpc.clone().into_rpc().remove_context()
}
