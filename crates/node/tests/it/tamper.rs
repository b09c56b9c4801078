//! Whatever is done to a record, the block is refused, and the error says where and why.

use crate::{
    replay::{export_all, send_traffic},
    support::{Chain, SigningFabric, fast_config, request_hash},
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use cryptlet_node::{
    ChainSpec,
    chain_file::ChainFileReader,
    execute::{BlockFault, RecoveredBlock, replay_block},
    store::ChainStore,
    types::BlockWithRequests,
};
use cryptlet_primitives::{BlockRecords, FabricLimits, InvocationMode, Record, TransactionRecords};

/// A change to a record that must not go unnoticed.
type Change = (&'static str, Box<dyn Fn(&mut Record, &SigningFabric)>);

fn changes() -> Vec<Change> {
    fn change(name: &'static str, f: impl Fn(&mut Record, &SigningFabric) + 'static) -> Change {
        (name, Box::new(f))
    }
    fn flip(word: &mut B256) {
        word.0[31] ^= 1;
    }
    vec![
        change("request.key", |record, _| flip(&mut record.request.key)),
        change("request.cryptletId", |record, _| flip(&mut record.request.cryptletId)),
        change("request.caller", |record, _| record.request.caller = Address::repeat_byte(9)),
        change("request.codeDigest", |record, _| flip(&mut record.request.codeDigest)),
        change("request.inputHash", |record, _| flip(&mut record.request.inputHash)),
        change("request.anchorBlock", |record, _| record.request.anchorBlock ^= 1),
        change("request.anchorHash", |record, _| flip(&mut record.request.anchorHash)),
        change("request.policyVersion", |record, _| record.request.policyVersion ^= 1),
        change("result.requestHash", |record, _| flip(&mut record.result.requestHash)),
        change("result.registrationId", |record, _| flip(&mut record.result.registrationId)),
        change("result.keyEpoch", |record, _| record.result.keyEpoch ^= 1),
        change("result.status", |record, _| record.result.status ^= 1),
        change("result.status unavailable", |record, _| record.result.status = 2),
        change("result.status unknown", |record, _| record.result.status = 77),
        change("result.outputHash", |record, _| flip(&mut record.result.outputHash)),
        change("result.units", |record, _| record.result.units ^= 1),
        change("result.observedAt", |record, _| record.result.observedAt ^= 1),
        change("result.notBefore", |record, _| record.result.notBefore ^= 1),
        change("result.expires", |record, _| record.result.expires ^= 1),
        change("output", |record, _| record.output = b"a better answer".into()),
        change("output and its hash", |record, _| {
            record.output = b"a better answer".into();
            record.result.outputHash = keccak256(&record.output);
        }),
        change("expired, honestly signed", |record, fabric| {
            record.result.expires = record.request.anchorBlock;
            record.signature = fabric.sign(&record.result, InvocationMode::Live);
        }),
        change("from the future, honestly signed", |record, fabric| {
            record.result.notBefore = record.request.anchorBlock + 200;
            record.signature = fabric.sign(&record.result, InvocationMode::Live);
        }),
        change("too many units, honestly signed", |record, fabric| {
            record.result.units = crate::support::UNITS_MAX + 1;
            record.signature = fabric.sign(&record.result, InvocationMode::Live);
        }),
        change("too long an output, honestly signed", |record, fabric| {
            record.output = vec![1; crate::support::OUTPUT_BYTES_MAX as usize + 1].into();
            record.result.outputHash = keccak256(&record.output);
            record.signature = fabric.sign(&record.result, InvocationMode::Live);
        }),
        change("a dry run's signature", |record, fabric| {
            record.signature = fabric.sign(&record.result, InvocationMode::DryRun);
        }),
        change("an anchor too old, honestly signed", |record, fabric| {
            record.request.anchorBlock = record.request.anchorBlock.wrapping_sub(300);
            record.result.requestHash = request_hash(&record.request);
            record.signature = fabric.sign(&record.result, InvocationMode::Live);
        }),
        change("`Unavailable` before its time", |record, _| {
            let invocation_like = record.request;
            record.output = Bytes::from_static(&[0]);
            record.result = cryptlet_primitives::CryptletResult {
                requestHash: request_hash(&invocation_like),
                registrationId: B256::ZERO,
                keyEpoch: 0,
                status: 2,
                outputHash: keccak256([0]),
                units: 0,
                observedAt: 0,
                notBefore: 0,
                expires: 0,
            };
            record.signature = Default::default();
        }),
        change("no signature", |record, _| record.signature = Default::default()),
    ]
}

/// The chain so far, and the block that is to be tampered with.
struct Bench<'a> {
    spec: &'a ChainSpec,
    store: &'a ChainStore,
    block: &'a BlockWithRequests,
}

impl Bench<'_> {
    /// Replays the block with these records instead of its own, with the header it has and with one that commits to them.
    /// Both must be refused in the same place.
    fn refuses(&self, what: &str, records: &BlockRecords, transaction: u64) {
        for reseal in [false, true] {
            let mut forged = self.block.clone();
            let others = forged.requests.iter().filter(|request| request[0] != 0xCD).cloned();
            let ours = (!records.is_empty()).then(|| records.to_request());
            forged.requests = alloy::eips::eip7685::Requests::new(others.chain(ours).collect());
            if reseal {
                forged.block.header.requests_hash = Some(forged.requests.requests_hash());
            }
            let number = forged.block.header.number;
            let fault = self.replay(forged).expect_err(what);
            let (index, hash) = fault.transaction.unwrap_or_else(|| panic!("{what}: {fault} names no transaction"));
            assert_eq!((fault.number, index), (number, transaction), "{what}: {fault}");
            assert!(fault.blames_block(), "{what}: {fault}");
            if let Some(hash) = hash {
                let text = fault.to_string();
                assert!(text.starts_with(&format!("block {number}, transaction {index} ({hash}): ")), "{text}");
                assert!(text.contains("record"), "{what}: {text}");
            }
        }
    }

    fn replay(&self, block: BlockWithRequests) -> Result<(), BlockFault> {
        let parent = self.store.head().expect("a head");
        let recovered = RecoveredBlock::recover(self.spec, block)?;
        replay_block(self.spec, self.store, &parent, recovered).map(drop)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_with_a_changed_record_is_refused_with_block_transaction_and_reason() {
    let chain = Chain::start(FabricLimits::default(), fast_config()).await;
    send_traffic(&chain, 40).await;
    chain.node.stop().await;
    let file = export_all(chain.node.chain());

    let store = ChainStore::in_memory();
    store.initialize(chain.spec.genesis(), &chain.spec.genesis_block()).expect("it initializes");
    let mut tampered = 0;
    for block in ChainFileReader::open(&file[..]).expect("a chain file") {
        let block = block.expect("a block");
        let bench = Bench { spec: &chain.spec, store: &store, block: &block };
        if let Some(request) = block.requests.iter().find(|request| request[0] == 0xCD) {
            let records = BlockRecords::from_request_data(&request[1..], usize::MAX).expect("records");
            tamper_with(&bench, &records, &chain.fabric);
            tampered += 1;
        }
        let parent = store.head().expect("a head");
        let recovered = RecoveredBlock::recover(&chain.spec, block.clone()).expect("it recovers");
        let replayed = replay_block(&chain.spec, &store, &parent, recovered).expect("untouched, it is valid");
        replayed.commit(&store).expect("it is stored");
    }
    assert!(tampered > 15, "only {tampered} blocks had records");
}

fn tamper_with(bench: &Bench<'_>, records: &BlockRecords, fabric: &SigningFabric) {
    let group = &records.0[0];
    let (transaction, count) = (group.transaction_index, group.records.len());
    let with = |changed: Vec<Record>| {
        let mut all = records.clone();
        all.0[0].records = changed;
        all.0.retain(|group| !group.records.is_empty());
        all
    };
    for position in 0..count {
        for (name, change) in changes() {
            let mut changed = group.records.clone();
            change(&mut changed[position], fabric);
            bench.refuses(&format!("{name} of record {position}"), &with(changed), transaction);
        }
        for byte in 0..65 {
            let mut changed = group.records.clone();
            changed[position].signature.0[byte] ^= 1 << (byte % 8);
            bench.refuses(&format!("signature byte {byte} of record {position}"), &with(changed), transaction);
        }
        let mut dropped = group.records.clone();
        dropped.remove(position);
        bench.refuses(&format!("without record {position}"), &with(dropped), transaction);
        let mut duplicated = group.records.clone();
        duplicated.insert(position, group.records[position].clone());
        bench.refuses(&format!("record {position} twice"), &with(duplicated), transaction);
    }
    if count > 1 {
        let mut reordered = group.records.clone();
        reordered.swap(0, count - 1);
        bench.refuses("records in another order", &with(reordered), transaction);
    }
    let elsewhere = BlockRecords(vec![TransactionRecords { transaction_index: 5, records: group.records.clone() }]);
    bench.refuses("records of a transaction that is not there", &elsewhere, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flipped_byte_of_the_records_is_noticed() {
    let chain = Chain::start(FabricLimits::default(), fast_config()).await;
    let before = chain.node.head().number;
    send_traffic(&chain, 2).await;
    chain.node.stop().await;
    let file = export_all(chain.node.chain());
    let store = ChainStore::in_memory();
    store.initialize(chain.spec.genesis(), &chain.spec.genesis_block()).expect("it initializes");
    for block in ChainFileReader::open(&file[..]).expect("a chain file") {
        let block = block.expect("a block");
        let number = block.block.header.number;
        let bench = Bench { spec: &chain.spec, store: &store, block: &block };
        if number > before && !block.requests.is_empty() {
            let length = block.requests[0].len();
            for position in 1..length {
                let mut forged = block.clone();
                let mut bytes = forged.requests[0].to_vec();
                bytes[position] ^= 0x10;
                forged.requests = alloy::eips::eip7685::Requests::new(vec![bytes.into()]);
                forged.block.header.requests_hash = Some(forged.requests.requests_hash());
                let fault = bench.replay(forged).expect_err("a flipped byte");
                assert_eq!(fault.number, number, "{fault}");
                assert!(fault.blames_block(), "byte {position}: {fault}");
            }
        }
        let parent = store.head().expect("a head");
        let recovered = RecoveredBlock::recover(&chain.spec, block).expect("it recovers");
        replay_block(&chain.spec, &store, &parent, recovered).expect("valid").commit(&store).expect("stored");
    }
}
