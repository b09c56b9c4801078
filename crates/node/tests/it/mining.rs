//! When blocks are made, and what their headers say.

use crate::support::{Behaviour, Chain, Traffic, cryptlet, fast_config, fast_limits};
use alloy_primitives::{Address, B256, Bytes, TxKind};
use cryptlet_node::{ChainEvent, chain_spec::dev_accounts, pool::PoolError};
use cryptlet_primitives::FabricLimits;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_transaction_gets_a_block_and_timestamps_rise() {
    let chain = Chain::start(FabricLimits::default(), fast_config()).await;
    let key = &dev_accounts()[0];
    let before = chain.node.head().number;
    let mut hashes = Vec::new();
    for n in 0..5 {
        hashes.push(chain.send(key, TxKind::Call(Address::repeat_byte(n)), Bytes::new()).await);
    }
    for hash in hashes {
        chain.receipt(hash).await;
    }
    let head = chain.node.head().number;
    assert_eq!(head, before + 5);
    let times: Vec<u64> =
        (0..=head).map(|n| chain.node.chain().header(n).expect("works").expect("is there").timestamp).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    chain.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_are_made_on_command_and_time_can_be_set() {
    let chain = Chain::start(FabricLimits::default(), fast_config()).await;
    chain.node.set_automine(false).await.expect("it runs");
    let key = &dev_accounts()[0];
    let first = chain.send(key, TxKind::Call(Address::ZERO), Bytes::new()).await;
    let second = chain.send(key, TxKind::Call(Address::ZERO), Bytes::new()).await;
    tokio::time::sleep(std::time::Duration::from_millis(80)).await;
    assert!(chain.receipt_now(first).is_none());
    let head = chain.node.head();
    chain.node.time().set_next(head.timestamp + 1_000, head.timestamp).expect("it is later");
    let hashes = chain.node.mine(3, Some(12)).await.expect("it mines");
    assert_eq!(hashes.len(), 3);
    assert!(chain.receipt_now(first).is_some() && chain.receipt_now(second).is_some());
    let time = |n| chain.node.chain().header(head.number + n).expect("works").expect("is there").timestamp;
    assert_eq!((time(1), time(2), time(3)), (head.timestamp + 1_000, head.timestamp + 1_012, head.timestamp + 1_024));
    let rewound = chain.node.rewind_to(head.number).await.expect("it rewinds");
    assert_eq!(rewound, head);
    assert!(chain.receipt_now(first).is_none());
    chain.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_come_at_an_interval() {
    let chain = Chain::start(FabricLimits::default(), fast_config()).await;
    chain.node.set_automine(false).await.expect("it runs");
    chain.node.set_block_interval_ms(Some(20)).await.expect("it runs");
    let before = chain.node.head().number;
    chain
        .wait_for(|event| matches!(event, ChainEvent::NewBlock(block) if block.block.header.number > before + 3))
        .await;
    chain.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pool_refuses_in_geths_words() {
    let chain = Chain::start(FabricLimits::default(), fast_config()).await;
    chain.node.set_automine(false).await.expect("it runs");
    let key = &dev_accounts()[0];
    let raw = chain.signed(key, TxKind::Call(Address::ZERO), Bytes::new(), 21_000);
    chain.node.submit(raw.clone()).await.expect("taken");
    let refuse = async |raw: Bytes| chain.node.submit(raw).await.expect_err("refused").to_string();
    assert_eq!(refuse(raw).await, "already known");
    let other =
        crate::support::sign_transaction(key, 31_337, 0, TxKind::Call(Address::ZERO), Bytes::from_static(b"x"), 22_000);
    assert!(refuse(other).await.starts_with("replacement transaction underpriced"));
    let little = crate::support::sign_transaction(key, 31_337, 1, TxKind::Call(Address::ZERO), Bytes::new(), 20_999);
    assert!(refuse(little).await.starts_with("intrinsic gas too low"));
    let foreign = crate::support::sign_transaction(key, 1, 1, TxKind::Call(Address::ZERO), Bytes::new(), 21_000);
    assert!(refuse(foreign).await.starts_with("invalid chain id for signer"));
    let poor = "0x0000000000000000000000000000000000000000000000000000000000000123".parse().expect("a key");
    let poor = crate::support::sign_transaction(&poor, 31_337, 0, TxKind::Call(Address::ZERO), Bytes::new(), 21_000);
    assert!(refuse(poor).await.starts_with("insufficient funds for gas * price + value"));
    chain.node.mine(1, None).await.expect("it mines");
    let old = crate::support::sign_transaction(key, 31_337, 0, TxKind::Call(Address::ZERO), Bytes::new(), 30_000);
    assert!(refuse(old).await.starts_with("nonce too low"));
    assert!(matches!(chain.node.submit(Bytes::new()).await, Err(PoolError::Malformed(_))));
    chain.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_transaction_can_be_replaced_and_dropped() {
    let mut limits = fast_limits();
    limits.unavailable_after_blocks = 200;
    let chain = Chain::start(limits, fast_config()).await;
    chain.fabric.behave(Behaviour::Never);
    let input = Bytes::from_static(b"never");
    let call = || Traffic::onceCall { cryptlet: cryptlet().0, input: input.clone() };
    let hash = chain.call_traffic(&dev_accounts()[0], call()).await;
    while chain.node.pool_status().parked == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(chain.node.drop_transaction(hash).await.expect("it runs"));
    assert!(!chain.node.drop_transaction(B256::ZERO).await.expect("it runs"));
    assert_eq!(chain.node.pool_status().parked, 0);
    chain.fabric.behave(Behaviour::Honest);
    let other = crate::support::sign_transaction(
        &dev_accounts()[0],
        31_337,
        0,
        TxKind::Call(Address::ZERO),
        Bytes::new(),
        21_000,
    );
    let other = chain.node.submit(other).await.expect("the nonce is free");
    chain.receipt(other).await;
    assert!(chain.receipt_now(hash).is_none());
    chain.node.stop().await;
}
