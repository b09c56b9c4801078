// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ICryptletPolicy} from "../interfaces/ICryptletPolicy.sol";
import {ICryptletRegistry} from "../interfaces/ICryptletRegistry.sol";
import {Cryptlet} from "../types/Cryptlet.sol";
import {Claims, CreatedInstance} from "../types/Creation.sol";
import {RegistrationId} from "../types/Ids.sol";
import {FabricDomain} from "../types/Signed.sol";
import {EnvelopeCheck} from "./EnvelopeCheck.sol";
import {FabricTypedData} from "./FabricTypedData.sol";
import {CRYPTLET_POLICY, CRYPTO_DELEGATE} from "./SystemContracts.sol";

/// @title What an instance must show before the registry believes it
library EvidenceCheck {
    /// How far back the EVM can see.
    uint256 internal constant ANCHOR_REACH_BLOCKS = 256;

    /// The instance holds the keys it names, they are of this chain and not made for another time.
    function requireKeys(CreatedInstance calldata created, RegistrationId registrationId, bytes32 genesisHash) internal view {
        if (created.notAfterBlock < block.number) revert ICryptletRegistry.KeysExpired(created.notAfterBlock, block.number);
        uint32 lifetimeBlocksMax = CRYPTLET_POLICY.keyLifetimeBlocksMax();
        if (lifetimeBlocksMax != 0 && created.notAfterBlock - block.number > lifetimeBlocksMax) {
            revert ICryptletRegistry.KeysLiveTooLong(created.notAfterBlock, lifetimeBlocksMax);
        }
        requireAnchor(created.anchorBlock, created.anchorHash, genesisHash);

        bytes32 separator = FabricTypedData.liveSeparator(FabricDomain(block.chainid, genesisHash));
        bytes32 digest = FabricTypedData.digest(separator, RegistrationId.unwrap(registrationId));
        if (!EnvelopeCheck.isSignedBy(digest, created.keysSignature, created.signer)) {
            revert ICryptletRegistry.InvalidKeysSignature(created.signer);
        }
    }

    /// The anchor is a block of this chain: one of the last 256, or the genesis block.
    function requireAnchor(uint64 anchorBlock, bytes32 anchorHash, bytes32 genesisHash) internal view {
        bytes32 expected = genesisHash;
        if (anchorBlock >= block.number) revert ICryptletRegistry.AnchorInFuture(anchorBlock, block.number);
        if (anchorBlock != 0) {
            if (block.number - anchorBlock > ANCHOR_REACH_BLOCKS) {
                revert ICryptletRegistry.AnchorTooOld(anchorBlock, block.number);
            }
            expected = blockhash(anchorBlock);
        }
        if (anchorHash != expected) revert ICryptletRegistry.WrongAnchorHash(anchorBlock, anchorHash, expected);
    }

    /// Evidence that a provider the policy accepts isolates exactly these keys, well enough for this cryptlet.
    function appraise(CreatedInstance calldata created, RegistrationId registrationId, Cryptlet storage entry)
        internal
        view
        returns (Claims memory claims)
    {
        claims = abi.decode(CRYPTO_DELEGATE.appraise(created.evidence, created.collateral), (Claims));
        if (claims.reportData != RegistrationId.unwrap(registrationId)) {
            revert ICryptletRegistry.EvidenceBindsOtherKeys(claims.reportData, registrationId);
        }
        if (claims.expires < block.timestamp) revert ICryptletRegistry.EvidenceExpired(claims.expires, block.timestamp);
        if (claims.isolation < entry.isolation) {
            revert ICryptletRegistry.IsolationBelowCryptlet(claims.isolation, entry.isolation);
        }
        CRYPTLET_POLICY.requireAccepted(claims);
        if (!CRYPTLET_POLICY.isVersionAccepted(created.container, created.version)) {
            (uint32 minimum, uint32 maximum) = CRYPTLET_POLICY.acceptedVersions(created.container);
            revert ICryptletPolicy.VersionNotAccepted(created.container, created.version, minimum, maximum);
        }
    }
}
