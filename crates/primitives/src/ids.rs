//! Identifiers. Each is a 32-byte word on chain and a type of its own here, so that none can stand for another.

use alloy_primitives::{B256, keccak256};
use alloy_rlp::{RlpDecodableWrapper, RlpEncodableWrapper};
use serde::{Deserialize, Serialize};

macro_rules! word {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
            RlpEncodableWrapper, RlpDecodableWrapper,
        )]
        #[serde(transparent)]
        pub struct $name(pub B256);

        impl From<B256> for $name {
            fn from(word: B256) -> Self {
                Self(word)
            }
        }

        impl From<$name> for B256 {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = <B256 as std::str::FromStr>::Err;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

word! {
    /// Which cryptlet: the key of its entry in `CryptletRegistry`.
    CryptletId
}
word! {
    /// Which instance of a cryptlet: the EIP-712 struct hash of its [`InstanceKeys`](crate::InstanceKeys), which the
    /// instance knows from birth, before any block has recorded it (ADR 0002).
    RegistrationId
}
word! {
    /// Which call: see [`Invocation::key`](crate::Invocation::key).
    InvocationKey
}
word! {
    /// Which code runs: hash of the package's code layer and of the engine profile that runs it.
    CodeDigest
}
word! {
    /// What an isolation provider measured at launch (RATS: a claim, compared with reference values).
    Measurement
}

impl CryptletId {
    /// Identity of a utility cryptlet: `keccak256(abi.encode("utility", publisher, keccak256(name)))`.
    pub fn utility(publisher: alloy_primitives::Address, name: &str) -> Self {
        Self::derive("utility", publisher, keccak256(name))
    }

    /// Identity of a Contract Cryptlet, bound to the contract that created it:
    /// `keccak256(abi.encode("contract", contract, codeDigest))`.
    pub fn contract(contract: alloy_primitives::Address, code: CodeDigest) -> Self {
        Self::derive("contract", contract, code.0)
    }

    fn derive(kind: &str, owner: alloy_primitives::Address, what: B256) -> Self {
        use alloy_sol_types::SolValue;
        Self(keccak256((kind.to_owned(), owner, what).abi_encode_params()))
    }
}
