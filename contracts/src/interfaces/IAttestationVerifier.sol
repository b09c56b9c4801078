// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Envelope, FabricDomain} from "../types/Signed.sol";
import {IInstanceDirectory} from "./IInstanceDirectory.sol";

/// @notice What is wrong with an envelope; `None` if nothing is.
enum EnvelopeFault {
    None,
    /// The result answers another request.
    WrongRequest,
    /// The output is not the one that was signed.
    WrongOutput,
    /// A status that nobody signs (`Unavailable`), or an unknown one.
    UnsignedStatus,
    /// The directory does not know the instance, or it is revoked, retired, rotated out, or its cryptlet is not active.
    InactiveInstance,
    /// The instance belongs to another cryptlet.
    WrongCryptlet,
    /// The instance runs other code than the request names.
    WrongCode,
    WrongKeyEpoch,
    /// Not a canonical signature by the instance's key.
    WrongSigner,
    /// The policy, as it is now, does not accept the instance's provider or its isolation.
    NotAccepted,
    /// The current block is before `notBefore`.
    NotYetValid,
    /// The current block is after `expires`, or after the instance's last block.
    Expired
}

/// @title AttestationVerifier: checks a record in Solidity
/// @notice System contract at `0x…cd03`; has no state and no constructor, so it can be deployed on any chain.
interface IAttestationVerifier {
    /// @notice Is this a result that counts on this chain, in this block? Same rule as `ICryptoDelegate.verify`: the envelope is
    /// consistent in itself, signed by an active instance of the cryptlet it names, which the policy accepts, and the block lies within its
    /// validity. The delegate reads registry and policy at the end of the parent block, this contract as they are now.
    function verify(Envelope calldata envelope) external view returns (bool isValid);

    /// @notice Like `verify`, and says what is wrong.
    function check(Envelope calldata envelope) external view returns (EnvelopeFault);

    /// @notice Is this a result of the chain that `domain` names, according to `directory`? For use on other chains. Block numbers mean
    /// nothing there, so validity in blocks is not checked: look at `result.observedAt`, and keep `request.key` to refuse repeats.
    function checkForeign(Envelope calldata envelope, FabricDomain calldata domain, IInstanceDirectory directory)
        external
        view
        returns (EnvelopeFault);
}
