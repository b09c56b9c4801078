//! Taking transactions out of the pool.

use super::{Dialect, Group, Registered, miner_error};
use crate::rpc::RpcError;
use alloy_primitives::B256;
use serde_json::Value;

pub(super) fn register(group: &mut Group) -> Registered {
    if !matches!(group.dialect, Dialect::Anvil | Dialect::Hardhat) {
        return Ok(());
    }
    let is_hardhat = group.is(Dialect::Hardhat);
    group.offer("dropTransaction", move |params, rpc| async move {
        let hash: B256 = params.one()?;
        let was_there = rpc.node.drop_transaction(hash).await.map_err(miner_error)?;
        if !is_hardhat {
            return Ok(if was_there { Value::from(hash.to_string()) } else { Value::Null });
        }
        if !was_there && rpc.find_transaction(hash)?.is_some() {
            // hardhat's words.
            let why = format!("Transaction {hash} cannot be dropped because it's already mined");
            return Err(RpcError::refused(why).into());
        }
        Ok(was_there.into())
    })?;
    group.offer_deed("dropAllTransactions", |_, rpc| async move {
        rpc.node.drop_transactions(None).await.map(|_| ()).map_err(miner_error)
    })?;
    if group.is(Dialect::Anvil) {
        group.offer_deed("removePoolTransactions", |params, rpc| async move {
            let sender = params.one()?;
            rpc.node.drop_transactions(Some(sender)).await.map(|_| ()).map_err(miner_error)
        })?;
    }
    Ok(())
}
