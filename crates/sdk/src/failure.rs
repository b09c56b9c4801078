//! How a cryptlet says no.

use alloy_sol_types::{Revert, SolError};
use std::fmt;

/// The result of a cryptlet function.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a cryptlet refuses to answer, ABI-encoded as Solidity encodes a revert.
///
/// It is an answer like any other: signed, recorded and paid for, and the same on every run. Any error of a `sol!` interface turns
/// into one with `?` or `.into()`; text, as `Error(string)`, is made with [`fail!`](crate::fail) and [`ensure!`](crate::ensure).
#[derive(Clone, PartialEq, Eq)]
pub struct Failure(Vec<u8>);

impl Failure {
    /// A reason in words, encoded as `Error(string)`.
    pub fn text(reason: impl Into<String>) -> Self {
        Revert::from(reason.into()).into()
    }

    /// The reason, if it was given in words.
    pub fn reason(&self) -> Option<String> {
        Revert::abi_decode(&self.0).ok().map(|revert| revert.reason)
    }

    /// The typed error, if it is of that type.
    pub fn downcast<E: SolError>(&self) -> Option<E> {
        E::abi_decode(&self.0).ok()
    }

    /// Selector and arguments, as Solidity would revert with them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Selector and arguments, as Solidity would revert with them.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl<E: SolError> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.abi_encode())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            Some(reason) => f.write_str(&reason),
            None => write!(f, "{}", alloy_primitives::hex::encode_prefixed(&self.0)),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failure({self})")
    }
}
