//! Nothing that was signed can be changed.
#![allow(unreachable_pub, clippy::unwrap_used)] // a failed unwrap is a failed test

mod evidence;
mod mutations;
mod quotes;
mod records;
mod registrars;
mod signatures;
mod support;
mod tpm;
