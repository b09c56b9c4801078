//! What the delegate promises, as tests over real EVM code, real signatures and revm's `State`.
#![allow(unreachable_pub, clippy::unwrap_used)] // a failed unwrap is a failed test

mod asm;
mod blocks;
mod disabled;
mod functions;
mod gas;
mod lifecycle;
mod records;
mod refusals;
mod runs;
mod simulate;
mod slots;
mod world;
