// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CryptletId, RegistrationId} from "./Ids.sol";
import {ContainerKind} from "./Words.sol";

/// @notice What a contract asked. `anchorBlock` is at most 256 blocks older than the block that includes the call;
/// `policyVersion` is the version of `CryptletPolicy` in that block's parent state. EIP-712 type `CryptletRequest`.
struct CryptletRequest {
    bytes32 key;
    CryptletId cryptletId;
    address caller;
    bytes32 codeDigest;
    bytes32 inputHash;
    uint64 anchorBlock;
    bytes32 anchorHash;
    uint32 policyVersion;
}

/// @notice What a cryptlet answered. One unit is 1,000 fuel; `observedAt` is in Unix seconds, `notBefore` and `expires` are
/// block numbers, both inclusive. EIP-712 type `CryptletResult`.
struct CryptletResult {
    bytes32 requestHash;
    RegistrationId registrationId;
    uint64 keyEpoch;
    uint8 status;
    bytes32 outputHash;
    uint64 units;
    uint64 observedAt;
    uint64 notBefore;
    uint64 expires;
}

/// @notice A record as something that a contract can check: question, answer, and the instance's signature of the answer.
struct Envelope {
    CryptletRequest request;
    CryptletResult result;
    bytes output;
    bytes signature;
}

/// @notice The keys of one instance, signed by the instance itself. Valid until `notAfterBlock`, inclusive.
struct InstanceKeys {
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
    /// Of the fabric that runs it: `major * 10**6 + minor * 10**3 + patch`.
    uint32 version;
}

/// @notice What the registry adds to an instance's keys when it accepts them.
struct InstanceRegistration {
    bytes32 instanceKeysHash;
    uint16 provider;
    bytes32 measurement;
    bytes32 evidenceHash;
    bytes32 endorsementsHash;
    uint32 policyVersion;
    uint64 registeredBlock;
}

/// @notice What a registrar signs for an instance: these keys, in this way, until this block.
struct InstanceAuthorization {
    RegistrationId registrationId;
    /// The registration that it renews; zero if none.
    RegistrationId previous;
    /// Blocks for which the epoch before still counts, if this instance begins one.
    uint32 graceBlocks;
    uint64 deadlineBlock;
}

/// @notice The chain a signature is for: its id, and the hash of its genesis block, which tells two chains with one id apart.
struct FabricDomain {
    uint256 chainId;
    bytes32 genesisHash;
}
