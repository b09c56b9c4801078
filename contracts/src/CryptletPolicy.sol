// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Administered} from "./Administered.sol";
import {ICryptletPolicy} from "./interfaces/ICryptletPolicy.sol";
import {Claims} from "./types/Creation.sol";
import {ContainerKind, Isolation, Listing, Providers, TcbStatuses} from "./types/Words.sol";

/// @title CryptletPolicy
/// @dev The delegate reads slot 2, and of the lists in slots 3 to 5 what concerns an instance, at the parent block. Genesis writes slots 0 (admin) and 2 (rules).
contract CryptletPolicy is Administered, ICryptletPolicy {
    /// One slot, so that a call costs the delegate one read.
    struct Rules {
        uint32 version;
        uint32 acceptedProviders;
        Isolation minimumIsolation;
        bool isEndorserRestricted;
        /// Bit `n` is set if provider `n` accepts listed measurements only.
        uint32 restrictedProviders;
        /// Bit `n` is set if platforms with TCB status `n` may register although they are not up to date.
        uint8 toleratedTcb;
        uint32 keyLifetimeBlocksMax;
        uint32 rotationGraceBlocksMax;
        bool isActivationAutomatic;
    }

    /// Both ends included; a `maximum` of zero is none.
    struct Versions {
        uint32 minimum;
        uint32 maximum;
    }

    /// Providers are bits of a word of 32.
    uint16 internal constant PROVIDER_MAX = 31;

    /// @dev Aligned to a slot of its own, as every structure is.
    Rules internal rules;

    /// @inheritdoc ICryptletPolicy
    mapping(uint16 provider => mapping(bytes32 measurement => Listing)) public measurementListing;

    /// @inheritdoc ICryptletPolicy
    mapping(address endorser => Listing) public endorserListing;

    /// @inheritdoc ICryptletPolicy
    mapping(ContainerKind container => Versions) public acceptedVersions;

    /// @inheritdoc ICryptletPolicy
    function requireAccepted(Claims calldata claims) external view {
        if (!isProviderAccepted(claims.provider)) revert ProviderNotAccepted(claims.provider, rules.acceptedProviders);
        if (claims.isolation < rules.minimumIsolation) revert IsolationTooWeak(claims.isolation, rules.minimumIsolation);
        if (!_isMeasurementAccepted(claims.provider, claims.measurement)) {
            revert MeasurementNotAccepted(claims.provider, claims.measurement);
        }
        if (!_isEndorserAccepted(claims.provider, claims.endorser)) revert EndorserNotAccepted(claims.endorser);
    }

    /// @inheritdoc ICryptletPolicy
    function accepts(uint16 provider, Isolation isolation, bytes32 measurement, address endorser) external view returns (bool) {
        return isProviderAccepted(provider) && isolation >= rules.minimumIsolation
            && _isMeasurementAccepted(provider, measurement) && _isEndorserAccepted(provider, endorser);
    }

    /// @inheritdoc ICryptletPolicy
    function setProviderAccepted(uint16 provider, bool isAccepted) external onlyAdmin {
        rules.acceptedProviders = _withBit(rules.acceptedProviders, provider, isAccepted);
        emit ProviderAcceptanceChanged(provider, isAccepted, _nextVersion());
    }

    /// @inheritdoc ICryptletPolicy
    function setMinimumIsolation(Isolation isolation) external onlyAdmin {
        rules.minimumIsolation = isolation;
        emit MinimumIsolationChanged(isolation, _nextVersion());
    }

    /// @inheritdoc ICryptletPolicy
    function setMeasurementRestricted(uint16 provider, bool isRestricted) external onlyAdmin {
        rules.restrictedProviders = _withBit(rules.restrictedProviders, provider, isRestricted);
        emit MeasurementRestrictionChanged(provider, isRestricted, _nextVersion());
    }

    /// @inheritdoc ICryptletPolicy
    function setMeasurementListed(uint16 provider, bytes32 measurement, bool isListed) external onlyAdmin {
        measurementListing[provider][measurement] = isListed ? Listing.Accepted : Listing.None;
        emit MeasurementAcceptanceChanged(provider, measurement, isListed, _nextVersion());
    }

    /// @inheritdoc ICryptletPolicy
    function setEndorserRestricted(bool isRestricted) external onlyAdmin {
        rules.isEndorserRestricted = isRestricted;
        emit EndorserRestrictionChanged(isRestricted, _nextVersion());
    }

    /// @inheritdoc ICryptletPolicy
    function setEndorserListed(address endorser, bool isListed) external onlyAdmin {
        endorserListing[endorser] = isListed ? Listing.Accepted : Listing.None;
        emit EndorserAcceptanceChanged(endorser, isListed, _nextVersion());
    }

    /// @inheritdoc ICryptletPolicy
    function setTcbStatusTolerated(uint8 status, bool isTolerated) external onlyAdmin {
        if (status == TcbStatuses.UP_TO_DATE || status > TcbStatuses.TOLERABLE_MAX) revert TcbStatusNotTolerable(status);
        uint8 bit = uint8(1) << status;
        rules.toleratedTcb = isTolerated ? rules.toleratedTcb | bit : rules.toleratedTcb & ~bit;
        emit TcbToleranceChanged(status, isTolerated, _nextVersion());
    }

    /// @inheritdoc ICryptletPolicy
    function setKeyLifetimeBlocksMax(uint32 blocksMax) external onlyAdmin {
        rules.keyLifetimeBlocksMax = blocksMax;
        emit KeyLifetimeChanged(blocksMax, _nextVersion());
    }

    /// @inheritdoc ICryptletPolicy
    function setRotationGraceBlocksMax(uint32 blocksMax) external onlyAdmin {
        rules.rotationGraceBlocksMax = blocksMax;
        emit RotationGraceChanged(blocksMax, _nextVersion());
    }

    /// @inheritdoc ICryptletPolicy
    function setActivationAutomatic(bool isAutomatic) external onlyAdmin {
        rules.isActivationAutomatic = isAutomatic;
        emit ActivationChanged(isAutomatic, _nextVersion());
    }

    /// @inheritdoc ICryptletPolicy
    function setAcceptedVersions(ContainerKind container, uint32 minimum, uint32 maximum) external onlyAdmin {
        if (maximum != 0 && minimum > maximum) revert InvalidVersions(minimum, maximum);
        acceptedVersions[container] = Versions(minimum, maximum);
        emit AcceptedVersionsChanged(container, minimum, maximum, _nextVersion());
    }

    /// @inheritdoc ICryptletPolicy
    function revokeProvider(uint16 provider, string calldata reason) external onlyAdmin {
        rules.acceptedProviders = _withBit(rules.acceptedProviders, provider, false);
        emit ProviderRevoked(provider, reason, _nextVersion());
    }

    /// @inheritdoc ICryptletPolicy
    function revokeMeasurement(uint16 provider, bytes32 measurement, string calldata reason) external onlyAdmin {
        measurementListing[provider][measurement] = Listing.Revoked;
        emit MeasurementRevoked(provider, measurement, reason, _nextVersion());
    }

    /// @inheritdoc ICryptletPolicy
    function revokeEndorser(address endorser, string calldata reason) external onlyAdmin {
        endorserListing[endorser] = Listing.Revoked;
        emit EndorserRevoked(endorser, reason, _nextVersion());
    }

    /// @inheritdoc ICryptletPolicy
    function keyLifetimeBlocksMax() external view returns (uint32) {
        return rules.keyLifetimeBlocksMax;
    }

    /// @inheritdoc ICryptletPolicy
    function rotationGraceBlocksMax() external view returns (uint32) {
        return rules.rotationGraceBlocksMax;
    }

    /// @inheritdoc ICryptletPolicy
    function isMeasurementListed(uint16 provider, bytes32 measurement) external view returns (bool) {
        return measurementListing[provider][measurement] == Listing.Accepted;
    }

    /// @inheritdoc ICryptletPolicy
    function isEndorserListed(address endorser) external view returns (bool) {
        return endorserListing[endorser] == Listing.Accepted;
    }

    /// @inheritdoc ICryptletPolicy
    function version() external view returns (uint32) {
        return rules.version;
    }

    /// @inheritdoc ICryptletPolicy
    function acceptedProviders() external view returns (uint32) {
        return rules.acceptedProviders;
    }

    /// @inheritdoc ICryptletPolicy
    function minimumIsolation() external view returns (Isolation) {
        return rules.minimumIsolation;
    }

    /// @inheritdoc ICryptletPolicy
    function toleratedTcb() external view returns (uint8) {
        return rules.toleratedTcb;
    }

    /// @inheritdoc ICryptletPolicy
    function isEndorserRestricted() external view returns (bool) {
        return rules.isEndorserRestricted;
    }

    /// @inheritdoc ICryptletPolicy
    function isActivationAutomatic() external view returns (bool) {
        return rules.isActivationAutomatic;
    }

    /// @inheritdoc ICryptletPolicy
    function isVersionAccepted(ContainerKind container, uint32 version_) external view returns (bool) {
        Versions memory versions = acceptedVersions[container];
        return version_ >= versions.minimum && (versions.maximum == 0 || version_ <= versions.maximum);
    }

    /// @inheritdoc ICryptletPolicy
    function isProviderAccepted(uint16 provider) public view returns (bool) {
        return _hasBit(rules.acceptedProviders, provider);
    }

    /// @inheritdoc ICryptletPolicy
    function isMeasurementRestricted(uint16 provider) public view returns (bool) {
        return _hasBit(rules.restrictedProviders, provider);
    }

    function _isMeasurementAccepted(uint16 provider, bytes32 measurement) private view returns (bool) {
        Listing listing = measurementListing[provider][measurement];
        return listing == Listing.Accepted || (listing == Listing.None && !isMeasurementRestricted(provider));
    }

    /// Hardware whose maker vouches has no endorser, so none can be asked for.
    function _isEndorserAccepted(uint16 provider, address endorser) private view returns (bool) {
        if (endorser == address(0)) return provider != Providers.TPM;
        Listing listing = endorserListing[endorser];
        bool needsListing = rules.isEndorserRestricted || provider == Providers.TPM;
        return listing == Listing.Accepted || (listing == Listing.None && !needsListing);
    }

    function _nextVersion() private returns (uint32) {
        return ++rules.version;
    }

    function _hasBit(uint32 word, uint16 provider) private pure returns (bool) {
        return provider <= PROVIDER_MAX && (word >> provider) & 1 == 1;
    }

    function _withBit(uint32 word, uint16 provider, bool isSet) private pure returns (uint32) {
        if (provider > PROVIDER_MAX) revert ProviderOutOfRange(provider, PROVIDER_MAX);
        uint32 bit = uint32(1) << provider;
        return isSet ? word | bit : word & ~bit;
    }
}
