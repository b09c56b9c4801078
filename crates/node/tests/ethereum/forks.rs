//! The whole chain, in order and out of it.

use crate::support::{BLOCKS, LAST, MERGE, RLP, block, empty_store, import_file, replay_on, spec, spec_with_delegate};
use alloy::consensus::{Eip658Value, TxReceipt};
use alloy_primitives::U256;
use cryptlet_node::{
    ChainSpec,
    chain_file::{export_rlp, write_block},
    store::ChainStore,
    types::Block,
};

fn rlp(blocks: &[Block]) -> Vec<u8> {
    let mut bytes = Vec::new();
    blocks.iter().for_each(|block| _ = write_block(&mut bytes, block).unwrap());
    bytes
}

#[test]
fn a_chain_through_every_fork_imports_and_exports_to_the_same_bytes() {
    for spec in [spec(), spec_with_delegate()] {
        let store = empty_store(&spec);
        let report = import_file(&spec, &store, &RLP, None).expect("every block is valid");
        let last = BLOCKS.last().unwrap();
        assert_eq!((report.head_number, report.head_hash), (LAST, last.header.hash_slow()));
        let mut exported = Vec::new();
        export_rlp(&store, 1..=u64::MAX, &mut exported, &mut |_| {}).expect("it exports");
        assert!(exported == *RLP, "import and export give the same bytes");
        assert_eq!(import_file(&spec, &store, &RLP, None).expect("nothing new").blocks, 0);
    }
}

#[test]
fn receipts_carry_state_roots_up_to_byzantium_and_a_status_from_then_on() {
    let (spec, byzantium) = (spec(), 13);
    let store = empty_store(&spec);
    import_file(&spec, &store, &RLP, None).unwrap();
    for number in 1..=LAST {
        let receipts = store.receipts(number).unwrap().unwrap();
        assert!(!receipts.is_empty());
        let has_root = |status| matches!(status, Eip658Value::PostState(_));
        for receipt in &receipts {
            assert_eq!(has_root(receipt.status_or_post_state()), number < byzantium, "block {number}");
        }
    }
}

#[test]
fn total_difficulty_grows_until_the_merge_and_follows_a_rewind() {
    let spec = spec();
    let store = empty_store(&spec);
    import_file(&spec, &store, &RLP, None).unwrap();
    let sum = |last: u64| {
        let mined = BLOCKS.iter().take(last as usize).map(|block| block.header.difficulty);
        mined.fold(spec.genesis_header().difficulty, |sum, difficulty| sum + difficulty)
    };
    assert_eq!(store.total_difficulty().unwrap(), sum(LAST));
    assert_eq!(Some(sum(MERGE - 1)), spec.terminal_total_difficulty());
    store.rewind_to(20).unwrap();
    assert_eq!(store.total_difficulty().unwrap(), sum(20));
    assert_eq!(import_file(&spec, &store, &RLP, None).unwrap().blocks, LAST - 20);
}

#[test]
fn the_first_bad_block_stops_an_import_and_what_came_before_it_stands() {
    let spec = spec();
    let store = empty_store(&spec);
    let mut blocks = BLOCKS.clone();
    blocks[30].header.state_root.0[0] ^= 1;
    let error = import_file(&spec, &store, &rlp(&blocks), None).expect_err("block 31 is wrong").to_string();
    assert!(error.starts_with("block 31: the state after it has root"), "{error}");
    assert_eq!(store.head().unwrap().number, 30);
    assert_eq!(store.head().unwrap().hash(), BLOCKS[29].header.hash_slow());

    let error = import_file(&spec, &store, &RLP[..RLP.len() - 1], None).expect_err("it is cut off").to_string();
    assert!(error.contains("cut off"), "{error}");
    assert_eq!(store.head().unwrap().number, LAST - 1);

    let error = import_file(&spec, &empty_store(&spec), &rlp(&blocks[4..6]), None).expect_err("a gap").to_string();
    assert!(error.starts_with("block 5: its parent"), "{error}");
}

#[test]
fn before_the_merge_the_heavier_branch_is_the_chain_and_a_bad_branch_changes_nothing() {
    let spec = spec();
    // A brother of block 20 without transactions, which nobody rewards but its miner, and a child of it.
    let branch = branch_without_transactions(&spec, 19, 3);
    let store = empty_store(&spec);
    import_file(&spec, &store, &rlp(&BLOCKS[..20]), None).unwrap();

    import_file(&spec, &store, &rlp(&branch[..1]), None).expect("a branch that is not heavier is kept beside");
    let heavier = if branch[0].header.difficulty > block(20).header.difficulty { &branch[0] } else { &BLOCKS[19] };
    assert_eq!(store.head().unwrap().hash(), heavier.header.hash_slow());

    import_file(&spec, &store, &rlp(&branch), None).expect("the longer branch is taken");
    assert_eq!(store.head().unwrap().hash(), branch[2].header.hash_slow());

    let mut bad = BLOCKS[19..24].to_vec();
    bad[4].header.gas_used += 1;
    let before = store.head().unwrap().hash();
    let error = import_file(&spec, &store, &rlp(&bad), None).expect_err("its last block is not valid").to_string();
    assert!(error.starts_with("block 24"), "{error}");
    let after = store.head().unwrap();
    assert!(after.hash() == before || after.hash() == bad[3].header.hash_slow(), "a whole branch stands");
    import_file(&spec, &store, &RLP, None).expect("the chain is heavier than its branch");
    assert_eq!(store.head().unwrap().hash(), BLOCKS.last().unwrap().header.hash_slow());
}

/// Blocks without transactions on top of a block of the chain.
fn branch_without_transactions(spec: &ChainSpec, parent: u64, length: usize) -> Vec<Block> {
    use cryptlet_node::execute::{BlockAttributes, Execution, next_header};
    let store: ChainStore = empty_store(spec);
    // The rules of a chain that never merges are those of this one before its merge; only they can be built on.
    let mut genesis = spec.genesis().clone();
    genesis.config.terminal_total_difficulty = None;
    let times = [&mut genesis.config.shanghai_time, &mut genesis.config.cancun_time, &mut genesis.config.prague_time];
    times.into_iter().for_each(|time| *time = None);
    genesis.config.osaka_time = None;
    (genesis.config.bpo1_time, genesis.config.bpo2_time) = (None, None);
    let mining = ChainSpec::from_genesis(genesis).unwrap();
    import_file(spec, &store, &RLP, Some(parent)).unwrap();
    let mut blocks = Vec::new();
    for _ in 0..length {
        let parent = store.head().unwrap();
        let attributes = BlockAttributes { timestamp: parent.timestamp + 3, ..BlockAttributes::next(&parent, 0) };
        let header = next_header(&mining, &parent, &attributes);
        assert!(header.difficulty > U256::ZERO);
        let execution = Execution::begin(&mining, &store, &parent, header).unwrap();
        let finished = execution.finish().unwrap().seal(&store, &parent, Vec::new()).unwrap();
        finished.commit(&store).unwrap();
        blocks.push(finished.executed.block);
    }
    blocks
}

#[test]
fn mining_ends_where_the_total_difficulty_says() {
    let spec = spec();
    let store = empty_store(&spec);
    import_file(&spec, &store, &RLP, Some(MERGE - 2)).unwrap();
    let mut early = block(MERGE - 1);
    early.header.difficulty = U256::ZERO;
    early.header.nonce = Default::default();
    let fault = replay_on(&spec, &store, early).expect_err("too early");
    assert!(fault.to_string().contains("it has no difficulty, but the chain before it has only"), "{fault}");

    import_file(&spec, &store, &RLP, Some(MERGE - 1)).unwrap();
    let mut late = block(MERGE);
    late.header.difficulty = U256::from(131_072);
    let fault = replay_on(&spec, &store, late).expect_err("too late");
    assert!(fault.to_string().contains("it was mined, but the chain before it has total difficulty"), "{fault}");
}
