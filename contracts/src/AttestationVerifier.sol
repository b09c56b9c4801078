// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {EnvelopeFault, IAttestationVerifier} from "./interfaces/IAttestationVerifier.sol";
import {IInstanceDirectory} from "./interfaces/IInstanceDirectory.sol";
import {EnvelopeCheck} from "./libraries/EnvelopeCheck.sol";
import {FabricTypedData} from "./libraries/FabricTypedData.sol";
import {CRYPTLET_REGISTRY} from "./libraries/SystemContracts.sol";
import {InstanceState} from "./types/Cryptlet.sol";
import {Envelope, FabricDomain} from "./types/Signed.sol";

/// @title AttestationVerifier
contract AttestationVerifier is IAttestationVerifier {
    /// @inheritdoc IAttestationVerifier
    function verify(Envelope calldata envelope) external view returns (bool isValid) {
        return check(envelope) == EnvelopeFault.None;
    }

    /// @inheritdoc IAttestationVerifier
    function check(Envelope calldata envelope) public view returns (EnvelopeFault) {
        InstanceState memory state = CRYPTLET_REGISTRY.instanceState(envelope.result.registrationId);
        EnvelopeFault fault = EnvelopeCheck.authenticate(envelope, state, CRYPTLET_REGISTRY.domainSeparator());
        return fault == EnvelopeFault.None ? EnvelopeCheck.validate(envelope, state) : fault;
    }

    /// @inheritdoc IAttestationVerifier
    function checkForeign(Envelope calldata envelope, FabricDomain calldata domain, IInstanceDirectory directory)
        external
        view
        returns (EnvelopeFault)
    {
        InstanceState memory state = directory.instanceState(envelope.result.registrationId);
        return EnvelopeCheck.authenticate(envelope, state, FabricTypedData.liveSeparator(domain));
    }
}
