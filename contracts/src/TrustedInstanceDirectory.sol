// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IInstanceDirectory} from "./interfaces/IInstanceDirectory.sol";
import {InstanceState} from "./types/Cryptlet.sol";
import {RegistrationId} from "./types/Ids.sol";

/// @title TrustedInstanceDirectory: a consortium's registry, copied by hand to a chain that has none
/// @notice Its owner states what the registry of another chain holds. Whoever uses it trusts the owner for that, and for nothing else:
/// the owner cannot sign results.
contract TrustedInstanceDirectory is Ownable2Step, IInstanceDirectory {
    event InstanceStated(RegistrationId indexed registrationId, InstanceState state);

    mapping(RegistrationId => InstanceState) private states;

    constructor(address owner_) Ownable(owner_) {}

    /// @notice States an instance, or that it no longer counts (`isActive` false).
    function setInstanceState(RegistrationId registrationId, InstanceState calldata state) external onlyOwner {
        states[registrationId] = state;
        emit InstanceStated(registrationId, state);
    }

    /// @inheritdoc IInstanceDirectory
    function instanceState(RegistrationId registrationId) external view returns (InstanceState memory) {
        return states[registrationId];
    }
}
