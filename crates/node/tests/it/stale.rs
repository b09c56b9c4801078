//! Answers that were right when they were asked for, judged after the chain has moved on while the call was parked.

use crate::support::{Behaviour, Chain, SigningFabric, Traffic, cryptlet, fast_config};
use alloy_primitives::{Address, B256, Bytes, TxKind};
use alloy_sol_types::{SolCall, sol};
use cryptlet_node::{
    ChainEvent,
    chain_spec::{dev_accounts, dev_operator},
    execute::{anchor, delegate_scope},
    miner::judge_answer,
};
use cryptlet_primitives::{
    FabricLimits, Invocation, UnavailableReason,
    system::{CRYPTLET_POLICY, CRYPTLET_REGISTRY},
};

sol! {
    function suspendCryptlet(bytes32 cryptletId) external;
    function upgradeUtility(
        bytes32 cryptletId, bytes32 codeDigest, bytes32 manifestDigest, bytes32 headerDigest, bytes32 configDigest
    ) external;
    function revokeInstance(bytes32 registrationId, string reason) external;
    function setMinimumIsolation(uint8 isolation) external;
}

/// What the block after the head would tell a contract of the honest answer to this call; `None`: it would take it.
fn judged(chain: &Chain, invocation: &Invocation) -> Option<UnavailableReason> {
    let head = chain.node.chain().head().expect("a head");
    let state = chain.node.chain().state_at(head.number).expect("the head's state");
    let scope = delegate_scope(&chain.spec, anchor(&head), state).expect("a delegate");
    judge_answer(&scope, invocation, chain.fabric.answer(invocation)).err().map(|fault| fault.reason)
}

async fn parked_call(chain: &Chain) -> Invocation {
    let mut events = chain.node.subscribe();
    let call = Traffic::guardedCall { cryptlet: cryptlet().0, input: Bytes::from_static(b"is it still so?") };
    chain.call_traffic(&dev_accounts()[0], call).await;
    loop {
        if let ChainEvent::Parked { invocation, .. } = events.recv().await.expect("the node runs") {
            return invocation.as_ref().clone();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_from_before_a_change_is_refused_with_the_reason_the_verifier_gives() {
    let limits = FabricLimits { unavailable_after_blocks: 255, ..FabricLimits::default() };
    let changes: [(&str, Address, Vec<u8>, UnavailableReason); 4] = [
        (
            "the policy has another version",
            CRYPTLET_POLICY,
            setMinimumIsolationCall { isolation: 0 }.abi_encode(),
            UnavailableReason::WrongRequest,
        ),
        ("the cryptlet runs other code", CRYPTLET_REGISTRY, upgrade().abi_encode(), UnavailableReason::WrongRequest),
        (
            "the cryptlet is suspended",
            CRYPTLET_REGISTRY,
            suspendCryptletCall { cryptletId: cryptlet().0 }.abi_encode(),
            UnavailableReason::Refused,
        ),
        ("the instance is revoked", CRYPTLET_REGISTRY, Vec::new(), UnavailableReason::BadSignature),
    ];
    for (what, contract, call, reason) in changes {
        let chain = Chain::start(limits, fast_config()).await;
        chain.fabric.behave(Behaviour::Never);
        let invocation = parked_call(&chain).await;
        assert_eq!(judged(&chain, &invocation), None, "{what}: before");
        let call = if call.is_empty() { revoke(&chain.fabric).abi_encode() } else { call };
        let change = chain.send(&dev_operator(), TxKind::Call(contract), call.into()).await;
        assert!(chain.receipt(change).await.status(), "{what}: the change was refused");
        assert_eq!(judged(&chain, &invocation), Some(reason), "{what}");
        chain.node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_to_a_call_with_an_anchor_of_another_chain_is_the_answer_to_another_request() {
    let chain = Chain::start(FabricLimits::default(), fast_config()).await;
    chain.fabric.behave(Behaviour::Never);
    let mut invocation = parked_call(&chain).await;
    assert_eq!(judged(&chain, &invocation), None);
    invocation.request.anchorHash = B256::repeat_byte(0xee);
    assert_eq!(judged(&chain, &invocation), Some(UnavailableReason::WrongRequest));
    chain.node.stop().await;
}

fn upgrade() -> upgradeUtilityCall {
    let digest = B256::repeat_byte(0x77);
    upgradeUtilityCall {
        cryptletId: cryptlet().0,
        codeDigest: digest,
        manifestDigest: digest,
        headerDigest: digest,
        configDigest: digest,
    }
}

fn revoke(fabric: &SigningFabric) -> revokeInstanceCall {
    revokeInstanceCall { registrationId: fabric.keys.registration_id().0, reason: "lost".to_owned() }
}
