// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Claims} from "../types/Creation.sol";
import {ContainerKind, Isolation, Listing} from "../types/Words.sol";
import {IAdministered} from "./IAdministered.sol";

/// @title CryptletPolicy: what is accepted
/// @notice The registry says what exists; this says what counts. System contract at `0x…cd02`. Every change raises `version`, which
/// each request carries: a result that was asked for under another policy is not accepted.
interface ICryptletPolicy is IAdministered {
    error ProviderNotAccepted(uint16 provider, uint32 acceptedProviders);
    error ProviderOutOfRange(uint16 provider, uint16 providerMax);
    error IsolationTooWeak(Isolation claimed, Isolation minimum);
    error MeasurementNotAccepted(uint16 provider, bytes32 measurement);
    error EndorserNotAccepted(address endorser);
    error TcbStatusNotTolerable(uint8 status);
    error VersionNotAccepted(ContainerKind container, uint32 version, uint32 minimum, uint32 maximum);
    error InvalidVersions(uint32 minimum, uint32 maximum);

    event ProviderAcceptanceChanged(uint16 indexed provider, bool isAccepted, uint32 version);
    event MinimumIsolationChanged(Isolation isolation, uint32 version);
    event MeasurementRestrictionChanged(uint16 indexed provider, bool isRestricted, uint32 version);
    event MeasurementAcceptanceChanged(uint16 indexed provider, bytes32 indexed measurement, bool isAccepted, uint32 version);
    event TcbToleranceChanged(uint8 indexed status, bool isTolerated, uint32 version);
    event EndorserRestrictionChanged(bool isRestricted, uint32 version);
    event EndorserAcceptanceChanged(address indexed endorser, bool isAccepted, uint32 version);
    event ProviderRevoked(uint16 indexed provider, string reason, uint32 version);
    event MeasurementRevoked(uint16 indexed provider, bytes32 indexed measurement, string reason, uint32 version);
    event EndorserRevoked(address indexed endorser, string reason, uint32 version);
    event KeyLifetimeChanged(uint32 blocksMax, uint32 version);
    event RotationGraceChanged(uint32 blocksMax, uint32 version);
    event AcceptedVersionsChanged(ContainerKind indexed container, uint32 minimum, uint32 maximum, uint32 version);
    event ActivationChanged(bool isAutomatic, uint32 version);

    /// @notice Raised by every change.
    function version() external view returns (uint32);

    /// @notice Bit `n` is set if provider `n` is accepted.
    function acceptedProviders() external view returns (uint32);

    /// @notice No instance with less is accepted, whatever its cryptlet signed up for.
    function minimumIsolation() external view returns (Isolation);

    /// @notice May instances of this provider count?
    function isProviderAccepted(uint16 provider) external view returns (bool);

    /// @notice Does this provider accept listed measurements only?
    function isMeasurementRestricted(uint16 provider) external view returns (bool);

    /// @notice What is said of this measurement of the provider.
    function measurementListing(uint16 provider, bytes32 measurement) external view returns (Listing);

    /// @notice What is said of this endorser.
    function endorserListing(address endorser) external view returns (Listing);

    /// @notice Blocks that an instance's keys may be registered for; zero: any number.
    function keyLifetimeBlocksMax() external view returns (uint32);

    /// @notice Blocks that keys may count for after they were rotated.
    function rotationGraceBlocksMax() external view returns (uint32);

    /// @notice Versions of the fabric in which containers of this kind may run, both ends included; a `maximum` of zero is none.
    function acceptedVersions(ContainerKind container) external view returns (uint32 minimum, uint32 maximum);

    /// @notice May a container of this kind be run by this version of the fabric (`Instance.version`)?
    function isVersionAccepted(ContainerKind container, uint32 version) external view returns (bool);

    /// @notice Do registrations count as soon as they are made? If not, the administrator activates each.
    function isActivationAutomatic() external view returns (bool);

    /// @notice Do results of an instance with these claims count? The delegate asks the same at every call, of the parent block's state.
    function accepts(uint16 provider, Isolation isolation, bytes32 measurement, address endorser) external view returns (bool);

    /// @notice Is this measurement on the provider's list?
    function isMeasurementListed(uint16 provider, bytes32 measurement) external view returns (bool);

    /// @notice Bit `n` is set if platforms with TCB status `n` (`TcbStatuses`) may register although they are not up to date. Zero: only
    /// those that are.
    function toleratedTcb() external view returns (uint8);

    /// @notice Are only listed endorsers (host keys) accepted? Does not concern SGX and TDX, whose endorser is zero; TPMs always need
    /// a listed one.
    function isEndorserRestricted() external view returns (bool);

    /// @notice Is this host key on the list?
    function isEndorserListed(address endorser) external view returns (bool);

    /// @notice Reverts, saying why, unless claims like these are accepted.
    function requireAccepted(Claims calldata claims) external view;

    function setProviderAccepted(uint16 provider, bool isAccepted) external;
    function setMinimumIsolation(Isolation isolation) external;
    function setTcbStatusTolerated(uint8 status, bool isTolerated) external;
    function setMeasurementRestricted(uint16 provider, bool isRestricted) external;
    function setMeasurementListed(uint16 provider, bytes32 measurement, bool isListed) external;
    function setEndorserRestricted(bool isRestricted) external;
    function setEndorserListed(address endorser, bool isListed) external;
    function setKeyLifetimeBlocksMax(uint32 blocksMax) external;
    function setRotationGraceBlocksMax(uint32 blocksMax) external;
    function setActivationAutomatic(bool isAutomatic) external;

    /// @notice Accepts containers of this kind that run in these versions of the fabric, both ends included; a `maximum` of zero is none.
    /// What runs in another version stops counting with the next block, whenever it was registered.
    function setAcceptedVersions(ContainerKind container, uint32 minimum, uint32 maximum) external;

    /// @notice Stops calls of all instances of a provider, from the next block on.
    function revokeProvider(uint16 provider, string calldata reason) external;

    /// @notice Stops calls of all instances with this measurement, from the next block on. Listing it again takes that back.
    function revokeMeasurement(uint16 provider, bytes32 measurement, string calldata reason) external;

    /// @notice Stops calls of all instances that this host or enroller vouches for, from the next block on. Listing it again takes that back.
    function revokeEndorser(address endorser, string calldata reason) external;
}
