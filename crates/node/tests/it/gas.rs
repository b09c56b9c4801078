//! Build and replay agree on gas and state, whatever gas a transaction has.

use crate::support::{Chain, SigningFabric, Traffic, cryptlet, fast_config, sign_transaction};
use alloy::consensus::{BlockHeader, transaction::SignerRecoverable};
use alloy::eips::Decodable2718;
use alloy_primitives::{Bytes, TxKind, U256};
use alloy_sol_types::SolCall;
use cryptlet_attestation::RecoveredRecord;
use cryptlet_node::{
    chain_spec::{EthereumHardfork, dev_accounts},
    execute::{BlockAttributes, Execution, FinishedBlock, RecoveredBlock, RunOutcome, next_header, replay_block},
    types::{BlockWithRequests, RecoveredTransaction, Transaction},
};
use cryptlet_primitives::{FabricLimits, Invocation, Record};

/// A block with this one transaction, on the head of the chain; `None` if it cannot be executed at all.
fn build(chain: &Chain, transaction: &RecoveredTransaction) -> Option<FinishedBlock> {
    let parent = chain.node.chain().head().expect("a head");
    let header = next_header(&chain.spec, &parent, &BlockAttributes::next(&parent, 0));
    let mut records = Vec::new();
    let mut execution = Execution::begin(&chain.spec, chain.node.chain(), &parent, header).expect("it begins");
    loop {
        match execution.build(transaction, records.clone()).expect("the node works") {
            RunOutcome::Ran(run) => {
                execution.commit(run).expect("it commits");
                let finished = execution.finish().expect("it finishes");
                return Some(finished.seal(chain.node.chain(), &parent, vec![transaction.clone()]).expect("it seals"));
            }
            RunOutcome::Suspended(invocation) => records.push(answer(&chain.fabric, &invocation)),
            RunOutcome::DoesNotFit | RunOutcome::Invalid(_) => return None,
        }
    }
}

fn answer(fabric: &SigningFabric, invocation: &Invocation) -> RecoveredRecord {
    let answer = fabric.answer(invocation);
    let (result, output, signature) = (answer.result, answer.output, answer.signature);
    RecoveredRecord::recover(Record { request: invocation.request, result, output, signature }, &fabric.domain)
}

/// Replays a block that was built, and compares everything.
fn check(chain: &Chain, built: &FinishedBlock, what: &str) {
    let parent = chain.node.chain().head().expect("a head");
    let given = BlockWithRequests { block: built.executed.block.clone(), requests: built.executed.requests.clone() };
    let recovered = RecoveredBlock::recover(&chain.spec, given).expect("it recovers");
    let replayed = replay_block(&chain.spec, chain.node.chain(), &parent, recovered).unwrap_or_else(|fault| {
        panic!("{what}: {fault}");
    });
    assert_eq!(replayed.executed, built.executed, "{what}");
    assert_eq!(replayed.state.root(), built.state.root(), "{what}");
    assert_eq!(replayed.access_list, built.access_list, "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn build_and_replay_agree_for_every_gas_limit_and_call_kind() {
    agree_under(EthereumHardfork::Prague).await;
}

/// There is a second kind of gas, for what is put into the state (EIP-8037).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_agree_under_amsterdam() {
    agree_under(EthereumHardfork::Amsterdam).await;
}

async fn agree_under(fork: EthereumHardfork) {
    let chain = Chain::start_under(fork, FabricLimits::default(), fast_config()).await;
    let key = &dev_accounts()[5];
    let input = Bytes::from_static(b"gas");
    for kind in 0..4 {
        for depth in 0..3 {
            let call = Traffic::byKindCall {
                cryptlet: cryptlet().0,
                kind: U256::from(kind),
                depth: U256::from(depth),
                input: input.clone(),
            };
            let call: Bytes = call.abi_encode().into();
            let signed = |gas_limit| {
                let raw = sign_transaction(
                    key,
                    chain.spec.chain_id(),
                    0,
                    TxKind::Call(chain.traffic),
                    call.clone(),
                    gas_limit,
                );
                let transaction = Transaction::decode_2718(&mut raw.as_ref()).expect("a transaction");
                let sender = transaction.recover_signer().expect("a signature");
                RecoveredTransaction::new_unchecked(transaction, sender)
            };
            let ample = 2_000_000;
            let used = build(&chain, &signed(ample)).expect("it runs").executed.block.header.gas_used();
            let (mut built, mut failed, mut gas_limit) = (0, 0, 21_000);
            // Coarse steps everywhere, fine ones where the end of the gas falls into the delegate.
            while gas_limit <= ample {
                let what = format!("kind {kind}, depth {depth}, gas limit {gas_limit}");
                if let Some(block) = build(&chain, &signed(gas_limit)) {
                    check(&chain, &block, &what);
                    built += 1;
                    failed += usize::from(!block.executed.receipts[0].status());
                }
                gas_limit += if gas_limit < used + 120_000 { 1_499 } else { 150_001 };
            }
            assert!(built > 40, "kind {kind}, depth {depth}: only {built} limits could be executed");
            assert!(failed > 0, "kind {kind}, depth {depth}: no limit was too low");
        }
    }
    chain.node.stop().await;
}
