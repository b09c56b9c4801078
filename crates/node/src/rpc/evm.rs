//! Mining, time and snapshots of development nodes, under the names that hardhat (`evm_`, `hardhat_`) and anvil
//! (`anvil_`) gave them.
//!
//! Methods that would write state between blocks (`*_setBalance`, `*_impersonateAccount`, …) are refused: a block made
//! on such a state could not be replayed from the chain's own record.

use super::{Rpc, RpcError, web3};
use alloy_primitives::{B256, U64, U256};
use jsonrpsee::{RpcModule, core::RegisterMethodError, proc_macros::rpc, types::ErrorObjectOwned};
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};

/// Blocks of one request to mine.
const BLOCKS_MINED_MAX: u64 = 100_000;
/// Snapshots kept; the oldest goes first.
const SNAPSHOTS_MAX: usize = 10_000;

/// Methods of other development nodes that write state between blocks, or pretend to be somebody.
const STATE_CHEATS: [&str; 17] = [
    "setBalance",
    "addBalance",
    "setCode",
    "setNonce",
    "setStorageAt",
    "setCoinbase",
    "setPrevRandao",
    "setNextBlockBaseFeePerGas",
    "setMinGasPrice",
    "impersonateAccount",
    "stopImpersonatingAccount",
    "autoImpersonateAccount",
    "dealERC20",
    "loadState",
    "dumpState",
    "reset",
    "reorg",
];

/// Heights that were marked with `evm_snapshot`, by id.
#[derive(Debug, Default)]
pub(crate) struct Snapshots(Mutex<Marked>);

#[derive(Debug, Default)]
struct Marked {
    last_id: u64,
    /// Id, height and hash, in order of their making.
    marks: Vec<(u64, u64, B256)>,
}

impl Snapshots {
    fn mark(&self, number: u64, hash: B256) -> u64 {
        let mut marked = self.0.lock();
        if marked.marks.len() >= SNAPSHOTS_MAX {
            marked.marks.remove(0);
        }
        marked.last_id += 1;
        let id = marked.last_id;
        marked.marks.push((id, number, hash));
        id
    }

    /// Takes a snapshot, and with it all that were made after it.
    fn take(&self, id: u64) -> Option<(u64, B256)> {
        let mut marked = self.0.lock();
        let position = marked.marks.iter().position(|(marked_id, ..)| *marked_id == id)?;
        let (_, number, hash) = marked.marks[position];
        marked.marks.truncate(position);
        Some((number, hash))
    }
}

/// What `evm_mine` may be given: a timestamp, or a timestamp and a number of blocks.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum MineOptions {
    Timestamp(U256),
    Options { timestamp: Option<U256>, blocks: Option<U256> },
}

#[rpc(server, namespace = "evm")]
pub(crate) trait Evm {
    #[method(name = "snapshot")]
    fn snapshot(&self) -> Result<U64, RpcError>;

    #[method(name = "revert")]
    async fn revert(&self, id: U64) -> Result<bool, RpcError>;

    #[method(name = "mine")]
    async fn mine(&self, options: Option<MineOptions>) -> Result<U64, RpcError>;

    #[method(name = "increaseTime")]
    fn increase_time(&self, seconds: U256) -> Result<i64, RpcError>;

    #[method(name = "setTime")]
    fn set_time(&self, unix_seconds: U256) -> Result<i64, RpcError>;

    #[method(name = "setNextBlockTimestamp")]
    fn set_next_block_timestamp(&self, unix_seconds: U256) -> Result<(), RpcError>;

    #[method(name = "setAutomine")]
    async fn set_automine(&self, on: bool) -> Result<bool, RpcError>;

    /// In milliseconds, as hardhat has it; 0 turns it off.
    #[method(name = "setIntervalMining")]
    async fn set_interval_mining(&self, milliseconds: U256) -> Result<bool, RpcError>;
}

#[jsonrpsee::core::async_trait]
impl EvmServer for Rpc {
    fn snapshot(&self) -> Result<U64, RpcError> {
        let head = self.node.head();
        Ok(U64::from(self.snapshots.mark(head.number, head.hash)))
    }

    async fn revert(&self, id: U64) -> Result<bool, RpcError> {
        let Some((number, hash)) = self.snapshots.take(id.to()) else { return Ok(false) };
        if self.node.chain().block_hash(number)? != Some(hash) {
            return Ok(false);
        }
        self.node.rewind_to(number).await?;
        Ok(true)
    }

    async fn mine(&self, options: Option<MineOptions>) -> Result<U64, RpcError> {
        let (timestamp, blocks) = match options {
            None => (None, None),
            Some(MineOptions::Timestamp(timestamp)) => (Some(timestamp), None),
            Some(MineOptions::Options { timestamp, blocks }) => (timestamp, blocks),
        };
        if let Some(timestamp) = timestamp {
            self.set_next_block_timestamp(timestamp)?;
        }
        self.mine_blocks(blocks, None).await?;
        Ok(U64::ZERO)
    }

    fn increase_time(&self, seconds: U256) -> Result<i64, RpcError> {
        Ok(self.node.time().increase_s(small(seconds, "the number of seconds")?))
    }

    fn set_time(&self, unix_seconds: U256) -> Result<i64, RpcError> {
        // Some clients send milliseconds (ganache took both).
        let given = small(unix_seconds, "the time")?;
        Ok(self.node.time().set_now(if given > 100_000_000_000 { given / 1_000 } else { given }))
    }

    fn set_next_block_timestamp(&self, unix_seconds: U256) -> Result<(), RpcError> {
        let head = self.node.head();
        let set = self.node.time().set_next(small(unix_seconds, "the timestamp")?, head.timestamp);
        set.map_err(|error| RpcError::invalid(error.to_string()))
    }

    async fn set_automine(&self, on: bool) -> Result<bool, RpcError> {
        self.node.set_automine(on).await?;
        self.arrival.forget();
        Ok(true)
    }

    async fn set_interval_mining(&self, milliseconds: U256) -> Result<bool, RpcError> {
        let interval = small(milliseconds, "the interval")?;
        self.node.set_block_interval_ms((interval > 0).then_some(interval)).await?;
        Ok(true)
    }
}

impl Rpc {
    async fn mine_blocks(&self, blocks: Option<U256>, interval_seconds: Option<U256>) -> Result<(), RpcError> {
        let blocks = blocks.map_or(Ok(1), |blocks| small(blocks, "the number of blocks"))?;
        if blocks > BLOCKS_MINED_MAX {
            return Err(RpcError::invalid(format!("cannot mine {blocks} blocks at once; at most {BLOCKS_MINED_MAX}")));
        }
        let interval = interval_seconds.map_or(Ok(0), |seconds| small(seconds, "the interval"))?;
        self.node.mine(blocks, (interval > 0).then_some(interval)).await?;
        Ok(())
    }

    fn node_info(&self) -> Result<Value, RpcError> {
        let (head, hash) = self.head_header()?;
        let spec = self.node.spec();
        Ok(json!({
            "currentBlockNumber": U64::from(head.number),
            "currentBlockTimestamp": head.timestamp,
            "currentBlockHash": hash,
            "hardFork": format!("{:?}", spec.spec_id(head.timestamp, head.number)),
            "transactionOrder": "fees",
            "environment": {
                "baseFee": U256::from(self.next_base_fee()?),
                "chainId": spec.chain_id(),
                "gasLimit": U64::from(head.gas_limit),
            },
            "forkConfig": { "forkUrl": null, "forkBlockNumber": null, "forkRetryBackoff": null },
        }))
    }

    fn metadata(&self) -> Result<Value, RpcError> {
        let head = self.node.head();
        Ok(json!({
            "clientVersion": web3::client_version(),
            "chainId": self.node.spec().chain_id(),
            "latestBlockNumber": head.number,
            "latestBlockHash": head.hash,
            "instanceId": self.node.spec().genesis_hash(),
            "snapshots": {},
        }))
    }
}

/// Every `evm_` method.
pub(super) fn methods(rpc: &Rpc) -> RpcModule<()> {
    EvmServer::into_rpc(rpc.clone()).remove_context()
}

/// Every `anvil_` method.
pub(super) fn anvil_methods(rpc: &Rpc) -> RpcModule<()> {
    let mut module = RpcModule::new(rpc.clone());
    register_common(&mut module, "anvil", Value::Null).expect("no method is registered twice");
    register_anvil(&mut module).expect("no method is registered twice");
    module.remove_context()
}

/// Every `hardhat_` method.
pub(super) fn hardhat_methods(rpc: &Rpc) -> RpcModule<()> {
    let mut module = RpcModule::new(rpc.clone());
    register_common(&mut module, "hardhat", Value::Bool(true)).expect("no method is registered twice");
    module.remove_context()
}

/// What only anvil has.
fn register_anvil(module: &mut RpcModule<Rpc>) -> Result<(), RegisterMethodError> {
    module.register_async_method("anvil_setIntervalMining", |params, rpc, _| async move {
        let interval_ms = small(params.one()?, "the interval")?.saturating_mul(1_000);
        rpc.node.set_block_interval_ms((interval_ms > 0).then_some(interval_ms)).await.map_err(RpcError::from)?;
        Ok::<_, ErrorObjectOwned>(Value::Null)
    })?;
    module.register_method("anvil_nodeInfo", |_, rpc, _| rpc.node_info())?;
    module.register_method("anvil_snapshot", |_, rpc, _| EvmServer::snapshot(rpc))?;
    Ok(())
}

/// What anvil and hardhat have in common; `done` is what a method without a result answers.
fn register_common(module: &mut RpcModule<Rpc>, prefix: &'static str, done: Value) -> Result<(), RegisterMethodError> {
    let name = |method: &str| -> &'static str { format!("{prefix}_{method}").leak() };
    let mined = done.clone();
    module.register_async_method(name("mine"), move |params, rpc, _| {
        let mined = mined.clone();
        async move {
            let mut params = params.sequence();
            let (blocks, interval) = (params.optional_next::<U256>()?, params.optional_next::<U256>()?);
            rpc.mine_blocks(blocks, interval).await?;
            Ok::<_, ErrorObjectOwned>(mined)
        }
    })?;
    module.register_async_method(name("setAutomine"), move |params, rpc, _| {
        let done = done.clone();
        async move {
            rpc.node.set_automine(params.one()?).await.map_err(RpcError::from)?;
            rpc.arrival.forget();
            Ok::<_, ErrorObjectOwned>(done)
        }
    })?;
    module.register_async_method(name("getAutomine"), |_, rpc, _| async move {
        Ok::<_, ErrorObjectOwned>(rpc.node.cadence().await.map_err(RpcError::from)?.automine)
    })?;
    module.register_async_method(name("dropTransaction"), |params, rpc, _| async move {
        let hash: B256 = params.one()?;
        let was_there = rpc.node.drop_transaction(hash).await.map_err(RpcError::from)?;
        Ok::<_, ErrorObjectOwned>(was_there)
    })?;
    module.register_method(name("metadata"), |_, rpc, _| rpc.metadata())?;
    for cheat in STATE_CHEATS {
        let refused = name(cheat);
        module.register_method(refused, move |_, _, _| Err::<Value, _>(refuse_cheat(refused)))?;
    }
    Ok(())
}

fn refuse_cheat(method: &str) -> RpcError {
    RpcError::NotOffered(format!(
        "{method} is not offered: it would change state outside of any block, and the chain could no longer be replayed \
         from its own record. Put what the test needs into genesis (alloc), or send transactions; eth_call and \
         eth_estimateGas take state overrides"
    ))
}

fn small(number: U256, what: &str) -> Result<u64, RpcError> {
    u64::try_from(number).map_err(|_| RpcError::invalid(format!("{what} is too large: {number}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_can_be_taken_once_and_takes_the_later_ones_with_it() {
        let snapshots = Snapshots::default();
        let [first, second] = [(3, B256::ZERO), (5, B256::ZERO)].map(|(number, hash)| snapshots.mark(number, hash));
        assert_eq!(snapshots.take(first), Some((3, B256::ZERO)));
        assert_eq!(snapshots.take(second), None);
        assert_eq!(snapshots.take(first), None);
    }

    #[test]
    fn evm_mine_reads_what_hardhat_and_ganache_clients_send() {
        let read = |value| serde_json::from_value::<MineOptions>(value).expect("options");
        assert!(matches!(read(json!(17)), MineOptions::Timestamp(at) if at == U256::from(17)));
        assert!(matches!(read(json!("0x11")), MineOptions::Timestamp(at) if at == U256::from(17)));
        let MineOptions::Options { blocks, .. } = read(json!({"blocks": 5})) else { panic!("an object") };
        assert_eq!(blocks, Some(U256::from(5)));
    }

    #[test]
    fn a_refused_cheat_says_why_and_what_to_do() {
        let error = refuse_cheat("anvil_setBalance");
        assert_eq!(error.code(), -32601);
        assert!(error.to_string().contains("replayed") && error.to_string().contains("overrides"));
    }
}
