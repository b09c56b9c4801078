// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CryptletId} from "./Ids.sol";
import {ContainerKind, CryptletKind, CryptletStatus, InstanceStatus, Isolation, SimulationPolicy} from "./Words.sol";

/// @notice A registered cryptlet.
/// @dev The delegate reads slots 0 to 3 of this structure directly, at the parent block: its layout is consensus.
struct Cryptlet {
    // slot 0
    address publisher;
    CryptletStatus status;
    CryptletKind kind;
    /// The least isolation its instances must have.
    Isolation isolation;
    SimulationPolicy simulationPolicy;
    uint64 registeredBlock;
    // slot 1
    bytes32 codeDigest;
    // slot 2
    /// The only caller of a Contract Cryptlet; zero for a utility cryptlet.
    address boundContract;
    uint16 minimumInstances;
    uint16 maximumInstances;
    uint32 outputBytesMax;
    /// Instances of the current key epoch that are active, neither revoked nor retired.
    uint32 activeInstances;
    // slot 3
    uint64 unitsMax;
    /// The current key epoch: results of instances of any other epoch do not count, but for the next two.
    uint64 keyEpoch;
    /// The epoch before, if its keys were rotated with a grace period; else zero.
    uint64 previousEpoch;
    /// Last block in which results of instances of that epoch count.
    uint64 previousEpochUntil;
    // slot 4
    /// Suspended by the administrator, so only the administrator can resume it.
    bool suspendedByAdmin;
    /// The cryptlet's long-lived public key, as an address: the papers' `publicKey`. It signs nothing but the cryptlet's registration and
    /// those of its instances. A Contract Cryptlet's is its first instance's.
    address identityKey;
    // slots 5 to 7
    bytes32 manifestDigest;
    bytes32 headerDigest;
    bytes32 configDigest;
    // slots 8 and 9
    string name;
    /// The answer under `SimulationPolicy.Stub`.
    bytes simulationStub;
}

/// @notice A registered instance of a cryptlet.
/// @dev The delegate reads slots 0 to 4 and 8 of this structure directly, at the parent block: its layout is consensus.
struct Instance {
    // slot 0
    address signer;
    uint64 keyEpoch;
    uint16 provider;
    InstanceStatus status;
    Isolation isolation;
    // slot 1
    CryptletId cryptletId;
    // slot 2
    bytes32 codeDigest;
    // slot 3
    uint64 registeredBlock;
    uint64 notAfterBlock;
    /// Unix seconds until which the evidence's collateral holds.
    uint64 evidenceExpires;
    /// Version of the policy that accepted it.
    uint32 policyVersion;
    /// If it waits to be activated and then begins an epoch: blocks for which the epoch before still counts.
    uint32 graceBlocks;
    // slots 4 to 8
    bytes32 measurement;
    bytes32 hpkeKey;
    bytes32 evidenceHash;
    bytes32 endorsementsHash;
    address endorser;
    ContainerKind container;
    /// Of the fabric that runs it: `major * 10**6 + minor * 10**3 + patch`.
    uint32 version;
}

/// @notice What a publisher says about a utility cryptlet.
struct UtilityRegistration {
    string name;
    bytes32 codeDigest;
    bytes32 manifestDigest;
    bytes32 headerDigest;
    bytes32 configDigest;
    address identityKey;
    Isolation isolation;
    uint16 minimumInstances;
    uint16 maximumInstances;
    uint64 unitsMax;
    uint32 outputBytesMax;
    SimulationPolicy simulationPolicy;
    bytes simulationStub;
}

/// @notice What a contract says about the cryptlet it was just given, besides what the host says in `CreatedInstance`.
struct ContractCryptletTerms {
    string name;
    bytes32 headerDigest;
    bytes32 configDigest;
    Isolation isolation;
    uint16 minimumInstances;
    uint16 maximumInstances;
    uint64 unitsMax;
    uint32 outputBytesMax;
    SimulationPolicy simulationPolicy;
    bytes simulationStub;
}

/// @notice What one must know about an instance to check its signature; also for chains that have no registry.
struct InstanceState {
    CryptletId cryptletId;
    bytes32 codeDigest;
    address signer;
    uint64 keyEpoch;
    uint64 notAfterBlock;
    uint16 provider;
    Isolation isolation;
    /// Neither revoked nor retired, of its cryptlet's current epoch and code, and the cryptlet active.
    bool isActive;
}
