#![doc = include_str!("../README.md")]

pub mod build;
pub mod chain_file;
pub mod chain_spec;
pub mod execute;
pub mod fabric;
pub mod fork;
pub mod metrics;
pub mod miner;
pub mod pool;
pub mod rpc;
pub mod service;
pub mod state;
pub mod state_file;
pub mod store;
pub mod trie;
pub mod types;

pub use chain_spec::ChainSpec;
pub use fabric::{Fabric, NoFabric};
pub use service::{ChainEvent, Head, Node, NodeConfig, NodeHandle, SimulationRequest};
