//! Every kind of transaction and of request goes into blocks, and comes out of a replay.

use crate::{
    replay::export_all,
    support::{Chain, Traffic, cryptlet, fast_config},
};
use alloy::consensus::{SignableTransaction, TxEip2930, TxEip7702, TxEnvelope, TxLegacy};
use alloy::eips::{
    Encodable2718,
    eip2930::{AccessList, AccessListItem},
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7702::Authorization,
};
use alloy::network::TxSignerSync;
use alloy::signers::{SignerSync, local::PrivateKeySigner};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy_sol_types::SolCall;
use cryptlet_node::{
    chain_file::{Replaying, replay},
    chain_spec::dev_accounts,
};
use cryptlet_primitives::FabricLimits;

const GAS_PRICE: u128 = 20_000_000_000;

fn signed<T: SignableTransaction<Signature>>(key: &PrivateKeySigner, mut tx: T) -> Bytes
where
    TxEnvelope: From<alloy::consensus::Signed<T>>,
{
    let signature = key.sign_transaction_sync(&mut tx).expect("a key signs");
    TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
}

fn legacy(key: &PrivateKeySigner, nonce: u64, chain_id: Option<u64>) -> Bytes {
    let to = TxKind::Call(Address::repeat_byte(1));
    let tx = TxLegacy {
        chain_id,
        nonce,
        gas_price: GAS_PRICE,
        gas_limit: 21_000,
        to,
        value: U256::ONE,
        input: Bytes::new(),
    };
    signed(key, tx)
}

fn with_access_list(key: &PrivateKeySigner, nonce: u64, chain: &Chain) -> Bytes {
    let item = AccessListItem { address: chain.traffic, storage_keys: vec![B256::ZERO] };
    let tx = TxEip2930 {
        chain_id: chain.spec.chain_id(),
        nonce,
        gas_price: GAS_PRICE,
        gas_limit: 60_000,
        to: TxKind::Call(Address::repeat_byte(2)),
        value: U256::ZERO,
        access_list: AccessList(vec![item]),
        input: Bytes::new(),
    };
    signed(key, tx)
}

/// `authority` becomes `Traffic` (EIP-7702), and calls a cryptlet in the same transaction.
fn delegating(key: &PrivateKeySigner, nonce: u64, authority: &PrivateKeySigner, chain: &Chain) -> Bytes {
    let chain_id = chain.spec.chain_id();
    let authorization = Authorization { chain_id: U256::from(chain_id), address: chain.traffic, nonce: 0 };
    let signature = authority.sign_hash_sync(&authorization.signature_hash()).expect("a key signs");
    let input = Bytes::from_static(b"as an account");
    let tx = TxEip7702 {
        chain_id,
        nonce,
        gas_limit: 500_000,
        max_fee_per_gas: GAS_PRICE,
        max_priority_fee_per_gas: 1,
        to: authority.address(),
        value: U256::ZERO,
        access_list: AccessList::default(),
        authorization_list: vec![authorization.into_signed(signature)],
        input: Traffic::onceCall { cryptlet: cryptlet().0, input }.abi_encode().into(),
    };
    signed(key, tx)
}

/// Asks the consensus layer for a withdrawal (EIP-7002); the fee of the first request in a block is one wei.
fn withdrawal_request(key: &PrivateKeySigner, nonce: u64) -> Bytes {
    let tx = TxLegacy {
        chain_id: Some(31_337),
        nonce,
        gas_price: GAS_PRICE,
        gas_limit: 300_000,
        to: TxKind::Call(WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS),
        value: U256::ONE,
        input: vec![7; 56].into(),
    };
    signed(key, tx)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_transaction_is_included_and_replays() {
    let chain = Chain::start(FabricLimits::default(), fast_config()).await;
    let keys = dev_accounts();
    let raw = [
        legacy(&keys[0], 0, Some(chain.spec.chain_id())),
        legacy(&keys[0], 1, None),
        with_access_list(&keys[0], 2, &chain),
        delegating(&keys[0], 3, &keys[7], &chain),
        // The authorization took the authority's nonce 0.
        legacy(&keys[7], 1, Some(chain.spec.chain_id())),
    ];
    for raw in raw {
        let hash = chain.node.submit(raw).await.expect("taken");
        assert!(chain.receipt(hash).await.status(), "{hash}");
    }
    chain.node.stop().await;
    let file = export_all(chain.node.chain());
    let mut quiet = Replaying { progress: &mut |_| {}, block: &mut |_| {} };
    let report = replay(&file[..], Default::default(), &mut quiet).expect("it replays");
    assert_eq!(report.head_hash, chain.node.head().hash);
    assert_eq!(report.records, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_stand_behind_ethereums_own_requests_in_ascending_order() {
    let chain = Chain::start(FabricLimits::default(), fast_config()).await;
    let keys = dev_accounts();
    chain.node.set_automine(false).await.expect("it runs");
    let input = Bytes::from_static(b"beside a withdrawal");
    let call = chain.call_traffic(&keys[0], Traffic::onceCall { cryptlet: cryptlet().0, input }).await;
    // The first block finds the call out and parks the transaction; the answer comes in the meantime.
    chain.node.mine(1, None).await.expect("it mines");
    while chain.node.pool_status().parked > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let withdrawal = chain.node.submit(withdrawal_request(&keys[1], 0)).await.expect("taken");
    chain.node.mine(1, None).await.expect("it mines");
    assert!(chain.receipt(call).await.status() && chain.receipt(withdrawal).await.status());
    let head = chain.node.head().number;
    let requests = chain.node.chain().requests(head).expect("works").expect("is there");
    let kinds: Vec<u8> = requests.iter().map(|request| request[0]).collect();
    assert_eq!(kinds, [0x01, 0xCD]);
    chain.node.stop().await;
    let file = export_all(chain.node.chain());
    let mut quiet = Replaying { progress: &mut |_| {}, block: &mut |_| {} };
    let report = replay(&file[..], Default::default(), &mut quiet).expect("it replays");
    assert_eq!(report.head_hash, chain.node.head().hash);
}
