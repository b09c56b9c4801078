// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ICryptletPolicy} from "../interfaces/ICryptletPolicy.sol";
import {ICryptletRegistry} from "../interfaces/ICryptletRegistry.sol";
import {ICryptoDelegate} from "../interfaces/ICryptoDelegate.sol";
import {IAttestationVerifier} from "../interfaces/IAttestationVerifier.sol";

// Where the system contracts live. The addresses are consensus: the same on every chain of the fabric.
ICryptoDelegate constant CRYPTO_DELEGATE = ICryptoDelegate(0x000000000000000000000000000000000000Cd00);
ICryptletRegistry constant CRYPTLET_REGISTRY = ICryptletRegistry(0x000000000000000000000000000000000000cD01);
ICryptletPolicy constant CRYPTLET_POLICY = ICryptletPolicy(0x000000000000000000000000000000000000Cd02);
IAttestationVerifier constant ATTESTATION_VERIFIER = IAttestationVerifier(0x000000000000000000000000000000000000Cd03);
