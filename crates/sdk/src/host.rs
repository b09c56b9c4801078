//! What a cryptlet can ask of its container. There is no other door: no files, no network, no clock.
//!
//! Every answer is fixed before the call starts, so that the same call gives the same result. In native unit tests the answers
//! come from a [`Scene`].

use alloy_primitives::{Address, B256};

#[cfg(target_arch = "wasm32")]
use component as door;
#[cfg(not(target_arch = "wasm32"))]
use scene as door;
#[cfg(not(target_arch = "wasm32"))]
pub use scene::Scene;

/// The call that is being answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// Contract that called the delegate.
    pub caller: Address,
    /// Id of this cryptlet.
    pub cryptlet: B256,
    /// Idempotency key of the call. Effects on the outside world must be keyed by it.
    pub call_key: B256,
    /// Was the call made under STATICCALL?
    pub is_static: bool,
    /// Is this a simulation, whose answer can never enter a block?
    pub is_dry_run: bool,
}

/// The call that is being answered.
pub fn context() -> Context {
    door::context()
}

/// When the host took the call: Unix time in seconds. Signed with the result.
pub fn observed_at() -> u64 {
    door::observed_at()
}

/// `N` bytes nobody outside the container can foretell, yet the same for every run of the same call.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&door::random(N as u32));
    bytes
}

/// A line for the operator's log. Not part of the answer. [`log!`](crate::log) formats.
pub fn log(line: &str) {
    door::log(line);
}

#[cfg(target_arch = "wasm32")]
mod component {
    use super::{Address, B256, Context};
    use crate::bindings::cryptlet::fabric::host;

    pub(super) fn context() -> Context {
        let host::CallContext { caller, cryptlet, call_key, is_static, dry_run } = host::context();
        Context {
            caller: Address::from_slice(&caller),
            cryptlet: B256::from_slice(&cryptlet),
            call_key: B256::from_slice(&call_key),
            is_static,
            is_dry_run: dry_run,
        }
    }

    pub(super) fn observed_at() -> u64 {
        host::observed_at()
    }

    pub(super) fn random(length: u32) -> Vec<u8> {
        host::random(length)
    }

    pub(super) fn log(line: &str) {
        host::log(line);
    }
}

#[cfg(not(target_arch = "wasm32"))]
mod scene {
    use super::Context;
    use std::cell::RefCell;

    thread_local! {
        static SCENE: RefCell<Scene> = RefCell::new(Scene::default());
    }

    /// The host's answers in a native test: set on this thread for as long as the closure runs.
    #[derive(Clone, Debug, Default)]
    pub struct Scene {
        /// Answer of [`context`](super::context).
        pub context: Context,
        /// Answer of [`observed_at`](super::observed_at), Unix seconds.
        pub observed_at: u64,
        /// Where [`random`](super::random) starts.
        pub seed: u64,
        /// What was logged.
        pub log: Vec<String>,
    }

    impl Scene {
        /// Runs `test` with these answers; returns what it returned and what it logged.
        pub fn play<T>(self, test: impl FnOnce() -> T) -> (T, Vec<String>) {
            let before = SCENE.replace(self);
            let outcome = test();
            (outcome, SCENE.replace(before).log)
        }
    }

    pub(super) fn context() -> Context {
        SCENE.with_borrow(|scene| scene.context.clone())
    }

    pub(super) fn observed_at() -> u64 {
        SCENE.with_borrow(|scene| scene.observed_at)
    }

    /// SplitMix64: plain, seeded, for tests only.
    pub(super) fn random(length: u32) -> Vec<u8> {
        SCENE.with_borrow_mut(|scene| {
            (0..length)
                .map(|_| {
                    scene.seed = scene.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let mixed = (scene.seed ^ (scene.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    (mixed >> 56) as u8
                })
                .collect()
        })
    }

    pub(super) fn log(line: &str) {
        SCENE.with_borrow_mut(|scene| scene.log.push(line.to_owned()));
    }
}
