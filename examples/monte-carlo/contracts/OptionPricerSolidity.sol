// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {FixedPoint} from "./FixedPoint.sol";
import {MonteCarlo} from "./MonteCarlo.sol";

/// @title OptionPricerSolidity: the same simulation inside the EVM, for comparison
contract OptionPricerSolidity is MonteCarlo {
    error BadArgument(string what);

    /// What stays the same from path to path, fixed point with 18 decimals.
    struct Walk {
        int256 spot;
        int256 strike;
        int256 drift;
        int256 deviation;
    }

    int256 private constant WAD = 1e18;
    /// No simulated exponent is larger: keeps every product far from overflow.
    int256 private constant EXPONENT_MAX = 16e18;
    /// The inverse normal of the smallest uniform number, 2^-54, is -8.2.
    int256 private constant NORMAL_MAX = 9;
    int256 private constant PRICE_MAX = 1e27;
    uint256 private constant RATE_MAX = 10e18;
    uint256 private constant YEARS_MAX = 100e18;

    /// @inheritdoc MonteCarlo
    function price(uint256 spot, uint256 strike, uint256 rate, uint256 volatility, uint256 yearsWad, uint32 paths, uint64 seed)
        external
        pure
        returns (uint256 callPrice, uint256 standardError)
    {
        _requireSane(spot, strike, rate, volatility, yearsWad, paths);
        Walk memory walk = _walk(spot, strike, rate, volatility, yearsWad);
        (int256 sum, int256 sumOfSquares) = _simulate(walk, paths, seed);

        int256 mean = sum / int256(uint256(paths));
        int256 variance = sumOfSquares / int256(uint256(paths)) - mean * mean / WAD;
        if (variance < 0) variance = 0; // rounding, when all payoffs are alike
        int256 discount = FixedPoint.exp(-int256(rate * yearsWad / 1e18));
        callPrice = uint256(mean * discount / WAD);
        standardError = uint256(FixedPoint.sqrt(variance / int256(uint256(paths) - 1)) * discount / WAD);
    }

    function _simulate(Walk memory walk, uint32 paths, uint64 seed) private pure returns (int256 sum, int256 sumOfSquares) {
        unchecked {
            for (uint256 index = 1; index <= paths; ++index) {
                int256 normal = FixedPoint.inverseNormal(_uniform(seed, index));
                int256 exponent = walk.drift + walk.deviation * normal / WAD;
                int256 payoff = walk.spot * FixedPoint.exp(exponent) / WAD - walk.strike;
                if (payoff > 0) {
                    sum += payoff;
                    sumOfSquares += payoff * payoff / WAD;
                }
            }
        }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014) as a function of a counter.
    function _uniform(uint64 seed, uint256 index) private pure returns (int256) {
        unchecked {
            uint64 z = seed + uint64(index) * 0x9E3779B97F4A7C15;
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
            z ^= z >> 31;
            return int256(((uint256(z >> 11) << 1 | 1) * 1e18) >> 54);
        }
    }

    function _walk(uint256 spot, uint256 strike, uint256 rate, uint256 volatility, uint256 yearsWad)
        private
        pure
        returns (Walk memory walk)
    {
        int256 variance = int256(volatility * volatility / 1e18);
        walk.spot = int256(spot);
        walk.strike = int256(strike);
        walk.drift = (int256(rate) - variance / 2) * int256(yearsWad) / WAD;
        walk.deviation = int256(volatility) * FixedPoint.sqrt(int256(yearsWad)) / WAD;
        int256 reach = (walk.drift < 0 ? -walk.drift : walk.drift) + NORMAL_MAX * walk.deviation;
        if (reach > EXPONENT_MAX) revert BadArgument("volatility, rate or term is too large to simulate in fixed point");
    }

    function _requireSane(uint256 spot, uint256 strike, uint256 rate, uint256 volatility, uint256 yearsWad, uint32 paths)
        private
        pure
    {
        if (spot == 0 || spot > uint256(PRICE_MAX)) revert BadArgument("spot must be from 1 to 1e27");
        if (strike == 0 || strike > uint256(PRICE_MAX)) revert BadArgument("strike must be from 1 to 1e27");
        if (rate > RATE_MAX) revert BadArgument("rate must be at most 10e18");
        if (volatility == 0 || volatility > RATE_MAX) revert BadArgument("volatility must be from 1 to 10e18");
        if (yearsWad == 0 || yearsWad > YEARS_MAX) revert BadArgument("term must be from 1 to 100e18");
        if (paths < 2) revert BadArgument("paths must be at least 2");
    }
}
