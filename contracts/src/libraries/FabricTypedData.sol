// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {UtilityRegistration} from "../types/Cryptlet.sol";
import {CreatedInstance} from "../types/Creation.sol";
import {
    CryptletRequest,
    CryptletResult,
    FabricDomain,
    InstanceAuthorization,
    InstanceKeys,
    InstanceRegistration
} from "../types/Signed.sol";
import {CRYPTLET_REGISTRY, CRYPTO_DELEGATE} from "./SystemContracts.sol";

/// @title The EIP-712 structures of the fabric
/// @dev All fields are static words, so `hashStruct` is the hash of the type hash followed by `abi.encode(value)`.
/// `test/vectors/typed-data.json` holds digests by an independent implementation, which Rust checks too.
library FabricTypedData {
    bytes32 internal constant REQUEST_TYPEHASH = keccak256(
        "CryptletRequest(bytes32 key,bytes32 cryptletId,address caller,bytes32 codeDigest,bytes32 inputHash,uint64 anchorBlock,bytes32 anchorHash,uint32 policyVersion)"
    );
    bytes32 internal constant RESULT_TYPEHASH = keccak256(
        "CryptletResult(bytes32 requestHash,bytes32 registrationId,uint64 keyEpoch,uint8 status,bytes32 outputHash,uint64 units,uint64 observedAt,uint64 notBefore,uint64 expires)"
    );
    bytes32 internal constant INSTANCE_KEYS_TYPEHASH = keccak256(
        "InstanceKeys(bytes32 cryptletId,bytes32 codeDigest,bytes32 manifestDigest,address signer,bytes32 hpkeKey,uint64 keyEpoch,uint64 anchorBlock,bytes32 anchorHash,uint64 notAfterBlock,uint8 container,uint32 version)"
    );
    bytes32 internal constant INSTANCE_REGISTRATION_TYPEHASH = keccak256(
        "InstanceRegistration(bytes32 instanceKeysHash,uint16 provider,bytes32 measurement,bytes32 evidenceHash,bytes32 endorsementsHash,uint32 policyVersion,uint64 registeredBlock)"
    );
    bytes32 internal constant INSTANCE_AUTHORIZATION_TYPEHASH =
        keccak256("InstanceAuthorization(bytes32 registrationId,bytes32 previous,uint32 graceBlocks,uint64 deadlineBlock)");
    bytes32 internal constant UTILITY_REGISTRATION_TYPEHASH = keccak256(
        "UtilityRegistration(address publisher,string name,bytes32 codeDigest,bytes32 manifestDigest,bytes32 headerDigest,bytes32 configDigest,address identityKey,uint8 isolation,uint16 minimumInstances,uint16 maximumInstances,uint64 unitsMax,uint32 outputBytesMax,uint8 simulationPolicy,bytes simulationStub,uint64 deadlineBlock)"
    );
    bytes32 internal constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)");
    /// The domain of everything that may become part of a block.
    bytes32 internal constant LIVE_NAME_HASH = keccak256("CryptletFabric");
    /// The domain of dry runs. Nothing signed there ever counts; it is here so that tests can say so.
    bytes32 internal constant DRY_RUN_NAME_HASH = keccak256("CryptletFabricDryRun");
    /// The domain in which registrars sign: another name and another contract than any host or instance signs for.
    bytes32 internal constant REGISTRY_NAME_HASH = keccak256("CryptletRegistry");
    bytes32 internal constant VERSION_HASH = keccak256("1");

    function hash(CryptletRequest memory request) internal pure returns (bytes32) {
        return keccak256(abi.encode(REQUEST_TYPEHASH, request));
    }

    function hash(CryptletResult memory result) internal pure returns (bytes32) {
        return keccak256(abi.encode(RESULT_TYPEHASH, result));
    }

    function hash(InstanceKeys memory keys) internal pure returns (bytes32) {
        return keccak256(abi.encode(INSTANCE_KEYS_TYPEHASH, keys));
    }

    function hash(InstanceRegistration memory registration) internal pure returns (bytes32) {
        return keccak256(abi.encode(INSTANCE_REGISTRATION_TYPEHASH, registration));
    }

    function hash(InstanceAuthorization memory authorization) internal pure returns (bytes32) {
        return keccak256(abi.encode(INSTANCE_AUTHORIZATION_TYPEHASH, authorization));
    }

    /// What the publisher and the identity key sign. Text and bytes stand as their hashes (EIP-712, `encodeData`).
    function hash(UtilityRegistration calldata said, address publisher, uint64 deadlineBlock) internal pure returns (bytes32) {
        bytes memory head = abi.encode(
            UTILITY_REGISTRATION_TYPEHASH,
            publisher,
            keccak256(bytes(said.name)),
            said.codeDigest,
            said.manifestDigest,
            said.headerDigest,
            said.configDigest,
            said.identityKey
        );
        bytes memory tail = abi.encode(
            said.isolation,
            said.minimumInstances,
            said.maximumInstances,
            said.unitsMax,
            said.outputBytesMax,
            said.simulationPolicy,
            keccak256(said.simulationStub),
            deadlineBlock
        );
        return keccak256(bytes.concat(head, tail));
    }

    /// The keys within what a host hands out.
    function keysOf(CreatedInstance calldata created) internal pure returns (InstanceKeys memory) {
        return InstanceKeys({
            cryptletId: created.cryptletId,
            codeDigest: created.codeDigest,
            manifestDigest: created.manifestDigest,
            signer: created.signer,
            hpkeKey: created.hpkeKey,
            keyEpoch: created.keyEpoch,
            anchorBlock: created.anchorBlock,
            anchorHash: created.anchorHash,
            notAfterBlock: created.notAfterBlock,
            container: created.container,
            version: created.version
        });
    }

    function liveSeparator(FabricDomain memory domain) internal pure returns (bytes32) {
        return separator(LIVE_NAME_HASH, domain);
    }

    function registrySeparator(FabricDomain memory domain) internal pure returns (bytes32) {
        return separator(REGISTRY_NAME_HASH, address(CRYPTLET_REGISTRY), domain);
    }

    function separator(bytes32 nameHash, FabricDomain memory domain) internal pure returns (bytes32) {
        return separator(nameHash, address(CRYPTO_DELEGATE), domain);
    }

    function separator(bytes32 nameHash, address verifyingContract, FabricDomain memory domain) internal pure returns (bytes32) {
        return
            keccak256(abi.encode(DOMAIN_TYPEHASH, nameHash, VERSION_HASH, domain.chainId, verifyingContract, domain.genesisHash));
    }

    function digest(bytes32 domainSeparator, bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domainSeparator, structHash));
    }
}
