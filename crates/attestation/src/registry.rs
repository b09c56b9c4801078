//! What the system contracts say, as plain values. Whoever reads them from storage fills them in; nothing here knows how.

use crate::evidence::ToleratedTcb;
use alloy_primitives::Address;
use cryptlet_primitives::{CodeDigest, CryptletId, RegistrationId};
use serde::{Deserialize, Serialize};

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
    /// Current epoch of the cryptlet's keys; results of other epochs are refused.
    pub key_epoch: u64,
    /// Least isolation its instances must have: 0 none, 1 process, 2 vm, 3 enclave.
    pub isolation: u8,
    /// Instances of the current key epoch that are neither revoked nor retired. Some may have expired.
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
    /// Platforms that are not up to date, and accepted all the same when an instance registers.
    pub tolerated_tcb: ToleratedTcb,
}

impl PolicyEntry {
    /// Is an instance of this provider accepted?
    pub fn accepts(&self, provider: u16) -> bool {
        provider < 32 && self.accepted_providers >> provider & 1 == 1
    }
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
from_number!(InstanceStatus: Unknown, Active, Revoked, Retired);
from_number!(SimulationPolicy: Live, Memo, Stub, Deny);
