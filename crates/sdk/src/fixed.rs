//! Numbers with 18 decimals, as contracts store them, to and from `f64`.
//!
//! Integer arithmetic, and for reading one sum, one product and one division: the same bits on every machine. A double has 15 to
//! 17 significant digits: the further ones of what it becomes are those of the double, not of the number that was meant.

use crate::{I256, Result, U256, ensure};

/// `1.0` with 18 decimals.
pub const WAD: u64 = 1_000_000_000_000_000_000;

const TWO_POW_64: f64 = 18_446_744_073_709_551_616.0;

/// 2^190.
const MAX: f64 = 1_569_275_433_846_670_190_958_947_355_801_916_604_025_588_861_116_008_628_224.0;

/// A number with 18 decimals as a double, rounded.
pub fn to_f64(wad: U256) -> f64 {
    wad.as_limbs().iter().rev().fold(0.0, |sum, limb| sum * TWO_POW_64 + *limb as f64) / WAD as f64
}

/// A signed number with 18 decimals as a double, rounded.
pub fn to_f64_signed(wad: I256) -> f64 {
    let magnitude = to_f64(wad.unsigned_abs());
    if wad.is_negative() { -magnitude } else { magnitude }
}

/// A double as a number with 18 decimals, exact but for the rounding of the last one. Fails if it is negative, not a number, or
/// 2^190 or more.
pub fn from_f64(value: f64) -> Result<U256> {
    ensure!(value >= 0.0, "a negative or undefined number where only zero and more has a place");
    ensure!(value < MAX, "a number too large for 18 decimals in 256 bits");
    let bits = value.to_bits();
    // value = mantissa * 2^exponent; below 2^-1022 it is zero with 18 decimals anyway.
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1075;
    let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
    let scaled = U256::from(mantissa) * U256::from(WAD); // below 2^113
    Ok(match exponent {
        0.. => scaled << exponent as usize, // below 2^(113 + 138)
        -200..0 => (scaled + (U256::from(1) << (-exponent - 1) as usize)) >> -exponent as usize,
        _ => U256::ZERO,
    })
}

/// A double as a signed number with 18 decimals, exact but for the rounding of the last one. Fails if it is not a number, or 2^190 or
/// more in size.
pub fn from_f64_signed(value: f64) -> Result<I256> {
    let magnitude = I256::from_raw(from_f64(if value < 0.0 { -value } else { value })?);
    Ok(if value < 0.0 { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_come_back_from_eighteen_decimals() {
        for value in [0.0, 1.0, 0.25, 0.018566047, 4.759422392871535, 57_882.690_24, 1e7, 123_456_789.987_654_3, 1e57] {
            let back = to_f64(from_f64(value).unwrap());
            assert!((back - value).abs() <= value * f64::EPSILON, "{value} came back as {back}");
            assert_eq!(to_f64_signed(from_f64_signed(-value).unwrap()), -back);
        }
    }

    #[test]
    fn eighteen_decimals_are_those_of_the_double() {
        let digits = |value: f64| from_f64(value).unwrap().to_string();
        assert_eq!(digits(0.1), "100000000000000006"); // 0.1 is 0.1000000000000000055511151231257827
        assert_eq!(digits(1e-18), "1");
        assert_eq!(digits(0.4e-18), "0");
        assert_eq!(digits(1e-300), "0");
        assert_eq!(digits(1e22), "10000000000000000000000000000000000000000");
        assert_eq!(MAX, 2f64.powi(190));
        assert!(from_f64(MAX).is_err());
        assert_eq!(from_f64(MAX / 2.0).unwrap(), (U256::from(1) << 189) * U256::from(WAD));
    }

    #[test]
    fn refuses_what_has_no_place() {
        assert!(from_f64(-0.1).is_err());
        assert!(from_f64(f64::NAN).is_err());
        assert!(from_f64(f64::INFINITY).is_err());
        assert!(from_f64_signed(f64::NAN).is_err());
        assert!(from_f64_signed(-f64::INFINITY).is_err());
    }
}
