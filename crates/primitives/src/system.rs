//! Where the system contracts live. The addresses are consensus: they are the same on every chain of the fabric.

use alloy_primitives::{Address, address};

/// The CryptoDelegate precompile (`ICryptoDelegate`). In genesis: nonce 1, code `0xfe`, so that EIP-161 keeps it and
/// Solidity's `extcodesize` check passes.
pub const CRYPTO_DELEGATE: Address = address!("000000000000000000000000000000000000Cd00");

/// `CryptletRegistry`: what exists.
pub const CRYPTLET_REGISTRY: Address = address!("000000000000000000000000000000000000cd01");

/// `CryptletPolicy`: what is accepted.
pub const CRYPTLET_POLICY: Address = address!("000000000000000000000000000000000000cd02");

/// `Administrators`: k of n who rule registry and policy, on chains whose genesis has them.
pub const ADMINISTRATORS: Address = address!("000000000000000000000000000000000000cd04");

/// `AttestationVerifier`: checks a record in Solidity, also on chains that have no delegate.
pub const ATTESTATION_VERIFIER: Address = address!("000000000000000000000000000000000000cd03");
