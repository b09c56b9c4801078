// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CryptletProxy} from "@cryptlet/contracts/CryptletProxy.sol";
import {CryptletId} from "@cryptlet/contracts/types/Ids.sol";
import {EquityTools} from "./EquityTools.sol";

/// @title StockClient: the papers' user of a utility cryptlet
/// @notice Calls `equity-tools` as if its functions were its own, and gets the answers within the transaction.
contract StockClient is CryptletProxy {
    /// @notice What the cryptlet says of a share. Fixed point with 18 decimals.
    struct Assessment {
        uint256 movingAverage;
        uint256 relativeStrengthIndex;
        uint256 volatility;
        uint64 blockNumber;
    }

    event Assessed(
        address indexed client, string symbol, uint256 movingAverage, uint256 relativeStrengthIndex, uint256 volatility
    );

    /// Trading days of a year.
    uint32 internal constant PERIODS_PER_YEAR = 252;

    mapping(address client => mapping(string symbol => Assessment)) private assessments;

    constructor(CryptletId equityTools, address publicKey_, address attestedHost_)
        CryptletProxy("equity-tools", equityTools, publicKey_, attestedHost_, "EquityTools")
    {}

    /// @notice Assesses a share by its daily closes, with three calls of the cryptlet, and keeps the result for the caller.
    /// @param window Days of the moving average and of the relative strength index.
    function assess(string calldata symbol, uint256[] calldata closes, uint32 window)
        external
        returns (Assessment memory result)
    {
        uint256[] memory averages = movingAverage(closes, window);
        result = Assessment({
            movingAverage: averages[averages.length - 1],
            relativeStrengthIndex: relativeStrengthIndex(closes, window),
            volatility: volatility(closes, PERIODS_PER_YEAR),
            blockNumber: uint64(block.number)
        });
        assessments[msg.sender][symbol] = result;
        emit Assessed(msg.sender, symbol, result.movingAverage, result.relativeStrengthIndex, result.volatility);
    }

    /// @notice The client's last assessment of a share; all zero if there is none.
    function assessment(address client, string calldata symbol) external view returns (Assessment memory) {
        return assessments[client][symbol];
    }

    /// @notice Fair value of an option on a share; see `EquityTools.fairValue`.
    function fairValue(uint256 spot, uint256 strike, int256 rate, uint256 volatilityPerYear, uint256 yearsToExpiry)
        external
        returns (EquityTools.FairValue memory)
    {
        bytes memory input = abi.encodeCall(EquityTools.fairValue, (spot, strike, rate, volatilityPerYear, yearsToExpiry));
        return abi.decode(_invoke(input), (EquityTools.FairValue));
    }

    /// @notice See `EquityTools.movingAverage`.
    function movingAverage(uint256[] calldata closes, uint32 window) public returns (uint256[] memory) {
        return abi.decode(_invoke(abi.encodeCall(EquityTools.movingAverage, (closes, window))), (uint256[]));
    }

    /// @notice See `EquityTools.relativeStrengthIndex`.
    function relativeStrengthIndex(uint256[] calldata closes, uint32 period) public returns (uint256) {
        return abi.decode(_invoke(abi.encodeCall(EquityTools.relativeStrengthIndex, (closes, period))), (uint256));
    }

    /// @notice See `EquityTools.volatility`.
    function volatility(uint256[] calldata closes, uint32 periodsPerYear) public returns (uint256) {
        return abi.decode(_invoke(abi.encodeCall(EquityTools.volatility, (closes, periodsPerYear))), (uint256));
    }
}
