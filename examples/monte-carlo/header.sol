// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title MonteCarlo: the header of the utility cryptlet `monte-carlo`, and of the same algorithm in Solidity
/// @notice Prices a European call by simulation. Fixed point with 18 decimals (`1e18` is 1).
/// @dev The algorithm is fixed, so that two implementations walk the same paths and differ by rounding only. For path `i` in `0..paths`:
///  1. `z = mix(seed + (i + 1) * 0x9E3779B97F4A7C15)` modulo 2^64, where `mix` is the finaliser of SplitMix64:
///     `z ^= z >> 30; z *= 0xBF58476D1CE4E5B9; z ^= z >> 27; z *= 0x94D049BB133111EB; z ^= z >> 31`;
///  2. `u = ((z >> 11) + 1/2) / 2^53`, so `0 < u < 1`;
///  3. `x` = inverse of the normal distribution at `u` by Acklam's rational approximation (relative error 1.15e-9, no refinement step);
///  4. terminal price `s = spot * exp((rate - volatility^2 / 2) * years + volatility * sqrt(years) * x)`;
///  5. payoff `max(s - strike, 0)`.
/// Price = `exp(-rate * years) * mean(payoff)`. Standard error = `exp(-rate * years) * sqrt((mean(payoff^2) - mean(payoff)^2) / (paths - 1))`.
interface MonteCarlo {
    /// @notice Fails if spot, strike, volatility or term is zero, or `paths` is below 2.
    /// @param rate Continuously compounded interest per year.
    /// @param volatility Per root year.
    /// @param yearsWad Years to expiry, fixed point like the rest.
    /// @return callPrice The estimate.
    /// @return standardError Its standard error.
    function price(uint256 spot, uint256 strike, uint256 rate, uint256 volatility, uint256 yearsWad, uint32 paths, uint64 seed)
        external
        returns (uint256 callPrice, uint256 standardError);
}
