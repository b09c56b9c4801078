// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {EquityTools} from "@cryptlet/examples/equity-tools/contracts/EquityTools.sol";
import {StockClient} from "@cryptlet/examples/equity-tools/contracts/StockClient.sol";
import {FabricTest} from "../support/FabricTest.sol";
import {vm} from "../support/Vm.sol";

/// Answers in the place of the cryptlet. Moving averages are real; the rest shows which argument went where.
contract PlainEquityTools is EquityTools {
    function movingAverage(uint256[] calldata closes, uint32 window) external pure returns (uint256[] memory averages) {
        averages = new uint256[](closes.length - window + 1);
        for (uint256 index; index < averages.length; ++index) {
            for (uint256 day; day < window; ++day) {
                averages[index] += closes[index + day] / window;
            }
        }
    }

    function relativeStrengthIndex(uint256[] calldata closes, uint32 period) external pure returns (uint256) {
        return closes.length * 1000 + period;
    }

    function volatility(uint256[] calldata closes, uint32 periodsPerYear) external pure returns (uint256) {
        return closes.length * 1000 + periodsPerYear;
    }

    function fairValue(uint256 spot, uint256 strike, int256 rate, uint256 volatilityPerYear, uint256 yearsToExpiry)
        external
        pure
        returns (FairValue memory)
    {
        return FairValue(spot, strike, rate, volatilityPerYear, yearsToExpiry, -6, 7);
    }
}

contract StockClientTest is FabricTest {
    StockClient internal client;

    function setUp() public override {
        super.setUp();
        client = new StockClient(serveUtility("equity-tools", address(new PlainEquityTools())), address(0), address(0));
    }

    function test_assess_callsTheCryptletThreeTimesAndKeepsTheAnswers() public {
        vm.expectEmit(address(client));
        emit StockClient.Assessed(STRANGER, "MSFT", 35e18, 4002, 4252);
        vm.prank(STRANGER);
        client.assess("MSFT", _closes(), 2);

        StockClient.Assessment memory kept = client.assessment(STRANGER, "MSFT");
        vm.assertEq(kept.movingAverage, 35e18, "moving average");
        vm.assertEq(kept.relativeStrengthIndex, 4002, "relative strength index");
        vm.assertEq(kept.volatility, 4252, "volatility");
        vm.assertEq(kept.blockNumber, block.number, "block");
        vm.assertEq(client.assessment(PUBLISHER, "MSFT").movingAverage, 0, "someone else's");
    }

    function test_movingAverage_returnsAList() public {
        uint256[] memory averages = client.movingAverage(_closes(), 2);
        vm.assertEq(averages.length, 3, "length");
        vm.assertEq(averages[0], 15e18, "first");
        vm.assertEq(averages[2], 35e18, "last");
    }

    function test_fairValue_returnsAStructure() public {
        EquityTools.FairValue memory value = client.fairValue(1, 2, -3, 4, 5);
        vm.assertEq(abi.encode(value), abi.encode(1, 2, -3, 4, 5, -6, 7), "words");
    }

    function _closes() private pure returns (uint256[] memory closes) {
        closes = new uint256[](4);
        (closes[0], closes[1], closes[2], closes[3]) = (10e18, 20e18, 30e18, 40e18);
    }
}
