//! What this node is set up for: the forks of its chain (`eth_config`, EIP-7910) and what it can be asked for
//! (`eth_capabilities`).

use crate::{
    ChainSpec,
    rpc::{Rpc, RpcError},
};
use alloy::eips::{eip2124::ForkHash, eip2935, eip4788, eip7002, eip7251, eip7840::BlobParams, eip8282};
use alloy_evm::eth::spec::EthExecutorSpec;
use alloy_hardforks::{EthereumHardfork, EthereumHardforks, ForkCondition};
use alloy_primitives::{Address, B256, Bytes, U64};
use cryptlet_primitives::system::CRYPTO_DELEGATE;
use jsonrpsee::proc_macros::rpc;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The forks around the head (EIP-7910).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Config {
    current: ForkConfig,
    next: Option<ForkConfig>,
    last: Option<ForkConfig>,
}

/// What is in force from one fork on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ForkConfig {
    /// Unix seconds; 0 for what is in force from genesis on.
    activation_time: u64,
    /// `null` before Cancun.
    blob_schedule: Option<BlobSchedule>,
    chain_id: U64,
    fork_id: Bytes,
    precompiles: BTreeMap<&'static str, Address>,
    system_contracts: BTreeMap<&'static str, Address>,
}

/// EIP-7840.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct BlobSchedule {
    target: u64,
    max: u64,
    base_fee_update_fraction: u64,
}

/// What this node has (execution-apis: `EthCapabilities`).
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Capabilities {
    head: CapabilitiesHead,
    state: Resource,
    tx: Resource,
    logs: Resource,
    receipts: Resource,
    blocks: Resource,
    stateproofs: Resource,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct CapabilitiesHead {
    number: U64,
    hash: B256,
}

/// From which block on something can be asked for.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    disabled: bool,
    oldest_block: U64,
}

#[rpc(server, namespace = "eth")]
pub(crate) trait EthConfig {
    #[method(name = "config")]
    fn config(&self) -> Result<Config, RpcError>;

    #[method(name = "capabilities")]
    fn capabilities(&self) -> Result<Capabilities, RpcError>;
}

impl EthConfigServer for Rpc {
    fn config(&self) -> Result<Config, RpcError> {
        Ok(config_at(self.node.spec(), self.node.head().timestamp))
    }

    fn capabilities(&self) -> Result<Capabilities, RpcError> {
        let (head, chain) = (self.node.head(), self.node.chain());
        let from = |block: u64| Resource { disabled: false, oldest_block: U64::from(block) };
        let (blocks, states) = (from(chain.first_block()?), from(chain.oldest_state()?));
        Ok(Capabilities {
            head: CapabilitiesHead { number: U64::from(head.number), hash: head.hash },
            state: states,
            tx: blocks,
            logs: blocks,
            receipts: blocks,
            blocks,
            stateproofs: states,
        })
    }
}

/// The forks around this time.
fn config_at(spec: &ChainSpec, now: u64) -> Config {
    let genesis_time = spec.genesis_header().timestamp;
    let times = fork_times(spec, genesis_time);
    let current = times.iter().rev().find(|time| **time <= now).copied();
    let next = times.iter().find(|time| **time > now).copied();
    let last = times.last().copied().filter(|_| next.is_some());
    // What is in force from genesis on is activated at 0, whatever the time of genesis.
    Config {
        current: fork_config(spec, current.unwrap_or(genesis_time), current.unwrap_or_default()),
        next: next.map(|time| fork_config(spec, time, time)),
        last: last.map(|time| fork_config(spec, time, time)),
    }
}

fn fork_config(spec: &ChainSpec, time: u64, activation_time: u64) -> ForkConfig {
    ForkConfig {
        activation_time,
        blob_schedule: spec.blob_params_at(time).map(BlobSchedule::from),
        chain_id: U64::from(spec.chain_id()),
        fork_id: fork_hash(spec, time).0.to_vec().into(),
        precompiles: precompiles(spec, time),
        system_contracts: system_contracts(spec, time),
    }
}

impl From<BlobParams> for BlobSchedule {
    fn from(params: BlobParams) -> Self {
        Self {
            target: params.target_blob_count,
            max: params.max_blob_count,
            base_fee_update_fraction: u64::try_from(params.update_fraction).unwrap_or(u64::MAX),
        }
    }
}

/// Times after genesis at which a fork happens, in order.
fn fork_times(spec: &impl EthereumHardforks, genesis_time: u64) -> Vec<u64> {
    let time = |fork: &EthereumHardfork| match spec.ethereum_fork_activation(*fork) {
        ForkCondition::Timestamp(time) => Some(time),
        _ => None,
    };
    let times: BTreeSet<u64> = EthereumHardfork::VARIANTS.iter().filter_map(time).collect();
    times.into_iter().filter(|time| *time > genesis_time).collect()
}

/// Heights after genesis at which a fork happens, in order.
fn fork_blocks(spec: &impl EthereumHardforks) -> BTreeSet<u64> {
    let block = |fork: &EthereumHardfork| match spec.ethereum_fork_activation(*fork) {
        ForkCondition::Block(number) => Some(number),
        ForkCondition::TTD { fork_block, .. } => fork_block,
        _ => None,
    };
    EthereumHardfork::VARIANTS.iter().filter_map(block).filter(|number| *number > 0).collect()
}

/// EIP-6122's `FORK_HASH` at this time: all forks by number, and those by time up to it.
fn fork_hash(spec: &ChainSpec, time: u64) -> ForkHash {
    let past = fork_times(spec, spec.genesis_header().timestamp).into_iter().take_while(|fork| *fork <= time);
    fork_hash_of(spec.genesis_hash(), fork_blocks(spec).into_iter().chain(past))
}

fn fork_hash_of(genesis: B256, forks: impl Iterator<Item = u64>) -> ForkHash {
    forks.fold(ForkHash::from(genesis), |hash, fork| hash + fork)
}

/// Names and addresses as the EIPs that brought them have them.
fn precompiles(spec: &ChainSpec, time: u64) -> BTreeMap<&'static str, Address> {
    const UP_TO_ISTANBUL: [&str; 9] =
        ["ECREC", "SHA256", "RIPEMD160", "ID", "MODEXP", "BN254_ADD", "BN254_MUL", "BN254_PAIRING", "BLAKE2F"];
    const PRAGUE: [&str; 7] = [
        "BLS12_G1ADD",
        "BLS12_G1MSM",
        "BLS12_G2ADD",
        "BLS12_G2MSM",
        "BLS12_PAIRING_CHECK",
        "BLS12_MAP_FP_TO_G1",
        "BLS12_MAP_FP2_TO_G2",
    ];
    let names = UP_TO_ISTANBUL
        .into_iter()
        .chain(spec.is_cancun_active_at_timestamp(time).then_some("KZG_POINT_EVALUATION"))
        .chain(PRAGUE.into_iter().filter(|_| spec.is_prague_active_at_timestamp(time)));
    let mut all: BTreeMap<_, _> =
        names.zip(1..).map(|(name, address)| (name, Address::with_last_byte(address))).collect();
    if spec.is_osaka_active_at_timestamp(time) {
        // EIP-7951.
        all.insert("P256VERIFY", Address::left_padding_from(&[1, 0]));
    }
    if spec.limits().is_some() {
        all.insert("CRYPTO_DELEGATE", CRYPTO_DELEGATE);
    }
    all
}

fn system_contracts(spec: &ChainSpec, time: u64) -> BTreeMap<&'static str, Address> {
    let mut all = BTreeMap::new();
    if spec.is_cancun_active_at_timestamp(time) {
        all.insert("BEACON_ROOTS_ADDRESS", eip4788::BEACON_ROOTS_ADDRESS);
    }
    if spec.is_prague_active_at_timestamp(time) {
        let deposits = spec.deposit_contract_address().unwrap_or_default();
        all.extend([
            ("CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS", eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS),
            ("DEPOSIT_CONTRACT_ADDRESS", deposits),
            ("HISTORY_STORAGE_ADDRESS", eip2935::HISTORY_STORAGE_ADDRESS),
            ("WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS", eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS),
        ]);
    }
    if spec.is_amsterdam_active_at_timestamp(time) {
        all.extend([
            ("BUILDER_DEPOSIT_CONTRACT_ADDRESS", eip8282::BUILDER_DEPOSIT_CONTRACT_ADDRESS),
            ("BUILDER_EXIT_CONTRACT_ADDRESS", eip8282::BUILDER_EXIT_CONTRACT_ADDRESS),
        ]);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_hardforks::EthereumChainHardforks;
    use alloy_primitives::b256;
    use serde_json::json;

    #[test]
    fn fork_hashes_are_those_of_mainnet() {
        let genesis = b256!("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3");
        let mainnet = EthereumChainHardforks::mainnet();
        let at = |time: u64| {
            let past = fork_times(&mainnet, 0).into_iter().take_while(|fork| *fork <= time);
            alloy_primitives::hex::encode(fork_hash_of(genesis, fork_blocks(&mainnet).into_iter().chain(past)).0)
        };
        // EIP-2124, EIP-7910: Shanghai, Cancun, Prague.
        assert_eq!(at(1_681_338_455), "dce96c2d");
        assert_eq!(at(1_710_338_135), "9f3d2254");
        assert_eq!(at(1_746_612_311), "c376cf8b");
    }

    fn spec(json: serde_json::Value) -> ChainSpec {
        ChainSpec::from_json(&json.to_string()).expect("a genesis")
    }

    fn scheduled() -> ChainSpec {
        spec(json!({
            "config": {
                "chainId": 560048,
                "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0, "byzantiumBlock": 0,
                "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0,
                "londonBlock": 0, "terminalTotalDifficulty": 0, "shanghaiTime": 0, "cancunTime": 0,
                "pragueTime": 1_742_999_832, "osakaTime": 1_800_000_000,
                "depositContractAddress": "0x00000000219ab540356cbb839cbe05303d7705fa",
                "blobSchedule": {
                    "cancun": { "target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477 },
                    "prague": { "target": 6, "max": 9, "baseFeeUpdateFraction": 5_007_716 },
                    "osaka": { "target": 6, "max": 9, "baseFeeUpdateFraction": 5_007_716 },
                },
            },
            "timestamp": "0x1", "gasLimit": "0x1c9c380", "difficulty": "0x0", "alloc": {},
        }))
    }

    #[test]
    fn the_current_fork_the_next_and_the_last_are_told() {
        let spec = scheduled();
        let config = serde_json::to_value(config_at(&spec, 1_000)).expect("JSON");
        assert_eq!(config["current"]["activationTime"], 0);
        assert_eq!(config["current"]["chainId"], "0x88bb0");
        let schedule = json!({ "target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477 });
        assert_eq!(config["current"]["blobSchedule"], schedule);
        let contracts = json!({ "BEACON_ROOTS_ADDRESS": "0x000f3df6d732807ef1319fb7b8bb8522d0beac02" });
        assert_eq!(config["current"]["systemContracts"], contracts);
        assert_eq!(config["current"]["precompiles"].as_object().expect("an object").len(), 10);
        assert_eq!(config["next"]["activationTime"], 1_742_999_832);
        let precompiles = &config["next"]["precompiles"];
        assert_eq!(precompiles["BLS12_MAP_FP2_TO_G2"], "0x0000000000000000000000000000000000000011");
        assert_eq!(precompiles["BLAKE2F"], "0x0000000000000000000000000000000000000009");
        assert_eq!(precompiles.get("P256VERIFY"), None);
        assert_eq!(config["next"]["systemContracts"].as_object().expect("an object").len(), 5);
        assert_eq!(config["last"]["precompiles"]["P256VERIFY"], "0x0000000000000000000000000000000000000100");
        assert_eq!(config["last"]["precompiles"].get("CRYPTO_DELEGATE"), None);
    }

    #[test]
    fn after_the_last_fork_there_is_neither_a_next_nor_a_last() {
        let config = config_at(&scheduled(), 1_900_000_000);
        assert_eq!((config.current.activation_time, config.next, config.last), (1_800_000_000, None, None));
    }
}
