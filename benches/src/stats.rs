//! Medians.

use std::time::Instant;

/// Calls `work` this many times and gives the median of its seconds.
pub(crate) fn median_s(times: usize, mut work: impl FnMut()) -> f64 {
    let seconds = (0..times.max(1)).map(|_| {
        let since = Instant::now();
        work();
        since.elapsed().as_secs_f64()
    });
    median(seconds.collect())
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value that this share of them does not exceed.
pub(crate) fn at(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get((values.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or(f64::NAN)
}

/// Seconds as microseconds, for a table.
pub(crate) fn us(seconds: f64) -> String {
    let us = seconds * 1e6;
    if us.abs() < 100.0 { format!("{us:.1}") } else { grouped(us.round() as i64) }
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    format!("{}{}", if number < 0 { "-" } else { "" }, groups.join(","))
}
