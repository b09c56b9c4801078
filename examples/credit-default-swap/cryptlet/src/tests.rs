use super::*;

const DAY: u64 = 86_400;

fn wad(value: f64) -> U256 {
    from_f64(value).unwrap()
}

fn unix(year: i64, month: i64, day: i64) -> u64 {
    Day::from_civil(year, month, day).0 as u64 * DAY
}

/// Ten million, 5 %, from 2007-03-20 to 2013-06-20, at a flat 3 %.
fn terms() -> CreditDefaultSwapSnapshot {
    CreditDefaultSwapSnapshot {
        notional: wad(1e7),
        coupon: wad(0.05),
        recovery: wad(0.4),
        rate: I256::from_raw(wad(0.03)),
        effective: unix(2007, 3, 20),
        maturity: unix(2013, 6, 20),
        asOf: 0,
        marketSpread: U256::ZERO,
        bondSpread: U256::ZERO,
        hazardRate: U256::ZERO,
        riskyAnnuity: U256::ZERO,
        upfront: I256::ZERO,
        price: I256::ZERO,
        accruedPremium: U256::ZERO,
        basis: I256::ZERO,
    }
}

#[track_caller]
fn refused(outcome: Result<()>) -> String {
    outcome.unwrap_err().reason().unwrap()
}

#[test]
fn a_spread_above_the_coupon_costs_the_buyer_and_lowers_the_price() {
    let mut swap = terms();
    reprice(&mut swap, wad(0.055), wad(0.05), unix(2008, 9, 19)).unwrap();
    let (upfront, annuity) = (to_f64_signed(swap.upfront), to_f64(swap.riskyAnnuity));
    assert!(
        (upfront - 1e7 * 0.005 * annuity).abs() < 1e-3,
        "the difference of the coupons, for as long as they are paid"
    );
    assert!((to_f64_signed(swap.price) - 100.0 * (1.0 - upfront / 1e7)).abs() < 1e-9);
    assert!((to_f64(swap.hazardRate) - 0.055 / 0.6).abs() < 0.003, "the credit triangle");
    assert_eq!(swap.basis, I256::from_raw(wad(0.055) - wad(0.05)));
    // Premium period from Monday 2008-06-20... to the day after the valuation: 5 % * 92 / 360 of ten million.
    assert_eq!(to_f64(swap.accruedPremium), (1e7 * 0.05 * 92.0 / 360.0 * 1e18_f64).floor() / 1e18);
}

#[test]
fn a_swap_at_the_market_is_worth_nothing_upfront() {
    let mut swap = terms();
    reprice(&mut swap, wad(0.05), wad(0.06), unix(2010, 1, 4)).unwrap();
    assert!(to_f64_signed(swap.upfront).abs() < 1e-6);
    assert!((to_f64_signed(swap.price) - 100.0).abs() < 1e-10);
    assert!(swap.basis.is_negative());
}

#[test]
fn spreads_from_nothing_to_distress_have_a_hazard_rate() {
    let mut last = U256::ZERO;
    for basis_points in [1.0, 10.0, 100.0, 1_000.0, 5_000.0, 20_000.0] {
        let mut swap = terms();
        reprice(&mut swap, wad(basis_points / 1e4), U256::ZERO, unix(2009, 1, 5)).unwrap();
        assert!(swap.hazardRate > last);
        last = swap.hazardRate;
    }
    let mut swap = terms();
    reprice(&mut swap, U256::ZERO, U256::ZERO, unix(2009, 1, 5)).unwrap();
    assert_eq!(swap.hazardRate, U256::ZERO);
}

#[test]
fn every_day_of_the_swap_has_a_value() {
    let (first, last) = (terms().effective / DAY, terms().maturity / DAY);
    for day in first..last {
        let mut swap = terms();
        reprice(&mut swap, wad(0.055), U256::ZERO, day * DAY).unwrap_or_else(|why| panic!("day {day}: {why}"));
        accrue(&mut swap, day * DAY).unwrap();
    }
}

#[test]
fn accrual_is_linear_and_starts_again_after_each_coupon() {
    let accrued = |year, month, day| {
        let mut swap = terms();
        accrue(&mut swap, unix(year, month, day)).unwrap();
        (to_f64(swap.accruedPremium) / (1e7 * 0.05 / 360.0)).round() as u64
    };
    assert_eq!(accrued(2007, 3, 20), 1);
    assert_eq!(accrued(2008, 9, 19), 92);
    assert_eq!(accrued(2008, 9, 21), 0); // the coupon of Saturday the 20th is paid on Monday the 22nd; the next one starts there
    assert_eq!(accrued(2008, 9, 22), 1);
    assert_eq!(accrued(2013, 6, 19), 92);
    assert_eq!(accrued(2013, 6, 20), 0); // the last coupon is due
}

#[test]
fn a_time_of_day_changes_nothing() {
    let (mut morning, mut night) = (terms(), terms());
    reprice(&mut morning, wad(0.055), U256::ZERO, unix(2008, 9, 19)).unwrap();
    reprice(&mut night, wad(0.055), U256::ZERO, unix(2008, 9, 19) + DAY - 1).unwrap();
    assert_eq!(morning.upfront, night.upfront);
}

#[test]
fn days_outside_the_swap_are_refused() {
    let (effective, maturity) = (terms().effective, terms().maturity);
    let spread = wad(0.01);
    assert_eq!(
        refused(reprice(&mut terms(), spread, spread, effective - DAY)),
        format!("asOf {} is before the swap's first day, {effective}", effective - DAY)
    );
    assert_eq!(
        refused(reprice(&mut terms(), spread, spread, maturity)),
        format!("asOf {maturity} is not before the swap's last day, {maturity}")
    );
    let mut valued = terms();
    reprice(&mut valued, spread, spread, effective + 10 * DAY).unwrap();
    assert!(refused(reprice(&mut valued, spread, spread, effective)).contains("before the last valuation"));
    assert!(refused(accrue(&mut terms(), maturity + 1)).contains("after the swap's last day"));
    accrue(&mut terms(), maturity).unwrap();
}

#[test]
fn impossible_terms_are_refused() {
    let day = unix(2008, 9, 19);
    let with = |change: fn(&mut CreditDefaultSwapSnapshot)| {
        let mut swap = terms();
        change(&mut swap);
        refused(reprice(&mut swap, wad(0.01), U256::ZERO, day))
    };
    assert!(with(|swap| swap.recovery = wad(1.0)).contains("nothing to insure"));
    assert!(with(|swap| swap.maturity = unix(2200, 1, 1)).contains("400 quarters"));
    assert!(with(|swap| swap.notional = U256::MAX).contains("does not fit 256 bits"));
    assert!(refused(reprice(&mut terms(), wad(1e9), U256::ZERO, day)).contains("no hazard rate explains"));
    assert!(refused(reprice(&mut terms(), wad(0.01), U256::MAX, day)).contains("does not fit 255 bits"));
}
