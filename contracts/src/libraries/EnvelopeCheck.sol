// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EnvelopeFault} from "../interfaces/IAttestationVerifier.sol";
import {Instance, InstanceState} from "../types/Cryptlet.sol";
import {Envelope} from "../types/Signed.sol";
import {ResultStatus} from "../types/Words.sol";
import {FabricTypedData} from "./FabricTypedData.sol";
import {CRYPTLET_POLICY, CRYPTLET_REGISTRY} from "./SystemContracts.sol";

/// @title The rule for envelopes, in the order in which the native verifier applies it
library EnvelopeCheck {
    /// Everything but validity in blocks.
    function authenticate(Envelope calldata envelope, InstanceState memory state, bytes32 domainSeparator)
        internal
        pure
        returns (EnvelopeFault)
    {
        if (envelope.result.requestHash != FabricTypedData.hash(envelope.request)) return EnvelopeFault.WrongRequest;
        if (envelope.result.outputHash != keccak256(envelope.output)) return EnvelopeFault.WrongOutput;
        if (envelope.result.status > uint8(ResultStatus.Error)) return EnvelopeFault.UnsignedStatus;
        if (!state.isActive) return EnvelopeFault.InactiveInstance;
        if (state.cryptletId != envelope.request.cryptletId) return EnvelopeFault.WrongCryptlet;
        if (state.codeDigest != envelope.request.codeDigest) return EnvelopeFault.WrongCode;
        if (state.keyEpoch != envelope.result.keyEpoch) return EnvelopeFault.WrongKeyEpoch;

        bytes32 digest = FabricTypedData.digest(domainSeparator, FabricTypedData.hash(envelope.result));
        if (!isSignedBy(digest, envelope.signature, state.signer)) return EnvelopeFault.WrongSigner;
        return EnvelopeFault.None;
    }

    /// Acceptance and validity in the current block of the chain the envelope is of.
    function validate(Envelope calldata envelope, InstanceState memory state) internal view returns (EnvelopeFault) {
        Instance memory item = CRYPTLET_REGISTRY.instance(envelope.result.registrationId);
        if (!CRYPTLET_POLICY.accepts(item.provider, item.isolation, item.measurement, item.endorser)) {
            return EnvelopeFault.NotAccepted;
        }
        if (!CRYPTLET_POLICY.isVersionAccepted(item.container, item.version)) return EnvelopeFault.NotAccepted;
        if (block.number < envelope.result.notBefore) return EnvelopeFault.NotYetValid;
        if (block.number > envelope.result.expires || block.number > state.notAfterBlock) return EnvelopeFault.Expired;
        return EnvelopeFault.None;
    }

    /// Canonical signatures only: 65 bytes, low s, v 27 or 28, and never the zero address.
    function isSignedBy(bytes32 digest, bytes memory signature, address signer) internal pure returns (bool) {
        (address recovered, ECDSA.RecoverError err,) = ECDSA.tryRecover(digest, signature);
        return err == ECDSA.RecoverError.NoError && recovered == signer && signer != address(0);
    }
}
