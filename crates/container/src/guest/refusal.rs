//! Why code will not run here.

use alloc::string::String;
use serde::{Deserialize, Serialize};

/// A component that will not run here. The publisher's fault; it is found at registration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum GuestRefusal {
    /// Not a WebAssembly component, or one this engine profile does not take.
    #[error("this is not a component the engine accepts: {0}")]
    Invalid(String),
    /// Larger than is accepted.
    #[error("the component has {bytes} bytes; at most {bytes_max} are accepted")]
    TooLong {
        /// Bytes of the component.
        bytes: usize,
        /// Bytes accepted.
        bytes_max: usize,
    },
    /// It wants something there is no door for.
    #[error("the component imports `{0}`; only `cryptlet:fabric/host@1.0.0` exists (build WASI with stubs)")]
    ForeignImport(String),
    /// Its import or export is there but has another type, or `handle` is missing.
    #[error("the component does not fit the world of wit/cryptlet.wit: {0}")]
    WrongWorld(String),
    /// It could not be instantiated: its start function traps or asks the host, or it wants more than the limits give.
    #[error("the guest cannot be started: {0}")]
    CannotStart(String),
    /// It cannot be started the way its configuration says.
    #[error("the program cannot be started like this: {0}")]
    BadSpec(String),
    /// Compiling it took more than the jail gives.
    #[error("compiling the component took more than the limit: {0}")]
    CompileLimit(String),
}
