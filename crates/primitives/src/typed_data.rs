//! The structures that are signed (EIP-712), and the domain they are signed in.
//!
//! One canonical digest, so that the same signature is checked by the native verifier, by a contract with `ecrecover`
//! on a chain without a delegate, and by any wallet library (DESIGN section 3).
#![allow(missing_docs)] // `sol!` writes the fields; each is documented on its structure.

use crate::{
    ids::RegistrationId,
    system::{CRYPTLET_REGISTRY, CRYPTO_DELEGATE},
};
use alloy_primitives::{Address, B256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use alloy_sol_types::{Eip712Domain, SolStruct, eip712_domain, sol};
use serde::{Deserialize, Serialize};
use std::fmt;

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

    /// The keys of one instance, signed by the instance itself when it registers. Valid until `notAfterBlock`, inclusive. `container` is
    /// a number of [`ContainerKind`], `version` the [`FabricVersion`] that runs it.
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
        uint8 container;
        uint32 version;
    }

    /// A record as an envelope that a contract can check.
    #[derive(Debug, PartialEq, Eq)]
    struct Envelope {
        CryptletRequest request;
        CryptletResult result;
        bytes output;
        bytes signature;
    }

    /// What a registrar signs for an instance, in the registry's domain: these keys, as the renewal of `previous` (zero if of none),
    /// with `graceBlocks` for the epoch before, if it begins one, until block `deadlineBlock`.
    #[derive(Debug, PartialEq, Eq)]
    struct InstanceAuthorization {
        bytes32 registrationId;
        bytes32 previous;
        uint32 graceBlocks;
        uint64 deadlineBlock;
    }

    /// What publisher and identity key sign of a utility cryptlet, in the registry's domain. Nobody can register it after block
    /// `deadlineBlock`.
    #[derive(Debug, PartialEq, Eq)]
    struct UtilityRegistration {
        address publisher;
        string name;
        bytes32 codeDigest;
        bytes32 manifestDigest;
        bytes32 headerDigest;
        bytes32 configDigest;
        address identityKey;
        uint8 isolation;
        uint16 minimumInstances;
        uint16 maximumInstances;
        uint64 unitsMax;
        uint32 outputBytesMax;
        uint8 simulationPolicy;
        bytes simulationStub;
        uint64 deadlineBlock;
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
impl Copy for InstanceAuthorization {}

impl InstanceKeys {
    /// The identifier of the instance these keys belong to.
    pub fn registration_id(&self) -> RegistrationId {
        RegistrationId(self.eip712_hash_struct())
    }
}

/// What an instance runs in. The numbers are consensus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "camelCase")]
pub enum ContainerKind {
    /// The host itself: the factory.
    Host = 0,
    /// A WebAssembly component.
    Wasm = 1,
    /// A program of its own.
    Process = 2,
    /// A contract's code, run off the chain.
    Evm = 3,
}

impl ContainerKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Host, Self::Wasm, Self::Process, Self::Evm];
}

impl TryFrom<u8> for ContainerKind {
    type Error = u8;

    fn try_from(number: u8) -> Result<Self, u8> {
        Self::ALL.get(usize::from(number)).copied().ok_or(number)
    }
}

/// Version of the fabric that runs an instance, as a number that rises: `major · 10⁶ + minor · 10³ + patch`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FabricVersion(pub u32);

impl FabricVersion {
    /// The version of this very build.
    pub const CURRENT: Self = Self(match Self::parse(env!("CARGO_PKG_VERSION")) {
        Some(Self(number)) => number,
        None => panic!("the version in Cargo.toml is not MAJOR.MINOR.PATCH, each below 1000"),
    });

    /// The version written as `MAJOR.MINOR.PATCH`; none if it is not, or if a part does not fit.
    pub const fn parse(text: &str) -> Option<Self> {
        let (bytes, mut at) = (text.as_bytes(), 0);
        let (mut parts, mut count, mut digits) = ([0u32; 3], 0, 0);
        while at < bytes.len() {
            match bytes[at] {
                digit @ b'0'..=b'9' if digits < 3 => {
                    parts[count] = parts[count] * 10 + (digit - b'0') as u32;
                    digits += 1;
                }
                b'.' if digits > 0 && count < 2 => {
                    count += 1;
                    digits = 0;
                }
                _ => return None,
            }
            at += 1;
        }
        if count != 2 || digits == 0 { None } else { Some(Self(parts[0] * 1_000_000 + parts[1] * 1_000 + parts[2])) }
    }
}

impl fmt::Display for FabricVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0 / 1_000_000, self.0 / 1_000 % 1_000, self.0 % 1_000)
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

    /// The domain in which registrars sign: another name and another contract than any host or instance signs for.
    pub fn registry(&self) -> Eip712Domain {
        self.of("CryptletRegistry", CRYPTLET_REGISTRY)
    }

    fn named(&self, name: &'static str) -> Eip712Domain {
        self.of(name, CRYPTO_DELEGATE)
    }

    fn of(&self, name: &'static str, verifying_contract: Address) -> Eip712Domain {
        eip712_domain! {
            name: name,
            version: "1",
            chain_id: self.chain_id,
            verifying_contract: verifying_contract,
            salt: self.genesis_hash,
        }
    }
}
