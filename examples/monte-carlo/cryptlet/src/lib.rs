//! The utility cryptlet `monte-carlo`: a European call by simulation. The algorithm is fixed in `contracts/MonteCarlo.sol`, so that this and
//! the Solidity twin walk the same paths and differ by rounding only.

mod normal;

use cryptlet_sdk::fixed::{from_f64, to_f64};
use cryptlet_sdk::prelude::*;

sol!("../contracts/MonteCarlo.sol");

use MonteCarlo::*;

/// Beyond this no market goes, and no sample mean means anything.
const EXPONENT_MAX: f64 = 10.0;

export! { MonteCarloCalls; priceCall => price }

fn price(
    spot: U256,
    strike: U256,
    rate: U256,
    volatility: U256,
    years: U256,
    paths: u32,
    seed: u64,
) -> Result<(U256, U256)> {
    for (name, value) in [("spot", spot), ("strike", strike), ("volatility", volatility), ("yearsWad", years)] {
        ensure!(!value.is_zero(), "{name} is zero: it must be positive");
    }
    ensure!(paths >= 2, "{paths} paths: a standard error needs at least two");
    let (spot, strike, rate, volatility, years) =
        (to_f64(spot), to_f64(strike), to_f64(rate), to_f64(volatility), to_f64(years));

    let drift = (rate - volatility * volatility / 2.0) * years;
    let deviation = volatility * libm::sqrt(years);
    ensure!(
        deviation <= EXPONENT_MAX && rate * years <= EXPONENT_MAX,
        "rate * yearsWad and volatility * sqrt(yearsWad) must not exceed 10"
    );
    let (mut sum, mut squares) = (0.0, 0.0);
    for path in 0..paths {
        let shock = normal::inverse(uniform(seed, path));
        let payoff = f64::max(spot * libm::exp(drift + deviation * shock) - strike, 0.0);
        sum += payoff;
        squares += payoff * payoff;
    }

    let n = f64::from(paths);
    let discount = libm::exp(-rate * years);
    let mean = sum / n;
    let variance = f64::max(squares / n - mean * mean, 0.0);
    Ok((from_f64(discount * mean)?, from_f64(discount * libm::sqrt(variance / (n - 1.0)))?))
}

/// Strictly between 0 and 1, from the top 53 bits of the path's number.
fn uniform(seed: u64, path: u32) -> f64 {
    ((split_mix(seed, path) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

/// Number `path` of the generator SplitMix64 (Steele, Lea, Flood 2014): a counter and a finaliser, so any path can be had alone.
fn split_mix(seed: u64, path: u32) -> u64 {
    let mut z = seed.wrapping_add((u64::from(path) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
