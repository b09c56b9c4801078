// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title EquityTools: the header of the utility cryptlet `equity-tools`
/// @notice Numbers that traders want and the EVM is bad at. Fixed point with 18 decimals throughout (`1e18` is 1; 20 % is `0.2e18`).
/// A bad argument makes the cryptlet fail: the caller sees `CryptletError(CryptletFailed, reason)`, where the reason is text.
interface EquityTools {
    /// @notice Fair value of a European option on a share without dividends (Black, Scholes, Merton 1973) and its sensitivities.
    /// @dev All fields static: encodes as its words in this order.
    struct FairValue {
        /// Price of the right to buy.
        uint256 call;
        /// Price of the right to sell.
        uint256 put;
        /// Change of the call per change of the share, 0 to 1. The put's is `callDelta - 1e18`.
        int256 callDelta;
        /// Change of delta per change of the share, the same for both.
        uint256 gamma;
        /// Change of either price per change of volatility by 1.
        uint256 vega;
        /// Change of the call per year that passes.
        int256 callTheta;
        /// Change of the call per change of the rate by 1.
        int256 callRho;
    }

    /// @notice Simple moving average: element `i` is the mean of `closes[i .. i + window)`.
    /// Fails if `window` is zero or longer than `closes`.
    function movingAverage(uint256[] calldata closes, uint32 window) external returns (uint256[] memory averages);

    /// @notice Relative strength index after Wilder (1978) at the last close, 0 to 100e18: first mean over `period` changes, then smoothed.
    /// 100 if nothing fell, 50 if nothing moved. Fails if `period` is zero or `closes` has fewer than `period + 1` elements.
    function relativeStrengthIndex(uint256[] calldata closes, uint32 period) external returns (uint256 index);

    /// @notice Yearly volatility: sample standard deviation of the logarithmic returns times the root of `periodsPerYear`.
    /// Fails if there are fewer than three closes, if one of them is zero, or if `periodsPerYear` is zero.
    function volatility(uint256[] calldata closes, uint32 periodsPerYear) external returns (uint256 perYear);

    /// @notice Fair value of an option. `rate` is continuously compounded. Fails if spot, strike, volatility or term is zero.
    function fairValue(uint256 spot, uint256 strike, int256 rate, uint256 volatilityPerYear, uint256 yearsToExpiry)
        external
        returns (FairValue memory value);
}
