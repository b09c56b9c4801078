//! The pool, as senders meet it.

use super::{AccountFacts, Pool, PoolError, PoolLimits, PoolOrder, PoolRules, PooledEntry, decode_transaction};
use crate::chain_spec::dev_accounts;
use alloy::consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy::eips::Encodable2718;
use alloy::network::TxSignerSync;
use alloy_primitives::{Address, B256, TxKind, U256, map::HashMap};
use revm::primitives::hardfork::SpecId;
use std::sync::atomic::{AtomicU64, Ordering};

const GWEI: u128 = 1_000_000_000;

static ARRIVALS: AtomicU64 = AtomicU64::new(0);

fn entry(key: usize, nonce: u64, tip_gwei: u128) -> PooledEntry {
    let mut tx = TxEip1559 {
        chain_id: 31_337,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10 * GWEI + tip_gwei * GWEI,
        max_priority_fee_per_gas: tip_gwei * GWEI,
        to: TxKind::Call(Address::ZERO),
        ..Default::default()
    };
    let signature = dev_accounts()[key].sign_transaction_sync(&mut tx).expect("a key signs");
    let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
    let transaction = decode_transaction(&raw).expect("a transaction");
    PooledEntry::recover(transaction, ARRIVALS.fetch_add(1, Ordering::Relaxed)).expect("a signature")
}

fn rules() -> PoolRules {
    PoolRules {
        chain_id: 31_337,
        spec: SpecId::PRAGUE,
        init_code_bytes_max: 49_152,
        block_gas_limit: 30_000_000,
        transaction_gas_cap: None,
        base_fee: GWEI as u64,
        blob_base_fee: 1,
        blob_params: None,
    }
}

const RICH: AccountFacts = AccountFacts { nonce: 0, balance: U256::MAX, has_code: false };

fn pool_of(entries: impl IntoIterator<Item = PooledEntry>) -> Pool {
    let pool = Pool::new(PoolLimits::default(), PoolOrder::Fees);
    for entry in entries {
        pool.add(entry, &RICH, &rules()).expect("taken");
    }
    pool
}

fn best(pool: &Pool) -> Vec<B256> {
    pool.best(GWEI as u64, 1).map(|entry| entry.hash()).collect()
}

#[test]
fn the_highest_tip_comes_first_then_the_earliest_but_nonces_stay_in_order() {
    let (cheap, dear_behind) = (entry(0, 0, 1), entry(0, 1, 9));
    let (middle, early) = (entry(1, 0, 5), entry(2, 0, 1));
    let expected = [middle.hash(), cheap.hash(), dear_behind.hash(), early.hash()];
    let pool = pool_of([cheap, dear_behind, middle, early]);
    assert_eq!(best(&pool), expected);
}

#[test]
fn a_gap_queues_and_closing_it_releases() {
    let (second, first) = (entry(0, 1, 1), entry(0, 0, 1));
    let expected = [first.hash(), second.hash()];
    let pool = pool_of([second]);
    assert_eq!((pool.status().pending, pool.status().queued), (0, 1));
    assert!(best(&pool).is_empty() && pool.pending_nonce(dev_accounts()[0].address()).is_none());
    pool.add(first, &RICH, &rules()).expect("taken");
    assert_eq!(best(&pool), expected);
    assert_eq!(pool.pending_nonce(dev_accounts()[0].address()), Some(2));
}

#[test]
fn a_parked_transaction_holds_back_its_sender_only() {
    let (parked, behind, other) = (entry(0, 0, 1), entry(0, 1, 1), entry(1, 0, 1));
    let (hash, rest) = (parked.hash(), [other.hash()]);
    let pool = pool_of([parked, behind, other]);
    pool.set_parked(hash, true);
    assert_eq!(best(&pool), rest);
    assert_eq!((pool.status().pending, pool.status().parked), (3, 1));
    pool.set_parked(hash, false);
    assert_eq!(best(&pool).len(), 3);
}

#[test]
fn a_replacement_must_pay_a_tenth_more() {
    let old = entry(0, 0, 10);
    let hash = old.hash();
    let pool = pool_of([old]);
    let refused = pool.add(entry(0, 0, 11), &RICH, &rules()).expect_err("too little");
    assert_eq!(refused, PoolError::ReplacementUnderpriced { bump_percent: 10 });
    let added = pool.add(entry(0, 0, 12), &RICH, &rules()).expect("enough");
    assert_eq!(added.replaced.map(|entry| entry.hash()), Some(hash));
    assert_eq!(pool.status().pending, 1);
}

#[test]
fn a_full_pool_lets_go_of_whoever_pays_least() {
    let limits = PoolLimits { transactions_max: 2, ..PoolLimits::default() };
    let pool = Pool::new(limits, PoolOrder::Fees);
    pool.add(entry(0, 0, 5), &RICH, &rules()).expect("taken");
    let cheapest = pool.add(entry(1, 0, 2), &RICH, &rules()).expect("taken").entry.hash();
    assert!(matches!(pool.add(entry(2, 0, 2), &RICH, &rules()), Err(PoolError::Full { transactions: 2, .. })));
    let added = pool.add(entry(2, 0, 7), &RICH, &rules()).expect("taken");
    assert_eq!(added.evicted.map(|entry| entry.hash()), Some(cheapest));
}

#[test]
fn what_all_waiting_transactions_cost_must_be_there() {
    let cost = entry(0, 0, 1).cost();
    let account = AccountFacts { balance: cost + cost - U256::ONE, ..RICH };
    let pool = Pool::new(PoolLimits::default(), PoolOrder::Fees);
    pool.add(entry(0, 0, 1), &account, &rules()).expect("taken");
    let refused = pool.add(entry(0, 1, 1), &account, &rules()).expect_err("not both");
    assert!(refused.to_string().starts_with("insufficient funds for gas * price + value"), "{refused}");
}

#[test]
fn included_nonces_leave_and_the_rest_moves_up() {
    let (first, second) = (entry(0, 0, 1), entry(0, 1, 1));
    let (gone, stays) = (first.hash(), second.hash());
    let pool = pool_of([first, second]);
    let nonces = HashMap::from_iter([(dev_accounts()[0].address(), 1)]);
    let left: Vec<_> = pool.on_rewind(&nonces).iter().map(|entry| entry.hash()).collect();
    assert_eq!(left, [gone]);
    assert_eq!(best(&pool), [stays]);
    assert_eq!(pool.status().bytes, pool.get(stays).expect("it stays").encoded_bytes());
}

/// A transaction with one blob, its commitment and its proof, the latter two possibly of other blobs.
fn blob_entry(committed: u8, proven: u8) -> PooledEntry {
    use alloy::consensus::{TxEip4844, TxEip4844WithSidecar};
    use alloy::eips::{eip4844::BlobTransactionSidecar, eip7594::BlobTransactionSidecarVariant};
    let settings = c_kzg::ethereum_kzg_settings(0);
    let blob_of = |byte: u8| {
        let mut bytes = vec![0u8; c_kzg::BYTES_PER_BLOB];
        bytes[31] = byte;
        c_kzg::Blob::from_bytes(&bytes).expect("a blob")
    };
    let commit = |byte| settings.blob_to_kzg_commitment(&blob_of(byte)).expect("a commitment").to_bytes();
    let proof = settings.compute_blob_kzg_proof(&blob_of(proven), &commit(proven)).expect("a proof").to_bytes();
    let commitment = commit(committed).into_inner();
    let blob = alloy::eips::eip4844::Blob::from_slice(&blob_of(1)[..]);
    let sidecar = BlobTransactionSidecar::new(vec![blob], vec![commitment.into()], vec![proof.into_inner().into()]);
    let tx = TxEip4844 {
        chain_id: 31_337,
        gas_limit: 21_000,
        max_fee_per_gas: 10 * GWEI,
        max_priority_fee_per_gas: GWEI,
        max_fee_per_blob_gas: GWEI,
        blob_versioned_hashes: sidecar.versioned_hashes().collect(),
        ..Default::default()
    };
    let mut tx = TxEip4844WithSidecar { tx, sidecar: BlobTransactionSidecarVariant::Eip4844(sidecar) };
    let signature = dev_accounts()[0].sign_transaction_sync(&mut tx).expect("a key signs");
    let pooled = crate::types::PooledTransaction::Eip4844(tx.into_signed(signature));
    let decoded = decode_transaction(&pooled.encoded_2718()).expect("it decodes");
    PooledEntry::recover(decoded, 0).expect("a signature")
}

#[test]
fn blobs_must_be_the_ones_that_are_committed_to() {
    let rules = PoolRules { blob_params: Some(alloy::eips::eip7840::BlobParams::prague()), ..rules() };
    let pool = Pool::new(PoolLimits::default(), PoolOrder::Fees);
    for (committed, proven) in [(2, 2), (1, 2)] {
        let refused = pool.add(blob_entry(committed, proven), &RICH, &rules).expect_err("another blob");
        assert!(matches!(refused, PoolError::Blobs(_)), "{refused}");
    }
    let osaka = PoolRules { spec: SpecId::OSAKA, ..rules };
    let refused = pool.add(blob_entry(1, 1), &RICH, &osaka).expect_err("no cell proofs");
    assert!(refused.to_string().contains("cell proofs"), "{refused}");
    pool.add(blob_entry(1, 1), &RICH, &rules).expect("its own blob");
}

#[test]
fn contracts_do_not_send_and_nonces_do_not_run_far_ahead() {
    let pool = Pool::new(PoolLimits::default(), PoolOrder::Fees);
    let contract = AccountFacts { has_code: true, ..RICH };
    assert!(matches!(pool.add(entry(0, 0, 1), &contract, &rules()), Err(PoolError::SenderNotEoa(_))));
    assert!(matches!(pool.add(entry(0, 50_000, 1), &RICH, &rules()), Err(PoolError::NonceTooHigh { .. })));
    let low = AccountFacts { nonce: 3, ..RICH };
    let refused = pool.add(entry(0, 2, 1), &low, &rules()).expect_err("too low");
    assert_eq!(refused.to_string(), "nonce too low: next nonce 3, tx nonce 2");
    let rules = PoolRules { base_fee: 100 * GWEI as u64, ..rules() };
    let refused = pool.add(entry(0, 0, 1), &RICH, &rules).expect_err("too cheap");
    assert!(refused.to_string().starts_with("max fee per gas less than block base fee"));
}

#[test]
fn the_best_few_are_the_first_of_all_at_every_base_fee() {
    use proptest::prelude::*;
    let mut runner = proptest::test_runner::TestRunner::default();
    let prices = prop::collection::vec((1..30u128, 0..30u128, prop::bool::ANY), 1..10);
    let fees = prop::collection::vec(0..40u64, 1..6);
    let check = |(prices, fees): (Vec<(u128, u128, bool)>, Vec<u64>)| {
        let pool = Pool::new(PoolLimits { reject_below_base_fee: false, ..PoolLimits::default() }, PoolOrder::Fees);
        for (key, (cap, tip, parked)) in prices.iter().enumerate() {
            let entry = priced(key, *cap, (*tip).min(*cap));
            let hash = entry.hash();
            pool.add(entry, &RICH, &PoolRules { base_fee: 0, ..rules() }).expect("taken");
            pool.set_parked(hash, *parked && key % 3 == 0);
        }
        for base_fee in fees {
            let few: Vec<_> = pool.best_few(base_fee, 1, 4).map(|entry| entry.hash()).collect();
            let all: Vec<_> = pool.best(base_fee, 1).map(|entry| entry.hash()).take(4).collect();
            prop_assert_eq!(few, all, "base fee {}", base_fee);
        }
        Ok(())
    };
    runner.run(&(prices, fees), check).expect("the same order");
}

fn priced(key: usize, max_fee_per_gas: u128, max_priority_fee_per_gas: u128) -> PooledEntry {
    let to = TxKind::Call(Address::ZERO);
    let mut tx = TxEip1559 {
        chain_id: 31_337,
        gas_limit: 21_000,
        max_fee_per_gas,
        max_priority_fee_per_gas,
        to,
        ..Default::default()
    };
    let signature = dev_accounts()[key].sign_transaction_sync(&mut tx).expect("a key signs");
    let raw = TxEnvelope::from(tx.into_signed(signature)).encoded_2718();
    let transaction = decode_transaction(&raw).expect("a transaction");
    PooledEntry::recover(transaction, ARRIVALS.fetch_add(1, Ordering::Relaxed)).expect("a signature")
}

/// Threads that admit and a miner that includes tell the pool the account's nonce in any order.
#[test]
fn a_nonce_that_comes_late_or_early_loses_nothing() {
    let sender = dev_accounts()[0].address();
    let nonce = |nonce: u64| HashMap::from_iter([(sender, nonce)]);
    let (first, second, third) = (entry(0, 0, 1), entry(0, 1, 1), entry(0, 2, 1));
    let (included, next, waits) = (first.hash(), second.hash(), third.hash());
    let pool = pool_of([first]);
    // Block 7 is written with the first. Before the pool is told, somebody adds the second with the account after it.
    pool.add(second, &AccountFacts { nonce: 1, ..RICH }, &rules()).expect("taken");
    pool.on_higher_nonces(7, &nonce(1));
    assert_eq!(best(&pool), [next]);
    let left: Vec<_> = pool.on_block(7, &nonce(1)).iter().map(|entry| entry.hash()).collect();
    assert_eq!(left, [included], "it left with its own block");
    assert_eq!(pool.get(included).map(|entry| entry.hash()), Some(included), "nobody was told of the block yet");
    assert_eq!(pool.pending_nonce(sender), Some(2));
    // Block 8 has the second, and leaves the queue empty. Somebody adds the third with the account before it.
    pool.on_block(8, &nonce(2));
    assert_eq!(pool.pending_nonce(sender), Some(2), "the next nonce counts what is in blocks nobody was told of");
    pool.add(third, &AccountFacts { nonce: 1, ..RICH }, &rules()).expect("taken");
    assert_eq!(best(&pool), [B256::ZERO; 0]);
    pool.on_higher_nonces(8, &nonce(2));
    pool.on_higher_nonces(7, &nonce(1));
    assert_eq!(best(&pool), [waits]);
    assert_eq!((pool.status().pending, pool.status().queued), (1, 0));
    pool.settled(8);
    assert!(pool.get(included).is_none() && pool.get(next).is_none());
    assert_eq!(pool.pending_nonce(sender), Some(3));
}
