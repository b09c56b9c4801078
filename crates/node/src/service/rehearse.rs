//! One simulation: its answers so far, and its runs.

use super::{
    answering, short,
    simulate::{SimulationError, SimulationOutcome, SimulationRequest},
    stage::{Stage, Turn, WatchedTurn},
    start::Shared,
    watch::{CallBase, MakeInspector, Read, Watch},
};
use crate::execute::BlockState;
use cryptlet_delegate::{DelegateEvmContext, Rehearsal, SimulationGas};
use cryptlet_primitives::Invocation;
use revm::Inspector;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// A simulation that has been prepared. It may run several times, with different gas; answers are kept.
pub(super) struct Rehearsing {
    shared: Arc<Shared>,
    stage: Arc<Stage>,
    rehearsal: Rehearsal,
    _permit: OwnedSemaphorePermit,
}

impl Rehearsing {
    pub(super) async fn prepare(shared: Arc<Shared>, request: SimulationRequest) -> Result<Self, SimulationError> {
        Self::prepare_on(shared, request, None).await
    }

    /// The same on another state than that of the request's block.
    pub(super) async fn prepare_on(
        shared: Arc<Shared>,
        request: SimulationRequest,
        base: Option<CallBase>,
    ) -> Result<Self, SimulationError> {
        let permit = place_for_one(&shared)?;
        let of_stage = shared.clone();
        let stage = tokio::task::spawn_blocking(move || Stage::build(&of_stage, request, base));
        let (stage, _) = stage.await.map_err(|_| SimulationError::Stopped)??;
        Ok(Self { shared, stage: Arc::new(stage), rehearsal: Rehearsal::new(), _permit: permit })
    }

    /// Prepares the call and runs it with all the gas it may have: here if it is short, else on a thread of its own.
    pub(super) async fn run_at_once(
        shared: Arc<Shared>,
        request: SimulationRequest,
    ) -> Result<SimulationOutcome, SimulationError> {
        let permit = place_for_one(&shared)?;
        let mut rehearsal = Rehearsal::new();
        let (stage, turn) = if may_be_short(&shared, &request) {
            let (stage, database) = Stage::build(&shared, request, None)?;
            let turn = stage.run_if_short(database, &mut rehearsal)?;
            (Arc::new(stage), turn)
        } else {
            let of_stage = shared.clone();
            let stage = tokio::task::spawn_blocking(move || Stage::build(&of_stage, request, None));
            (Arc::new(stage.await.map_err(|_| SimulationError::Stopped)??.0), None)
        };
        let mut rehearsing = Self { shared, stage, rehearsal, _permit: permit };
        match turn {
            Some(Turn::Ended(outcome)) => return Ok(outcome),
            Some(Turn::Suspended(invocation)) => rehearsing.ask(&invocation).await?,
            None => {}
        }
        rehearsing.run(rehearsing.stage.gas_limit, SimulationGas::Settled).await
    }

    /// Gets the answer to a call, for the runs to come.
    async fn ask(&mut self, invocation: &Invocation) -> Result<(), SimulationError> {
        let answer = answering::answer(&self.shared, self.stage.scope.as_ref(), invocation).await?;
        self.rehearsal.push(answer);
        Ok(())
    }

    /// Gas that the call may have at most.
    pub(super) fn gas_limit(&self) -> u64 {
        self.stage.gas_limit
    }

    /// May it be a plain transfer, and is there one price for those?
    pub(super) fn may_be_transfer(&self) -> bool {
        self.stage.may_be_transfer
    }

    /// Runs the call with this much gas, getting answers as it needs them.
    pub(super) async fn run(
        &mut self,
        gas_limit: u64,
        gas: SimulationGas,
    ) -> Result<SimulationOutcome, SimulationError> {
        // Each turn but the last adds an answer, and the delegate bounds how many calls a transaction makes. A call whose
        // input changes from run to run (with the gas left, say) could still go on for ever.
        let calls_max = self.shared.spec.limits().map_or(0, |limits| limits.calls_per_transaction_max);
        for _ in 0..=2 * u64::from(calls_max) {
            let (stage, mut rehearsal) = (self.stage.clone(), std::mem::take(&mut self.rehearsal));
            let run = tokio::task::spawn_blocking(move || {
                let outcome = stage.run(&mut rehearsal, gas_limit, gas);
                (outcome, rehearsal)
            });
            let (outcome, rehearsal) = run.await.map_err(|_| SimulationError::Stopped)?;
            self.rehearsal = rehearsal;
            match outcome? {
                Turn::Ended(mut outcome) => {
                    outcome.cryptlet_calls = self.rehearsal.consumed_count();
                    return Ok(outcome);
                }
                Turn::Suspended(invocation) => {
                    self.ask(&invocation).await?;
                }
            }
        }
        Err(unstable())
    }

    /// Runs the call once more, with all answers there, under the eyes of an inspector.
    pub(super) async fn watched<I, R>(&mut self, watch: Watch<I, R>) -> Result<R, SimulationError>
    where
        I: Inspector<DelegateEvmContext<BlockState>> + Send + 'static,
        R: Send + 'static,
    {
        let (stage, mut rehearsal) = (self.stage.clone(), self.rehearsal.clone());
        let run = tokio::task::spawn_blocking(move || stage.watch(&mut rehearsal, watch));
        match run.await.map_err(|_| SimulationError::Stopped)?? {
            WatchedTurn::Ended(_, value) => Ok(value),
            // Every answer was there when the run before this one ended.
            WatchedTurn::Suspended(..) => Err(unstable()),
        }
    }

    /// Runs the call under the eyes of an inspector; a run that had to wait for an answer begins again with a new one.
    pub(super) async fn traced<I, R>(
        &mut self,
        make: MakeInspector<I>,
        mut read: Read<I, R>,
    ) -> Result<(SimulationOutcome, R), SimulationError>
    where
        I: Inspector<DelegateEvmContext<BlockState>> + 'static,
        R: Send + 'static,
    {
        let calls_max = self.shared.spec.limits().map_or(0, |limits| limits.calls_per_transaction_max);
        for _ in 0..=2 * u64::from(calls_max) {
            let (stage, mut rehearsal) = (self.stage.clone(), std::mem::take(&mut self.rehearsal));
            let make = make.clone();
            let run = tokio::task::spawn_blocking(move || {
                let turn = make().and_then(|inspector| stage.watch(&mut rehearsal, Watch { inspector, read }));
                (turn, rehearsal)
            });
            let (turn, rehearsal) = run.await.map_err(|_| SimulationError::Stopped)?;
            self.rehearsal = rehearsal;
            match turn? {
                WatchedTurn::Ended(mut outcome, value) => {
                    outcome.cryptlet_calls = self.rehearsal.consumed_count();
                    return Ok((outcome, value));
                }
                WatchedTurn::Suspended(invocation, unread) => {
                    read = unread;
                    self.ask(&invocation).await?;
                }
            }
        }
        Err(unstable())
    }
}

/// May the call be prepared on this thread, and tried there? Not if that could wait for another chain, or if there is much to
/// read before it begins.
fn may_be_short(shared: &Shared, request: &SimulationRequest) -> bool {
    let input = request.call.input.input().map_or(0, |input| input.len());
    shared.config.fork.is_none()
        && request.state_overrides.is_none()
        && request.call.access_list.is_none()
        && input <= short::INPUT_BYTES_MAX
}

/// A place among the simulations that run.
fn place_for_one(shared: &Shared) -> Result<OwnedSemaphorePermit, SimulationError> {
    let busy = |_| SimulationError::Busy(shared.config.simulation.simulations_max);
    shared.simulations.clone().try_acquire_owned().map_err(busy)
}

pub(super) fn unstable() -> SimulationError {
    SimulationError::InvalidCall("the call asks its cryptlets something else in every run".to_owned())
}
