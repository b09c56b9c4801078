//! The Contract Cryptlet of `CreditDefaultSwap`: what the swap may be asked, and its state, are in `contracts/ICreditDefaultSwap.sol`.
//!
//! The arithmetic is that of the ISDA CDS Standard Model; see [`isda`].

pub mod curve;
pub mod date;
pub mod isda;
pub mod schedule;

use cryptlet_sdk::fixed::{WAD, from_f64, from_f64_signed, to_f64, to_f64_signed};
use cryptlet_sdk::prelude::*;
use curve::Curve;
use date::Day;
use isda::Swap;
use schedule::Premium;

sol!("../contracts/ICreditDefaultSwap.sol");

use ICreditDefaultSwap::*;

export_contract! {
    ICreditDefaultSwapCalls, CreditDefaultSwapSnapshot;
    repriceCall => reprice,
    accrueCall => accrue,
}

fn reprice(swap: &mut CreditDefaultSwapSnapshot, market_spread: U256, bond_spread: U256, as_of: u64) -> Result<()> {
    ensure!(as_of >= swap.effective, "asOf {as_of} is before the swap's first day, {}", swap.effective);
    ensure!(as_of < swap.maturity, "asOf {as_of} is not before the swap's last day, {}", swap.maturity);
    ensure!(as_of >= swap.asOf, "asOf {as_of} is before the last valuation, {}", swap.asOf);
    ensure!(swap.recovery < U256::from(WAD), "a recovery of 100 % or more leaves nothing to insure");

    let today = Day::from_unix(as_of);
    let model = Swap { premium: premium(swap)?, today, settles: today, recovery: to_f64(swap.recovery) };
    let discount = Curve::flat(to_f64_signed(swap.rate));
    let hazard_rate = model.hazard_rate(&discount, to_f64(market_spread))?;
    let value = model.value(&discount, &Curve::flat(hazard_rate));

    let upfront = from_f64_signed(value.protection - to_f64(swap.coupon) * value.clean_annuity)?;
    let hundred = I256::from_raw(U256::from(100) * U256::from(WAD));
    swap.asOf = as_of;
    swap.marketSpread = market_spread;
    swap.bondSpread = bond_spread;
    swap.hazardRate = from_f64(hazard_rate)?;
    swap.riskyAnnuity = from_f64(value.clean_annuity)?;
    swap.upfront = share(swap.notional, upfront)?;
    swap.price = hundred - upfront * I256::unchecked_from(100);
    swap.accruedPremium = accrued_premium(swap, as_of)?;
    swap.basis = difference(market_spread, bond_spread)?;
    Ok(())
}

fn accrue(swap: &mut CreditDefaultSwapSnapshot, as_of: u64) -> Result<()> {
    ensure!(as_of >= swap.effective, "asOf {as_of} is before the swap's first day, {}", swap.effective);
    ensure!(as_of <= swap.maturity, "asOf {as_of} is after the swap's last day, {}", swap.maturity);
    swap.accruedPremium = accrued_premium(swap, as_of)?;
    Ok(())
}

fn premium(swap: &CreditDefaultSwapSnapshot) -> Result<Premium> {
    Premium::quarterly(Day::from_unix(swap.effective), Day::from_unix(swap.maturity))
}

/// `notional * coupon * days / 360`, exact, rounded down.
fn accrued_premium(swap: &CreditDefaultSwapSnapshot, as_of: u64) -> Result<U256> {
    let days = premium(swap)?.accrued_days(Day::from_unix(as_of));
    let product = swap.notional.checked_mul(swap.coupon).and_then(|amount| amount.checked_mul(U256::from(days)));
    let product = product.ok_or_else(|| Failure::text("notional times coupon does not fit 256 bits"))?;
    Ok(product / (U256::from(360) * U256::from(WAD)))
}

/// `notional * fraction`.
fn share(notional: U256, fraction: I256) -> Result<I256> {
    let product = I256::try_from(notional).ok().and_then(|notional| notional.checked_mul(fraction));
    product
        .map(|product| product / I256::from_raw(U256::from(WAD)))
        .ok_or_else(|| Failure::text("the upfront does not fit 256 bits"))
}

fn difference(a: U256, b: U256) -> Result<I256> {
    let difference = I256::try_from(a).ok().zip(I256::try_from(b).ok()).and_then(|(a, b)| a.checked_sub(b));
    difference.ok_or_else(|| Failure::text("a spread does not fit 255 bits"))
}

#[cfg(test)]
mod tests;
