//! A disk that is full: no more blocks, everything else as before, and on again when there is room.

use super::{
    child::{options, start, transfer},
    mount::Mount,
    say,
};
use cryptlet_node::{NodeHandle, chain_spec::dev_accounts, store::ChainStore};
use std::time::{Duration, Instant};

#[test]
fn a_full_disk_stops_blocks_cleanly_and_they_go_on_when_there_is_room() {
    for sync in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = match Mount::memory(&folder.path().join("mounted"), 96) {
            Ok(mounted) => mounted,
            Err(reason) => return say(&format!("SKIPPED full disk: {reason}")),
        };
        let data = mounted.point.join("chain");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(fill(&data, &mounted.point.join("ballast"), sync));
        // Nothing was half-written: the same chain opens again and goes on.
        drop(runtime);
        let store = ChainStore::open(&data, &options(sync)).expect("it opens");
        assert!(store.head().expect("a head").number > 0);
        drop(store);
        drop(mounted);
    }
}

async fn fill(data: &std::path::Path, ballast: &std::path::Path, sync: bool) {
    const BALLAST_BYTES: usize = 48 << 20;
    std::fs::write(ballast, vec![1; BALLAST_BYTES]).expect("there is room for now");
    let node = start(data, &options(sync));
    let key = &dev_accounts()[0];
    let mut nonce = 0;
    // Transactions of 60 kB, until no block comes any more.
    let full_at = loop {
        node.submit(transfer(key, nonce, 60_000)).await.expect("the pool takes it");
        nonce += 1;
        if !is_at(&node, nonce, Duration::from_secs(3)).await {
            break node.head();
        }
        assert!(nonce < 5_000, "the disk does not fill up");
    };
    say(&format!("the disk was full behind block {} (sync: {sync})", full_at.number));
    // Reading goes on, and the pool still takes transactions.
    let state = node.chain().latest_state().expect("the state");
    assert_eq!(state.account(key.address()).expect("a read").expect("an account").nonce, full_at.number);
    for number in 0..=full_at.number {
        assert!(node.chain().block(number).expect("a read").is_some(), "block {number} is not there");
    }
    node.submit(transfer(key, nonce, 64)).await.expect("the pool takes it");
    nonce += 1;
    let refused = node.mine(1, None).await.expect_err("there is no room for a block").to_string();
    assert!(refused.contains("disk is full") || refused.contains("No space left"), "{refused}");
    assert_eq!(node.head(), full_at, "no block was told of");

    std::fs::remove_file(ballast).expect("it is there");
    let freed = Instant::now();
    if !is_at(&node, nonce, Duration::from_secs(60)).await {
        let log = std::fs::read_to_string(data.join("LOG")).unwrap_or_default();
        let told: Vec<&str> = log.lines().filter(|line| line.contains("rror") || line.contains("pace")).collect();
        panic!("blocks do not go on: {refused}\n{}", told[told.len().saturating_sub(20)..].join("\n"));
    }
    say(&format!("blocks went on {:.1?} after there was room", freed.elapsed()));
    node.stop().await;
}

/// Does the chain come to this height in time?
async fn is_at(node: &NodeHandle, number: u64, time: Duration) -> bool {
    let mut head = node.watch_head();
    tokio::time::timeout(time, head.wait_for(|head| head.number >= number)).await.is_ok()
}
