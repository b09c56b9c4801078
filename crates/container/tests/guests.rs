//! The example cryptlets, as committed, run once each: known inputs, known outputs, the same compute units every time. Their logic is
//! tested natively in `examples`; the figures here are the native ones to the last bit.
#![allow(missing_docs, clippy::unwrap_used)] // helpers of tests are tests

use alloy_primitives::{Address, B256, I256, U256};
use alloy_sol_types::{Revert, SolCall, SolError, SolValue, sol};
use cryptlet_container::{
    GuestCode, InsecureInProcess, InstanceTerms, IsolatedRegion, IsolationProvider, Silent,
    call::{CallAnswer, CallInputs, Ending},
};
use cryptlet_primitives::{CryptletId, FabricDomain};
use std::{path::Path, sync::Arc};

sol!("../../examples/equity-tools/contracts/EquityTools.sol");
sol!("../../examples/monte-carlo/contracts/MonteCarlo.sol");
sol!("../../examples/credit-default-swap/contracts/ICreditDefaultSwap.sol");
sol!("../../examples/hello-c/header.sol");
sol! {
    function delegated(bytes msgData, bytes snapshot) external returns (bytes newSnapshot);
}

/// Compute units that `config.json` and the swap's contract allow.
const UNITS_MAX: u64 = 1_000_000;

struct Guest(Arc<dyn IsolatedRegion>);

impl Guest {
    fn start(example: &str) -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(example).join("cryptlet.wasm");
        let component = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let provider = InsecureInProcess::insecure_new().unwrap();
        let code = GuestCode::from(component);
        let artefact = provider.prepare(&code).unwrap();
        let terms = InstanceTerms {
            domain: FabricDomain { chain_id: 31_337, genesis_hash: B256::repeat_byte(1) },
            cryptlet: CryptletId(B256::repeat_byte(2)),
            code: code.digest(),
            container: cryptlet_primitives::ContainerKind::Wasm,
            manifest_digest: B256::ZERO,
            key_epoch: 1,
            anchor_block: 1,
            anchor_hash: B256::repeat_byte(3),
            not_after_block: 1_000,
        };
        Self(provider.create(&artefact, &terms, Arc::new(Silent)).unwrap())
    }

    /// Calls twice: a call depends on its inputs only, units included.
    fn call(&self, input: &[u8]) -> CallAnswer {
        let inputs = CallInputs {
            caller: Address::repeat_byte(4),
            cryptlet: B256::repeat_byte(2),
            call_key: B256::repeat_byte(5),
            is_static: false,
            is_dry_run: false,
            observed_at_s: 1_800_000_000,
            anchor_block: 1,
            anchor_hash: B256::repeat_byte(3),
            chain_id: 31_337,
            random_seed: B256::repeat_byte(6),
            units_max: UNITS_MAX,
            output_bytes_max: 16 * 1024,
        };
        let first = self.0.io_control(&inputs, input).unwrap();
        assert_eq!(self.0.io_control(&inputs, input).unwrap(), first);
        first
    }

    #[track_caller]
    fn ask<C: SolCall>(&self, call: &C) -> C::Return {
        let answer = self.call(&call.abi_encode());
        let Ending::Returned(output) = answer.ending else { panic!("{}: {answer:?}", C::SIGNATURE) };
        C::abi_decode_returns_validate(&output).unwrap()
    }

    #[track_caller]
    fn refusal<C: SolCall>(&self, call: &C) -> String {
        let answer = self.call(&call.abi_encode());
        let Ending::Failed(reason) = answer.ending else { panic!("{}: {answer:?}", C::SIGNATURE) };
        Revert::abi_decode(&reason).unwrap().reason
    }
}

/// `millionths * 1e12`: six decimals are all these tests need.
fn wad(millionths: u64) -> U256 {
    U256::from(millionths) * U256::from(1_000_000_000_000_u64)
}

#[test]
fn equity_tools_prices_an_option_as_natively() {
    let guest = Guest::start("equity-tools");
    let hull_15_6 = EquityTools::fairValueCall {
        spot: wad(42_000_000),
        strike: wad(40_000_000),
        rate: I256::from_raw(wad(100_000)),
        volatilityPerYear: wad(200_000),
        yearsToExpiry: wad(500_000),
    };
    let value = guest.ask(&hull_15_6);
    assert_eq!(value.call.to_string(), "4759422392871542229");
    assert_eq!(value.put.to_string(), "808599372900097535");
    assert_eq!(value.callDelta.to_string(), "779131290942669086");

    let closes: Vec<U256> = (1..=40).map(|day| wad(1_000_000 * day)).collect();
    let averages = guest.ask(&EquityTools::movingAverageCall { closes: closes.clone(), window: 3 });
    assert_eq!((averages.len(), averages[37]), (38, wad(39_000_000)));
    let index = guest.ask(&EquityTools::relativeStrengthIndexCall { closes: closes.clone(), period: 14 });
    assert_eq!(index, wad(100_000_000));
    assert_eq!(
        guest.refusal(&EquityTools::volatilityCall { closes, periodsPerYear: 0 }),
        "periodsPerYear is zero: 252 for daily closes"
    );
}

#[test]
fn monte_carlo_walks_the_native_paths() {
    let guest = Guest::start("monte-carlo");
    let call = MonteCarlo::priceCall {
        spot: wad(42_000_000),
        strike: wad(40_000_000),
        rate: wad(100_000),
        volatility: wad(200_000),
        yearsWad: wad(500_000),
        paths: 10_000,
        seed: 42,
    };
    let MonteCarlo::priceReturn { callPrice, standardError } = guest.ask(&call);
    assert_eq!(callPrice.to_string(), "4776080088997230355");
    assert_eq!(standardError.to_string(), "49686890309567348");
    let one_path = MonteCarlo::priceCall { paths: 1, ..call };
    assert_eq!(guest.refusal(&one_path), "1 paths: a standard error needs at least two");
}

#[test]
fn a_simulation_larger_than_its_units_is_stopped() {
    let guest = Guest::start("monte-carlo");
    let one = wad(1_000_000);
    let endless = MonteCarlo::priceCall {
        spot: one,
        strike: one,
        rate: one,
        volatility: one,
        yearsWad: one,
        paths: u32::MAX,
        seed: 0,
    };
    let answer = guest.call(&endless.abi_encode());
    assert!(matches!(answer.ending, Ending::Trapped(_)), "{answer:?}");
    assert_eq!(answer.units, UNITS_MAX);
}

#[test]
fn the_swap_is_valued_through_its_snapshot() {
    let guest = Guest::start("credit-default-swap");
    let before = CreditDefaultSwapSnapshot {
        notional: wad(10_000_000_000_000),
        coupon: wad(50_000),
        recovery: wad(400_000),
        rate: I256::from_raw(wad(30_000)),
        effective: 1_174_348_800, // 2007-03-20
        maturity: 1_371_686_400,  // 2013-06-20
        ..empty()
    };
    let as_of = 1_221_782_400; // 2008-09-19
    let reprice = ICreditDefaultSwap::repriceCall { marketSpread: wad(55_000), bondSpread: wad(50_000), asOf: as_of };
    let call = delegatedCall { msgData: reprice.abi_encode().into(), snapshot: before.abi_encode().into() };
    let after = CreditDefaultSwapSnapshot::abi_decode_validate(&guest.ask(&call)).unwrap();
    assert_eq!((after.notional, after.asOf, after.basis), (before.notional, as_of, I256::from_raw(wad(5_000))));
    assert_eq!(after.accruedPremium.to_string(), "127777777777777777777777"); // 92 days of 5 % a year on ten million
    assert_eq!(after.upfront.to_string(), "181947296928176290000000");
    assert_eq!(after.hazardRate.to_string(), "92596797821832860");

    let late = ICreditDefaultSwap::accrueCall { asOf: before.maturity + 1 };
    let call = delegatedCall { msgData: late.abi_encode().into(), snapshot: after.abi_encode().into() };
    assert_eq!(guest.refusal(&call), "asOf 1371686401 is after the swap's last day, 1371686400");
    assert!(guest.refusal(&late).contains("a Contract Cryptlet is called through delegated(bytes,bytes)"));
}

#[test]
fn a_cryptlet_in_c_answers_like_any_other() {
    let guest = Guest::start("hello-c");
    let values = [7_000_000, 9_000_000, 8_000_000, 9_000_000].map(wad).to_vec();
    let Largest::largestReturn { value, index } = guest.ask(&Largest::largestCall { values });
    assert_eq!((value, index), (wad(9_000_000), U256::from(1)));
    assert_eq!(guest.refusal(&Largest::largestCall { values: vec![] }), "there are no values");
    let mut cut = Largest::largestCall { values: vec![wad(1); 3] }.abi_encode();
    cut.truncate(130);
    let Ending::Failed(reason) = guest.call(&cut).ending else { panic!("three values in the space of one") };
    assert_eq!(Revert::abi_decode(&reason).unwrap().reason, "largest(uint256[]): malformed ABI encoding");
}

fn empty() -> CreditDefaultSwapSnapshot {
    CreditDefaultSwapSnapshot::abi_decode(&[0; 15 * 32]).unwrap()
}
