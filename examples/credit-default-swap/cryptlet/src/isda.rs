//! The ISDA CDS Standard Model (www.cdsmodel.com), as R. White writes it down in "The Pricing and Risk Management of Credit Default
//! Swaps, with a Focus on the ISDA Model", OpenGamma Quantitative Research 16, 2014. Its conventions: premium ACT/360, curves ACT/365,
//! protection from the start of the valuation day, premium accrued to the day after it, accrual on default by the model's original
//! formula (to version 1.8.2), which counts half a day more. Default can happen at any time, so legs are integrals; both curves are
//! exponential between their bends, so the integrals are exact.

use crate::curve::Curve;
use crate::date::Day;
use crate::schedule::{Period, Premium};
use cryptlet_sdk::{Result, ensure};

/// ACT/365 time counts in curves, ACT/360 in premiums.
const PREMIUM_PER_CURVE_YEAR: f64 = 365.0 / 360.0;
/// What the original formula adds to the time accrued at default.
const HALF_DAY_YEARS: f64 = 0.5 / 365.0;
/// Steps of the search for a hazard rate; some ten are needed.
const STEPS_MAX: usize = 200;

/// A swap on the day it is valued.
#[derive(Clone, Debug)]
pub struct Swap {
    pub premium: Premium,
    /// Valuation day: not before the first day of accrual, before maturity.
    pub today: Day,
    /// The day to which values are carried (three working days later in the market, the same day on chain).
    pub settles: Day,
    /// Fraction that a bond pays after default.
    pub recovery: f64,
}

/// Both legs for a notional of 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    /// Expected compensation.
    pub protection: f64,
    /// Premium leg for a coupon of 1 per year ("risky annuity"), without the premium accrued so far.
    pub clean_annuity: f64,
    /// The part of it that is paid on default.
    pub accrual_on_default: f64,
    /// Premium accrued so far for a coupon of 1 per year.
    pub accrued: f64,
}

impl Swap {
    /// Values both legs. `discount` and `survival` count time from [`Swap::today`].
    pub fn value(&self, discount: &Curve, survival: &Curve) -> Value {
        let settle = discount.factor(self.time(self.settles));
        let protection = (1.0 - self.recovery) * self.default_leg(discount, survival) / settle;
        let (mut paid, mut accrual_on_default) = (0.0, 0.0);
        for period in self.premium.left(self.today) {
            // Premium is due if the entity survives the day before the end.
            let survives = survival.factor(self.time(period.end) - 1.0 / 365.0);
            paid += period.days() as f64 / 360.0 * discount.factor(self.time(period.payment)) * survives;
            accrual_on_default += self.accrual_on_default(period, discount, survival);
        }
        let accrued = self.premium.accrued_days(self.today) as f64 / 360.0;
        let accrual_on_default = accrual_on_default / settle;
        Value { protection, clean_annuity: paid / settle + accrual_on_default - accrued, accrual_on_default, accrued }
    }

    /// The flat hazard rate at which a swap with this coupon is worth nothing upfront: the model's reading of a quoted spread.
    ///
    /// The upfront of such a swap rises with the hazard rate from its negative at zero, so there is one root: bracketed by
    /// doubling, found by false position (Illinois).
    pub fn hazard_rate(&self, discount: &Curve, spread: f64) -> Result<f64> {
        if spread == 0.0 {
            return Ok(0.0);
        }
        let upfront = |hazard_rate: f64| {
            let value = self.value(discount, &Curve::flat(hazard_rate));
            value.protection - spread * value.clean_annuity
        };
        let mut low = (0.0, upfront(0.0));
        let guess = spread / (1.0 - self.recovery);
        let mut high = (guess, upfront(guess));
        for _ in 0..10 {
            if high.1 >= 0.0 {
                break;
            }
            low = high;
            high = (high.0 * 2.0, upfront(high.0 * 2.0));
        }
        ensure!(low.1 < 0.0 && high.1 >= 0.0, "no hazard rate explains so large a spread");
        for _ in 0..STEPS_MAX {
            let middle = (low.0 * high.1 - high.0 * low.1) / (high.1 - low.1);
            let value = upfront(middle);
            if value.abs() < 1e-15 || high.0 - low.0 <= 1e-15 * high.0 {
                return Ok(middle);
            }
            if value < 0.0 {
                low = (middle, value);
                high.1 /= 2.0;
            } else {
                high = (middle, value);
                low.1 /= 2.0;
            }
        }
        Ok(low.0)
    }

    fn time(&self, day: Day) -> f64 {
        day.years_since(self.today)
    }

    /// The integral of discount factor times probability of default, from today to maturity.
    fn default_leg(&self, discount: &Curve, survival: &Curve) -> f64 {
        let steps = steps(discount, survival, 0.0, self.time(self.premium.maturity()));
        steps.map(|step| step.survival * step.now * decay(step.exponent())).sum()
    }

    /// The premium accrued in the period at default, times discount factor and probability of default, integrated.
    fn accrual_on_default(&self, period: &Period, discount: &Curve, survival: &Curve) -> f64 {
        // The model watches default at the end of the day, so every day of the period is a day earlier on its time axis.
        let day = 1.0 / 365.0;
        let (start, end) = (self.time(period.start) - day, self.time(period.end) - day);
        let steps = steps(discount, survival, start.max(0.0), end);
        let sum: f64 = steps
            .map(|step| {
                let accrued = step.from - start + HALF_DAY_YEARS;
                let exponent = step.exponent();
                step.survival * step.now * (accrued * decay(exponent) + (step.to - step.from) * decay_by_time(exponent))
            })
            .sum();
        PREMIUM_PER_CURVE_YEAR * sum
    }
}

/// A stretch of time on which both forward rates are constant.
struct Step {
    from: f64,
    to: f64,
    /// Discount factor times survival probability at its start.
    now: f64,
    /// How much the exponents of the curves grow over it.
    discount: f64,
    survival: f64,
}

impl Step {
    fn exponent(&self) -> f64 {
        self.discount + self.survival
    }
}

/// Cuts a stretch of time at the bends of both curves.
fn steps<'a>(discount: &'a Curve, survival: &'a Curve, from: f64, to: f64) -> impl Iterator<Item = Step> + 'a {
    let mut times: Vec<f64> = discount.bends(from, to).chain(survival.bends(from, to)).collect();
    times.push(to);
    times.sort_by(f64::total_cmp);
    let mut last = from;
    times.into_iter().map(move |to| {
        let from = std::mem::replace(&mut last, to);
        let (discounted, survived) = (discount.exponent(from), survival.exponent(from));
        Step {
            from,
            to,
            now: libm::exp(-discounted - survived),
            discount: discount.exponent(to) - discounted,
            survival: survival.exponent(to) - survived,
        }
    })
}

/// `(1 - e^-x) / x`: the integral of `e^-xs` for `s` from 0 to 1.
fn decay(x: f64) -> f64 {
    if x.abs() < 1e-12 { 1.0 - x / 2.0 } else { -libm::expm1(-x) / x }
}

/// `(1 - e^-x - x e^-x) / x²`: the integral of `s e^-xs` for `s` from 0 to 1.
fn decay_by_time(x: f64) -> f64 {
    if x.abs() < 1e-2 {
        // Taylor: the sum of (-x)^k / (k! (k + 2)); the first term left out is below 1e-16.
        let terms = [1.0 / 2.0, -1.0 / 3.0, 1.0 / 8.0, -1.0 / 30.0, 1.0 / 144.0, -1.0 / 840.0, 1.0 / 5_760.0];
        terms.into_iter().rev().fold(0.0, |sum, term| sum * x + term)
    } else {
        (decay(x) - libm::exp(-x)) / x
    }
}
