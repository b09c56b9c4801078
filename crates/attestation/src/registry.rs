//! What the system contracts say, as plain values. Whoever reads them from storage fills them in; nothing here knows how.

use crate::evidence::{PROVIDER_TPM, ToleratedTcb};
use alloy_primitives::{Address, B256};
use cryptlet_primitives::{CodeDigest, CryptletId, FabricVersion, RegistrationId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Life of a cryptlet in `CryptletRegistry`. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "camelCase")]
pub enum CryptletStatus {
    /// Never registered.
    Unknown = 0,
    /// May be called.
    Active = 1,
    /// Stopped by its publisher; may come back.
    Suspended = 2,
    /// Stopped for good.
    Revoked = 3,
}

/// Life of an instance in `CryptletRegistry`. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "camelCase")]
pub enum InstanceStatus {
    /// Never registered.
    Unknown = 0,
    /// May sign.
    Active = 1,
    /// May not sign any more: a judgement.
    Revoked = 2,
    /// May not sign any more: its time was over.
    Retired = 3,
    /// May sign until its last block; its keys are registered anew for longer.
    Renewed = 4,
    /// May not sign yet: the administrator has not activated it.
    Pending = 5,
}

/// What `CryptletPolicy` says of one measurement or one endorser. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "camelCase")]
pub enum Listing {
    /// Nothing: accepted unless only listed ones are.
    #[default]
    None = 0,
    /// Accepted.
    Accepted = 1,
    /// Refused, whatever was registered before.
    Revoked = 2,
}

impl Listing {
    /// Is this accepted, where listing is needed or not?
    const fn accepts(self, needs_listing: bool) -> bool {
        match self {
            Self::None => !needs_listing,
            Self::Accepted => true,
            Self::Revoked => false,
        }
    }
}

/// How a cryptlet is answered in `eth_call` and `eth_estimateGas`. The numbers are those of the contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "camelCase")]
pub enum SimulationPolicy {
    /// The host runs it, told that it is a dry run.
    #[default]
    Live = 0,
    /// The last recorded answer to the same input.
    Memo = 1,
    /// The answer that the publisher registered.
    Stub = 2,
    /// Refused.
    Deny = 3,
}

/// A cryptlet, as registered in the parent block's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CryptletEntry {
    /// Key of the entry.
    pub id: CryptletId,
    /// May it be called?
    pub status: CryptletStatus,
    /// Code that every instance must run.
    pub code_digest: CodeDigest,
    /// The one contract that may call a Contract Cryptlet; none for a utility cryptlet.
    pub bound_contract: Option<Address>,
    /// Compute units a call is charged for in advance.
    pub units_max: u64,
    /// Bytes of output a call is charged for in advance.
    pub output_bytes_max: u32,
    /// Current epoch of the cryptlet's keys; results of other epochs are refused, but for the next two.
    pub key_epoch: u64,
    /// The epoch before, if the keys were rotated with a grace period; else 0.
    pub previous_epoch: u64,
    /// Last block in which results of that epoch hold.
    pub previous_epoch_until: u64,
    /// Least isolation its instances must have: 0 none, 1 process, 2 vm, 3 enclave.
    pub isolation: u8,
    /// Instances of the current key epoch that are active, neither revoked nor retired. Some may have expired.
    pub active_instances: u32,
    /// How simulations are answered.
    pub simulation: SimulationPolicy,
}

/// An instance of a cryptlet, as registered in the parent block's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceEntry {
    /// Key of the entry.
    pub id: RegistrationId,
    /// May it sign?
    pub status: InstanceStatus,
    /// Cryptlet it runs.
    pub cryptlet: CryptletId,
    /// Code it runs.
    pub code_digest: CodeDigest,
    /// Address of its signing key.
    pub signer: Address,
    /// Epoch of its keys.
    pub key_epoch: u64,
    /// Last block in which its signature holds.
    pub not_after_block: u64,
    /// Isolation provider that was attested at registration.
    pub provider: u16,
    /// Isolation that was attested at registration.
    pub isolation: u8,
    /// What was measured at registration.
    pub measurement: B256,
    /// Who vouched for that; nobody if the hardware's maker did.
    pub endorser: Option<Address>,
    /// What the policy says of the measurement.
    pub measurement_listing: Listing,
    /// What the policy says of the endorser.
    pub endorser_listing: Listing,
    /// What it runs in: a number of [`ContainerKind`](cryptlet_primitives::ContainerKind).
    pub container: u8,
    /// Version of the fabric that runs it: see [`FabricVersion`].
    pub version: FabricVersion,
    /// Versions that the policy accepts for this kind of container.
    pub accepted_versions: AcceptedVersions,
}

/// Versions of the fabric that `CryptletPolicy` accepts for one kind of container, both ends included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedVersions {
    /// The lowest.
    pub minimum: FabricVersion,
    /// The highest; zero if there is none.
    pub maximum: FabricVersion,
}

impl AcceptedVersions {
    /// Is this version one of them?
    pub fn accepts(&self, version: FabricVersion) -> bool {
        version >= self.minimum && (self.maximum == FabricVersion(0) || version <= self.maximum)
    }
}

impl fmt::Display for AcceptedVersions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.maximum {
            FabricVersion(0) => write!(f, "{} and later", self.minimum),
            maximum => write!(f, "{} to {maximum}", self.minimum),
        }
    }
}

impl CryptletEntry {
    /// Do keys of this epoch count in this block?
    pub const fn is_epoch_in_force(&self, epoch: u64, block_number: u64) -> bool {
        let is_in_grace = epoch != 0 && epoch == self.previous_epoch && block_number <= self.previous_epoch_until;
        epoch == self.key_epoch || is_in_grace
    }
}

/// What `CryptletPolicy` accepts in the parent block's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyEntry {
    /// Rises with each change.
    pub version: u32,
    /// Bit `p` is set if provider number `p` is accepted.
    pub accepted_providers: u32,
    /// Least isolation of any instance, whatever its cryptlet signed up for.
    pub minimum_isolation: u8,
    /// Bit `p` is set if provider number `p` is accepted with listed measurements only.
    pub restricted_providers: u32,
    /// Are only listed endorsers accepted?
    pub is_endorser_restricted: bool,
    /// Platforms that are not up to date, and accepted all the same when an instance registers.
    pub tolerated_tcb: ToleratedTcb,
}

impl PolicyEntry {
    /// Is an instance of this provider accepted?
    pub fn accepts(&self, provider: u16) -> bool {
        has_bit(self.accepted_providers, provider)
    }

    /// Is what was measured in this instance accepted?
    pub fn accepts_measurement(&self, instance: &InstanceEntry) -> bool {
        instance.measurement_listing.accepts(has_bit(self.restricted_providers, instance.provider))
    }

    /// Is who vouched for this instance accepted? Endorsers of TPMs always have to be listed.
    pub fn accepts_endorser(&self, instance: &InstanceEntry) -> bool {
        let is_tpm = instance.provider == PROVIDER_TPM;
        match instance.endorser {
            None => !is_tpm,
            Some(_) => instance.endorser_listing.accepts(self.is_endorser_restricted || is_tpm),
        }
    }
}

const fn has_bit(word: u32, provider: u16) -> bool {
    provider < 32 && word >> provider & 1 == 1
}

macro_rules! from_number {
    ($name:ident: $($variant:ident),+) => {
        impl TryFrom<u8> for $name {
            type Error = u8;

            fn try_from(number: u8) -> Result<Self, u8> {
                $(if number == Self::$variant as u8 {
                    return Ok(Self::$variant);
                })+
                Err(number)
            }
        }
    };
}

from_number!(CryptletStatus: Unknown, Active, Suspended, Revoked);
from_number!(InstanceStatus: Unknown, Active, Revoked, Retired, Renewed, Pending);
from_number!(Listing: None, Accepted, Revoked);
from_number!(SimulationPolicy: Live, Memo, Stub, Deny);
