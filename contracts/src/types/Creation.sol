// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CryptletId} from "./Ids.sol";
import {ContainerKind, Isolation} from "./Words.sol";

/// @notice What the constructor of a Contract Cryptlet passes to `ICryptoDelegate.create`.
struct CreateConfig {
    /// Digest of a package that the host has; zero if `code` is given.
    bytes32 packageDigest;
    /// The code itself (a WebAssembly component); empty if `packageDigest` is given.
    bytes code;
    uint16 minimumInstances;
    uint16 maximumInstances;
    /// The least isolation the contract accepts.
    Isolation isolation;
    /// Compute units of one call, at most.
    uint64 unitsMax;
    /// Bytes of output of one call, at most.
    uint32 outputBytesMax;
    /// The papers' Cryptlet schema, as JSON.
    string configJson;
}

/// @notice What a host hands out when it has started an instance: all that a registration needs.
struct CreatedInstance {
    CryptletId cryptletId;
    bytes32 codeDigest;
    bytes32 manifestDigest;
    address signer;
    bytes32 hpkeKey;
    uint64 keyEpoch;
    uint64 anchorBlock;
    bytes32 anchorHash;
    uint64 notAfterBlock;
    ContainerKind container;
    uint32 version;
    /// Signature of `signer` over the EIP-712 digest of `InstanceKeys`, the fields above.
    bytes keysSignature;
    bytes evidence;
    bytes collateral;
}

/// @notice Who answers for a registration, in their own signature, so that anybody may send it. An account with code cannot sign: it sends
/// the registration itself and leaves `signature` empty.
struct Authorization {
    address registrar;
    /// Last block in which it holds.
    uint64 deadlineBlock;
    bytes signature;
}

/// @notice What the verifier found in evidence (RATS: Attestation Results).
struct Claims {
    /// One of `Providers`.
    uint16 provider;
    Isolation isolation;
    bytes32 measurement;
    /// What the attester bound: the `RegistrationId` of the instance.
    bytes32 reportData;
    /// Who vouches: the host's key for software evidence; zero for hardware, where the vendor's root does.
    address endorser;
    /// Unix seconds after which the collateral no longer holds.
    uint64 expires;
}
