#![doc = include_str!("../README.md")]

mod dispatch;
mod failure;
pub mod fixed;
pub mod host;
mod macros;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod bindings;

pub use alloy_primitives::{Address, B256, Bytes, I256, U256};
pub use failure::{Failure, Result};

/// What the macros expand to; not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::dispatch::{answer, apply, delegated, selector, unknown};
    pub use alloy_sol_types::{self, SolCall, SolInterface};
}

/// Everything that a cryptlet usually needs.
pub mod prelude {
    pub use crate::{
        Address, B256, Bytes, Failure, I256, Result, U256, ensure, export, export_contract, fail, host, log, sol,
    };
}
