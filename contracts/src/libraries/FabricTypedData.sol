// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CreatedInstance} from "../types/Creation.sol";
import {EnvelopeRequest, EnvelopeResult, FabricDomain, InstanceKeys, InstanceRegistration} from "../types/Signed.sol";
import {CRYPTO_DELEGATE} from "./SystemContracts.sol";

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
        "InstanceKeys(bytes32 cryptletId,bytes32 codeDigest,bytes32 manifestDigest,address signer,bytes32 hpkeKey,uint64 keyEpoch,uint64 anchorBlock,bytes32 anchorHash,uint64 notAfterBlock)"
    );
    bytes32 internal constant INSTANCE_REGISTRATION_TYPEHASH = keccak256(
        "InstanceRegistration(bytes32 instanceKeysHash,uint16 provider,bytes32 measurement,bytes32 evidenceHash,bytes32 endorsementsHash,uint32 policyVersion,uint64 registeredBlock)"
    );
    bytes32 internal constant DOMAIN_TYPEHASH =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract,bytes32 salt)");
    /// The domain of everything that may become part of a block.
    bytes32 internal constant LIVE_NAME_HASH = keccak256("CryptletFabric");
    /// The domain of dry runs. Nothing signed there ever counts; it is here so that tests can say so.
    bytes32 internal constant DRY_RUN_NAME_HASH = keccak256("CryptletFabricDryRun");
    bytes32 internal constant VERSION_HASH = keccak256("1");

    function hash(EnvelopeRequest memory request) internal pure returns (bytes32) {
        return keccak256(bytes.concat(REQUEST_TYPEHASH, abi.encode(request)));
    }

    function hash(EnvelopeResult memory result) internal pure returns (bytes32) {
        return keccak256(bytes.concat(RESULT_TYPEHASH, abi.encode(result)));
    }

    function hash(InstanceKeys memory keys) internal pure returns (bytes32) {
        return keccak256(bytes.concat(INSTANCE_KEYS_TYPEHASH, abi.encode(keys)));
    }

    function hash(InstanceRegistration memory registration) internal pure returns (bytes32) {
        return keccak256(bytes.concat(INSTANCE_REGISTRATION_TYPEHASH, abi.encode(registration)));
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
            notAfterBlock: created.notAfterBlock
        });
    }

    function liveSeparator(FabricDomain memory domain) internal pure returns (bytes32) {
        return separator(LIVE_NAME_HASH, domain);
    }

    function separator(bytes32 nameHash, FabricDomain memory domain) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(DOMAIN_TYPEHASH, nameHash, VERSION_HASH, domain.chainId, address(CRYPTO_DELEGATE), domain.genesisHash)
        );
    }

    function digest(bytes32 domainSeparator, bytes32 structHash) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domainSeparator, structHash));
    }
}
