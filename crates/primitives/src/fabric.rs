//! What comes back from the fabric.

use crate::{signature::Signature65, typed_data::CryptletResult};
use alloy_primitives::Bytes;
use serde::{Deserialize, Serialize};

/// A signed answer, as a host sends it. Nothing about it has been checked yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FabricAnswer {
    /// What the instance signed.
    pub result: CryptletResult,
    /// The bytes behind `result.output_hash`.
    pub output: Bytes,
    /// The instance's signature over the EIP-712 digest of `result`.
    pub signature: Signature65,
}

/// Why no usable answer came. Kept in an `Unavailable` record and shown to the contract. The numbers are consensus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
#[serde(rename_all = "camelCase")]
pub enum UnavailableReason {
    /// No host could be reached.
    HostUnreachable = 0,
    /// The host did not answer before its deadline.
    DeadlineExceeded = 1,
    /// The host is reachable and says it has no instance of this cryptlet.
    NoInstance = 2,
    /// The host is overloaded and said so.
    Overloaded = 3,
    /// The answer was not signed by a registered instance of the cryptlet.
    BadSignature = 4,
    /// The answer was to another request.
    WrongRequest = 5,
    /// The output was longer, or the compute units more, than was paid for.
    OverLimit = 6,
    /// The answer could not be decoded, or made no sense.
    Malformed = 7,
    /// The answer was signed but its validity window does not contain this block.
    Expired = 8,
    /// The host refused: its policy would give less than the contract signed up for, or the code does not match.
    Refused = 9,
}

impl UnavailableReason {
    /// Every reason, in numerical order.
    pub const ALL: [Self; 10] = [
        Self::HostUnreachable,
        Self::DeadlineExceeded,
        Self::NoInstance,
        Self::Overloaded,
        Self::BadSignature,
        Self::WrongRequest,
        Self::OverLimit,
        Self::Malformed,
        Self::Expired,
        Self::Refused,
    ];
}

impl TryFrom<u8> for UnavailableReason {
    type Error = u8;

    fn try_from(number: u8) -> Result<Self, u8> {
        Self::ALL.get(usize::from(number)).copied().ok_or(number)
    }
}

/// A call that brought no usable answer. The caller may try again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("cryptlet call failed ({reason:?}): {detail}")]
#[serde(rename_all = "camelCase")]
pub struct FabricFault {
    /// The kind of failure.
    pub reason: UnavailableReason,
    /// For people: who, what was seen, what was expected.
    pub detail: String,
}

impl FabricFault {
    /// A fault with its explanation.
    pub fn new(reason: UnavailableReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}
