//! What the delegate refuses, and with which code and data. A refusal consumes no record.

use super::{
    asm::{Asm, Kind},
    world::*,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_sol_types::{SolCall, SolValue};
use cryptlet_delegate::{DelegateSlot, registry_layout::slots};
use cryptlet_primitives::{
    CryptletId, RefusalCode, abi::ICryptoDelegate::createCall, limits::FabricLimits, system::CRYPTO_DELEGATE,
};
use revm::context_interface::result::ExecutionResult;

/// Calls the delegate directly, and wants a refusal without a record.
#[track_caller]
fn refused(world: &World, data: impl Into<Bytes>) -> (RefusalCode, Bytes) {
    let (run, records, runs) = world.build_and_replay(&tx(CRYPTO_DELEGATE, data, GAS));
    assert_eq!((records.len(), runs), (0, 1));
    refusal(&run.result).unwrap_or_else(|| panic!("not refused: {:?}", run.result))
}

/// A contract that calls the delegate and passes on how that ended.
fn through(world: World, kind: Kind, data: &[u8], value: u64) -> ExecutionResult {
    let code = Asm::new().call_with_value(kind, CRYPTO_DELEGATE, data, value).pop().revert_returned();
    let mut world = world;
    world.account(OUTER, 100, 1, code.build());
    let (run, records, _) = world.build_and_replay(&tx(OUTER, Bytes::new(), GAS));
    assert!(records.is_empty());
    run.result
}

#[test]
fn delegatecall_and_callcode_are_refused() {
    let world = World::new();
    for kind in [Kind::DelegateCall, Kind::CallCode] {
        let result = through(world.clone(), kind, &world.invoke_data(b"x"), 0);
        assert_eq!(refusal(&result), Some((RefusalCode::ForbiddenCallKind, Bytes::new())), "{kind:?}");
    }
}

#[test]
fn an_account_that_delegates_to_the_delegate_is_not_the_delegate() {
    // EIP-7702: the account runs the delegate's code, which is the invalid instruction, and nothing else.
    let mut world = World::new();
    let designator = [&[0xef, 0x01, 0x00], CRYPTO_DELEGATE.as_slice()].concat();
    world.account(INNER, 0, 1, designator.into());
    let data = world.invoke_data(b"x");
    let (run, records, _) = world.build_and_replay(&tx(INNER, data.clone(), GAS));
    assert!(run.result.is_halt() && records.is_empty());
    for kind in Kind::ALL {
        let world = world.clone().with_code(OUTER, Asm::new().call(kind, INNER, &data).store(0).stop());
        let (run, records, _) = world.build_and_replay(&tx(OUTER, Bytes::new(), GAS));
        assert_eq!((stored(&run, OUTER, 0), records.len()), (U256::ZERO, 0), "{kind:?}");
    }
}

#[test]
fn value_is_refused_and_returned() {
    let world = World::new();
    let result = through(world.clone(), Kind::Call, &world.invoke_data(b"x"), 5);
    assert_eq!(refusal(&result), Some((RefusalCode::ValueNotAccepted, U256::from(5).abi_encode().into())));
}

#[test]
fn creating_under_staticcall_is_refused() {
    let data = createCall { config: Bytes::from_static(b"config") }.abi_encode();
    let result = through(World::new(), Kind::StaticCall, &data, 0);
    assert_eq!(refusal(&result).unwrap().0, RefusalCode::ForbiddenCallKind);
}

#[test]
fn what_is_not_a_call_is_refused() {
    let world = World::new();
    let invoke = world.invoke_data(b"x");
    let calls = [&b""[..], b"abc", b"\xde\xad\xbe\xef", &invoke[..4], &invoke[..40], &invoke[..invoke.len() - 32]];
    for data in calls {
        let (code, detail) = refused(&world, data.to_vec());
        assert_eq!((code, detail), (RefusalCode::MalformedCall, Bytes::new()), "{data:02x?}");
    }
}

#[test]
fn unknown_suspended_and_revoked_cryptlets_are_refused() {
    let world = World::new();
    let stranger = CryptletId(B256::repeat_byte(9));
    assert_eq!(
        refused(&world, invoke_data(stranger, b"x")),
        (RefusalCode::UnknownCryptlet, stranger.0.abi_encode().into())
    );
    for status in [2u64, 3, 77] {
        let mut world = world.clone();
        world.set_cryptlet(world.cryptlet, slots::cryptlet::STATUS, status);
        let (code, data) = refused(&world, world.invoke_data(b"x"));
        // A status that this version does not know counts as revoked.
        let expected = (world.cryptlet.0, U256::from(status.min(3)));
        assert_eq!((code, data), (RefusalCode::InactiveCryptlet, expected.abi_encode().into()));
    }
}

#[test]
fn a_contract_cryptlet_answers_its_contract_only() {
    let mut world = World::new();
    world.set_cryptlet(world.cryptlet, slots::cryptlet::BOUND_CONTRACT, U256::from_be_slice(OUTER.as_slice()));
    let data = world.invoke_data(b"x");
    assert_eq!(refused(&world, data.clone()), (RefusalCode::NotBoundContract, OUTER.abi_encode().into()));
    let world = world.with_code(OUTER, Asm::new().call(Kind::Call, CRYPTO_DELEGATE, &data).store(0).stop());
    let (run, records, _) = world.build_and_replay(&tx(OUTER, Bytes::new(), GAS));
    assert_eq!((stored(&run, OUTER, 0), records.len()), (U256::ONE, 1));
}

#[test]
fn a_cryptlet_without_instances_is_refused() {
    let mut world = World::new();
    world.set_cryptlet(world.cryptlet, slots::cryptlet::ACTIVE_INSTANCES, 0u64);
    assert_eq!(
        refused(&world, world.invoke_data(b"x")),
        (RefusalCode::NoAcceptedInstance, world.cryptlet.0.abi_encode().into())
    );
}

#[test]
fn input_has_a_bound() {
    let mut world = World::new();
    world.limits.input_bytes_max = 64;
    let (_, records, _) = world.build_and_replay(&tx(CRYPTO_DELEGATE, world.invoke_data(&[1; 64]), GAS));
    assert_eq!(records.len(), 1);
    for length in [65, 96, 4096] {
        let (code, data) = refused(&world, world.invoke_data(&vec![1; length]));
        let (given, max) = <(U256, U256)>::abi_decode(&data).unwrap();
        assert_eq!((code, max), (RefusalCode::InputTooLong, U256::from(64)), "{length}");
        assert!(given >= U256::from(length));
    }
}

#[test]
fn calls_per_transaction_have_a_bound() {
    let mut world = World::new();
    world.limits.calls_per_transaction_max = 3;
    let code = (0..4)
        .fold(Asm::new(), |asm, i| asm.call(Kind::Call, CRYPTO_DELEGATE, &world.invoke_data(&[i])).store(u64::from(i)));
    let world = world.with_code(OUTER, code.revert_returned());
    let (run, records, runs) = world.build_and_replay(&tx(OUTER, Bytes::new(), GAS));
    assert_eq!((records.len(), runs), (3, 4));
    assert_eq!(refusal(&run.result), Some((RefusalCode::TooManyCalls, U256::from(3).abi_encode().into())));
}

#[test]
fn depth_has_a_bound() {
    // Frame 1 is the transaction's target; the delegate itself is one deeper.
    let nested = |levels: u64, depth_max: u32| {
        let mut world = World::new();
        world.limits.depth_max = depth_max;
        let at = |level: u64| Address::left_padding_from(&(0x2000 + level).to_be_bytes());
        for level in 0..levels {
            let target = if level + 1 == levels { CRYPTO_DELEGATE } else { at(level + 1) };
            let data = if target == CRYPTO_DELEGATE { world.invoke_data(b"x") } else { vec![] };
            let code = Asm::new().call(Kind::Call, target, &data).pop().revert_returned();
            world.account(at(level), 0, 1, code.build());
        }
        let (run, records, _) = world.build_and_replay(&tx(at(0), Bytes::new(), GAS));
        (refusal(&run.result), records.len())
    };
    assert_eq!(nested(3, 4), (None, 1));
    let too_deep = (RefusalCode::TooDeep, U256::from(3).abi_encode().into());
    assert_eq!(nested(3, 3), (Some(too_deep), 0));
}

#[test]
fn a_block_has_budgets() {
    type Narrow = fn(&mut FabricLimits);
    let cases: [(Narrow, u64); 2] = [
        (|limits| limits.units_per_block_max = 2_050, 2_050),
        (|limits| limits.record_bytes_per_block_max = 1_200, 1_200),
    ];
    for (narrow, budget) in cases {
        let mut world = World::new();
        narrow(&mut world.limits);
        let transaction = tx(CRYPTO_DELEGATE, world.invoke_data(b"x"), GAS);
        let mut evm = world.evm();
        let first = world.build(&mut evm, &transaction).executed;
        assert_eq!(first.budget_refusals, 0);
        let (run, _) = first.include(&mut evm);
        assert!(run.result.is_success());
        let second = world.build(&mut evm, &transaction).executed;
        assert_eq!(second.budget_refusals, 1);
        let expected = (RefusalCode::BlockBudgetSpent, U256::from(budget).abi_encode().into());
        assert_eq!(refusal(&second.value.result), Some(expected));
        // What is not included is not counted.
        let spent = evm.delegate().spent();
        drop(world.build(&mut evm, &transaction));
        assert_eq!(evm.delegate().spent(), spent);
    }
}

#[test]
fn what_is_counted_covers_what_is_encoded() {
    use cryptlet_primitives::{BlockRecords, TransactionRecords};
    let world = World::new();
    let transaction = tx(CRYPTO_DELEGATE, world.invoke_data(&[9; 200]), GAS);
    let mut evm = world.evm();
    let groups = (0..40u64).map(|index| {
        let (_, records) = world.build(&mut evm, &transaction).executed.include(&mut evm);
        let records = records.into_iter().map(|record| record.into_record()).collect();
        TransactionRecords { transaction_index: u64::MAX - 40 + index, records }
    });
    let encoded = BlockRecords(groups.collect()).to_request().len() as u64;
    let counted = evm.delegate().spent().record_bytes;
    assert!(encoded <= counted && counted < encoded + 40 * 64, "{encoded} bytes, counted as {counted}");
}

#[test]
fn there_is_nothing_to_create_without_a_factory() {
    let data = createCall { config: Bytes::from_static(b"config") }.abi_encode();
    assert_eq!(refused(&World::new(), data.clone()), (RefusalCode::NoFactory, Bytes::new()));
    let mut world = World::new();
    world.set_factory(world.cryptlet);
    let (run, records, _) = world.build_and_replay(&tx(CRYPTO_DELEGATE, data, GAS));
    assert_eq!(records[0].record().request.inputHash, alloy_primitives::keccak256(b"config"));
    assert_eq!(Bytes::abi_decode(run.result.output().unwrap()).unwrap(), Bytes::from_static(b"gifnoc"));
}

#[test]
fn the_registry_counts_as_it_was_in_the_parent_block() {
    // The state that the transaction runs in says otherwise; the parent state counts.
    let world = World::new();
    let transaction = tx(CRYPTO_DELEGATE, world.invoke_data(b"x"), GAS);
    let mut changed = world.clone();
    changed.set_cryptlet(world.cryptlet, slots::cryptlet::STATUS, 3u64);
    let delegate = cryptlet_delegate::DelegateContext::new(world.scope());
    let mut evm = cryptlet_delegate::DelegateEvm::new(changed.state(), changed.env(), delegate);
    assert!(world.build(&mut evm, &transaction).executed.value.result.is_success());
}
