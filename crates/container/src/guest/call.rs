//! One call as values: what goes into a region, what comes out.

use alloc::{string::String, vec::Vec};
use alloy_primitives::{Address, B256};
use core::fmt;
use serde::{Deserialize, Serialize};

/// Everything a guest can learn beside its input, fixed before the call starts.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallInputs {
    /// Contract that called the delegate.
    pub caller: Address,
    /// The cryptlet called.
    pub cryptlet: B256,
    /// Idempotency key of the call.
    pub call_key: B256,
    /// Under `STATICCALL`?
    pub is_static: bool,
    /// A simulation?
    pub is_dry_run: bool,
    /// When the host took the call: Unix time in seconds.
    pub observed_at_s: u64,
    /// The ancestor block that the request names: its number.
    pub anchor_block: u64,
    /// And its hash.
    pub anchor_hash: B256,
    /// The chain it was asked for on.
    pub chain_id: u64,
    /// What the call's randomness is drawn from. Secret until the call is recorded.
    pub random_seed: B256,
    /// Compute units the guest may use.
    pub units_max: u64,
    /// Bytes of output it may return.
    pub output_bytes_max: u32,
}

impl fmt::Debug for CallInputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallInputs")
            .field("cryptlet", &self.cryptlet)
            .field("call_key", &self.call_key)
            .field("units_max", &self.units_max)
            .field("random_seed", &"…")
            .finish_non_exhaustive()
    }
}

/// How the guest ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// `handle` returned this.
    Returned(Vec<u8>),
    /// `handle` failed with this revert data.
    Failed(Vec<u8>),
    /// It was stopped; the words are deterministic.
    Trapped(String),
}

/// A call that came to an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallAnswer {
    /// How.
    pub ending: Ending,
    /// Compute units used, rounded up.
    pub units: u64,
}

/// Call-outs: what a guest tells the untrusted side while it runs (the papers' `CALL_OUT_HANDLER`). What a guest *asks* is
/// answered inside the region from [`CallInputs`], so a call never waits for its host.
pub trait CallOut: Send + Sync {
    /// A log line of the guest. Bounded in number and length by the engine profile. Must not block.
    fn log(&self, call_key: B256, message: &str);
}

/// Drops every line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl CallOut for Silent {
    fn log(&self, _call_key: B256, _message: &str) {}
}
