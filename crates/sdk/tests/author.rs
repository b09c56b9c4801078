//! An author's view: typed functions in, call data out.
use cryptlet_sdk::prelude::*;

mod greeter {
    use super::*;

    sol! {
        interface Greeter {
            error TooLong(uint256 bytesMax);
            function greet(string name, uint32 times) external returns (string greeting);
            function split(uint256 amount) external returns (uint256 half, uint256 rest);
            function roll() external returns (uint8 eye);
            function whoami() external returns (address caller, uint64 time);
        }
    }
    pub(super) use Greeter::*;

    fn greet(name: String, times: u32) -> Result<String> {
        ensure!(times > 0, "greeting {name} zero times is rude");
        if name.len() > 8 {
            return Err(TooLong { bytesMax: U256::from(8) }.into());
        }
        log!("greeting {name}");
        Ok(format!("Hello {name}! ").repeat(times as usize))
    }

    fn split(amount: U256) -> Result<(U256, U256)> {
        Ok((amount / U256::from(2), amount % U256::from(2)))
    }

    fn roll() -> Result<u8> {
        Ok(host::random::<1>()[0] % 6 + 1)
    }

    fn whoami() -> Result<(Address, u64)> {
        Ok((host::context().caller, host::observed_at()))
    }

    export! {
        GreeterCalls;
        greetCall => greet,
        splitCall => split,
        rollCall => roll,
        whoamiCall => whoami,
    }
}

mod counter {
    use super::*;

    sol! {
        struct CounterSnapshot { uint256 count; address last; }
        interface Counter {
            function add(uint256 amount) external;
            function reset() external;
        }
    }
    pub(super) use Counter::*;

    fn add(state: &mut CounterSnapshot, amount: U256) -> Result<()> {
        ensure!(!amount.is_zero(), "nothing to add");
        state.count += amount;
        state.last = host::context().caller;
        Ok(())
    }

    fn reset(state: &mut CounterSnapshot) -> Result<()> {
        state.count = U256::ZERO;
        Ok(())
    }

    export_contract! {
        CounterCalls, CounterSnapshot;
        addCall => add,
        resetCall => reset,
    }
}

use alloy_sol_types::{SolCall, SolError, SolValue};

sol! {
    function delegated(bytes msgData, bytes snapshot) external returns (bytes newSnapshot);
}

#[test]
fn a_function_gets_its_arguments_and_returns_its_values() {
    let input = greeter::greetCall { name: "Ada".into(), times: 2 }.abi_encode();
    let output = greeter::handle(&input).unwrap();
    assert_eq!(greeter::greetCall::abi_decode_returns(&output).unwrap(), "Hello Ada! Hello Ada! ");
}

#[test]
fn several_return_values_are_a_tuple() {
    let output = greeter::handle(&greeter::splitCall { amount: U256::from(7) }.abi_encode()).unwrap();
    let greeter::splitReturn { half, rest } = greeter::splitCall::abi_decode_returns(&output).unwrap();
    assert_eq!((half, rest), (U256::from(3), U256::from(1)));
}

#[test]
fn refusals_are_revert_data() {
    let rude = greeter::handle(&greeter::greetCall { name: "Ada".into(), times: 0 }.abi_encode()).unwrap_err();
    assert_eq!(rude.reason().unwrap(), "greeting Ada zero times is rude");
    assert_eq!(rude.as_bytes()[..4], alloy_sol_types::Revert::SELECTOR);

    let long = greeter::handle(&greeter::greetCall { name: "Adalbertine".into(), times: 1 }.abi_encode()).unwrap_err();
    assert_eq!(long.downcast::<greeter::TooLong>().unwrap().bytesMax, U256::from(8));
}

#[test]
fn malformed_calls_are_refused_with_what_was_wrong() {
    let reason = |input: &[u8]| greeter::handle(input).unwrap_err().reason().unwrap();
    assert_eq!(reason(&[1, 2]), "call data of 2 bytes holds no selector of 4 bytes");
    assert!(reason(&[1, 2, 3, 4]).starts_with("no function with selector 0x01020304: the cryptlet answers greetCall"));
    let mut cut = greeter::greetCall { name: "Ada".into(), times: 2 }.abi_encode();
    cut.truncate(60);
    assert!(reason(&cut).starts_with("greet(string,uint32): malformed ABI encoding"), "{}", reason(&cut));
}

#[test]
fn the_scene_plays_the_host() {
    let caller = Address::repeat_byte(7);
    let scene = host::Scene {
        context: host::Context { caller, ..Default::default() },
        observed_at: 1_800_000_000,
        seed: 1,
        log: vec![],
    };
    let (eye, log) = scene.clone().play(|| {
        let output = greeter::handle(&greeter::whoamiCall {}.abi_encode()).unwrap();
        let greeter::whoamiReturn { caller: seen, time } = greeter::whoamiCall::abi_decode_returns(&output).unwrap();
        assert_eq!((seen, time), (caller, 1_800_000_000));
        greeter::handle(&greeter::greetCall { name: "Bob".into(), times: 1 }.abi_encode()).unwrap();
        greeter::rollCall::abi_decode_returns(&greeter::handle(&greeter::rollCall {}.abi_encode()).unwrap()).unwrap()
    });
    assert_eq!(log, ["greeting Bob"]);
    assert!((1..=6).contains(&eye));
    let (again, _) = scene.play(|| {
        greeter::rollCall::abi_decode_returns(&greeter::handle(&greeter::rollCall {}.abi_encode()).unwrap()).unwrap()
    });
    assert_eq!(eye, again, "the same call sees the same randomness");
}

fn carry_out(call: Vec<u8>, snapshot: &counter::CounterSnapshot) -> Result<counter::CounterSnapshot> {
    let input = delegatedCall { msgData: call.into(), snapshot: snapshot.abi_encode().into() }.abi_encode();
    let output = counter::handle(&input)?;
    let snapshot = delegatedCall::abi_decode_returns(&output).expect("one bytes");
    Ok(counter::CounterSnapshot::abi_decode(&snapshot).expect("a snapshot"))
}

#[test]
fn a_contract_cryptlet_moves_the_state_of_its_contract() {
    let start = counter::CounterSnapshot { count: U256::from(40), last: Address::ZERO };
    let next = carry_out(counter::addCall { amount: U256::from(2) }.abi_encode(), &start).unwrap();
    assert_eq!(next.count, U256::from(42));
    assert_eq!(carry_out(counter::resetCall {}.abi_encode(), &next).unwrap().count, U256::ZERO);
    let refused = carry_out(counter::addCall { amount: U256::ZERO }.abi_encode(), &start);
    assert_eq!(refused.err().unwrap().reason().unwrap(), "nothing to add");
}

#[test]
fn a_contract_cryptlet_is_reached_only_through_delegated() {
    let direct = counter::handle(&counter::resetCall {}.abi_encode()).unwrap_err();
    assert!(direct.reason().unwrap().contains("delegated(bytes,bytes)"));
    let garbage = delegatedCall { msgData: counter::resetCall {}.abi_encode().into(), snapshot: vec![1; 31].into() };
    let refused = counter::handle(&garbage.abi_encode()).unwrap_err();
    assert!(refused.reason().unwrap().starts_with("snapshot: malformed ABI encoding"));
}
