//! Blockchain tests: a genesis block, blocks good and bad, and the head they must lead to.

use super::{Outcome, Verdict, network};
use crate::support::empty_store;
use alloy::genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, Bytes};
use cryptlet_node::{ChainSpec, chain_file::Importer, execute::RecoveredBlock, types::Block};
use cryptlet_primitives::FabricLimits;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Test {
    network: String,
    #[serde(rename = "genesisRLP")]
    genesis: Bytes,
    pre: BTreeMap<Address, GenesisAccount>,
    blocks: Vec<TestBlock>,
    lastblockhash: B256,
    #[serde(default)]
    config: TestConfig,
}

#[derive(Deserialize)]
struct TestBlock {
    rlp: Bytes,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TestConfig {
    #[serde(rename = "blobSchedule")]
    blob_schedule: BTreeMap<String, BTreeMap<String, Value>>,
}

pub(super) fn run(name: &str, test: &Value, limits: Option<FabricLimits>) -> Verdict {
    let network = test["network"].as_str().unwrap_or_default().to_owned();
    let label = format!("blockchain, {network}{}", if limits.is_some() { ", delegate" } else { "" });
    let outcome = match network::config(&network) {
        Err(why) => Outcome::LeftOut(why),
        Ok(config) => match check(test, config, limits) {
            Ok(()) => Outcome::Passed,
            Err(why) => Outcome::Failed(why),
        },
    };
    (name.to_owned(), label, outcome)
}

fn check(test: &Value, config: ChainConfig, limits: Option<FabricLimits>) -> Result<(), String> {
    let test: Test = serde_json::from_value(test.clone()).map_err(|error| error.to_string())?;
    let spec = chain_spec(&test, config)?;
    let spec = match limits {
        Some(limits) => spec.assuming_delegate(limits),
        None => spec,
    };
    // Nobody settles the blocks of this importer: look at the written ones.
    let store = empty_store(&spec).with_unsettled();
    let mut importer = Importer::new(&spec, &store);
    for (index, block) in test.blocks.iter().enumerate() {
        let is_bad = block.rest.keys().any(|key| key.starts_with("expectException"));
        let taken = take(&spec, &mut importer, &block.rlp);
        match (taken, is_bad) {
            (Ok(hash), true) if store.block_number(hash).unwrap().is_some() => {
                return Err(format!("block {index} was accepted; it should fail: {:?}", block.rest.keys()));
            }
            (Err(why), false) => return Err(format!("block {index} of {}: {why}", test.network)),
            _ => {}
        }
    }
    let head = store.head().unwrap().hash();
    // The hash commits to the root of the state, which the import computed.
    if head == test.lastblockhash { Ok(()) } else { Err(format!("the head is {head}, not {}", test.lastblockhash)) }
}

fn take(spec: &ChainSpec, importer: &mut Importer<'_>, rlp: &[u8]) -> Result<B256, String> {
    let block: Block = alloy_rlp::decode_exact(rlp).map_err(|error| error.to_string())?;
    let block = RecoveredBlock::recover_parts(spec, block, None).map_err(|error| error.to_string())?;
    let hash = block.hash();
    importer.take(block, &mut |_| {}).map_err(|error| error.to_string())?;
    Ok(hash)
}

fn chain_spec(test: &Test, mut config: ChainConfig) -> Result<ChainSpec, String> {
    let genesis: Block = alloy_rlp::decode_exact(&test.genesis).map_err(|error| error.to_string())?;
    let header = genesis.header;
    for (fork, params) in &test.config.blob_schedule {
        let number = |field: &str| {
            let text = params.get(field).and_then(Value::as_str).unwrap_or("0x0");
            u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or_default()
        };
        let schedule = serde_json::json!({
            "target": number("target"), "max": number("max"), "baseFeeUpdateFraction": number("baseFeeUpdateFraction"),
        });
        let schedule = serde_json::from_value(schedule).map_err(|error| error.to_string())?;
        config.blob_schedule.insert(fork.to_lowercase(), schedule);
    }
    let genesis = Genesis {
        config,
        nonce: u64::from_be_bytes(header.nonce.0),
        timestamp: header.timestamp,
        extra_data: header.extra_data.clone(),
        gas_limit: header.gas_limit,
        difficulty: header.difficulty,
        mix_hash: header.mix_hash,
        coinbase: header.beneficiary,
        alloc: test.pre.clone(),
        base_fee_per_gas: header.base_fee_per_gas.map(u128::from),
        excess_blob_gas: header.excess_blob_gas,
        blob_gas_used: header.blob_gas_used,
        number: Some(header.number),
        parent_hash: Some(header.parent_hash),
        slot_number: header.slot_number,
    };
    let spec = ChainSpec::from_genesis(genesis).map_err(|error| error.to_string())?;
    match (spec.genesis_hash(), header.hash_slow()) {
        (ours, theirs) if ours == theirs => Ok(spec),
        (ours, theirs) => Err(format!("the genesis block is {ours}, not {theirs}")),
    }
}
