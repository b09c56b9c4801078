//! The structures that are signed (EIP-712), and the domain they are signed in.
//!
//! One canonical digest, so that the same signature is checked by the native verifier, by a contract with `ecrecover`
//! on a chain without a delegate, and by any wallet library (DESIGN section 3).
#![allow(missing_docs)] // `sol!` writes the fields; each is documented on its structure.

use crate::{ids::RegistrationId, system::CRYPTO_DELEGATE};
use alloy_primitives::B256;
use alloy_rlp::{RlpDecodable, RlpEncodable};
use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain, sol};
use serde::{Deserialize, Serialize};

sol! {
    /// What a contract asked. `anchorHash` is a block at most 256 blocks older than the block that includes the call;
    /// `policyVersion` is the version of `CryptletPolicy` in that block's parent state.
    #[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize, RlpEncodable, RlpDecodable)]
    #[serde(rename_all = "camelCase")]
    struct CryptletRequest {
        bytes32 key;
        bytes32 cryptletId;
        address caller;
        bytes32 codeDigest;
        bytes32 inputHash;
        uint64 anchorBlock;
        bytes32 anchorHash;
        uint32 policyVersion;
    }

    /// What a cryptlet answered. `units` are compute units (1 unit = 1,000 fuel), `observedAt` is Unix time in seconds as
    /// the host saw it, `notBefore` and `expires` are block numbers, both inclusive.
    #[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize, RlpEncodable, RlpDecodable)]
    #[serde(rename_all = "camelCase")]
    struct CryptletResult {
        bytes32 requestHash;
        bytes32 registrationId;
        uint64 keyEpoch;
        uint8 status;
        bytes32 outputHash;
        uint64 units;
        uint64 observedAt;
        uint64 notBefore;
        uint64 expires;
    }

    /// The keys of one instance, signed by the instance itself when it registers. Valid until `notAfterBlock`, inclusive.
    #[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize, RlpEncodable, RlpDecodable)]
    #[serde(rename_all = "camelCase")]
    struct InstanceKeys {
        bytes32 cryptletId;
        bytes32 codeDigest;
        bytes32 manifestDigest;
        address signer;
        bytes32 hpkeKey;
        uint64 keyEpoch;
        uint64 anchorBlock;
        bytes32 anchorHash;
        uint64 notAfterBlock;
    }

    /// What the registry keeps of a registered instance.
    #[derive(Debug, PartialEq, Eq, Hash, Serialize, Deserialize, RlpEncodable, RlpDecodable)]
    #[serde(rename_all = "camelCase")]
    struct InstanceRegistration {
        bytes32 instanceKeysHash;
        uint16 provider;
        bytes32 measurement;
        bytes32 evidenceHash;
        bytes32 endorsementsHash;
        uint32 policyVersion;
        uint64 registeredBlock;
    }
}

impl Copy for CryptletRequest {}
impl Copy for CryptletResult {}
impl Copy for InstanceKeys {}
impl Copy for InstanceRegistration {}

impl InstanceKeys {
    /// The identifier of the instance these keys belong to.
    pub fn registration_id(&self) -> RegistrationId {
        RegistrationId(self.eip712_hash_struct())
    }
}

/// How a call of a cryptlet ended. The numbers are consensus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "camelCase")]
pub enum ResultStatus {
    /// The cryptlet returned; the output is its answer. Signed.
    Ok = 0,
    /// The cryptlet failed deterministically; the output says how. Signed, paid for, not retried.
    Error = 1,
    /// No host answered in time. Not signed by anyone: stated by the builder, and valid only once the call has been
    /// waiting for `FabricLimits::unavailable_after_blocks` since its anchor.
    Unavailable = 2,
}

impl TryFrom<u8> for ResultStatus {
    type Error = u8;

    fn try_from(number: u8) -> Result<Self, u8> {
        match number {
            0 => Ok(Self::Ok),
            1 => Ok(Self::Error),
            2 => Ok(Self::Unavailable),
            other => Err(other),
        }
    }
}

/// The chain a signature is for. Everything the fabric signs is bound to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FabricDomain {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Hash of the genesis block: tells two chains with one id apart.
    pub genesis_hash: B256,
}

impl FabricDomain {
    /// The domain of everything that may become part of a block.
    pub fn live(&self) -> Eip712Domain {
        self.named("CryptletFabric")
    }

    /// The domain of dry runs (`eth_call`, `eth_estimateGas`). Nothing signed here can ever become a record: the verifier
    /// of records does not know this domain.
    pub fn dry_run(&self) -> Eip712Domain {
        self.named("CryptletFabricDryRun")
    }

    fn named(&self, name: &'static str) -> Eip712Domain {
        eip712_domain! {
            name: name,
            version: "1",
            chain_id: self.chain_id,
            verifying_contract: CRYPTO_DELEGATE,
            salt: self.genesis_hash,
        }
    }
}
