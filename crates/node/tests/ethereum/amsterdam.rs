//! Into Amsterdam: what the first block of the fork has that its parent has not.

use crate::support::{empty_store, import_file};
use alloy::eips::eip7928::EMPTY_BLOCK_ACCESS_LIST_HASH;
use cryptlet_node::{
    ChainSpec,
    chain_file::write_block,
    chain_spec::{EthereumHardfork, dev_genesis_at, remove_fabric},
    execute::{BlockAttributes, Execution, next_header},
    types::Header,
};
use cryptlet_primitives::FabricLimits;
use serde_json::json;

/// When the fork begins.
const FORK_TIME: u64 = 100;

/// A chain that comes to Amsterdam, with one blob schedule for each side.
fn spec(fork_time: u64) -> ChainSpec {
    let mut genesis = dev_genesis_at(&FabricLimits::default(), EthereumHardfork::Amsterdam);
    remove_fabric(&mut genesis);
    genesis.config.amsterdam_time = Some(fork_time);
    let schedule = json!({
        "osaka": { "target": 6, "max": 9, "baseFeeUpdateFraction": 5_007_716 },
        "amsterdam": { "target": 14, "max": 21, "baseFeeUpdateFraction": 11_684_671 },
    });
    genesis.config.blob_schedule = serde_json::from_value(schedule).unwrap();
    ChainSpec::from_genesis(genesis).unwrap()
}

/// Empty blocks, ten seconds apart.
fn build(spec: &ChainSpec, count: u64) -> (Vec<Header>, Vec<u8>) {
    let store = empty_store(spec);
    let (mut headers, mut file) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let parent = store.head().unwrap();
        let header = next_header(spec, &parent, &BlockAttributes::next(&parent, parent.timestamp + 10));
        let execution = Execution::begin(spec, &store, &parent, header).unwrap();
        let finished = execution.finish().unwrap().seal(&store, &parent, Vec::new()).unwrap();
        finished.commit(&store).unwrap();
        headers.push(finished.executed.block.header.clone());
        write_block(&mut file, &finished.executed.block).unwrap();
    }
    (headers, file)
}

#[test]
fn the_first_block_of_the_fork_has_a_slot_and_commits_to_its_accesses() {
    let spec = spec(FORK_TIME);
    let (headers, file) = build(&spec, 14);
    for header in &headers {
        let is_amsterdam = header.timestamp >= FORK_TIME;
        // Before the fork nothing said which slot a block is of.
        assert_eq!(header.slot_number, is_amsterdam.then_some(header.number));
        assert_eq!(header.block_access_list_hash.is_some(), is_amsterdam);
        assert_ne!(header.block_access_list_hash, Some(EMPTY_BLOCK_ACCESS_LIST_HASH), "the system calls access");
        let blobs = spec.blob_params_at(header.timestamp).unwrap();
        assert_eq!(blobs.max_blob_count, if is_amsterdam { 21 } else { 9 });
    }
    let report = import_file(&spec, &empty_store(&spec), &file, None).unwrap();
    assert_eq!(report.head_hash, headers.last().unwrap().hash_slow());
}

#[test]
fn a_chain_may_begin_under_amsterdam_in_any_slot() {
    let mut genesis = spec(0).genesis().clone();
    genesis.slot_number = Some(700);
    let spec = ChainSpec::from_genesis(genesis).unwrap();
    let first = spec.genesis_header();
    assert_eq!((first.slot_number, first.block_access_list_hash), (Some(700), Some(EMPTY_BLOCK_ACCESS_LIST_HASH)));
    let (headers, file) = build(&spec, 2);
    assert_eq!(headers[1].slot_number, Some(702));
    import_file(&spec, &empty_store(&spec), &file, None).unwrap();
}

#[test]
fn a_list_that_is_too_long_for_the_gas_limit_makes_no_block() {
    let mut genesis = spec(0).genesis().clone();
    genesis.gas_limit = 20_000;
    let spec = ChainSpec::from_genesis(genesis).unwrap();
    let store = empty_store(&spec);
    let parent = store.head().unwrap();
    let header = next_header(&spec, &parent, &BlockAttributes::next(&parent, 10));
    let finished = Execution::begin(&spec, &store, &parent, header).unwrap().finish().unwrap();
    let fault = finished.seal(&store, &parent, Vec::new()).expect_err("the system calls alone access more").to_string();
    assert!(fault.contains("its gas limit allows 10 (EIP-7928)"), "{fault}");
}
