//! Signatures as bytes: `r ‖ s ‖ v`, 65 of them, with `v` 27 or 28.

use alloy_primitives::{FixedBytes, Signature};
use alloy_rlp::{RlpDecodableWrapper, RlpEncodableWrapper};
use serde::{Deserialize, Serialize};

/// A secp256k1 signature in the form `ecrecover` takes. Unchecked: `attestation::signature` says what is canonical.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, RlpEncodableWrapper, RlpDecodableWrapper,
)]
#[serde(transparent)]
pub struct Signature65(pub FixedBytes<65>);

impl Signature65 {
    /// No signature: what an `Unavailable` record carries.
    pub const NONE: Self = Self(FixedBytes::ZERO);

    /// Is this the absence of a signature?
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

impl From<Signature> for Signature65 {
    fn from(signature: Signature) -> Self {
        Self(FixedBytes(signature.as_bytes()))
    }
}
