//! The processes of one cryptlet: started when they are needed, kept while they behave, one call at a time each.

use super::live::{Program, ProgramLaunch, settle, too_poor};
use crate::{
    call::{CallAnswer, CallInputs, CallOut},
    fault::ContainerFault,
    pool::PoolConfig,
};
use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

pub(crate) struct ProgramPool {
    launch: ProgramLaunch,
    bounds: PoolConfig,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Program>,
    /// Processes that exist or are being started.
    alive: usize,
    waiting: usize,
}

impl ProgramPool {
    /// Starts the first process at once, so that the first call need not wait for it.
    pub(crate) fn start(launch: ProgramLaunch, bounds: PoolConfig) -> Result<Self, ContainerFault> {
        let first = launch.start()?;
        let state = State { idle: vec![first], alive: 1, ..State::default() };
        Ok(Self { launch, bounds, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Runs one call in a process that is free, or in a new one.
    pub(crate) fn call(
        &self,
        inputs: &CallInputs,
        input: &[u8],
        call_out: &dyn CallOut,
    ) -> Result<CallAnswer, ContainerFault> {
        let spec = &self.launch.spec;
        if let Some(answer) = too_poor(inputs, spec.units_per_call) {
            return Ok(answer);
        }
        let mut program = self.take()?;
        let ended = program.call(inputs, input, call_out, spec.call_ms_max.min(self.bounds.call_ms_max));
        self.put_back(program);
        Ok(settle(ended?, inputs, spec.units_per_call))
    }

    fn take(&self) -> Result<Program, ContainerFault> {
        match self.find()? {
            Some(program) => Ok(program),
            None => self.launch.start().inspect_err(|_| self.give_up_place()),
        }
    }

    /// An idle process; or none, and with it a place for a new one.
    fn find(&self) -> Result<Option<Program>, ContainerFault> {
        let until = Instant::now() + Duration::from_millis(self.bounds.queue_ms_max);
        let mut state = self.lock();
        let mut is_waiting = false;
        let outcome = loop {
            if let Some(program) = state.pick() {
                break Ok(Some(program));
            }
            if state.alive < usize::from(self.launch.spec.processes_max) {
                state.alive += 1;
                break Ok(None);
            }
            if !is_waiting && state.waiting >= self.bounds.waiting_max {
                break Err(ContainerFault::Overloaded { waiting: state.waiting });
            }
            state.waiting += usize::from(!is_waiting);
            is_waiting = true;
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                break Err(ContainerFault::QueueTimeout { waited_ms: self.bounds.queue_ms_max });
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        state.waiting -= usize::from(is_waiting);
        outcome
    }

    fn put_back(&self, program: Program) {
        let mut state = self.lock();
        if program.is_usable() {
            state.idle.push(program);
        } else {
            state.alive -= 1;
        }
        drop(state);
        self.changed.notify_one();
    }

    fn give_up_place(&self) {
        self.lock().alive -= 1;
        self.changed.notify_one();
    }

    /// The state stays whole whatever a holder of the lock did: no step leaves it half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// An idle process that is alive and silent; the others are dropped, which kills them.
    fn pick(&mut self) -> Option<Program> {
        while let Some(program) = self.idle.pop() {
            if program.is_quiet() {
                return Some(program);
            }
            self.alive -= 1;
        }
        None
    }
}
