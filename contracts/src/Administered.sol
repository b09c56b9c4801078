// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IAdministered} from "./interfaces/IAdministered.sol";

/// @title An administrator, set by genesis
/// @dev System contracts have no constructor; slot 0 is written by genesis.
abstract contract Administered is IAdministered {
    /// @inheritdoc IAdministered
    address public admin;

    /// @inheritdoc IAdministered
    address public pendingAdmin;

    modifier onlyAdmin() {
        _requireAdmin();
        _;
    }

    /// @inheritdoc IAdministered
    function proposeAdmin(address successor) external onlyAdmin {
        pendingAdmin = successor;
        emit AdminProposed(admin, successor);
    }

    /// @inheritdoc IAdministered
    function acceptAdmin() external {
        if (msg.sender != pendingAdmin) revert NotPendingAdmin(msg.sender, pendingAdmin);
        address previousAdmin = admin;
        admin = msg.sender;
        pendingAdmin = address(0);
        emit AdminChanged(previousAdmin, msg.sender);
    }

    /// Apart from the modifier, which would be in the code once per use.
    function _requireAdmin() internal view {
        if (msg.sender != admin) revert NotAdmin(msg.sender, admin);
    }
}
