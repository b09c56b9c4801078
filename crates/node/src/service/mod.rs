//! A running node: the pool, the miner, the fabric and the chain, wired together.

mod answering;
mod blobs;
mod estimate;
mod handle;
mod impersonation;
mod jitter;
mod memo;
mod overrides;
mod place;
mod rehearse;
mod sequence;
mod short;
mod simulate;
mod stage;
mod start;
mod watch;
mod words;

pub use handle::{ChainEvent, ChainMark, Head, NodeHandle, REMOVED_BLOCKS_TOLD_MAX, RemovedBlock, Rewind};
pub use jitter::{Jitter, RandomJitter};
pub use overrides::OverrideError;
pub use sequence::{SEQUENCE_BLOCKS_MAX, SequenceBlock, SequenceError, SequenceRequest, SimulatedBlock, SimulatedCall};
pub use simulate::{
    CallResult, SimulationError, SimulationLimits, SimulationOutcome, SimulationPolicies, SimulationPolicy,
    SimulationRequest,
};
pub(crate) use start::Shared;
pub use start::{Node, NodeConfig, NodeError};
pub use watch::CallBase;
