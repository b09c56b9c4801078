//! What time it is on the chain.

use super::{Dialect, Group, Registered, small};
use crate::rpc::{Rpc, RpcError};
use alloy_primitives::U256;

/// A time above this, in seconds, is meant in milliseconds: it is the year 5138.
const SECONDS_MAX: u64 = 100_000_000_000;

pub(super) fn register(group: &mut Group) -> Registered {
    if !matches!(group.dialect, Dialect::Evm | Dialect::Anvil) {
        return Ok(());
    }
    group.offer("increaseTime", |params, rpc| async move {
        let seconds = small(params.one()?, "the number of seconds")?;
        Ok(rpc.node.time().increase_s(seconds))
    })?;
    group.offer("setTime", |params, rpc| async move {
        let given = small(params.one()?, "the time")?;
        let unix_s = if given > SECONDS_MAX { given / 1_000 } else { given };
        let before = rpc.node.time().now();
        rpc.node.time().set_now(unix_s);
        // anvil: the seconds that were skipped.
        Ok(unix_s.saturating_sub(before))
    })?;
    group.offer_deed("setNextBlockTimestamp", |params, rpc| async move {
        Ok(rpc.set_next_block_timestamp(params.one()?)?)
    })?;
    if group.is(Dialect::Anvil) {
        group.offer_deed("setBlockTimestampInterval", |params, rpc| async move {
            let seconds = small(params.one()?, "the interval")?;
            rpc.node.time().set_interval(Some(seconds));
            Ok(())
        })?;
        group.offer("removeBlockTimestampInterval", |_, rpc| async move {
            Ok(rpc.node.time().set_interval(None).is_some())
        })?;
    }
    Ok(())
}

impl Rpc {
    pub(super) fn set_next_block_timestamp(&self, unix_seconds: U256) -> Result<(), RpcError> {
        let head = self.node.head();
        let set = self.node.time().set_next(small(unix_seconds, "the timestamp")?, head.timestamp);
        // The beginning is anvil's, the rest hardhat's.
        set.map_err(|error| {
            RpcError::invalid(format!(
                "Timestamp error: {} is lower than or equal to previous block's timestamp {}",
                error.timestamp, error.head_timestamp
            ))
        })
    }
}
