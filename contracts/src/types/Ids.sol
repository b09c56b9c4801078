// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @notice Which cryptlet: the key of its entry in `CryptletRegistry`.
type CryptletId is bytes32;

/// @notice Which instance of a cryptlet: the EIP-712 struct hash of its `InstanceKeys`, which the instance knows from birth.
type RegistrationId is bytes32;

using {isSameCryptlet as ==, isOtherCryptlet as !=} for CryptletId global;
using {isSameRegistration as ==, isOtherRegistration as !=} for RegistrationId global;

function isSameCryptlet(CryptletId left, CryptletId right) pure returns (bool) {
    return CryptletId.unwrap(left) == CryptletId.unwrap(right);
}

function isOtherCryptlet(CryptletId left, CryptletId right) pure returns (bool) {
    return CryptletId.unwrap(left) != CryptletId.unwrap(right);
}

function isSameRegistration(RegistrationId left, RegistrationId right) pure returns (bool) {
    return RegistrationId.unwrap(left) == RegistrationId.unwrap(right);
}

function isOtherRegistration(RegistrationId left, RegistrationId right) pure returns (bool) {
    return RegistrationId.unwrap(left) != RegistrationId.unwrap(right);
}

/// @notice Identity of a utility cryptlet: its publisher and its name.
function utilityCryptletId(address publisher, string memory name) pure returns (CryptletId) {
    return CryptletId.wrap(keccak256(abi.encode("utility", publisher, keccak256(bytes(name)))));
}

/// @notice Identity of a Contract Cryptlet: the contract it is bound to and the code it runs.
function contractCryptletId(address boundContract, bytes32 codeDigest) pure returns (CryptletId) {
    return CryptletId.wrap(keccak256(abi.encode("contract", boundContract, codeDigest)));
}
