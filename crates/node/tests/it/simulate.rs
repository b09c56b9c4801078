//! `eth_call` and `eth_estimateGas`, and what must never come of them.

use crate::support::{Behaviour, Chain, Traffic, cryptlet, fast_config};
use alloy::eips::BlockId;
use alloy::rpc::types::TransactionRequest;
use alloy_primitives::{Bytes, TxKind};
use alloy_sol_types::SolCall;
use cryptlet_node::{
    SimulationRequest,
    chain_spec::dev_accounts,
    service::{CallResult, SimulationError, SimulationPolicy},
};
use cryptlet_primitives::FabricLimits;

fn request(chain: &Chain, call: Bytes) -> SimulationRequest {
    let from = dev_accounts()[4].address();
    let call = TransactionRequest::default().from(from).to(chain.traffic).input(call.into());
    SimulationRequest::new(call, BlockId::latest())
}

fn ask(input: &'static [u8]) -> Bytes {
    Traffic::askCall { cryptlet: cryptlet().0, input: Bytes::from_static(input) }.abi_encode().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_answered_by_a_dry_run_and_leaves_no_trace() {
    let chain = Chain::start(FabricLimits::default(), fast_config()).await;
    let head = chain.node.head();
    let outcome = chain.node.simulate(request(&chain, ask(b"hello"))).await.expect("it runs");
    assert_eq!(outcome.cryptlet_calls, 1);
    let CallResult::Success(output) = outcome.result else { panic!("{:?}", outcome.result) };
    let output = Traffic::askCall::abi_decode_returns(&output).expect("bytes");
    assert_eq!(&output[32..], b"hello");
    assert_eq!(chain.node.head(), head);

    chain.fabric.behave(Behaviour::Down);
    let error = chain.node.simulate(request(&chain, ask(b"hello"))).await.expect_err("nobody is there");
    assert!(matches!(error, SimulationError::NoAnswer { .. }), "{error}");
    chain.fabric.behave(Behaviour::TooLongOutput);
    let error = chain.node.simulate(request(&chain, ask(b"hello"))).await.expect_err("it is too long");
    assert!(error.to_string().contains("OverLimit"), "{error}");
    chain.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_may_stub_remember_or_deny() {
    let mut config = fast_config();
    config.simulation.policies.default = Some(SimulationPolicy::Stub(Bytes::from_static(b"stub")));
    let chain = Chain::start(FabricLimits::default(), config).await;
    let asked = || chain.fabric.asked.load(std::sync::atomic::Ordering::Relaxed);
    let before = asked();
    let outcome = chain.node.simulate(request(&chain, ask(b"x"))).await.expect("it runs");
    let CallResult::Success(output) = outcome.result else { panic!("{:?}", outcome.result) };
    assert_eq!(Traffic::askCall::abi_decode_returns(&output).expect("bytes"), Bytes::from_static(b"stub"));
    assert_eq!(asked(), before);
    chain.node.stop().await;

    let mut config = fast_config();
    config.simulation.policies.default = Some(SimulationPolicy::Deny);
    let chain = Chain::start(FabricLimits::default(), config).await;
    let outcome = chain.node.simulate(request(&chain, ask(b"x"))).await.expect("it runs");
    assert!(matches!(outcome.result, CallResult::Revert(_)), "{:?}", outcome.result);
    chain.node.stop().await;

    let mut config = fast_config();
    config.simulation.policies.default = Some(SimulationPolicy::Memo);
    let chain = Chain::start(FabricLimits::default(), config).await;
    let input = Bytes::from_static(b"remember");
    let hash = chain.call_traffic(&dev_accounts()[0], Traffic::onceCall { cryptlet: cryptlet().0, input }).await;
    assert!(chain.receipt(hash).await.status());
    chain.fabric.behave(Behaviour::Down);
    let outcome = chain.node.simulate(request(&chain, ask(b"remember"))).await.expect("it is remembered");
    assert!(matches!(outcome.result, CallResult::Success(_)));
    chain.node.simulate(request(&chain, ask(b"another"))).await.expect_err("it is not remembered");
    chain.node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_estimate_is_never_less_than_what_is_used() {
    let chain = Chain::start(FabricLimits::default(), fast_config()).await;
    let keys = dev_accounts();
    let mut estimated = 0;
    for n in 0..40 {
        let call = crate::replay::traffic_call(n);
        match chain.node.estimate_gas(request(&chain, call.clone())).await {
            Ok(gas) => {
                let hash = chain.send_with_gas(&keys[4], TxKind::Call(chain.traffic), call, gas).await;
                let receipt = chain.receipt(hash).await;
                assert!(receipt.status(), "call {n} failed with its estimate of {gas} gas");
                estimated += 1;
            }
            Err(SimulationError::Reverted(_) | SimulationError::Halted(_)) => {}
            Err(error) => panic!("call {n}: {error}"),
        }
    }
    assert!(estimated > 20);
    let transfer = TransactionRequest::default().from(keys[0].address()).to(keys[1].address());
    let transfer = SimulationRequest::new(transfer, BlockId::latest());
    assert_eq!(chain.node.estimate_gas(transfer).await.expect("a transfer"), 21_000);
    chain.node.stop().await;
}
