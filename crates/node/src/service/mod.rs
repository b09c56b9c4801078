//! A running node: the pool, the miner, the fabric and the chain, wired together.

mod blobs;
mod estimate;
mod handle;
mod impersonation;
mod jitter;
mod memo;
mod rehearse;
mod simulate;
mod start;
mod watch;

pub use handle::{ChainEvent, ChainMark, Head, NodeHandle};
pub use simulate::{
    CallResult, SimulationError, SimulationLimits, SimulationOutcome, SimulationPolicies, SimulationPolicy,
    SimulationRequest,
};
pub use start::{Node, NodeConfig, NodeError};
pub use watch::{CallState, Watched};

pub use jitter::{Jitter, RandomJitter};
pub(crate) use start::Shared;
