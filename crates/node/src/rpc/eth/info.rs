//! What chain this is and how the node is doing.

use crate::rpc::{Rpc, RpcError};
use alloy_primitives::{Address, U64, U256};
use jsonrpsee::proc_macros::rpc;

#[rpc(server, namespace = "eth")]
pub(crate) trait EthInfo {
    #[method(name = "chainId")]
    fn chain_id(&self) -> Result<U64, RpcError>;

    #[method(name = "syncing")]
    fn syncing(&self) -> Result<bool, RpcError>;

    #[method(name = "protocolVersion")]
    fn protocol_version(&self) -> Result<U64, RpcError>;

    #[method(name = "coinbase")]
    fn coinbase(&self) -> Result<Address, RpcError>;

    #[method(name = "mining")]
    fn mining(&self) -> Result<bool, RpcError>;

    #[method(name = "hashrate")]
    fn hashrate(&self) -> Result<U256, RpcError>;
}

impl EthInfoServer for Rpc {
    fn chain_id(&self) -> Result<U64, RpcError> {
        Ok(U64::from(self.node.spec().chain_id()))
    }

    /// Never: there is no network to fall behind.
    fn syncing(&self) -> Result<bool, RpcError> {
        Ok(false)
    }

    /// eth/68, what clients that ask expect to see.
    fn protocol_version(&self) -> Result<U64, RpcError> {
        Ok(U64::from(68))
    }

    /// Who got the fees of the last block.
    fn coinbase(&self) -> Result<Address, RpcError> {
        Ok(self.head_header()?.0.beneficiary)
    }

    /// No work is proven here.
    fn mining(&self) -> Result<bool, RpcError> {
        Ok(false)
    }

    fn hashrate(&self) -> Result<U256, RpcError> {
        Ok(U256::ZERO)
    }
}
