// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CreditDefaultSwap} from "@cryptlet/examples/credit-default-swap/contracts/CreditDefaultSwap.sol";
import {
    CreditDefaultSwapSnapshot,
    ICreditDefaultSwap
} from "@cryptlet/examples/credit-default-swap/contracts/ICreditDefaultSwap.sol";
import {ContractCryptlet} from "../../src/ContractCryptlet.sol";
import {FabricTest} from "../support/FabricTest.sol";
import {vm} from "../support/Vm.sol";

/// Answers in the place of the swap's cryptlet, with numbers that show which input went where. It also tries to change the terms.
/// The real arithmetic is the cryptlet's, and is tested with it.
contract EchoValuation {
    function delegated(bytes calldata msgData, bytes calldata snapshot) external pure returns (bytes memory) {
        CreditDefaultSwapSnapshot memory state = abi.decode(snapshot, (CreditDefaultSwapSnapshot));
        state.notional = 1;
        state.maturity = 1;
        if (bytes4(msgData) == ICreditDefaultSwap.accrue.selector) {
            state.accruedPremium = abi.decode(msgData[4:], (uint64));
            return abi.encode(state);
        }
        (state.marketSpread, state.bondSpread, state.asOf) = abi.decode(msgData[4:], (uint256, uint256, uint64));
        state.hazardRate = 11;
        state.riskyAnnuity = 12;
        state.upfront = -13;
        state.price = 14;
        state.accruedPremium = 15;
        state.basis = int256(state.marketSpread) - int256(state.bondSpread);
        return abi.encode(state);
    }
}

contract CreditDefaultSwapTest is FabricTest {
    address internal constant BUYER = address(0xB0);
    address internal constant SELLER = address(0x5E);
    CreditDefaultSwap internal swap;

    function setUp() public override {
        super.setUp();
        swap = new CreditDefaultSwap(_terms(), CODE_DIGEST, "");
        delegate().setProgram(swap.cryptlet(), address(new EchoValuation()));
        vm.roll(11);
    }

    function test_constructor_refusesImpossibleTerms() public {
        CreditDefaultSwap.Terms memory terms = _terms();
        terms.notional = 0;
        _expectInvalid(terms, "notional is zero");
        terms = _terms();
        terms.recovery = 1e18;
        _expectInvalid(terms, "recovery is not below 1e18");
        terms = _terms();
        terms.maturity = terms.effective;
        _expectInvalid(terms, "maturity is not after effective");
    }

    function test_reprice_storesWhatTheCryptletComputed() public {
        vm.expectEmit(address(swap));
        emit CreditDefaultSwap.Valued(1_700_000_000, -13, 14, 15, -0.001e18);
        vm.prank(BUYER);
        vm.assertEq(swap.reprice(0.012e18, 0.013e18, 1_700_000_000), int256(-13), "returned");

        vm.assertEq(swap.asOf(), 1_700_000_000, "as of");
        vm.assertEq(swap.marketSpread(), 0.012e18, "market spread");
        vm.assertEq(swap.bondSpread(), 0.013e18, "bond spread");
        vm.assertEq(swap.hazardRate(), 11, "hazard rate");
        vm.assertEq(swap.riskyAnnuity(), 12, "risky annuity");
        vm.assertEq(swap.upfront(), int256(-13), "upfront");
        vm.assertEq(swap.price(), int256(14), "price");
        vm.assertEq(swap.accruedPremium(), 15, "accrued premium");
        vm.assertEq(swap.basis(), int256(-0.001e18), "basis");
    }

    function test_accrue_changesTheAccruedPremium() public {
        vm.prank(SELLER);
        vm.assertEq(swap.accrue(1_700_000_000), 1_700_000_000, "returned");
        vm.assertEq(swap.asOf(), 0, "as of");
    }

    function test_updateState_ignoresTermsThatTheCryptletReturns() public {
        vm.prank(BUYER);
        swap.reprice(0.012e18, 0.013e18, 1_700_000_000);
        vm.assertEq(keccak256(abi.encode(swap.terms())), keccak256(abi.encode(_terms())), "terms");
    }

    function test_stateSnapshot_isTheStructureThatTheHeaderNames() public {
        vm.prank(BUYER);
        swap.reprice(0.012e18, 0.013e18, 1_700_000_000);
        CreditDefaultSwapSnapshot memory state = abi.decode(swap.stateSnapshot(), (CreditDefaultSwapSnapshot));
        vm.assertEq(state.notional, _terms().notional, "notional");
        vm.assertEq(state.coupon, _terms().coupon, "coupon");
        vm.assertEq(state.recovery, _terms().recovery, "recovery");
        vm.assertEq(state.rate, _terms().rate, "rate");
        vm.assertEq(state.effective, _terms().effective, "effective");
        vm.assertEq(state.maturity, _terms().maturity, "maturity");
        vm.assertEq(state.upfront, int256(-13), "upfront");
        vm.assertEq(swap.stateSnapshot().length, 15 * 32, "words");
    }

    function test_reprice_isForTheCounterparties() public {
        vm.startPrank(STRANGER);
        vm.expectRevert(abi.encodeWithSelector(CreditDefaultSwap.NotCounterparty.selector, STRANGER));
        swap.reprice(1, 1, 1);
        vm.expectRevert(abi.encodeWithSelector(CreditDefaultSwap.NotCounterparty.selector, STRANGER));
        swap.accrue(1);
        vm.stopPrank();
    }

    function test_nobodyButTheCryptletWritesTheState() public {
        address[4] memory others = [BUYER, SELLER, ADMIN, address(this)];
        bytes memory snapshot = swap.stateSnapshot();
        for (uint256 index; index < others.length; ++index) {
            bytes memory refusal = abi.encodeWithSelector(ContractCryptlet.OnlyCryptlet.selector, others[index]);
            vm.startPrank(others[index]);
            vm.expectRevert(refusal);
            swap.updateState(snapshot);
            vm.expectRevert(refusal);
            swap.setPrice(1);
            vm.expectRevert(refusal);
            swap.setAccruedPremium(1);
            vm.expectRevert(refusal);
            swap.setBasis(1);
            vm.stopPrank();
        }
    }

    function test_accessors_areForTheCryptletsKey() public {
        vm.startPrank(vm.addr(INSTANCE_KEY));
        swap.setPrice(1);
        swap.setAccruedPremium(2);
        swap.setBasis(3);
        vm.stopPrank();
        vm.assertEq(swap.price(), int256(1), "price");
        vm.assertEq(swap.accruedPremium(), 2, "accrued premium");
        vm.assertEq(swap.basis(), int256(3), "basis");
    }

    function _expectInvalid(CreditDefaultSwap.Terms memory terms, string memory reason) private {
        nextInstanceKey += 1;
        vm.expectRevert(abi.encodeWithSelector(CreditDefaultSwap.InvalidTerms.selector, reason));
        new CreditDefaultSwap(terms, CODE_DIGEST, "");
    }

    function _terms() private pure returns (CreditDefaultSwap.Terms memory) {
        return CreditDefaultSwap.Terms({
            protectionBuyer: BUYER,
            protectionSeller: SELLER,
            notional: 10_000_000e18,
            coupon: 0.01e18,
            recovery: 0.4e18,
            rate: 0.02e18,
            effective: 1_695_168_000,
            maturity: 1_860_624_000
        });
    }
}
