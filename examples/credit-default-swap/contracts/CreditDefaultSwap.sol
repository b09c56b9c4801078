// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ContractCryptlet} from "@cryptlet/contracts/ContractCryptlet.sol";
import {CreateConfig} from "@cryptlet/contracts/types/Creation.sol";
import {Isolation} from "@cryptlet/contracts/types/Words.sol";
import {CreditDefaultSwapSnapshot, ICreditDefaultSwap} from "./ICreditDefaultSwap.sol";

/// @title A credit default swap: the terms and the values on chain, the arithmetic in its cryptlet
/// @notice The papers' Control case. Fixed point with 18 decimals; see `CreditDefaultSwapSnapshot` for every value's meaning.
contract CreditDefaultSwap is ContractCryptlet, ICreditDefaultSwap {
    /// @notice What the two sides agreed on.
    struct Terms {
        address protectionBuyer;
        address protectionSeller;
        uint256 notional;
        uint256 coupon;
        uint256 recovery;
        int256 rate;
        uint64 effective;
        uint64 maturity;
    }

    error NotCounterparty(address caller);
    error InvalidTerms(string reason);

    /// @notice The cryptlet stored new values.
    event Valued(uint64 indexed asOf, int256 upfront, int256 price, uint256 accruedPremium, int256 basis);

    /// Compute units (1,000 fuel each) and bytes that one valuation may take.
    uint64 internal constant UNITS_MAX = 100_000;
    uint32 internal constant OUTPUT_BYTES_MAX = 4096;
    string internal constant CONFIG_JSON =
        '{"name":"credit-default-swap","config":{"description":"values a credit default swap","isolation":true}}';

    Terms private agreed;

    uint64 public asOf;
    uint256 public marketSpread;
    uint256 public bondSpread;
    uint256 public hazardRate;
    uint256 public riskyAnnuity;
    int256 public upfront;
    int256 public price;
    uint256 public accruedPremium;
    int256 public basis;

    modifier onlyCounterparty() {
        if (msg.sender != agreed.protectionBuyer && msg.sender != agreed.protectionSeller) revert NotCounterparty(msg.sender);
        _;
    }

    /// @param packageDigest Digest of the cryptlet's package; zero if `code` is given.
    /// @param code The cryptlet itself, a WebAssembly component; empty if `packageDigest` is given.
    constructor(Terms memory terms_, bytes32 packageDigest, bytes memory code)
        ContractCryptlet("credit-default-swap", _config(packageDigest, code))
    {
        if (terms_.notional == 0) revert InvalidTerms("notional is zero");
        if (terms_.recovery >= 1e18) revert InvalidTerms("recovery is not below 1e18");
        if (terms_.maturity <= terms_.effective) revert InvalidTerms("maturity is not after effective");
        agreed = terms_;
    }

    /// @inheritdoc ICreditDefaultSwap
    function reprice(uint256, uint256, uint64) external onlyCounterparty delegated returns (int256) {
        return upfront;
    }

    /// @inheritdoc ICreditDefaultSwap
    function accrue(uint64) external onlyCounterparty delegated returns (uint256) {
        return accruedPremium;
    }

    /// @notice What the two sides agreed on.
    function terms() external view returns (Terms memory) {
        return agreed;
    }

    /// @inheritdoc ContractCryptlet
    function stateSnapshot() public view override returns (bytes memory) {
        return abi.encode(
            CreditDefaultSwapSnapshot({
                notional: agreed.notional,
                coupon: agreed.coupon,
                recovery: agreed.recovery,
                rate: agreed.rate,
                effective: agreed.effective,
                maturity: agreed.maturity,
                asOf: asOf,
                marketSpread: marketSpread,
                bondSpread: bondSpread,
                hazardRate: hazardRate,
                riskyAnnuity: riskyAnnuity,
                upfront: upfront,
                price: price,
                accruedPremium: accruedPremium,
                basis: basis
            })
        );
    }

    // Accessors for transactions that the cryptlet sends with its own key.

    function setPrice(int256 price_) external onlyCryptlet {
        price = price_;
    }

    function setAccruedPremium(uint256 accruedPremium_) external onlyCryptlet {
        accruedPremium = accruedPremium_;
    }

    function setBasis(int256 basis_) external onlyCryptlet {
        basis = basis_;
    }

    /// @dev Applies what the cryptlet computed. The terms are not its business: what it returns for them is ignored.
    function _applyState(bytes calldata snapshot) internal override {
        CreditDefaultSwapSnapshot memory next = abi.decode(snapshot, (CreditDefaultSwapSnapshot));
        asOf = next.asOf;
        marketSpread = next.marketSpread;
        bondSpread = next.bondSpread;
        hazardRate = next.hazardRate;
        riskyAnnuity = next.riskyAnnuity;
        upfront = next.upfront;
        price = next.price;
        accruedPremium = next.accruedPremium;
        basis = next.basis;
        emit Valued(next.asOf, next.upfront, next.price, next.accruedPremium, next.basis);
    }

    function _config(bytes32 packageDigest, bytes memory code) private pure returns (CreateConfig memory) {
        return CreateConfig({
            packageDigest: packageDigest,
            code: code,
            minimumInstances: 1,
            maximumInstances: 5,
            isolation: Isolation.Process,
            unitsMax: UNITS_MAX,
            outputBytesMax: OUTPUT_BYTES_MAX,
            configJson: CONFIG_JSON
        });
    }
}
