// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @notice Whether a cryptlet may be called. `Revoked` is final.
enum CryptletStatus {
    None,
    Active,
    Suspended,
    Revoked
}

/// @notice Utility cryptlets serve everyone; a Contract Cryptlet serves the contract that created it.
enum CryptletKind {
    None,
    Utility,
    Contract
}

/// @notice Whether results of an instance count. `Revoked` is a judgement, `Retired` only says that its time was over. `Renewed` counts
/// until its last block, and has a successor with the same keys. `Pending` is registered, and waits for the administrator.
enum InstanceStatus {
    None,
    Active,
    Revoked,
    Retired,
    Renewed,
    Pending
}

/// @notice What an instance runs in, as its keys say. `Host` is the host itself, which is what the factory runs in.
enum ContainerKind {
    Host,
    Wasm,
    Process,
    Evm
}

/// @notice What the policy says of one measurement or one endorser. `Revoked` holds for calls at once, whatever was registered before.
enum Listing {
    None,
    Accepted,
    Revoked
}

/// @notice How far code is kept from everything else, in rising order.
enum Isolation {
    None,
    Process,
    Vm,
    Enclave
}

/// @notice What `eth_call` and `eth_estimateGas` do where a transaction would ask the fabric.
enum SimulationPolicy {
    /// The host runs the cryptlet and signs in the domain of dry runs.
    Live,
    /// The last answer to the same request.
    Memo,
    /// The answer the publisher registered.
    Stub,
    /// The call is refused.
    Deny
}

/// @notice How a call of a cryptlet ended.
enum ResultStatus {
    /// The output is the answer.
    Ok,
    /// The cryptlet failed, and would fail again; the output says how.
    Error,
    /// No host answered in time. Signed by nobody.
    Unavailable
}

/// @notice The isolation providers, as numbered in `Claims.provider`.
library Providers {
    uint16 internal constant SOFTWARE = 1;
    uint16 internal constant SGX = 2;
    uint16 internal constant TDX = 3;
    uint16 internal constant SNP = 4;
    uint16 internal constant NITRO = 5;
    uint16 internal constant TPM = 6;
}

/// @notice How Intel rates a platform, as numbered in `CryptletPolicy.toleratedTcb`. A revoked platform is never accepted.
library TcbStatuses {
    uint8 internal constant UP_TO_DATE = 0;
    uint8 internal constant SW_HARDENING_NEEDED = 1;
    uint8 internal constant CONFIGURATION_NEEDED = 2;
    uint8 internal constant CONFIGURATION_AND_SW_HARDENING_NEEDED = 3;
    uint8 internal constant OUT_OF_DATE = 4;
    uint8 internal constant OUT_OF_DATE_CONFIGURATION_NEEDED = 5;
    uint8 internal constant TD_RELAUNCH_ADVISED = 6;
    uint8 internal constant TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED = 7;
    uint8 internal constant TOLERABLE_MAX = TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED;
}
