//! Hosts that lie, dawdle or are gone. The node keeps making blocks, and every transaction ends in one receipt.

use crate::support::{Behaviour, Chain, Traffic, cryptlet, fast_config, fast_limits};
use alloy_primitives::{Address, Bytes, TxKind};
use alloy_sol_types::{SolError, SolEvent, SolValue};
use cryptlet_node::chain_spec::dev_accounts;
use cryptlet_primitives::{RefusalCode, UnavailableReason, abi::ICryptoDelegate::CryptletError};

/// What the contract learnt of its call: the reason in `CryptletError(Unavailable, reason)`.
fn unavailable_reason(receipt: &cryptlet_node::types::Receipt) -> UnavailableReason {
    let refused = receipt.logs().iter().find_map(|log| Traffic::Refused::decode_log(log).ok()).expect("a refusal");
    let error = CryptletError::abi_decode(&refused.reason).expect("a typed error");
    assert_eq!(error.code, RefusalCode::Unavailable as u16);
    let reason = alloy_primitives::U256::abi_decode(&error.data).expect("a reason");
    UnavailableReason::try_from(reason.to::<u8>()).expect("a known reason")
}

async fn answer_under(behaviour: Behaviour) -> (Chain, cryptlet_node::types::Receipt) {
    let chain = Chain::start(fast_limits(), fast_config()).await;
    let keys = dev_accounts();
    chain.fabric.behave(behaviour);
    let before = chain.node.head().number;
    let input = Bytes::from_static(b"is anybody there?");
    let hash =
        chain.call_traffic(&keys[0], Traffic::guardedCall { cryptlet: cryptlet().0, input: input.clone() }).await;
    // Later transactions of the same sender wait behind it, those of others do not.
    let behind = chain.send(&keys[0], TxKind::Call(Address::repeat_byte(1)), Bytes::new()).await;
    let beside = chain.send(&keys[1], TxKind::Call(Address::repeat_byte(2)), Bytes::new()).await;
    chain.receipt(beside).await;
    assert!(chain.receipt_now(behind).is_none() || chain.receipt_now(hash).is_some(), "nonces out of order");
    let receipt = chain.receipt(hash).await;
    chain.receipt(behind).await;
    assert_eq!(chain.occurrences(hash), 1);
    assert!(chain.node.head().number > before);
    // The pool is empty again, and a plain transaction still goes through at once.
    chain.fabric.behave(Behaviour::Honest);
    let after = chain.call_traffic(&keys[2], Traffic::onceCall { cryptlet: cryptlet().0, input }).await;
    assert!(chain.receipt(after).await.status());
    let status = chain.node.pool_status();
    assert_eq!((status.pending, status.queued, status.parked), (0, 0, 0));
    (chain, receipt)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_bad_answer_ends_in_one_receipt_that_says_what_happened() {
    let expected = [
        (Behaviour::WrongSignature, UnavailableReason::BadSignature),
        (Behaviour::WrongKey, UnavailableReason::BadSignature),
        (Behaviour::DryRunSignature, UnavailableReason::BadSignature),
        (Behaviour::OtherRequest, UnavailableReason::WrongRequest),
        (Behaviour::TooLongOutput, UnavailableReason::OverLimit),
        (Behaviour::TooManyUnits, UnavailableReason::OverLimit),
        (Behaviour::OutputDoesNotMatch, UnavailableReason::Malformed),
        (Behaviour::Garbage, UnavailableReason::Malformed),
        (Behaviour::ClaimsUnavailable, UnavailableReason::Malformed),
        (Behaviour::Expired, UnavailableReason::Expired),
        (Behaviour::Down, UnavailableReason::HostUnreachable),
        (Behaviour::Never, UnavailableReason::DeadlineExceeded),
    ];
    for (behaviour, reason) in expected {
        let (chain, receipt) = answer_under(behaviour).await;
        assert!(receipt.status(), "{behaviour:?}");
        assert_eq!(unavailable_reason(&receipt), reason, "{behaviour:?}");
        chain.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_host_is_waited_for() {
    let (chain, receipt) = answer_under(Behaviour::Slow { ms: 60 }).await;
    assert!(receipt.status());
    assert!(receipt.logs().iter().all(|log| Traffic::Refused::decode_log(log).is_err()), "it was answered");
    chain.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unguarded_call_without_a_host_fails_with_a_receipt_and_replays() {
    let chain = Chain::start(fast_limits(), fast_config()).await;
    chain.fabric.behave(Behaviour::Down);
    let call = Traffic::chainedCall {
        cryptlet: cryptlet().0,
        count: alloy_primitives::U256::from(3),
        input: Bytes::from_static(b"x"),
    };
    let hash = chain.call_traffic(&dev_accounts()[0], call).await;
    let receipt = chain.receipt(hash).await;
    assert!(!receipt.status());
    chain.node.stop().await;
    let file = crate::replay::export_all(chain.node.chain());
    let mut quiet = cryptlet_node::chain_file::Replaying { progress: &mut |_| {}, block: &mut |_| {} };
    let report = cryptlet_node::chain_file::replay(&file[..], Default::default(), &mut quiet).expect("it replays");
    assert_eq!(report.head_hash, chain.node.head().hash);
    assert_eq!(report.records, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_comes_back_in_time_is_enough() {
    let mut limits = fast_limits();
    limits.unavailable_after_blocks = 200;
    let chain = Chain::start(limits, fast_config()).await;
    chain.fabric.behave(Behaviour::Down);
    let input = Bytes::from_static(b"later");
    let hash = chain.call_traffic(&dev_accounts()[0], Traffic::onceCall { cryptlet: cryptlet().0, input }).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(chain.receipt_now(hash).is_none());
    assert_eq!(chain.node.pool_status().parked, 1);
    chain.fabric.behave(Behaviour::Honest);
    assert!(chain.receipt(hash).await.status());
    chain.node.stop().await;
}
