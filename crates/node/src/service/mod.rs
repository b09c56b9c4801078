//! A running node: the pool, the miner, the fabric and the chain, wired together.

mod estimate;
mod handle;
mod simulate;
mod start;

pub use handle::{ChainEvent, Head, NodeHandle};
pub use simulate::{
    CallResult, SimulationError, SimulationOutcome, SimulationPolicies, SimulationPolicy, SimulationRequest,
};
pub use start::{Node, NodeConfig, NodeError};
