// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Largest: the header of the utility cryptlet `hello-c`
interface Largest {
    /// @notice The largest of some numbers, and where it first stands. Fails with `Error(string)` if there are none.
    function largest(uint256[] calldata values) external returns (uint256 value, uint256 index);
}
