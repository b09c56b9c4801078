//! The codes a contract sees in `CryptletError(uint16 code, bytes data)`.

use serde::{Deserialize, Serialize};

/// Why the delegate refused or failed a call. Whatever a caller or a host can cause is one of these, never a fatal error.
/// The numbers are consensus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u16)]
#[serde(rename_all = "camelCase")]
pub enum RefusalCode {
    /// The call data is not a call of `ICryptoDelegate`. Data: empty.
    MalformedCall = 1,
    /// `DELEGATECALL` or `CALLCODE`. Data: empty.
    ForbiddenCallKind = 2,
    /// The call carried value. Data: `abi.encode(uint256 value)`.
    ValueNotAccepted = 3,
    /// No cryptlet with this id is registered in the parent block's state. Data: `abi.encode(bytes32 cryptletId)`.
    UnknownCryptlet = 4,
    /// The cryptlet is revoked or suspended. Data: `abi.encode(bytes32 cryptletId, uint8 status)`.
    InactiveCryptlet = 5,
    /// A Contract Cryptlet may be called by its contract only. Data: `abi.encode(address boundContract)`.
    NotBoundContract = 6,
    /// Longer input than the chain allows. Data: `abi.encode(uint256 bytesGiven, uint256 bytesMax)`.
    InputTooLong = 7,
    /// More calls in this transaction than the chain allows. Data: `abi.encode(uint256 callsMax)`.
    TooManyCalls = 8,
    /// The call stack is deeper than the chain allows for cryptlet calls. Data: `abi.encode(uint256 depthMax)`.
    TooDeep = 9,
    /// The block's budget of record bytes or compute units is spent. Data: `abi.encode(uint256 budget)`.
    BlockBudgetSpent = 10,
    /// No host answered in time. Data: `abi.encode(uint8 reason)`, an `UnavailableReason`.
    Unavailable = 11,
    /// The cryptlet failed. Data: what it said.
    CryptletFailed = 12,
    /// The evidence could not be verified. Data: `abi.encode(string why)`.
    EvidenceRejected = 13,
    /// This chain has no factory for Contract Cryptlets. Data: empty.
    NoFactory = 14,
    /// The node's simulation policy forbids this cryptlet in `eth_call`. Data: `abi.encode(bytes32 cryptletId)`.
    SimulationDenied = 15,
    /// The cryptlet has no active instance under the accepted policy. Data: `abi.encode(bytes32 cryptletId)`.
    NoAcceptedInstance = 16,
}

impl RefusalCode {
    /// Every code, in numerical order.
    pub const ALL: [Self; 16] = [
        Self::MalformedCall,
        Self::ForbiddenCallKind,
        Self::ValueNotAccepted,
        Self::UnknownCryptlet,
        Self::InactiveCryptlet,
        Self::NotBoundContract,
        Self::InputTooLong,
        Self::TooManyCalls,
        Self::TooDeep,
        Self::BlockBudgetSpent,
        Self::Unavailable,
        Self::CryptletFailed,
        Self::EvidenceRejected,
        Self::NoFactory,
        Self::SimulationDenied,
        Self::NoAcceptedInstance,
    ];
}

impl TryFrom<u16> for RefusalCode {
    type Error = u16;

    fn try_from(number: u16) -> Result<Self, u16> {
        number.checked_sub(1).and_then(|index| Self::ALL.get(usize::from(index)).copied()).ok_or(number)
    }
}
