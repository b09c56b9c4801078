// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CryptletId, RegistrationId} from "../types/Ids.sol";

/// @title The CryptoDelegate: a precompile through which contracts call cryptlets
/// @notice At `0x…cd00` on every chain of the fabric. It accepts CALL and STATICCALL without value; it refuses DELEGATECALL and
/// CALLCODE. It reads `CryptletRegistry` and `CryptletPolicy` as they were at the end of the parent block, so what a block
/// registers or revokes takes effect in the next one.
interface ICryptoDelegate {
    /// @notice The one way the delegate reverts. The codes are in `RefusalCodes`, with what `data` holds for each.
    error CryptletError(uint16 code, bytes data);

    /// @notice A cryptlet was called, and its result checked and recorded with the block. Not emitted under STATICCALL.
    /// @param requestHash EIP-712 struct hash of the `CryptletRequest`.
    /// @param resultHash EIP-712 struct hash of the `CryptletResult`.
    /// @param instance The instance that signed.
    event CryptletInvoked(
        CryptletId indexed cryptlet,
        address indexed caller,
        bytes32 indexed requestHash,
        bytes32 resultHash,
        RegistrationId instance
    );

    /// @notice Calls a cryptlet as if it were a function.
    /// @param input A Solidity ABI call (selector and arguments) of the cryptlet's header.
    /// @return output The ABI-encoded return values.
    function invoke(CryptletId cryptlet, bytes calldata input) external returns (bytes memory output);

    /// @notice Has the fabric create a Contract Cryptlet for the calling contract.
    /// @param config `abi.encode(CreateConfig)`.
    /// @return registration `abi.encode(CreatedInstance)`, for `ICryptletRegistry.registerContractCryptlet`.
    function create(bytes calldata config) external returns (bytes memory registration);

    /// @notice Checks an envelope natively; the rule is that of `IAttestationVerifier.verify`.
    /// @param envelope `abi.encode(Envelope)`.
    function verify(bytes calldata envelope) external view returns (bool isValid);

    /// @notice Verifies evidence with its collateral, at the time of the block. A pure function: no registry, no policy.
    /// @return claims `abi.encode(Claims)`.
    function appraise(bytes calldata evidence, bytes calldata collateral) external view returns (bytes memory claims);
}

/// @notice Why the delegate refused or failed a call: `CryptletError.code`.
library RefusalCodes {
    /// The call data is not a call of `ICryptoDelegate`.
    uint16 internal constant MALFORMED_CALL = 1;
    /// DELEGATECALL or CALLCODE.
    uint16 internal constant FORBIDDEN_CALL_KIND = 2;
    /// `abi.encode(uint256 value)`
    uint16 internal constant VALUE_NOT_ACCEPTED = 3;
    /// `abi.encode(bytes32 cryptletId)`: not registered in the parent block's state.
    uint16 internal constant UNKNOWN_CRYPTLET = 4;
    /// `abi.encode(bytes32 cryptletId, uint8 status)`
    uint16 internal constant INACTIVE_CRYPTLET = 5;
    /// `abi.encode(address boundContract)`
    uint16 internal constant NOT_BOUND_CONTRACT = 6;
    /// `abi.encode(uint256 bytesGiven, uint256 bytesMax)`
    uint16 internal constant INPUT_TOO_LONG = 7;
    /// `abi.encode(uint256 callsMax)`
    uint16 internal constant TOO_MANY_CALLS = 8;
    /// `abi.encode(uint256 depthMax)`
    uint16 internal constant TOO_DEEP = 9;
    /// `abi.encode(uint256 budget)`
    uint16 internal constant BLOCK_BUDGET_SPENT = 10;
    /// `abi.encode(uint8 reason)`: no host answered in time.
    uint16 internal constant UNAVAILABLE = 11;
    /// What the cryptlet said.
    uint16 internal constant CRYPTLET_FAILED = 12;
    /// `abi.encode(string why)`
    uint16 internal constant EVIDENCE_REJECTED = 13;
    /// This chain has no factory for Contract Cryptlets.
    uint16 internal constant NO_FACTORY = 14;
    /// `abi.encode(bytes32 cryptletId)`: forbidden in `eth_call`.
    uint16 internal constant SIMULATION_DENIED = 15;
    /// `abi.encode(bytes32 cryptletId)`
    uint16 internal constant NO_ACCEPTED_INSTANCE = 16;
}
