//! What the node is, and switches that this node does not need.

use super::{Dialect, Group, Registered};
use crate::{
    pool::PoolOrder,
    rpc::{Rpc, RpcError},
};
use alloy_primitives::{U64, U256};
use serde_json::{Value, json};

pub(super) fn register(group: &mut Group) -> Registered {
    match group.dialect {
        Dialect::Anvil => {
            group.offer("nodeInfo", |_, rpc| async move { Ok(rpc.node_info()?) })?;
            group.offer("getGenesisTime", |_, rpc| async move { Ok(rpc.node.spec().genesis_header().timestamp) })?;
            // Traces are always there to be asked for (debug_traceTransaction).
            group.offer_nothing("enableTraces")?;
        }
        Dialect::Hardhat => {
            // hardhat: whether stack traces will be better for it.
            group.offer("addCompilationResult", |_, _| async { Ok(false) })?;
            group.offer("getStackTraceFailuresCount", |_, _| async { Ok(0) })?;
        }
        Dialect::Evm | Dialect::Tenderly => return Ok(()),
    }
    group.offer("metadata", |_, rpc| async move { Ok(rpc.metadata()?) })?;
    group.offer_deed("setLoggingEnabled", |params, _| async move {
        // What is logged is for whoever started the node to say (--quiet, --verbose).
        let _: bool = params.one()?;
        Ok(())
    })
}

impl Rpc {
    fn node_info(&self) -> Result<Value, RpcError> {
        let head = self.node.chain().head()?;
        let spec = self.node.spec();
        let next = self.node.next_header(&head);
        Ok(json!({
            "currentBlockNumber": U64::from(head.number),
            "currentBlockTimestamp": head.timestamp,
            "currentBlockHash": head.hash(),
            "hardFork": spec.spec_id_of(&next).to_string(),
            "transactionOrder": match self.node.pool_order() {
                PoolOrder::Fees => "fees",
                PoolOrder::Arrival => "fifo",
            },
            "environment": {
                "baseFee": U256::from(next.base_fee_per_gas.unwrap_or_default()),
                "chainId": spec.chain_id(),
                "gasLimit": U64::from(next.gas_limit),
                "gasPrice": U256::from(self.suggested_price()?),
            },
            "forkConfig": { "forkUrl": null, "forkBlockNumber": null, "forkRetryBackoff": null },
        }))
    }

    fn metadata(&self) -> Result<Value, RpcError> {
        let head = self.node.head();
        Ok(json!({
            "clientVersion": self.client_version,
            "clientSemver": env!("CARGO_PKG_VERSION"),
            "clientCommitSha": null,
            "chainId": self.node.spec().chain_id(),
            "instanceId": self.node.spec().genesis_hash(),
            "latestBlockNumber": head.number,
            "latestBlockHash": head.hash,
            "forkedNetwork": null,
            "snapshots": self.snapshots.shown(),
        }))
    }
}
