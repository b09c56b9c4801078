// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {RegistrationId} from "../types/Ids.sol";
import {InstanceState} from "../types/Cryptlet.sol";

/// @title Who signs for whom: all that `AttestationVerifier` asks of a registry
interface IInstanceDirectory {
    /// @notice The instance behind a registration; all zero, and so not active, if there is none.
    function instanceState(RegistrationId registrationId) external view returns (InstanceState memory);
}
