//! A row of blocks that leave no trace (`eth_simulateV1`): each begins where the one before it ended.
//!
//! `plan` puts the blocks in order and fills gaps, `calls` makes a transaction of every call, `run` executes them with the
//! system calls that real blocks have, and derives real headers. Calls of cryptlets follow the simulation policies, as in
//! `eth_call`, and see the registry of the block that the sequence starts from.

mod calls;
mod logs;
mod plan;
mod run;

use super::{
    overrides::OverrideError,
    simulate::{CallResult, SimulationError, in_time},
    start::Shared,
};
use crate::types::Block;
use alloy::{
    eips::{BlockId, eip4895::Withdrawals},
    rpc::types::{BlockOverrides, TransactionRequest, state::StateOverride},
};
use alloy_primitives::{Address, B256, Log};
use revm::context_interface::result::InvalidTransaction;
use std::{sync::Arc, time::Instant};

/// Blocks of one sequence, those that fill gaps included (geth: `maxSimulateBlocks`).
pub const SEQUENCE_BLOCKS_MAX: u64 = 256;

/// What to simulate.
#[derive(Clone, Debug, Default)]
pub struct SequenceRequest {
    /// The sequence starts after this block.
    pub base: BlockId,
    /// The blocks, in ascending order.
    pub blocks: Vec<SequenceBlock>,
    /// Tell transfers of ether as logs, too (ERC-7528).
    pub trace_transfers: bool,
    /// Check nonces and fees as in a real block.
    pub validation: bool,
}

/// One block to simulate.
#[derive(Clone, Debug, Default)]
pub struct SequenceBlock {
    /// Fields of its header that are not as the rules would have them.
    pub block_overrides: BlockOverrides,
    /// Its withdrawals.
    pub withdrawals: Option<Withdrawals>,
    /// Accounts that change before its first call.
    pub state_overrides: Option<StateOverride>,
    /// Its transactions; what they leave open is filled in.
    pub calls: Vec<TransactionRequest>,
}

/// A block that was simulated.
#[derive(Clone, Debug)]
pub struct SimulatedBlock {
    /// Header and body; nobody signed the transactions.
    pub block: Block,
    /// Hash of the header.
    pub hash: B256,
    /// Who is said to have sent each transaction.
    pub senders: Vec<Address>,
    /// How each call ended.
    pub calls: Vec<SimulatedCall>,
}

/// How a call of a sequence ended.
#[derive(Clone, Debug)]
pub struct SimulatedCall {
    /// Its result.
    pub result: CallResult,
    /// Gas after refunds.
    pub gas_used: u64,
    /// Gas before refunds.
    pub gas_used_max: u64,
    /// Logs with their indices in the block; with transfers, if these are traced.
    pub logs: Vec<(u64, Log)>,
}

/// Why a sequence cannot be simulated. The words are geth's.
#[derive(Debug, thiserror::Error)]
pub enum SequenceError {
    /// No blocks.
    #[error("empty input")]
    Empty,
    /// More than [`SEQUENCE_BLOCKS_MAX`].
    #[error("too many blocks")]
    TooManyBlocks,
    /// Numbers must rise.
    #[error("block numbers must be in order: {number} <= {previous}")]
    NumberOrder {
        /// This one.
        number: u64,
        /// The one before it.
        previous: u64,
    },
    /// Timestamps must rise.
    #[error("block timestamps must be in order: {timestamp} <= {previous}")]
    TimeOrder {
        /// This one.
        timestamp: u64,
        /// The one before it.
        previous: u64,
    },
    /// The calls of a block do not fit into it.
    #[error("block gas limit reached: {gas} >= {gas_limit}")]
    BlockGasLimit {
        /// Gas of the calls so far, and of this one.
        gas: u64,
        /// Gas of the block.
        gas_limit: u64,
    },
    /// The calls have used what one request may use.
    #[error("RPC gas cap exhausted: the calls before this one have used all of {0}")]
    GasExhausted(u64),
    /// A call contradicts itself.
    #[error("{0}")]
    InvalidCall(String),
    /// A call cannot be a transaction on this state.
    #[error("err: {reason} (supplied gas {gas})")]
    Refused {
        /// What the EVM says.
        error: InvalidTransaction,
        /// The same in geth's words.
        reason: String,
        /// Gas of the call.
        gas: u64,
    },
    /// The state cannot be overridden like that.
    #[error(transparent)]
    Override(#[from] OverrideError),
    /// As for any simulation.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
}

/// Simulates the sequence; waits for cryptlets where their policies say so.
pub(super) async fn simulate(
    shared: Arc<Shared>,
    request: SequenceRequest,
) -> Result<Vec<SimulatedBlock>, SequenceError> {
    let limits = &shared.config.simulation;
    let busy = |_| SimulationError::Busy(limits.simulations_max);
    let permit = shared.simulations.clone().try_acquire_owned().map_err(busy)?;
    let timeout_ms = limits.timeout_ms;
    let deadline = Instant::now() + std::time::Duration::from_millis(timeout_ms);
    let runtime = tokio::runtime::Handle::current();
    let task = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        run::Sequence::open(&shared, &request, deadline)?.run(request, &runtime)
    });
    in_time(timeout_ms, async { task.await.map_err(|_| SimulationError::Stopped) }).await?
}
