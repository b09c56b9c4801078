// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title A contract with an administrator, handed over in two steps
interface IAdministered {
    error NotAdmin(address caller, address admin);
    error NotPendingAdmin(address caller, address pendingAdmin);

    event AdminProposed(address indexed admin, address indexed pendingAdmin);
    event AdminChanged(address indexed previousAdmin, address indexed admin);

    /// @notice Set by genesis.
    function admin() external view returns (address);

    /// @notice Who may take over; zero if nobody.
    function pendingAdmin() external view returns (address);

    /// @notice Proposes a successor. Nothing changes until the successor accepts. Zero withdraws a proposal.
    function proposeAdmin(address successor) external;

    /// @notice Takes over.
    function acceptAdmin() external;
}
