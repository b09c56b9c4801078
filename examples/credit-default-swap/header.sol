// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @notice The whole state of a swap, as it travels to its cryptlet and back: the papers' `CreditDefaultSwapStateSnapshot`.
/// The cryptlet gets `delegated(bytes msgData, bytes snapshot)`, where `msgData` is the call data of one of the functions of
/// `ICreditDefaultSwap` and `snapshot` is `abi.encode(CreditDefaultSwapSnapshot)`; it returns the next snapshot in the same form.
/// @dev Every field is static, so the encoding is its words in this order. Amounts, rates, spreads and fractions are fixed point
/// with 18 decimals (`1e18` is 1, so 100 basis points are `0.01e18`); dates are Unix seconds at 00:00 UTC.
struct CreditDefaultSwapSnapshot {
    // --- the terms: the contract ignores what a cryptlet returns here ---
    /// Amount insured, in the currency of the swap.
    uint256 notional;
    /// Running coupon per year (standard contracts: 0.01e18 or 0.05e18), paid quarterly, ACT/360.
    uint256 coupon;
    /// What a bond of the reference entity is expected to pay after default, as a fraction.
    uint256 recovery;
    /// Flat interest rate per year, continuously compounded, ACT/365.
    int256 rate;
    /// First day of premium accrual.
    uint64 effective;
    /// Last day of protection.
    uint64 maturity;
    // --- what the cryptlet computes ---
    /// The day of this valuation; zero before the first.
    uint64 asOf;
    /// Par spread quoted in the market that day.
    uint256 marketSpread;
    /// Spread of the reference entity's bond over the risk-free rate that day.
    uint256 bondSpread;
    /// Flat hazard rate per year (ACT/365) that reproduces `marketSpread`.
    uint256 hazardRate;
    /// Value on `asOf` of a premium of 1 per year for as long as the reference entity survives ("risky annuity", RPV01), in years.
    uint256 riskyAnnuity;
    /// Clean upfront amount that the protection buyer pays the seller; negative if the seller pays.
    int256 upfront;
    /// Clean price in points of 100: `100 * (1 - upfront / notional)`.
    int256 price;
    /// Premium accrued since the last coupon date, owed by the buyer.
    uint256 accruedPremium;
    /// CDS-bond basis: `marketSpread - bondSpread`.
    int256 basis;
}

/// @notice What a counterparty may ask of the swap. Each function is carried out by the swap's own cryptlet.
interface ICreditDefaultSwap {
    /// @notice Values the swap: hazard rate from the market spread, both legs discounted, accrued premium, basis.
    /// Fails with `CryptletFailed` if `asOf` is before `effective`, at or after `maturity`, or earlier than the last valuation.
    /// @return upfront The clean upfront amount, as stored.
    function reprice(uint256 marketSpread, uint256 bondSpread, uint64 asOf) external returns (int256 upfront);

    /// @notice Brings only the accrued premium up to `asOf`; the other values, and the day of the valuation, stay as they are.
    /// Fails with `CryptletFailed` if `asOf` is before `effective` or after `maturity`.
    /// @return accruedPremium The premium accrued, as stored.
    function accrue(uint64 asOf) external returns (uint256 accruedPremium);
}
