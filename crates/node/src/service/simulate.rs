//! Calls that leave no trace: `eth_call` and the runs behind `eth_estimateGas`.
//!
//! The loop is the builder's, with another transcript type: run, and if the call reaches a cryptlet whose answer is not
//! there yet, get one as the cryptlet's [`SimulationPolicy`] says, and run again. Nothing that is learnt here can enter a
//! block: dry-run answers are signed in another domain, and this transcript is not the one the builder takes.

use super::{overrides::OverrideError, rehearse::Rehearsing, start::Shared};
use alloy::eips::BlockId;
use alloy::rpc::types::{BlockOverrides, TransactionRequest, state::StateOverride};
use alloy_primitives::{Bytes, Log};
use cryptlet_primitives::{CryptletId, FabricFault};
use std::{collections::HashMap, sync::Arc};

/// How calls to a cryptlet are answered in simulations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SimulationPolicy {
    /// Ask the host, which is told that it is a dry run.
    #[default]
    Live,
    /// Give the last answer that this node saw in a block to the same request; if there is none, ask the host.
    Memo,
    /// Always give this output.
    Stub(Bytes),
    /// Refuse: the contract sees `CryptletError(SimulationDenied)`.
    Deny,
}

/// What this node does instead of what the registry says of a cryptlet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimulationPolicies {
    /// For cryptlets that are not named; `None`: what the registry says.
    pub default: Option<SimulationPolicy>,
    /// For these.
    pub of_cryptlet: HashMap<CryptletId, SimulationPolicy>,
}

impl SimulationPolicies {
    /// The policy that this node sets for the cryptlet, if it sets one.
    pub fn of(&self, cryptlet: CryptletId) -> Option<&SimulationPolicy> {
        self.of_cryptlet.get(&cryptlet).or(self.default.as_ref())
    }
}

/// Bounds and policies of simulations.
#[derive(Clone, Debug)]
pub struct SimulationLimits {
    /// Policies that differ from the registry's.
    pub policies: SimulationPolicies,
    /// Simulations that may run at once.
    pub simulations_max: usize,
    /// Gas of one simulation, at most.
    pub gas_max: u64,
    /// Wait for one dry-run answer, at most.
    pub answer_timeout_ms: u64,
    /// Time for a whole simulation, at most.
    pub timeout_ms: u64,
    /// Answers remembered for the policy `memo`.
    pub memo_entries_max: usize,
}

impl Default for SimulationLimits {
    fn default() -> Self {
        Self {
            policies: SimulationPolicies::default(),
            simulations_max: 128,
            gas_max: 50_000_000,
            answer_timeout_ms: 10_000,
            timeout_ms: 30_000,
            memo_entries_max: 512,
        }
    }
}

/// What to simulate, and where.
#[derive(Clone, Debug)]
pub struct SimulationRequest {
    /// The call; missing fields get the defaults of `eth_call`.
    pub call: TransactionRequest,
    /// Against the state after this block; `pending` is the head's state in the next block's environment.
    pub block: BlockId,
    /// Accounts to pretend otherwise.
    pub state_overrides: Option<StateOverride>,
    /// Block fields to pretend otherwise.
    pub block_overrides: Option<Box<BlockOverrides>>,
}

impl SimulationRequest {
    /// A call on the state after `block`, nothing overridden.
    pub fn new(call: TransactionRequest, block: BlockId) -> Self {
        Self { call, block, state_overrides: None, block_overrides: None }
    }
}

/// How a simulated call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallResult {
    /// It returned; for a creation, the code.
    Success(Bytes),
    /// It reverted with this data.
    Revert(Bytes),
    /// It stopped exceptionally, e.g. "out of gas".
    Halt(String),
}

/// What a simulation learnt.
#[derive(Clone, Debug)]
pub struct SimulationOutcome {
    /// How the call ended.
    pub result: CallResult,
    /// Gas after refunds.
    pub gas_used: u64,
    /// Most gas that was needed at any moment, before refunds.
    pub gas_spent: u64,
    /// Logs, if it succeeded.
    pub logs: Vec<Log>,
    /// Calls to cryptlets on the way.
    pub cryptlet_calls: usize,
}

/// Why a simulation could not be carried out. A revert is an outcome, not an error.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// geth's words for a block that is not there.
    #[error("header not found: {0}")]
    UnknownBlock(String),
    /// The block is one of the chain that was forked.
    #[error("the block is before the fork")]
    BeforeFork,
    /// The call contradicts itself.
    #[error("{0}")]
    InvalidCall(String),
    /// The EVM refuses to begin: e.g. "insufficient funds for gas * price + value: …".
    #[error("err: {reason} (supplied gas {gas})")]
    Refused {
        /// Why, in geth's words.
        reason: String,
        /// Gas of the call.
        gas: u64,
    },
    /// The state cannot be overridden like that.
    #[error(transparent)]
    Override(#[from] OverrideError),
    /// The call would revert at any gas limit (`eth_estimateGas` only). Carries the revert data.
    #[error("execution reverted")]
    Reverted(Bytes),
    /// The call fails at the highest gas limit allowed (`eth_estimateGas` only).
    #[error("gas required exceeds allowance ({0})")]
    GasRequiredExceedsAllowance(u64),
    /// The call stops exceptionally at any gas limit (`eth_estimateGas` only).
    #[error("{0}")]
    Halted(String),
    /// The simulation needs a host, and the host gave no usable answer.
    #[error("the call reaches cryptlet {cryptlet}, and no dry-run answer came: {fault}")]
    NoAnswer {
        /// Which cryptlet.
        cryptlet: CryptletId,
        /// What went wrong.
        fault: FabricFault,
    },
    /// The whole simulation took longer than allowed.
    #[error("execution aborted (timeout = {0} ms)")]
    Timeout(u64),
    /// Too many simulations run at once.
    #[error("this node already runs {0} simulations; try again")]
    Busy(usize),
    /// The node's storage failed.
    #[error("storage: {0}")]
    Storage(String),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
}

pub(crate) async fn simulate(
    shared: Arc<Shared>,
    request: SimulationRequest,
) -> Result<SimulationOutcome, SimulationError> {
    let timeout_ms = shared.config.simulation.timeout_ms;
    in_time(timeout_ms, Rehearsing::run_at_once(shared, request)).await
}

pub(super) async fn in_time<T>(
    timeout_ms: u64,
    run: impl Future<Output = Result<T, SimulationError>>,
) -> Result<T, SimulationError> {
    let limit = std::time::Duration::from_millis(timeout_ms);
    tokio::time::timeout(limit, run).await.unwrap_or(Err(SimulationError::Timeout(timeout_ms)))
}
