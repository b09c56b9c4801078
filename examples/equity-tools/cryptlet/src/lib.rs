//! The utility cryptlet `equity-tools`: what contracts see is `contracts/EquityTools.sol`.

mod black_scholes;
mod indicators;

use black_scholes::European;
use cryptlet_sdk::fixed::{from_f64, from_f64_signed, to_f64, to_f64_signed};
use cryptlet_sdk::prelude::*;

sol!("../contracts/EquityTools.sol");

use EquityTools::*;

/// Longest list of closes: 40 years of trading days.
const CLOSES_MAX: usize = 10_000;

export! {
    EquityToolsCalls;
    movingAverageCall => moving_average,
    relativeStrengthIndexCall => relative_strength_index,
    volatilityCall => volatility,
    fairValueCall => fair_value,
}

fn moving_average(closes: Vec<U256>, window: u32) -> Result<Vec<U256>> {
    let window = window as usize;
    ensure!(window > 0, "window is zero: it must be at least one close");
    ensure!(window <= closes.len(), "window of {window} is longer than the {} closes", closes.len());
    ensure!(closes.len() <= CLOSES_MAX, "{} closes: at most {CLOSES_MAX} are taken", closes.len());
    closes.windows(window).map(indicators::mean).collect()
}

fn relative_strength_index(closes: Vec<U256>, period: u32) -> Result<U256> {
    let needed = u64::from(period) + 1;
    ensure!(period > 0, "period is zero: it must be at least one change");
    ensure!(closes.len() as u64 >= needed, "a period of {period} needs {needed} closes, there are {}", closes.len());
    from_f64(indicators::relative_strength_index(&to_doubles(&closes)?, period as usize))
}

fn volatility(closes: Vec<U256>, periods_per_year: u32) -> Result<U256> {
    ensure!(closes.len() >= 3, "volatility needs at least three closes, there are {}", closes.len());
    ensure!(periods_per_year > 0, "periodsPerYear is zero: 252 for daily closes");
    if let Some(day) = closes.iter().position(|close| close.is_zero()) {
        fail!("close {day} is zero: a return from or to it has no logarithm");
    }
    from_f64(indicators::volatility(&to_doubles(&closes)?, periods_per_year))
}

fn fair_value(spot: U256, strike: U256, rate: I256, volatility_per_year: U256, years: U256) -> Result<FairValue> {
    for (name, value) in
        [("spot", spot), ("strike", strike), ("volatilityPerYear", volatility_per_year), ("yearsToExpiry", years)]
    {
        ensure!(!value.is_zero(), "{name} is zero: it must be positive");
    }
    let option = European {
        spot: to_f64(spot),
        strike: to_f64(strike),
        rate: to_f64_signed(rate),
        volatility: to_f64(volatility_per_year),
        years: to_f64(years),
    };
    let value = option.value();
    Ok(FairValue {
        call: from_f64(value.call)?,
        put: from_f64(value.put)?,
        callDelta: from_f64_signed(value.call_delta)?,
        gamma: from_f64(value.gamma)?,
        vega: from_f64(value.vega)?,
        callTheta: from_f64_signed(value.call_theta)?,
        callRho: from_f64_signed(value.call_rho)?,
    })
}

fn to_doubles(closes: &[U256]) -> Result<Vec<f64>> {
    ensure!(closes.len() <= CLOSES_MAX, "{} closes: at most {CLOSES_MAX} are taken", closes.len());
    Ok(closes.iter().map(|close| to_f64(*close)).collect())
}

#[cfg(test)]
mod tests;
