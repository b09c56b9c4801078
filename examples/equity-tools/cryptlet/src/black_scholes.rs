//! European options on a share without dividends (Black and Scholes 1973, Merton 1973).

use core::f64::consts::{FRAC_1_SQRT_2, PI};

/// The contract and the market.
pub struct European {
    pub spot: f64,
    pub strike: f64,
    /// Continuously compounded, per year.
    pub rate: f64,
    /// Per root year.
    pub volatility: f64,
    pub years: f64,
}

/// Prices and sensitivities.
pub struct Value {
    pub call: f64,
    pub put: f64,
    pub call_delta: f64,
    pub gamma: f64,
    pub vega: f64,
    /// Per year.
    pub call_theta: f64,
    pub call_rho: f64,
}

impl European {
    pub fn value(&self) -> Value {
        let Self { spot, strike, rate, volatility, years } = *self;
        let root = libm::sqrt(years);
        let deviation = volatility * root;
        let d1 = (libm::log(spot / strike) + (rate + volatility * volatility / 2.0) * years) / deviation;
        let d2 = d1 - deviation;
        let discounted_strike = strike * libm::exp(-rate * years);
        Value {
            call: f64::max(spot * cumulative(d1) - discounted_strike * cumulative(d2), 0.0),
            put: f64::max(discounted_strike * cumulative(-d2) - spot * cumulative(-d1), 0.0),
            call_delta: cumulative(d1),
            gamma: density(d1) / (spot * deviation),
            vega: spot * density(d1) * root,
            call_theta: -spot * density(d1) * volatility / (2.0 * root) - rate * discounted_strike * cumulative(d2),
            call_rho: discounted_strike * years * cumulative(d2),
        }
    }
}

/// Standard normal distribution function.
fn cumulative(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

/// Standard normal density.
fn density(x: f64) -> f64 {
    libm::exp(-x * x / 2.0) / libm::sqrt(2.0 * PI)
}
