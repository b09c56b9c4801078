// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ICryptletRegistry} from "../interfaces/ICryptletRegistry.sol";
import {Authorization} from "../types/Creation.sol";
import {FabricDomain} from "../types/Signed.sol";
import {EnvelopeCheck} from "./EnvelopeCheck.sol";
import {FabricTypedData} from "./FabricTypedData.sol";

/// @title Who answers for what is registered
/// @dev Nothing here counts nonces: a cryptlet's id and a registration's id can be taken once, so that a signature serves once. The
/// deadline bounds how long one that was never sent may lie about.
library Authority {
    /// The registrar signed this structure for this registry and this chain, and the time to send it is not over.
    function requireSigned(Authorization calldata authorization, bytes32 structHash, bytes32 genesisHash) internal view {
        if (block.number > authorization.deadlineBlock) {
            revert ICryptletRegistry.AuthorizationExpired(authorization.deadlineBlock, block.number);
        }
        address registrar = authorization.registrar;
        // What has code speaks for itself by sending. An account with code and a key (EIP-7702) may do either.
        bool isSpeaking = registrar == msg.sender && registrar.code.length != 0 && authorization.signature.length == 0;
        if (!isSpeaking && !isSigned(structHash, authorization.signature, registrar, genesisHash)) {
            revert ICryptletRegistry.InvalidAuthorization(registrar);
        }
    }

    /// Somebody signed this structure in the registry's domain.
    function isSigned(bytes32 structHash, bytes calldata signature, address signer, bytes32 genesisHash)
        internal
        view
        returns (bool)
    {
        bytes32 separator = FabricTypedData.registrySeparator(FabricDomain(block.chainid, genesisHash));
        return EnvelopeCheck.isSignedBy(FabricTypedData.digest(separator, structHash), signature, signer);
    }
}
