//! k calls, k+1 runs; records stay whatever becomes of the frame; replay is the same run without a host.

use super::{
    asm::{Asm, Kind},
    world::*,
};
use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_sol_types::{SolEvent, SolValue};
use cryptlet_delegate::DelegateSlot;
use cryptlet_primitives::{abi::ICryptoDelegate::CryptletInvoked, system::CRYPTO_DELEGATE};
use revm::{
    DatabaseCommit, bytecode::opcode, context_interface::result::ExecutionResult,
    database::states::bundle_state::BundleRetention,
};

#[test]
fn k_calls_cost_k_plus_one_runs() {
    for k in 0..=16u64 {
        let world = World::new();
        let code = (0..k).fold(Asm::new(), |asm, i| {
            asm.call(Kind::Call, CRYPTO_DELEGATE, &world.invoke_data(&i.to_be_bytes())).store(i)
        });
        let world = world.with_code(OUTER, code.stop());
        let (run, records, runs) = world.build_and_replay(&tx(OUTER, Bytes::new(), GAS));
        assert!(run.result.is_success());
        assert_eq!((records.len() as u64, u64::from(runs)), (k, k + 1));
        assert_eq!(run.result.logs().len() as u64, k);
        (0..k).for_each(|i| assert_eq!(stored(&run, OUTER, i), U256::ONE));
    }
}

#[test]
fn the_contract_gets_what_the_cryptlet_returned() {
    let world = World::new();
    let code = Asm::new().call(Kind::Call, CRYPTO_DELEGATE, &world.invoke_data(b"hello")).pop().return_returned();
    let world = world.with_code(OUTER, code);
    let (run, records, _) = world.build_and_replay(&tx(OUTER, Bytes::new(), GAS));
    let output = Bytes::abi_decode(run.result.output().unwrap()).unwrap();
    assert_eq!(output, Bytes::from_static(b"olleh"));
    let record = records[0].record();
    assert_eq!((record.request.caller, record.request.inputHash), (OUTER, keccak256(b"hello")));
    assert_eq!((record.request.anchorBlock, record.request.policyVersion), (PARENT_NUMBER, 3));
}

#[test]
fn the_receipt_says_who_called_whom() {
    let world = World::new();
    let (run, records, _) = world.build_and_replay(&tx(CRYPTO_DELEGATE, world.invoke_data(b"x"), GAS));
    let [log] = run.result.logs() else { panic!("one log, not {:?}", run.result.logs()) };
    let event = CryptletInvoked::decode_log(log).unwrap();
    assert_eq!((log.address, event.cryptlet, event.caller), (CRYPTO_DELEGATE, world.cryptlet.0, USER));
    assert_eq!((event.requestHash, event.resultHash), (records[0].request_hash(), records[0].result_hash()));
    assert_eq!(event.instance, world.instance.0);
}

#[test]
fn a_call_in_a_reverted_frame_keeps_its_record() {
    let world = World::new();
    let inner = Asm::new().call(Kind::Call, CRYPTO_DELEGATE, &world.invoke_data(b"inner")).pop().revert();
    let outer = Asm::new()
        .call(Kind::Call, INNER, &[])
        .store(0)
        .call(Kind::Call, CRYPTO_DELEGATE, &world.invoke_data(b"outer"))
        .store(1);
    let world = world.with_code(INNER, inner).with_code(OUTER, outer.stop());
    let (run, records, runs) = world.build_and_replay(&tx(OUTER, Bytes::new(), GAS));
    assert_eq!((records.len(), runs), (2, 3));
    assert_eq!((stored(&run, OUTER, 0), stored(&run, OUTER, 1)), (U256::ZERO, U256::ONE));
    // The reverted frame takes its log with it.
    assert_eq!(run.result.logs().len(), 1);
    assert_eq!(records[0].record().request.caller, INNER);
}

#[test]
fn a_failed_transaction_keeps_its_records() {
    let call = World::new().invoke_data(b"paid for");
    let call = |asm: Asm| asm.call(Kind::Call, CRYPTO_DELEGATE, &call).pop();
    let endings = [call(Asm::new()).revert(), call(Asm::new()).op(opcode::INVALID), call(Asm::new()).op(opcode::POP)];
    for code in endings {
        let world = World::new().with_code(OUTER, code);
        let (run, records, runs) = world.build_and_replay(&tx(OUTER, Bytes::new(), GAS));
        assert!(!run.result.is_success());
        assert_eq!((records.len(), runs), (1, 2));
        assert!(run.result.logs().is_empty());
    }
}

#[test]
fn every_call_kind_may_surround_a_call() {
    for kind in Kind::ALL {
        let world = World::new();
        let inner = Asm::new().call(Kind::Call, CRYPTO_DELEGATE, &world.invoke_data(b"deep")).pop().return_returned();
        let outer = Asm::new().call(kind, INNER, &[]).store(0).store_returned_hash(1).stop();
        let world = world.with_code(INNER, inner).with_code(OUTER, outer);
        let (run, records, _) = world.build_and_replay(&tx(OUTER, Bytes::new(), GAS));
        assert_eq!(stored(&run, OUTER, 0), U256::ONE, "{kind:?}");
        let caller = records[0].record().request.caller;
        let expected = if matches!(kind, Kind::Call | Kind::StaticCall) { INNER } else { OUTER };
        assert_eq!(caller, expected, "{kind:?}");
        // Whatever is below a STATICCALL leaves no log.
        assert_eq!(run.result.logs().len(), usize::from(kind != Kind::StaticCall), "{kind:?}");
    }
}

#[test]
fn a_static_call_is_another_call() {
    let world = World::new();
    let code = |kind| Asm::new().call(kind, CRYPTO_DELEGATE, &World::new().invoke_data(b"same")).pop().stop();
    let by = |kind| world.clone().with_code(OUTER, code(kind)).first_invocation(&tx(OUTER, Bytes::new(), GAS));
    let (call, static_call) = (by(Kind::Call), by(Kind::StaticCall));
    assert!(static_call.is_static && !call.is_static);
    assert_ne!(call.key(), static_call.key());
}

#[test]
fn the_key_does_not_move_with_gas_or_block() {
    let mut world = World::new();
    let data = world.invoke_data(b"x");
    let early = world.first_invocation(&tx(CRYPTO_DELEGATE, data.clone(), GAS));
    world.parent_number += 5;
    let late = world.first_invocation(&tx(CRYPTO_DELEGATE, data, GAS / 2));
    assert_eq!(early.key(), late.key());
    assert_ne!(early.request.anchorBlock, late.request.anchorBlock);
}

#[test]
fn the_cursor_begins_anew_with_each_run() {
    let world = World::new();
    let code = Asm::new()
        .call(Kind::Call, CRYPTO_DELEGATE, &world.invoke_data(b"a"))
        .pop()
        .call(Kind::Call, CRYPTO_DELEGATE, &world.invoke_data(b"b"))
        .pop();
    let world = world.with_code(OUTER, code.stop());
    let transaction = tx(OUTER, Bytes::new(), GAS);
    let (run, records, _) = world.build_and_replay(&transaction);
    let mut evm = world.evm();
    for _ in 0..3 {
        let (again, _) = world.replay(&mut evm, &transaction, records.clone()).unwrap().include(&mut evm);
        assert_eq!(again, run);
    }
    assert_eq!(evm.delegate().spent().units, 3 * 200);
}

#[test]
fn the_delegates_account_survives_the_call() {
    // EIP-161: a call touches its target. With nonce 1 and code it is not empty, so its storage stays.
    let world = World::new();
    let transaction = tx(CRYPTO_DELEGATE, world.invoke_data(b"x"), GAS);
    let mut evm = world.evm();
    let (run, _) = world.build(&mut evm, &transaction).executed.include(&mut evm);
    let account = &run.state[&CRYPTO_DELEGATE];
    assert!(account.is_touched() && !account.is_empty() && !account.is_selfdestructed());
    let mut state = world.state();
    state.commit(run.state);
    state.merge_transitions(BundleRetention::Reverts);
    let info = revm::Database::basic(&mut state, CRYPTO_DELEGATE).unwrap().expect("kept");
    assert_eq!((info.nonce, info.code_hash), (1, keccak256([0xfe])));
    let digest = revm::Database::storage(&mut state, CRYPTO_DELEGATE, U256::ZERO).unwrap();
    assert_eq!(B256::from(digest), world.limits.digest());
}

#[test]
fn the_delegates_address_is_cold_like_any_contract() {
    let data = World::new().invoke_data(b"x");
    let gas = |calls: usize| {
        let code = (0..calls).fold(Asm::new(), |asm, _| asm.call(Kind::Call, CRYPTO_DELEGATE, &data).pop());
        let world = World::new().with_code(OUTER, code.stop());
        world.build_and_replay(&tx(OUTER, Bytes::new(), GAS)).0.result.tx_gas_used()
    };
    let (none, one, two) = (gas(0), gas(1), gas(2));
    // Memory is paid once too; data is short, so that is below 100 gas.
    let first_more = (one - none) - (two - one);
    assert!((2_500..2_600).contains(&first_more), "first access costs {first_more} more");
}

#[test]
fn a_run_without_a_transcript_says_so() {
    use alloy_evm::Evm;
    let world = World::new();
    let mut evm = world.evm();
    let error = evm.transact_raw(tx(CRYPTO_DELEGATE, world.invoke_data(b"x"), GAS)).unwrap_err();
    assert!(error.to_string().contains("without a transcript"), "{error}");
}

#[test]
fn an_invalid_transaction_is_the_executors_business() {
    use alloy_evm::Evm;
    use cryptlet_delegate::{BuildOutcome, Transcript, build_transaction};
    let world = World::new();
    let mut bad = tx(CRYPTO_DELEGATE, world.invoke_data(b"x"), GAS);
    bad.nonce = 9;
    let mut evm = world.evm();
    let outcome = build_transaction(&mut evm, TX_HASH, &mut Transcript::new(), |evm| evm.transact_raw(bad.clone()));
    assert!(matches!(outcome, BuildOutcome::Invalid(_)), "{outcome:?}");
    assert!(matches!(&world.replay(&mut evm, &bad, vec![]), Err(cryptlet_delegate::ReplayError::Transaction(_))));
}

#[test]
fn contracts_cannot_see_a_suspension() {
    // The contract catches every failure; still the suspended run ends there and nothing of it is left.
    let world = World::new();
    let code = Asm::new().push(1).store(7).call(Kind::Call, CRYPTO_DELEGATE, &world.invoke_data(b"x")).store(0).stop();
    let world = world.with_code(OUTER, code);
    let (run, _, _) = world.build_and_replay(&tx(OUTER, Bytes::new(), GAS));
    assert!(matches!(run.result, ExecutionResult::Success { .. }));
    assert_eq!(stored(&run, OUTER, 0), U256::ONE);
}
