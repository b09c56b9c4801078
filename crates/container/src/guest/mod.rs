//! A guest in an engine: what it is given, what it may ask, how it ends.
//!
//! This folder is compiled twice, from the same lines: here, for guests in this process, and without the standard library in
//! `vm-guest`, for guests in a virtual machine. So both count the same fuel and end in the same words. Nothing in it may name
//! the rest of this crate, `std`, or the compiler.

pub mod call;
pub(crate) mod ending;
mod host_interface;
#[allow(unreachable_pub, reason = "named by `engine`, whose glob hides it from the lint")]
pub mod limits;
pub(crate) mod profile;
#[allow(unreachable_pub, reason = "named by `fault`")]
pub mod refusal;
mod run;

pub(crate) use run::Guest;
