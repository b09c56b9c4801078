//! Simulations under the eyes of an inspector: traces and access lists of calls that leave no trace.

use super::{
    handle::NodeHandle,
    rehearse::Rehearsing,
    simulate::{SimulationError, SimulationOutcome, SimulationRequest, in_time},
};
use crate::state::StateSnapshot;
use cryptlet_delegate::{DelegateEvmContext, SimulationGas};
use revm::{
    Inspector,
    context::{BlockEnv, TxEnv},
    context_interface::result::{HaltReason, ResultAndState},
    database::{State, WrapDatabaseRef},
};

/// The state a simulation runs on.
pub type CallState = State<WrapDatabaseRef<StateSnapshot>>;

/// What an inspector has seen, and everything that reading it may take.
#[derive(Debug)]
pub struct Watched<'a, I> {
    /// The inspector, after the run.
    pub inspector: &'a mut I,
    /// What was run.
    pub transaction: &'a TxEnv,
    /// Where it was run.
    pub block: &'a BlockEnv,
    /// What came of it. It has not been committed to `state`.
    pub result: &'a ResultAndState<HaltReason>,
    /// The state before the run.
    pub state: &'a mut CallState,
}

/// Reads an inspector after its run.
type Read<I, R> = Box<dyn FnOnce(Watched<'_, I>) -> R + Send>;

/// An inspector, and how to read it.
pub(super) struct Watch<I, R> {
    pub(super) inspector: I,
    pub(super) read: Read<I, R>,
}

impl NodeHandle {
    /// Runs a call as [`simulate`](Self::simulate) does. Once its cryptlets have answered it runs a last time under
    /// this inspector, which is then read.
    pub async fn simulate_watched<I, R>(
        &self,
        request: SimulationRequest,
        inspector: I,
        read: impl FnOnce(Watched<'_, I>) -> R + Send + 'static,
    ) -> Result<(SimulationOutcome, R), SimulationError>
    where
        I: Inspector<DelegateEvmContext<CallState>> + Send + 'static,
        R: Send + 'static,
    {
        let timeout_ms = self.shared.config.simulation.timeout_ms;
        let run = async {
            let mut rehearsing = Rehearsing::prepare(self.shared.clone(), request).await?;
            let gas_limit = rehearsing.gas_limit();
            let outcome = rehearsing.run(gas_limit, SimulationGas::Settled).await?;
            let read = rehearsing.watched(Watch { inspector, read: Box::new(read) }).await?;
            Ok((outcome, read))
        };
        in_time(timeout_ms, run).await
    }
}
