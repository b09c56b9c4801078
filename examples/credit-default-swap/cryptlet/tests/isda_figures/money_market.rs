//! The ISDA model's interest rate curve, from deposits and swaps: only to bring the published figures within reach.

use credit_default_swap::curve::Curve;
use credit_default_swap::date::Day;

/// Market quotes, simple interest ACT/360; the fixed leg of the swaps pays every six months, ACT/360.
pub struct Quotes {
    /// Months and rate.
    pub deposits: &'static [(i64, f64)],
    /// Years and par rate.
    pub swaps: &'static [(i64, f64)],
}

impl Quotes {
    /// Solves for one knot after the other, from `spot`; then counts time from `today`.
    pub fn curve(&self, today: Day, spot: Day) -> Curve {
        let mut knots: Vec<(f64, f64)> = Vec::new();
        for (months, rate) in self.deposits {
            let end = spot.plus_months(*months).following();
            knots.push((end.years_since(spot), (1.0 + rate * end.since(spot) as f64 / 360.0).ln()));
        }
        for (years, rate) in self.swaps {
            let payments = payments(spot, *years);
            let end = payments[payments.len() - 1].0;
            let with = |exponent: f64| {
                let knots = knots.iter().copied().chain([(end, exponent)]);
                Curve::through(knots.collect())
            };
            // Par: the fixed leg and the principal at the end are worth 1. Falls with the exponent.
            let excess = |exponent: f64| {
                let curve = with(exponent);
                let coupons: f64 = payments.iter().map(|(time, fraction)| rate * fraction * curve.factor(*time)).sum();
                coupons + curve.factor(end) - 1.0
            };
            let (mut low, mut high) = (0.0, 10.0);
            for _ in 0..200 {
                let middle = (low + high) / 2.0;
                if excess(middle) > 0.0 { low = middle } else { high = middle }
            }
            knots.push((end, (low + high) / 2.0));
        }
        let lag = spot.years_since(today);
        let before = knots[0].1 / knots[0].0 * lag;
        Curve::through(knots.into_iter().map(|(time, exponent)| (time + lag, exponent + before)).collect())
    }
}

/// Time and year fraction of every payment, counted back from maturity.
fn payments(spot: Day, years: i64) -> Vec<(f64, f64)> {
    let mut last = spot;
    (1..=2 * years)
        .map(|half| {
            let day = spot.plus_months(12 * years).plus_months(6 * (half - 2 * years)).following();
            let fraction = day.since(std::mem::replace(&mut last, day)) as f64 / 360.0;
            (day.years_since(spot), fraction)
        })
        .collect()
}
