//! Blocks that others made: a chain through every fork built by EthereumJS, and Ethereum's own test vectors.
#![allow(clippy::unwrap_used)] // tests

mod amsterdam;
mod forks;
mod mutations;
mod official;
mod support;
