// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Exponential, logarithm, root and inverse normal distribution in fixed point with 18 decimals
/// @dev Only for the ranges named: enough for a simulation, and as cheap as the EVM allows. Absolute errors are about 1e-17.
library FixedPoint {
    int256 internal constant WAD = 1e18;
    /// Working precision: 27 decimals.
    int256 private constant RAY = 1e27;
    int256 private constant LN2_RAY = 693147180559945309417232121;

    /// Below this the inverse normal needs its tail formula (Acklam's p_low).
    int256 private constant TAIL = 0.02425e18;

    /// e^x for `|x| <= 60e18`.
    function exp(int256 x) internal pure returns (int256) {
        unchecked {
            // x = k ln 2 + r with |r| <= ln 2 / 2, so e^x = 2^k e^r
            int256 ray = x * 1e9;
            int256 k = (ray + (ray >= 0 ? LN2_RAY / 2 : -LN2_RAY / 2)) / LN2_RAY;
            int256 r = ray - k * LN2_RAY;
            // Taylor in Horner's form; the next term is below 1e-20
            int256 sum = RAY + r / 15;
            for (int256 n = 14; n > 0; --n) {
                sum = RAY + r * sum / (RAY * n);
            }
            return k >= 0 ? (sum << uint256(k)) / 1e9 : (sum >> uint256(-k)) / 1e9;
        }
    }

    /// Natural logarithm for `1 <= x <= 1e36`.
    function ln(int256 x) internal pure returns (int256) {
        unchecked {
            // x = m 2^k with 0.57 < m < 1.16, ln m = 2 artanh((m - 1) / (m + 1)), whose argument stays below 0.27
            int256 k = int256(Math.log2(uint256(x))) - 59;
            int256 m = k >= 0 ? (x * 1e9) >> uint256(k) : (x * 1e9) << uint256(-k);
            int256 y = (m - RAY) * RAY / (m + RAY);
            int256 square = y * y / RAY;
            int256 sum;
            for (int256 n = 31; n > 0; n -= 2) {
                sum = RAY / n + square * sum / RAY;
            }
            return (2 * y * sum / RAY + k * LN2_RAY) / 1e9;
        }
    }

    /// Square root for `0 <= x <= 1e54`.
    function sqrt(int256 x) internal pure returns (int256) {
        return int256(Math.sqrt(uint256(x * WAD)));
    }

    /// Inverse of the normal distribution for `0 < p < 1e18`, after Acklam; relative error 1.15e-9.
    function inverseNormal(int256 p) internal pure returns (int256) {
        unchecked {
            if (p < TAIL) return _tail(p);
            if (p > WAD - TAIL) return -_tail(WAD - p);
            int256 q = p - WAD / 2;
            int256 r = q * q / WAD;
            int256 n = -39.69683028665376e18;
            n = n * r / WAD + 220.9460984245205e18;
            n = n * r / WAD - 275.9285104469687e18;
            n = n * r / WAD + 138.357751867269e18;
            n = n * r / WAD - 30.66479806614716e18;
            n = n * r / WAD + 2.506628277459239e18;
            int256 d = -54.47609879822406e18;
            d = d * r / WAD + 161.5858368580409e18;
            d = d * r / WAD - 155.6989798598866e18;
            d = d * r / WAD + 66.80131188771972e18;
            d = d * r / WAD - 13.28068155288572e18;
            d = d * r / WAD + WAD;
            return n * q / d;
        }
    }

    function _tail(int256 p) private pure returns (int256) {
        unchecked {
            int256 q = sqrt(-2 * ln(p));
            int256 n = -0.007784894002430293e18;
            n = n * q / WAD - 0.3223964580411365e18;
            n = n * q / WAD - 2.400758277161838e18;
            n = n * q / WAD - 2.549732539343734e18;
            n = n * q / WAD + 4.374664141464968e18;
            n = n * q / WAD + 2.938163982698783e18;
            int256 d = 0.007784695709041462e18;
            d = d * q / WAD + 0.3224671290700398e18;
            d = d * q / WAD + 2.445134137142996e18;
            d = d * q / WAD + 3.754408661907416e18;
            d = d * q / WAD + WAD;
            return n * WAD / d;
        }
    }
}
