//! What traders read from a row of closing prices.

use cryptlet_sdk::{Failure, Result, U256};

/// The mean, rounded down, exact.
pub fn mean(closes: &[U256]) -> Result<U256> {
    let sum = closes.iter().try_fold(U256::ZERO, |sum, close| sum.checked_add(*close));
    let sum = sum.ok_or_else(|| Failure::text("the sum of the closes does not fit 256 bits"))?;
    Ok(sum / U256::from(closes.len()))
}

/// Wilder's index of the last close, 0 to 100 (New Concepts in Technical Trading Systems, 1978, section VI): the first means are
/// plain ones over `period` changes, later ones are smoothed with weight `1 / period`. Needs `period + 1` closes.
pub fn relative_strength_index(closes: &[f64], period: usize) -> f64 {
    let changes = closes.windows(2).map(|pair| pair[1] - pair[0]);
    let n = period as f64;
    let (mut gain, mut loss) = (0.0, 0.0);
    for (day, change) in changes.enumerate() {
        let (up, down) = (f64::max(change, 0.0), f64::max(-change, 0.0));
        if day < period {
            gain += up / n;
            loss += down / n;
        } else {
            gain = (gain * (n - 1.0) + up) / n;
            loss = (loss * (n - 1.0) + down) / n;
        }
    }
    match gain + loss {
        0.0 => 50.0,
        moved => 100.0 * gain / moved, // = 100 - 100 / (1 + gain / loss)
    }
}

/// Sample standard deviation of the logarithmic returns, times the root of the periods in a year. Needs three positive closes.
pub fn volatility(closes: &[f64], periods_per_year: u32) -> f64 {
    let returns: Vec<f64> = closes.windows(2).map(|pair| libm::log(pair[1] / pair[0])).collect();
    let n = returns.len() as f64;
    let mean = returns.iter().sum::<f64>() / n;
    let squares: f64 = returns.iter().map(|r| (r - mean) * (r - mean)).sum();
    libm::sqrt(squares / (n - 1.0) * f64::from(periods_per_year))
}
