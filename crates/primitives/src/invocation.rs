//! One call of a contract to a cryptlet.

use crate::{
    ids::{CodeDigest, CryptletId, InvocationKey},
    typed_data::{CryptletRequest, FabricDomain},
};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::{SolStruct, SolValue};
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// Whether an answer may enter a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InvocationMode {
    /// A transaction on its way into a block. The host's first answer for a key is final.
    Live,
    /// A simulation: no effects, no secrets, another signing domain.
    DryRun,
}

/// A call that waits for its answer. The delegate leaves it behind when the transcript has no record for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invocation {
    /// What will be signed, whole.
    pub request: CryptletRequest,
    /// Bytes the contract passed; `request.input_hash` is their hash.
    pub input: Bytes,
    /// Position of the call among the transaction's calls, from 0.
    pub sequence: u32,
    /// Was the call made under `STATICCALL`?
    pub is_static: bool,
    /// Compute units the contract has paid for; the host must stop the cryptlet there.
    pub units_max: u64,
    /// Longest output the contract has paid for, in bytes.
    pub output_bytes_max: u32,
    /// Live or dry run.
    pub mode: InvocationMode,
}

static LIVE_TAG: LazyLock<B256> = LazyLock::new(|| keccak256("cryptlet/call-key/v1"));
static DRY_RUN_TAG: LazyLock<B256> = LazyLock::new(|| keccak256("cryptlet/call-key/dry-run/v1"));

/// What a call key is made of. Remaining gas, block number and time are not in it: they move between speculation and
/// sealing, and the key must not.
#[derive(Clone, Copy, Debug)]
pub struct CallKey {
    /// The chain.
    pub domain: FabricDomain,
    /// The transaction; zero in simulations.
    pub transaction_hash: B256,
    /// Position of the call among the transaction's calls, from 0.
    pub sequence: u32,
    /// Contract that called the delegate.
    pub caller: Address,
    /// Under `STATICCALL`?
    pub is_static: bool,
    /// Cryptlet called.
    pub cryptlet: CryptletId,
    /// Code it must run.
    pub code_digest: CodeDigest,
    /// Hash of the input.
    pub input_hash: B256,
}

impl CallKey {
    /// The idempotency key of the call.
    pub fn hash(&self, mode: InvocationMode) -> InvocationKey {
        let tag = match mode {
            InvocationMode::Live => *LIVE_TAG,
            InvocationMode::DryRun => *DRY_RUN_TAG,
        };
        let words = (
            (tag, self.domain.chain_id, self.domain.genesis_hash, self.transaction_hash, self.sequence),
            (self.caller, self.is_static, self.cryptlet.0, self.code_digest.0, self.input_hash),
        );
        InvocationKey(keccak256(words.abi_encode()))
    }
}

impl Invocation {
    /// The idempotency key of the call.
    pub fn key(&self) -> InvocationKey {
        InvocationKey(self.request.key)
    }

    /// The cryptlet called.
    pub fn cryptlet(&self) -> CryptletId {
        CryptletId(self.request.cryptletId)
    }

    /// What a result must answer: EIP-712 struct hash of the request.
    pub fn request_hash(&self) -> B256 {
        self.request.eip712_hash_struct()
    }
}
