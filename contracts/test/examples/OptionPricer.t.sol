// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {FixedPoint} from "@cryptlet/examples/monte-carlo/contracts/FixedPoint.sol";
import {OptionPricer} from "@cryptlet/examples/monte-carlo/contracts/OptionPricer.sol";
import {OptionPricerSolidity} from "@cryptlet/examples/monte-carlo/contracts/OptionPricerSolidity.sol";
import {FabricTest} from "../support/FabricTest.sol";
import {vm} from "../support/Vm.sol";

contract OptionPricerTest is FabricTest {
    /// Black and Scholes: spot 100, strike 100, rate 5 %, volatility 20 %, one year.
    uint256 internal constant FAIR_CALL = 10.450583572185565e18;

    OptionPricerSolidity internal pricer;

    function setUp() public override {
        super.setUp();
        pricer = new OptionPricerSolidity();
    }

    function test_price_isFairWithinItsStandardError() public view {
        (uint256 callPrice, uint256 standardError) = pricer.price(100e18, 100e18, 0.05e18, 0.2e18, 1e18, 10_000, 1);
        vm.assertApproxEqAbs(callPrice, FAIR_CALL, 3 * standardError, "price");
        vm.assertApproxEqAbs(standardError, 0.147e18, 0.005e18, "standard error");
    }

    /// The same paths in double precision, computed with Python's math module and the algorithm of the header.
    function test_price_walksThePathsOfTheHeader() public view {
        (uint256 callPrice, uint256 standardError) = pricer.price(100e18, 110e18, 0.03e18, 0.35e18, 0.5e18, 1000, 42);
        vm.assertApproxEqAbs(callPrice, 6.5371959184101e18, 1e9, "price");
        vm.assertApproxEqAbs(standardError, 0.429746641564651e18, 1e9, "standard error");
    }

    function test_price_costsGasPerPath() public view {
        uint256 before = gasleft();
        pricer.price(100e18, 100e18, 0.05e18, 0.2e18, 1e18, 1000, 1);
        uint256 perPath = (before - gasleft()) / 1000;
        vm.assertTrue(perPath > 1000 && perPath < 20_000, "gas of a path");
    }

    function test_price_refusesNonsense() public {
        _expectRefusal(0, 1, 1, 1, 2, "spot must be from 1 to 1e27");
        _expectRefusal(1, 0, 1, 1, 2, "strike must be from 1 to 1e27");
        _expectRefusal(1, 1, 0, 1, 2, "volatility must be from 1 to 10e18");
        _expectRefusal(1, 1, 1, 0, 2, "term must be from 1 to 100e18");
        _expectRefusal(1, 1, 1, 1, 1, "paths must be at least 2");
        _expectRefusal(1, 1, 9e18, 9e18, 2, "volatility, rate or term is too large to simulate in fixed point");
    }

    function testFuzz_price_neverOverflows(uint256 spot, uint256 strike, uint256 volatility, uint256 term, uint64 seed)
        public
        view
    {
        spot = 1 + spot % 1e27;
        strike = 1 + strike % 1e27;
        volatility = 1 + volatility % 2e18;
        term = 1 + term % 0.5e18;
        (uint256 callPrice,) = pricer.price(spot, strike, 0.05e18, volatility, term, 20, seed);
        vm.assertTrue(callPrice < spot * 9_000_000, "price beyond the largest path");
    }

    // --- in the cryptlet: the same answer, whoever computes it ---

    function test_optionPricer_asksTheCryptlet() public {
        OptionPricer client = new OptionPricer(serveUtility("monte-carlo", address(pricer)), address(0), address(0));
        (uint256 expected, uint256 expectedError) = pricer.price(100e18, 100e18, 0.05e18, 0.2e18, 1e18, 100, 1);
        vm.expectEmit(address(client));
        emit OptionPricer.OptionPriced(STRANGER, 100, expected, expectedError);
        vm.prank(STRANGER);
        (uint256 callPrice, uint256 standardError) = client.price(100e18, 100e18, 0.05e18, 0.2e18, 1e18, 100, 1);
        vm.assertEq(callPrice, expected, "price");
        vm.assertEq(standardError, expectedError, "standard error");
        vm.assertEq(client.lastPrice(), expected, "kept");
    }

    // --- fixed point ---

    function test_exp_isTheExponential() public pure {
        vm.assertEq(FixedPoint.exp(0), int256(1e18), "e^0");
        vm.assertApproxEqAbs(FixedPoint.exp(1e18), 2718281828459045235, 2, "e");
        vm.assertApproxEqAbs(FixedPoint.exp(-1e18), 367879441171442322, 2, "1/e");
        vm.assertApproxEqAbs(FixedPoint.exp(0.2e18), 1221402758160169834, 2, "e^0.2");
        vm.assertApproxEqAbs(FixedPoint.exp(16e18), 8886110520507872636763024, 1e8, "e^16");
    }

    function test_ln_isTheLogarithm() public pure {
        vm.assertEq(FixedPoint.ln(1e18), int256(0), "ln 1");
        vm.assertApproxEqAbs(FixedPoint.ln(2718281828459045235), 1e18, 2, "ln e");
        vm.assertApproxEqAbs(FixedPoint.ln(0.02e18), -3912023005428146059, 2, "ln 0.02");
        vm.assertApproxEqAbs(FixedPoint.ln(1), -41446531673892822312, 2, "ln 1e-18");
    }

    function testFuzz_ln_undoesExp(int256 x) public pure {
        x = x % 16e18;
        uint256 tolerance = x < 0 ? uint256(2e36 / FixedPoint.exp(x)) / 1e18 + 10 : 10;
        vm.assertApproxEqAbs(FixedPoint.ln(FixedPoint.exp(x)), x, tolerance, "ln e^x");
    }

    function test_inverseNormal_isAcklams() public pure {
        vm.assertApproxEqAbs(FixedPoint.inverseNormal(0.5e18), 0, 1e9, "median");
        vm.assertApproxEqAbs(FixedPoint.inverseNormal(0.975e18), 1959963984540054000, 3e9, "97.5 %");
        vm.assertApproxEqAbs(FixedPoint.inverseNormal(0.001e18), -3090232306167813500, 5e9, "0.1 %");
        vm.assertApproxEqAbs(FixedPoint.inverseNormal(0.999e18), 3090232306167813500, 5e9, "99.9 %");
    }

    function _expectRefusal(uint256 spot, uint256 strike, uint256 volatility, uint256 term, uint32 paths, string memory reason)
        private
    {
        vm.expectRevert(abi.encodeWithSelector(OptionPricerSolidity.BadArgument.selector, reason));
        pricer.price(spot, strike, 0, volatility, term, paths, 0);
    }
}
