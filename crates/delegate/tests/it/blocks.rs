//! The delegate inside alloy-evm's block executor, and under an inspector.

use super::{
    asm::{Asm, Kind},
    world::*,
};
use alloy_consensus::{Signed, TxEnvelope, TxLegacy, transaction::Recovered};
use alloy_evm::{
    Evm, EvmFactory,
    block::BlockExecutor,
    eth::{EthBlockExecutionCtx, EthBlockExecutor, receipt_builder::AlloyReceiptBuilder, spec::EthSpec},
};
use alloy_primitives::{B256, Bytes, Log, Signature, TxKind, U256};
use cryptlet_delegate::{BuildOutcome, DelegateEvmFactory, Transcript, build_transaction, replay_transaction};
use cryptlet_primitives::system::CRYPTO_DELEGATE;
use revm::{
    Inspector,
    interpreter::{CallInputs, CallOutcome},
};

fn transaction(nonce: u64) -> Recovered<TxEnvelope> {
    let legacy = TxLegacy {
        chain_id: Some(31337),
        nonce,
        gas_price: 0,
        gas_limit: 1_000_000,
        to: TxKind::Call(OUTER),
        value: U256::ZERO,
        input: Bytes::new(),
    };
    let envelope = TxEnvelope::Legacy(Signed::new_unhashed(legacy, Signature::test_signature()));
    Recovered::new_unchecked(envelope, USER)
}

#[test]
fn alloys_block_executor_builds_and_replays() {
    let world = World::new();
    let call = world.invoke_data(b"x");
    let world = world.with_code(OUTER, Asm::new().call(Kind::Call, CRYPTO_DELEGATE, &call).store(0).stop());
    let spec = EthSpec::mainnet();
    let receipts = AlloyReceiptBuilder::default();
    let executor = || {
        let evm = DelegateEvmFactory::new(world.scope()).create_evm(world.state(), world.env());
        let context = EthBlockExecutionCtx {
            parent_hash: world.block_hash(PARENT_NUMBER),
            parent_beacon_block_root: Some(B256::ZERO),
            ommers: &[],
            withdrawals: None,
            extra_data: Bytes::new(),
            tx_count_hint: None,
            slot_number: None,
        };
        EthBlockExecutor::new(evm, context, &spec, &receipts)
    };

    let (mut building, mut replaying) = (executor(), executor());
    for nonce in 0..3 {
        let transaction = transaction(nonce);
        let hash = *transaction.inner().tx_hash();
        let mut transcript = Transcript::new();
        let (result, records) = loop {
            let outcome = build_transaction(&mut building, hash, &mut transcript, |executor| {
                executor.execute_transaction_without_commit(&transaction)
            });
            match outcome {
                BuildOutcome::Finished(executed) => break executed.include(&mut building),
                BuildOutcome::Suspended(suspension) => transcript.push(world.record(&suspension.invocation)),
                other => panic!("{other:?}"),
            }
        };
        building.commit_transaction(result);
        assert_eq!(records.len(), 1);

        let executed = replay_transaction(&mut replaying, hash, records, |executor| {
            executor.execute_transaction_without_commit(&transaction)
        });
        let (result, _) = executed.unwrap().include(&mut replaying);
        replaying.commit_transaction(result);
    }
    assert_eq!(building.receipts(), replaying.receipts());
    assert_eq!(building.receipts().len(), 3);
}

#[derive(Debug, Default)]
struct Seen {
    calls: Vec<alloy_primitives::Address>,
    logs: usize,
}

impl<CTX> Inspector<CTX> for Seen {
    fn call(&mut self, _: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        self.calls.push(inputs.target_address);
        None
    }

    fn log(&mut self, _: &mut CTX, _: Log) {
        self.logs += 1;
    }
}

#[test]
fn an_inspector_sees_calls_and_logs_of_the_delegate() {
    let world = World::new();
    let call = world.invoke_data(b"x");
    let world = world.with_code(OUTER, Asm::new().call(Kind::Call, CRYPTO_DELEGATE, &call).store(0).stop());
    let transaction = tx(OUTER, Bytes::new(), GAS);
    let (run, records, _) = world.build_and_replay(&transaction);
    let factory = DelegateEvmFactory::new(world.scope());
    let mut evm = factory.create_evm_with_inspector(world.state(), world.env(), Seen::default());
    let traced = replay_transaction(&mut evm, TX_HASH, records, |evm| evm.transact_raw(transaction)).unwrap();
    assert_eq!(traced.value, run);
    assert_eq!(evm.inspector().calls, [OUTER, CRYPTO_DELEGATE]);
    assert_eq!(evm.inspector().logs, 1);
}
