//! Looking into execution: traces of transactions, blocks and calls, in the words of geth (`debug_`), of OpenEthereum
//! (`trace_`) and of Otterscan (`ots_`).
//!
//! Blocks run again through [`crate::execute::Rerun`]: cryptlets are answered from the block's own records, so a trace of
//! the past asks no host and is the same on every node. Calls run as `eth_call` runs them. Nothing here takes a lock that a
//! block holds while it is made.

mod chain;
mod debug;
mod otterscan;
mod parity;
mod raw;
mod replay;
mod rewards;
mod script;
mod state;
mod testing;
mod tracer;
mod witness;

pub(super) use testing::methods as testing_methods;
pub(super) use tracer::TracerOptions;

use super::Rpc;
use jsonrpsee::RpcModule;
use serde::{Deserialize, Deserializer};

/// A number where geth and OpenEthereum take plain ones: clients send those and quantities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Number(pub(crate) u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a number, or a number as a hexadecimal string")]
        enum Either {
            Plain(u64),
            Quantity(alloy_primitives::U64),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::Plain(number) => Self(number),
            Either::Quantity(quantity) => Self(quantity.to()),
        })
    }
}

/// Every `debug_` method.
pub(super) fn debug_methods(rpc: &Rpc) -> RpcModule<()> {
    let mut all = RpcModule::new(());
    let parts: [jsonrpsee::Methods; 5] = [
        chain::DebugPubSubServer::into_rpc(rpc.clone()).into(),
        debug::DebugTracesServer::into_rpc(rpc.clone()).into(),
        raw::DebugRawServer::into_rpc(rpc.clone()).into(),
        state::DebugStateServer::into_rpc(rpc.clone()).into(),
        witness::DebugWitnessServer::into_rpc(rpc.clone()).into(),
    ];
    for part in parts {
        all.merge(part).expect("no two files of debug define one method");
    }
    all
}

/// Every `trace_` method.
pub(super) fn trace_methods(rpc: &Rpc) -> RpcModule<()> {
    parity::ParityTracesServer::into_rpc(rpc.clone()).remove_context()
}

/// Every `ots_` method.
pub(super) fn ots_methods(rpc: &Rpc) -> RpcModule<()> {
    otterscan::OtterscanServer::into_rpc(rpc.clone()).remove_context()
}

/// Every `erigon_` method.
pub(super) fn erigon_methods(rpc: &Rpc) -> RpcModule<()> {
    otterscan::ErigonServer::into_rpc(rpc.clone()).remove_context()
}
