//! Simulations under the eyes of an inspector: traces and access lists of calls that leave no trace.

use super::{
    handle::NodeHandle,
    rehearse::Rehearsing,
    simulate::{SimulationError, SimulationOutcome, SimulationRequest, in_time},
};
use crate::{
    execute::{BlockState, Watched},
    state::StateSnapshot,
};
use cryptlet_delegate::{DelegateEvmContext, SimulationGas};
use revm::{
    DatabaseCommit, Inspector,
    context_interface::result::{HaltReason, ResultAndState},
    database::CacheState,
};
use std::sync::Arc;

/// The state that a call starts from, where it is not that of a block: in the middle of one, or after other calls.
#[derive(Clone, Debug)]
pub struct CallBase {
    /// The state below.
    pub state: StateSnapshot,
    /// What has been read and changed on top of it.
    pub changed: Arc<CacheState>,
}

impl CallBase {
    /// The state after a block.
    pub fn of_block(state: StateSnapshot) -> Self {
        Self { state, changed: Arc::new(CacheState::default()) }
    }

    /// A state as it stands.
    pub fn of_state(state: &BlockState) -> Self {
        Self { state: state.database.0.clone(), changed: Arc::new(state.cache.clone()) }
    }

    /// A state as a run leaves it.
    pub fn after(state: &mut BlockState, run: &ResultAndState<HaltReason>) -> Self {
        state.commit(run.state.clone());
        Self::of_state(state)
    }
}

/// Reads an inspector after its run.
pub(super) type Read<I, R> = Box<dyn FnOnce(Watched<'_, I>) -> R + Send>;

/// Makes an inspector on the thread that will use it: not every inspector can be sent to another.
pub(super) type MakeInspector<I> = Arc<dyn Fn() -> Result<I, SimulationError> + Send + Sync>;

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
        I: Inspector<DelegateEvmContext<BlockState>> + Send + 'static,
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

    /// Runs a call as [`simulate`](Self::simulate) does, every run of it under an inspector that `make` gives, on the
    /// state `base` if there is one. The inspector of the last run is read.
    pub async fn trace_call<I, R>(
        &self,
        request: SimulationRequest,
        base: Option<CallBase>,
        make: impl Fn() -> Result<I, SimulationError> + Send + Sync + 'static,
        read: impl FnOnce(Watched<'_, I>) -> R + Send + 'static,
    ) -> Result<(SimulationOutcome, R), SimulationError>
    where
        I: Inspector<DelegateEvmContext<BlockState>> + 'static,
        R: Send + 'static,
    {
        let timeout_ms = self.shared.config.simulation.timeout_ms;
        let run = async {
            let mut rehearsing = Rehearsing::prepare_on(self.shared.clone(), request, base).await?;
            rehearsing.traced(Arc::new(make), Box::new(read)).await
        };
        in_time(timeout_ms, run).await
    }
}
