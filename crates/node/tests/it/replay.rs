//! A chain of mixed traffic, replayed with no host in reach.

use crate::support::{Chain, Traffic, cryptlet, fast_config};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_sol_types::SolCall;
use cryptlet_node::{
    ChainSpec,
    chain_file::{BlockSource, ChainFileReader, ReplayOptions, ReplayStorage, Replaying, export, import, replay},
    chain_spec::dev_accounts,
    store::ChainStore,
};
use cryptlet_primitives::FabricLimits;

/// The n-th transaction of the traffic.
pub(crate) fn traffic_call(n: u64) -> Bytes {
    let (cryptlet, input) = (cryptlet().0, Bytes::from(format!("call {n}").into_bytes()));
    let count = |n: u64| U256::from(1 + n % 4);
    match n % 10 {
        0 => Traffic::onceCall { cryptlet, input }.abi_encode(),
        1 => Traffic::chainedCall { cryptlet, count: count(n / 10), input }.abi_encode(),
        2 => Traffic::nestedCall { cryptlet, depth: count(n / 10), input }.abi_encode(),
        3 => Traffic::inRevertedFrameCall { cryptlet, input }.abi_encode(),
        4 => Traffic::andRevertCall { cryptlet, input }.abi_encode(),
        5 => Traffic::staticallyCall { cryptlet, input }.abi_encode(),
        6 => Traffic::guardedCall { cryptlet, input: format!("fail {n}").into_bytes().into() }.abi_encode(),
        7 => Traffic::byKindCall { cryptlet, kind: U256::from(n / 10 % 4), depth: U256::from(n / 40 % 3), input }
            .abi_encode(),
        8 => Traffic::andBurnCall { cryptlet, input }.abi_encode(),
        _ => Traffic::onceCall { cryptlet: cryptlet_of_nobody(), input }.abi_encode(),
    }
    .into()
}

fn cryptlet_of_nobody() -> alloy_primitives::B256 {
    alloy_primitives::B256::repeat_byte(0x0b)
}

/// Sends this much traffic from three accounts, with plain transfers from a fourth between, and waits for all of it.
pub(crate) async fn send_traffic(chain: &Chain, transactions: u64) {
    let keys = dev_accounts();
    let mut last = Vec::new();
    for n in 0..transactions {
        let key = &keys[(n % 4) as usize];
        let hash = if n % 4 == 3 {
            chain.send(key, TxKind::Call(Address::repeat_byte(n as u8)), Bytes::new()).await
        } else {
            chain.send(key, TxKind::Call(chain.traffic), traffic_call(n / 4 * 3 + n % 4)).await
        };
        last.push(hash);
    }
    for hash in last {
        chain.receipt(hash).await;
    }
}

pub(crate) fn export_all(chain: &ChainStore) -> Vec<u8> {
    let mut file = Vec::new();
    let first = chain.first_block().expect("it reads") + 1;
    export(chain, first..=u64::MAX, &mut file, &mut |_| {}).expect("the chain can be exported");
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_blocks_of_mixed_traffic_replay_to_the_same_state_at_every_block() {
    let chain = Chain::start(FabricLimits::default(), fast_config()).await;
    send_traffic(&chain, 1_000).await;
    chain.node.stop().await;
    let head = chain.node.chain().head().expect("a head");
    assert!(head.number >= 1_000, "{} blocks", head.number);

    let file = export_all(chain.node.chain());
    let (mut roots, mut records) = (Vec::new(), 0);
    let mut replaying = Replaying {
        progress: &mut |_| {},
        block: &mut |block| {
            roots.push(block.block.header.state_root);
            records += block.records.0.iter().map(|group| group.records.len()).sum::<usize>();
        },
    };
    let report = replay(&file[..], ReplayOptions::default(), &mut replaying).expect("the chain replays");
    assert_eq!((report.head_number, report.head_hash), (head.number, head.hash()));
    assert_eq!(report.records, records as u64);
    assert!(records > 800, "only {records} records: the traffic is not what it should be");
    for (number, root) in (1..).zip(&roots) {
        let header = chain.node.chain().header(number).expect("the store works").expect("a header");
        assert_eq!(header.state_root, *root, "block {number}");
    }
    assert_eq!(roots.len() as u64, head.number);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_replays_in_a_folder_and_continues_in_a_store_that_has_its_beginning() {
    let chain = Chain::start(FabricLimits::default(), fast_config()).await;
    send_traffic(&chain, 24).await;
    chain.node.stop().await;
    let head = chain.node.chain().head().expect("a head");
    let file = export_all(chain.node.chain());

    let options = ReplayOptions { storage: ReplayStorage::TemporaryFolder, until_block: None };
    let mut quiet = Replaying { progress: &mut |_| {}, block: &mut |_| {} };
    let report = replay(&file[..], options, &mut quiet).expect("the chain replays");
    assert_eq!(report.head_hash, head.hash());

    let store = ChainStore::in_memory();
    let spec = ChainSpec::from_genesis(ChainFileReader::open(&file[..]).expect("a chain file").genesis().clone());
    let spec = spec.expect("a genesis");
    store.initialize(spec.genesis(), &spec.genesis_block()).expect("an empty store");
    let open = || BlockSource::open(&file[..]).expect("a chain file");
    let report = import(&spec, &store, open(), Some(7), &mut quiet).expect("the beginning imports");
    assert_eq!(report.head_number, 7);
    let report = import(&spec, &store, open(), None, &mut quiet).expect("the rest imports");
    assert_eq!((report.head_hash, report.blocks), (head.hash(), head.number - 7));

    let receipts = |store: &ChainStore, number| store.receipts(number).expect("the store works");
    for number in 1..=head.number {
        assert_eq!(receipts(&store, number), receipts(chain.node.chain(), number), "block {number}");
    }
    assert_eq!(store.genesis_hash().expect("a genesis"), chain.spec.genesis_hash());
}

#[test]
fn a_chain_without_blocks_is_a_chain() {
    let spec = ChainSpec::dev();
    let store = ChainStore::in_memory();
    store.initialize(spec.genesis(), &spec.genesis_block()).expect("it initializes");
    let file = export_all(&store);
    let mut quiet = Replaying { progress: &mut |_| {}, block: &mut |_| {} };
    let report = replay(&file[..], ReplayOptions::default(), &mut quiet).expect("it replays");
    assert_eq!((report.head_number, report.head_hash), (0, spec.genesis_hash()));
}

#[test]
fn a_file_that_is_cut_off_or_is_not_a_chain_is_refused() {
    let spec = ChainSpec::dev();
    let store = ChainStore::in_memory();
    store.initialize(spec.genesis(), &spec.genesis_block()).expect("it initializes");
    let file = export_all(&store);
    let mut quiet = Replaying { progress: &mut |_| {}, block: &mut |_| {} };
    let mut refuse =
        |bytes: &[u8]| replay(bytes, ReplayOptions::default(), &mut quiet).expect_err("it must be refused").to_string();
    assert!(refuse(b"PK\x03\x04 something").contains("not a chain file"));
    assert!(refuse(&file[..file.len() - 1]).contains("cut off"));
    assert!(refuse(&[&file[..], &[0]].concat()).contains("follow the end mark"));
    assert!(refuse(&[b"CRYPTLET\x09", &file[9..]].concat()).contains("format version 9"));
    let mut long = file[..9].to_vec();
    long.extend(u32::MAX.to_be_bytes());
    assert!(refuse(&long).contains("at most"));
}
