//! Without a delegate, byte for byte Ethereum.

use super::{
    asm::{Asm, Kind},
    world::*,
};
use alloy_evm::{Evm, EvmFactory};
use alloy_primitives::{Address, Bytes};
use cryptlet_delegate::{DelegateContext, DelegateEvm, DelegateEvmFactory};
use cryptlet_primitives::system::CRYPTO_DELEGATE;
use revm::{Context, ExecuteEvm, MainBuilder, MainContext, context::TxEnv};

/// revm as it comes.
fn plain(world: &World, transaction: TxEnv) -> Run {
    let env = world.env();
    let context = Context::mainnet().with_block(env.block_env).with_cfg(env.cfg_env).with_db(world.state());
    context.build_mainnet().transact(transaction).unwrap()
}

#[test]
fn a_chain_without_a_delegate_is_plain_ethereum() {
    let world = World::new();
    let precompiles = (1..=0x11u8).map(Address::with_last_byte);
    let targets = precompiles.chain([CRYPTO_DELEGATE, USER, Address::repeat_byte(9)]);
    for target in targets {
        for kind in Kind::ALL {
            let data = if target == CRYPTO_DELEGATE { world.invoke_data(b"x") } else { vec![7; 213] };
            let code = Asm::new().call(kind, target, &data).store(0).store_returned_hash(1).stop();
            let world = world.clone().with_code(OUTER, code);
            for gas in [22_000, 60_000, 400_000] {
                let transaction = tx(OUTER, Bytes::new(), gas);
                let plain = plain(&world, transaction.clone());
                let ours = DelegateEvmFactory::disabled().create_evm(world.state(), world.env());
                assert_eq!({ ours }.transact_raw(transaction).unwrap(), plain, "{target} {kind:?} {gas}");
            }
        }
    }
}

#[test]
fn a_delegate_changes_nothing_for_others() {
    let world = World::new();
    for last in 1..=0x11u8 {
        let transaction = tx(Address::with_last_byte(last), vec![7; 213], 400_000);
        let plain = plain(&world, transaction.clone());
        assert_eq!(world.evm().transact_raw(transaction).unwrap(), plain);
    }
}

#[test]
fn the_default_context_is_disabled() {
    let world = World::new();
    assert!(!DelegateContext::default().is_enabled());
    let mut evm = DelegateEvm::new(world.state(), world.env(), DelegateContext::disabled());
    let run = evm.transact_raw(tx(CRYPTO_DELEGATE, world.invoke_data(b"x"), GAS)).unwrap();
    // The account's code is 0xfe, the invalid instruction.
    assert!(run.result.is_halt());
}
