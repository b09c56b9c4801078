//! Worker processes: a few, each serving one call at a time of any cryptlet. A worker that dies or is too slow is replaced; the
//! call it was on ends in a fault, the others do not notice.

mod worker;

use crate::{
    artefact::Artefact,
    call::{CallAnswer, CallInputs, CallOut},
    engine,
    fault::ContainerFault,
    process::{Process, WorkerCommand},
    sandbox::{ResourceBounds, SandboxPolicy, SandboxReport},
    vm,
    wire::{MachineTask, Role},
};
use alloy_primitives::Bytes;
use std::{
    num::NonZeroUsize,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use worker::Worker;

/// Writable memory of a worker beyond the guest's own: its code, its heap, in bytes.
const WORKER_OVERHEAD_BYTES: u64 = 1 << 30;
/// Components one worker keeps.
const COMPONENTS_MAX: usize = 1024;
/// Pause after a worker could not be started, in milliseconds; doubles up to the longest.
const BACKOFF_MS: (u64, u64) = (100, 5_000);

/// How a worker is started.
#[derive(Clone, Debug)]
pub(crate) struct WorkerLaunch {
    pub(crate) command: WorkerCommand,
    pub(crate) policy: SandboxPolicy,
    /// The program for virtual machines, if guests run in those.
    pub(crate) machine_image: Option<Bytes>,
}

impl WorkerLaunch {
    fn start(&self) -> Result<Worker, ContainerFault> {
        let Self { command, policy, machine_image } = self;
        let Some(image) = machine_image else {
            let data_bytes_max = engine::MEMORY_BYTES_MAX as u64 + WORKER_OVERHEAD_BYTES;
            let bounds = ResourceBounds { data_bytes_max, cpu_s_max: None };
            return Process::start(command, Role::Run, bounds, policy)
                .map(|process| Worker::new(process, COMPONENTS_MAX));
        };
        let data_bytes_max = vm::MACHINE_BYTES_MAX * vm::MACHINES_MAX as u64
            + 2 * worker::LOADED_BYTES_MAX as u64
            + WORKER_OVERHEAD_BYTES;
        let bounds = ResourceBounds { data_bytes_max, cpu_s_max: None };
        let task = MachineTask { image_bytes: image.len() as u64 };
        let process = Process::start_with(command, Role::RunInVm, bounds, policy, |channel| {
            channel.send(&task)?;
            channel.send_raw(image)
        })?;
        Ok(Worker::new(process, vm::MACHINES_MAX))
    }
}

/// Sizes and patience of a pool.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// Worker processes; one per core is best.
    pub workers: NonZeroUsize,
    /// Calls that may wait for a worker; more are refused at once.
    pub waiting_max: usize,
    /// How long a call waits for a worker, in milliseconds.
    pub queue_ms_max: u64,
    /// How long a call may run by the clock, in milliseconds. A backstop: fuel ends most calls long before.
    pub call_ms_max: u64,
}

impl Default for PoolConfig {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self { workers, waiting_max: 1024, queue_ms_max: 10_000, call_ms_max: 30_000 }
    }
}

pub(crate) struct WorkerPool {
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
}

struct Shared {
    config: PoolConfig,
    launch: WorkerLaunch,
    /// What the first worker reported; the measurement stands for all, so all must report the same.
    report: SandboxReport,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Worker>,
    /// Workers that exist, idle or not.
    alive: usize,
    waiting: usize,
    busy_ids: Vec<u32>,
    is_stopped: bool,
    /// Why the last attempt to start a worker failed, if it did.
    start_failure: Option<String>,
}

impl WorkerPool {
    /// Starts all workers; fails if the first cannot be started, or its sandbox is weaker than the policy.
    pub(crate) fn start(config: PoolConfig, launch: WorkerLaunch) -> Result<Self, ContainerFault> {
        let first = launch.start()?;
        let report = first.report().clone();
        let state = State { idle: vec![first], alive: 1, ..State::default() };
        let shared = Arc::new(Shared { config, launch, report, state: Mutex::new(state), changed: Condvar::new() });
        let keeper = std::thread::Builder::new().name("worker-keeper".into());
        let keeper = keeper.spawn({
            let shared = Arc::clone(&shared);
            move || shared.keep()
        });
        let keeper =
            keeper.map_err(|error| ContainerFault::Engine(format!("no thread for the worker pool: {error}")))?;
        Ok(Self { shared, keeper: Some(keeper) })
    }

    pub(crate) fn report(&self) -> &SandboxReport {
        &self.shared.report
    }

    /// Ids of the worker processes there are.
    pub(crate) fn worker_ids(&self) -> Vec<u32> {
        let state = self.shared.lock();
        state.idle.iter().map(Worker::id).chain(state.busy_ids.iter().copied()).collect()
    }

    /// Runs one call in the first worker that is free, preferring one that has the code already.
    pub(crate) fn call(
        &self,
        artefact: &Artefact,
        inputs: &CallInputs,
        input: &[u8],
        call_out: &dyn CallOut,
    ) -> Result<CallAnswer, ContainerFault> {
        let mut worker = self.shared.take(artefact)?;
        let id = worker.id();
        let outcome = worker.call(artefact, inputs, input, call_out, self.shared.config.call_ms_max);
        self.shared.put_back(id, worker.is_usable().then_some(worker));
        outcome
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.shared.lock().is_stopped = true;
        self.shared.changed.notify_all();
        if let Some(keeper) = self.keeper.take() {
            // A keeper that panicked has nothing left to keep.
            let _ = keeper.join();
        }
        self.shared.lock().idle.clear();
    }
}

impl Shared {
    /// The state stays whole whatever a holder of the lock did: no step leaves it half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An idle worker, waiting for one if need be and if not too many wait already.
    fn take(&self, artefact: &Artefact) -> Result<Worker, ContainerFault> {
        let since = Instant::now();
        let patience = Duration::from_millis(self.config.queue_ms_max);
        let mut state = self.lock();
        let mut is_waiting = false;
        let outcome = loop {
            if state.is_stopped {
                break Err(ContainerFault::Stopped);
            }
            let alive = state.alive;
            if let Some(worker) = state.pick(artefact) {
                break Ok(worker);
            }
            if state.alive < alive {
                self.changed.notify_all(); // Only dead ones were idle: the keeper has work.
            }
            if let (0, Some(detail)) = (state.alive, state.start_failure.clone()) {
                break Err(ContainerFault::ProcessLost { role: "worker", detail });
            }
            if !is_waiting && state.waiting >= self.config.waiting_max {
                break Err(ContainerFault::Overloaded { waiting: state.waiting });
            }
            state.waiting += usize::from(!is_waiting);
            is_waiting = true;
            let Some(left) = patience.checked_sub(since.elapsed()) else {
                break Err(ContainerFault::QueueTimeout { waited_ms: self.config.queue_ms_max });
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        state.waiting -= usize::from(is_waiting);
        if let Ok(worker) = &outcome {
            let id = worker.id();
            state.busy_ids.push(id);
        }
        outcome
    }

    fn put_back(&self, id: u32, worker: Option<Worker>) {
        let mut state = self.lock();
        state.busy_ids.retain(|busy| *busy != id);
        match worker {
            Some(worker) if !state.is_stopped => state.idle.push(worker),
            _ => state.alive -= 1,
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The keeper's life: whenever workers are missing, start one.
    fn keep(&self) {
        let (shortest, longest) = BACKOFF_MS;
        let mut backoff_ms = shortest;
        while self.wait_for_vacancy() {
            match self.start_like_the_first() {
                Ok(worker) => {
                    backoff_ms = shortest;
                    self.add(worker);
                }
                Err(fault) => {
                    self.note_failure(&fault);
                    self.pause(backoff_ms);
                    backoff_ms = (backoff_ms * 2).min(longest);
                }
            }
        }
    }

    /// Waits until a worker is missing; `false` if the pool has been stopped.
    fn wait_for_vacancy(&self) -> bool {
        let mut state = self.lock();
        while !state.is_stopped && state.alive >= self.config.workers.get() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.is_stopped
    }

    fn start_like_the_first(&self) -> Result<Worker, ContainerFault> {
        let worker = self.launch.start()?;
        if worker.report().in_force != self.report.in_force {
            let detail = "its sandbox is not the one that was measured".to_owned();
            return Err(ContainerFault::Misbehaved { role: "worker", detail });
        }
        Ok(worker)
    }

    fn add(&self, worker: Worker) {
        let mut state = self.lock();
        state.start_failure = None;
        state.alive += 1;
        state.idle.push(worker);
        drop(state);
        self.changed.notify_all();
    }

    fn note_failure(&self, fault: &ContainerFault) {
        self.lock().start_failure = Some(format!("no worker can be started: {fault}"));
        self.changed.notify_all();
    }

    fn pause(&self, pause_ms: u64) {
        let until = Instant::now() + Duration::from_millis(pause_ms);
        let mut state = self.lock();
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|_| !state.is_stopped) {
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    /// The best idle worker: one that has the code, else the one that rested longest. Dead ones are dropped on the way.
    fn pick(&mut self, artefact: &Artefact) -> Option<Worker> {
        while !self.idle.is_empty() {
            let position = self.idle.iter().position(|worker| worker.has(artefact)).unwrap_or(0);
            let worker = self.idle.remove(position);
            if worker.is_quiet() {
                return Some(worker);
            }
            self.alive -= 1;
        }
        None
    }
}
