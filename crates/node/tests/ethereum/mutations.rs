//! Good blocks with one thing changed: each is refused, and for the right reason.

use crate::support::{MERGE, RLP, block, empty_store, import_file, replay_on, spec};
use alloy::consensus::proofs::calculate_ommers_root;
use alloy_primitives::{B64, B256, Bloom, U256};
use cryptlet_node::{
    ChainSpec,
    store::ChainStore,
    types::{Block, Header},
};

/// A block of each era: two uncles, state roots in receipts; DAO fork; uncles and status; London's first and proof of work's
/// last; the merge; withdrawals; blobs; requests; BPO.
const NUMBERS: [u64; 11] = [8, 5, 16, 27, 35, 36, 40, 44, 48, 52, 58];

type Change = fn(&mut Block);

/// What is changed, from which block to which it is there, and of what the reason speaks (one of these).
const CHANGES: &[(&str, u64, u64, Change, &[&str])] = &[
    ("parentHash", 0, 99, |block| flip(&mut block.header.parent_hash), &["its parent is"]),
    ("sha3Uncles", 0, MERGE - 1, |block| flip(&mut block.header.ommers_hash), &["its uncles hash to"]),
    ("sha3Uncles", MERGE, 99, |block| flip(&mut block.header.ommers_hash), &["it has uncles"]),
    ("miner", 0, 99, |block| block.header.beneficiary.0[3] ^= 1, &["has root", "have root"]),
    ("stateRoot", 0, 99, |block| flip(&mut block.header.state_root), &["the state after it has root"]),
    ("transactionsRoot", 0, 99, |block| flip(&mut block.header.transactions_root), &["its transactions have root"]),
    ("receiptsRoot", 0, 99, |block| flip(&mut block.header.receipts_root), &["its receipts have root"]),
    ("logsBloom", 0, 99, |block| block.header.logs_bloom = Bloom::ZERO, &["the bloom of its logs"]),
    ("difficulty", 0, MERGE - 1, |block| block.header.difficulty += U256::ONE, &["its difficulty is"]),
    ("difficulty", MERGE, 99, |block| block.header.difficulty = U256::ONE, &["was mined", "its difficulty is"]),
    ("number", 0, 99, |block| block.header.number += 1, &["its number should be"]),
    ("gasLimit", 0, 99, |block| block.header.gas_limit += block.header.gas_limit / 1024 + 1, &["its gas limit"]),
    ("gasLimit", 0, 99, |block| block.header.gas_limit = 4_999, &["its gas limit"]),
    ("gasUsed", 0, 99, |block| block.header.gas_used += 1, &["execution used"]),
    ("gasUsed", 0, 99, |block| block.header.gas_used = block.header.gas_limit + 1, &["more than its gas limit"]),
    ("timestamp", 0, 99, |block| block.header.timestamp = 1, &["is not after its parent's"]),
    ("timestamp", 0, MERGE - 1, |block| block.header.timestamp += 30, &["its difficulty is"]),
    ("extraData", 0, 99, |block| block.header.extra_data = vec![7; 33].into(), &["extra data has 33 bytes"]),
    ("extraData", 5, 14, |block| block.header.extra_data = vec![7; 4].into(), &["the other side of the DAO fork"]),
    ("mixHash", MERGE, 99, |block| flip(&mut block.header.mix_hash), &["has root"]),
    ("nonce", MERGE, 99, |block| block.header.nonce = B64::with_last_byte(1), &["its nonce is not zero"]),
    ("baseFeePerGas", 0, 26, |block| block.header.base_fee_per_gas = Some(7), &["its base fee is"]),
    ("baseFeePerGas", 27, 99, |block| block.header.base_fee_per_gas = Some(7), &["its base fee is"]),
    ("baseFeePerGas", 27, 38, |block| block.header.base_fee_per_gas = None, &["its base fee is"]),
    ("withdrawalsRoot", 0, 38, |block| block.header.withdrawals_root = Some(B256::ZERO), &["`withdrawalsRoot`"]),
    ("withdrawalsRoot", 39, 99, |block| flip_in(&mut block.header.withdrawals_root), &["its withdrawals have root"]),
    ("blobGasUsed", 42, 99, |block| bump(&mut block.header.blob_gas_used), &["blob gas"]),
    ("excessBlobGas", 42, 99, |block| bump(&mut block.header.excess_blob_gas), &["its excess blob gas"]),
    ("parentBeaconBlockRoot", 42, 99, |block| flip_in(&mut block.header.parent_beacon_block_root), &["has root"]),
    ("requestsHash", 46, 99, |block| flip_in(&mut block.header.requests_hash), &["requests with hash"]),
    ("requestsHash", 0, 45, |block| block.header.requests_hash = Some(B256::ZERO), &["`requestsHash`"]),
    (
        "blockAccessListHash",
        0,
        99,
        |block| block.header.block_access_list_hash = Some(B256::ZERO),
        &["`blockAccessListHash`"],
    ),
    ("slotNumber", 0, 99, |block| block.header.slot_number = Some(1), &["`slotNumber`"]),
    ("a transaction less", 0, 99, |block| drop(block.body.transactions.pop()), &["its transactions have root"]),
    ("transactions swapped", 0, 99, |block| block.body.transactions.swap(0, 1), &["its transactions have root"]),
    ("an uncle more", 0, MERGE - 1, |block| block.body.ommers.push(Header::default()), &["its uncles hash to"]),
    ("an uncle", MERGE, 99, |block| block.body.ommers.push(Header::default()), &["it has uncles"]),
    (
        "a withdrawal less",
        39,
        99,
        |block| _ = block.body.withdrawals.as_mut().unwrap().pop(),
        &["its withdrawals have root"],
    ),
];

fn flip(hash: &mut B256) {
    hash.0[7] ^= 1;
}

fn flip_in(hash: &mut Option<B256>) {
    flip(hash.as_mut().expect("the field is there"));
}

fn bump(field: &mut Option<u64>) {
    *field = field.map(|value| value + 131_072);
}

fn store_before(spec: &ChainSpec, number: u64) -> ChainStore {
    let store = empty_store(spec);
    import_file(spec, &store, &RLP, Some(number - 1)).expect("the chain before is valid");
    store
}

#[test]
fn every_changed_field_is_refused_for_its_own_reason() {
    let spec = spec();
    let mut refused = 0;
    for number in NUMBERS {
        let store = store_before(&spec, number);
        replay_on(&spec, &store, block(number)).expect("unchanged, it is valid");
        for (what, _, _, change, reasons) in CHANGES.iter().filter(|(_, from, to, ..)| (*from..=*to).contains(&number))
        {
            let mut changed = block(number);
            change(&mut changed);
            let fault = replay_on(&spec, &store, changed).expect_err(what);
            let text = fault.to_string();
            assert!(reasons.iter().any(|reason| text.contains(reason)), "block {number}, {what}: {text}");
            assert!(fault.blames_block());
            refused += 1;
        }
    }
    println!("{refused} changed blocks were refused");
    assert!(refused > 250);
}

#[test]
fn seals_are_not_checked() {
    let spec = spec();
    let store = store_before(&spec, 8);
    let mut other = block(8);
    (other.header.nonce, other.header.mix_hash) = (B64::with_last_byte(9), B256::repeat_byte(9));
    replay_on(&spec, &store, other).expect("whoever found it");
}

#[test]
fn every_wrong_uncle_is_refused_for_its_own_reason() {
    let spec = spec();
    let store = store_before(&spec, 8);
    let good = block(8);
    assert_eq!(good.body.ommers.len(), 2);
    let first = good.body.ommers[0].clone();
    let with = |change: fn(&mut Header)| {
        let mut uncle = first.clone();
        change(&mut uncle);
        vec![uncle]
    };
    let cases: [(&str, Vec<Header>); 8] = [
        ("has 3 uncles", vec![first.clone(), good.body.ommers[1].clone(), first.clone()]),
        ("was included before", vec![first.clone(), first.clone()]),
        ("was included before", vec![block(4).body.ommers[0].clone()]),
        ("is an ancestor", vec![block(6).header]),
        ("is not the child of one of the six", with(|uncle| uncle.parent_hash = B256::repeat_byte(1))),
        ("is not valid: its difficulty is", with(|uncle| uncle.difficulty += U256::ONE)),
        ("is not valid: its gas limit", with(|uncle| uncle.gas_limit *= 2)),
        ("is not valid: its timestamp", with(|uncle| uncle.timestamp = 1)),
    ];
    for (reason, uncles) in cases {
        let mut changed = good.clone();
        changed.header.ommers_hash = calculate_ommers_root(&uncles);
        changed.body.ommers = uncles;
        let fault = replay_on(&spec, &store, changed).expect_err(reason).to_string();
        assert!(fault.contains(reason), "{reason}: {fault}");
    }
}
