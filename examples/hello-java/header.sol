// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Median: the header of the utility cryptlet `hello-java`
interface Median {
    /// @notice The middle of some numbers; of an even count the mean of the two in the middle, rounded down. Fails with
    /// `Error(string)` if there are none.
    function median(uint256[] calldata values) external returns (uint256 value);
}
