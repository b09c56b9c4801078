#![doc = include_str!("../README.md")]

mod output;
mod record;
mod registrations;
mod replay;
mod verify;

pub use registrations::{AuditArgs, audit};
pub use replay::{ReplayArgs, replay};
pub use verify::{VerifyArgs, verify};
