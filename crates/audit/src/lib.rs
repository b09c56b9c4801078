#![doc = include_str!("../README.md")]

mod output;
mod record;
mod replay;
mod verify;

pub use replay::{ReplayArgs, replay};
pub use verify::{VerifyArgs, verify};
