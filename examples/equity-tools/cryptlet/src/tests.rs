//! Against published figures. J. C. Hull, Options, Futures, and Other Derivatives, 10th edition (2018), unless said otherwise.

use super::*;
use cryptlet_sdk::fixed::WAD;

/// A decimal number as a contract would write it.
fn wad(value: f64) -> U256 {
    from_f64(value).unwrap()
}

fn wads(values: &[f64]) -> Vec<U256> {
    values.iter().copied().map(wad).collect()
}

#[track_caller]
fn close_to(found: f64, published: f64, tolerance: f64) {
    assert!((found - published).abs() <= tolerance, "found {found}, published {published}");
}

fn hull(spot: f64, strike: f64, rate: f64, volatility: f64, years: f64) -> FairValue {
    fair_value(wad(spot), wad(strike), I256::from_raw(wad(rate)), wad(volatility), wad(years)).unwrap()
}

/// Example 15.6: a share at 42, strike 40, 10 %, 20 %, six months: call 4.76, put 0.81.
#[test]
fn hull_example_15_6() {
    let value = hull(42.0, 40.0, 0.1, 0.2, 0.5);
    close_to(to_f64(value.call), 4.76, 0.005);
    close_to(to_f64(value.put), 0.81, 0.005);
}

/// Examples 19.1 to 19.8: a share at 49, strike 50, 5 %, 20 %, 20 weeks: price 2.40, delta 0.522, theta -4.31, gamma 0.066,
/// vega 12.1, rho 8.91.
#[test]
fn hull_chapter_19_greeks() {
    let value = hull(49.0, 50.0, 0.05, 0.2, 0.3846);
    close_to(to_f64(value.call), 2.40, 0.005);
    close_to(to_f64_signed(value.callDelta), 0.522, 0.0005);
    close_to(to_f64_signed(value.callTheta), -4.31, 0.005);
    close_to(to_f64(value.gamma), 0.066, 0.0005);
    close_to(to_f64(value.vega), 12.1, 0.05);
    close_to(to_f64_signed(value.callRho), 8.91, 0.005);
}

#[test]
fn calls_and_puts_keep_parity() {
    for (spot, rate) in [(42.0, 0.1), (5.0, 0.0), (400.0, 0.03)] {
        let value = hull(spot, 40.0, rate, 0.2, 0.5);
        close_to(to_f64(value.call) - to_f64(value.put), spot - 40.0 * (-rate * 0.5_f64).exp(), 1e-12 * spot.max(40.0));
    }
}

/// Table 15.1: 21 daily closes; standard deviation 1.216 % a day, 19.3 % a year of 252 days.
#[test]
fn hull_table_15_1_volatility() {
    let closes = wads(&[
        20.00, 20.10, 19.90, 20.00, 20.50, 20.25, 20.90, 20.90, 20.90, 20.75, 20.75, 21.00, 21.10, 20.90, 20.90, 21.25,
        21.40, 21.40, 21.25, 21.75, 22.00,
    ]);
    close_to(to_f64(volatility(closes.clone(), 1).unwrap()), 0.01216, 0.000005);
    close_to(to_f64(volatility(closes, 252).unwrap()), 0.193, 0.0005);
}

/// The worked example of StockCharts' ChartSchool, "Relative Strength Index (RSI)", sheet cs-rsi: closes of QQQQ from 2009-12-14.
#[test]
fn chart_school_rsi() {
    let closes = [
        44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931, 46.0328,
        45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439, 46.2122, 46.2521, 45.7137, 46.4515,
        45.7835, 45.3548, 44.0288, 44.1783, 44.2181, 44.5672, 43.4205, 42.6628, 43.1314,
    ];
    let published = [
        70.53, 66.32, 66.55, 69.41, 66.36, 57.97, 62.93, 63.26, 56.06, 62.38, 54.71, 50.42, 39.99, 41.46, 41.87, 45.46,
        37.30, 33.08, 37.77,
    ];
    for (day, published) in published.into_iter().enumerate() {
        let index = relative_strength_index(wads(&closes[..15 + day]), 14).unwrap();
        close_to(to_f64(index), published, 0.011); // the sheet's closes have more digits than it prints
    }
}

#[test]
fn rsi_at_its_ends() {
    let rsi = |closes: &[f64]| relative_strength_index(wads(closes), 2).unwrap();
    assert_eq!(rsi(&[1.0, 2.0, 3.0]), U256::from(100) * U256::from(WAD));
    assert_eq!(rsi(&[3.0, 2.0, 1.0]), U256::ZERO);
    assert_eq!(rsi(&[3.0, 3.0, 3.0]), U256::from(50) * U256::from(WAD));
}

/// The worked example of StockCharts' ChartSchool, "Moving Averages", sheet cs-movavg: ten-day averages of INTC.
#[test]
fn chart_school_moving_average() {
    let closes = wads(&[
        22.2734, 22.1940, 22.0847, 22.1741, 22.1840, 22.1344, 22.2337, 22.4323, 22.2436, 22.2933, 22.1542, 22.3926,
        22.3816,
    ]);
    let averages = moving_average(closes, 10).unwrap();
    assert_eq!(averages.len(), 4);
    for (average, published) in averages.into_iter().zip([22.22, 22.21, 22.23, 22.26]) {
        close_to(to_f64(average), published, 0.006);
    }
}

#[test]
fn bad_arguments_are_refused_in_words() {
    let one = wad(1.0);
    let refusals = [
        (moving_average(vec![one], 0).map(drop), "window is zero: it must be at least one close"),
        (moving_average(vec![one], 2).map(drop), "window of 2 is longer than the 1 closes"),
        (moving_average(vec![U256::MAX, one], 2).map(drop), "the sum of the closes does not fit 256 bits"),
        (moving_average(vec![one; CLOSES_MAX + 1], 2).map(drop), "10001 closes: at most 10000 are taken"),
        (relative_strength_index(vec![one], 0).map(drop), "period is zero: it must be at least one change"),
        (relative_strength_index(vec![one; 14], 14).map(drop), "a period of 14 needs 15 closes, there are 14"),
        (volatility(vec![one; 2], 252).map(drop), "volatility needs at least three closes, there are 2"),
        (volatility(vec![one; 3], 0).map(drop), "periodsPerYear is zero: 252 for daily closes"),
        (
            volatility(vec![one, U256::ZERO, one], 252).map(drop),
            "close 1 is zero: a return from or to it has no logarithm",
        ),
        (fair_value(one, U256::ZERO, I256::ZERO, one, one).map(drop), "strike is zero: it must be positive"),
    ];
    for (refusal, reason) in refusals {
        assert_eq!(refusal.unwrap_err().reason().as_deref(), Some(reason));
    }
    assert!(
        fair_value(U256::MAX, one, I256::MIN, U256::MAX, one).is_err(),
        "numbers past all markets fail, they do not panic"
    );
}
