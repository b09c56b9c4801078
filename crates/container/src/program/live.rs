//! One running program: started locked in, greeted, then given one call at a time.

use super::{
    ProgramSpec, RuntimeView,
    protocol::{self, FromProgram},
};
use crate::{
    call::{CallAnswer, CallInputs, CallOut, Ending},
    engine,
    fault::{ContainerFault, GuestRefusal},
    process::{Process, WorkerCommand},
    sandbox::{ResourceBounds, SandboxPolicy},
    trap,
    wire::{ProgramTask, Role, WireError},
};
use alloy_primitives::Bytes;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Processor time of one process over its whole life, in seconds: what goes on computing between calls ends here.
const CPU_S_MAX: u64 = 3_600;

/// Everything needed to start a program, any number of times.
#[derive(Clone, Debug)]
pub(crate) struct ProgramLaunch {
    pub(crate) command: WorkerCommand,
    pub(crate) policy: SandboxPolicy,
    pub(crate) spec: ProgramSpec,
    pub(crate) program: Bytes,
    pub(crate) live: LivePrograms,
}

/// How many programs are alive in a whole provider, of all cryptlets together.
#[derive(Clone, Debug)]
pub(crate) struct LivePrograms {
    count: Arc<AtomicUsize>,
    most: usize,
}

impl LivePrograms {
    pub(crate) fn at_most(most: usize) -> Self {
        Self { count: Arc::new(AtomicUsize::new(0)), most }
    }

    fn enter(&self) -> Result<Place, ContainerFault> {
        let entered = self
            .count
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < self.most).then_some(count + 1));
        match entered {
            Ok(_) => Ok(Place(Arc::clone(&self.count))),
            Err(_) => Err(ContainerFault::TooManyPrograms { most: self.most }),
        }
    }
}

#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[derive(Debug)]
pub(super) struct Program {
    process: Process,
    is_usable: bool,
    _place: Place,
}

impl ProgramLaunch {
    /// Starts a process and waits until the program says that it is ready.
    pub(super) fn start(&self) -> Result<Program, ContainerFault> {
        let place = self.live.enter()?;
        let view = self.spec.runtime.view(&self.spec)?;
        let bounds = ResourceBounds { data_bytes_max: self.spec.memory_bytes_max, cpu_s_max: Some(CPU_S_MAX) };
        let process = self.start_process(view, bounds)?;
        let mut program = Program { process, is_usable: true, _place: place };
        program.greet(self.spec.start_ms_max)?;
        Ok(program)
    }

    /// Starts it once and ends it again, as a check. A program that does not come up is its author's fault.
    pub(crate) fn try_start(&self) -> Result<(), ContainerFault> {
        let outcome = self.start().map(drop);
        outcome.map_err(|fault| match fault {
            ContainerFault::ProcessLost { role: Role::PROGRAM, detail }
            | ContainerFault::Misbehaved { role: Role::PROGRAM, detail } => {
                GuestRefusal::CannotStart(format!("it did not say that it is ready: {detail}")).into()
            }
            ContainerFault::DeadlineExceeded { limit_ms } => {
                GuestRefusal::CannotStart(format!("it was not ready within {limit_ms} ms")).into()
            }
            other => other,
        })
    }

    fn start_process(&self, view: RuntimeView, bounds: ResourceBounds) -> Result<Process, ContainerFault> {
        let task = ProgramTask { view, bytes: self.program.len() as u64 };
        Process::start_with(&self.command, Role::Program, bounds, &self.policy, |channel| {
            channel.send(&task)?;
            channel.send_raw(&self.program)
        })
    }
}

impl Program {
    /// Alive, and with nothing to say, as an idle program should be.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_usable && self.process.channel.is_quiet()
    }

    /// May it be given another call?
    pub(super) const fn is_usable(&self) -> bool {
        self.is_usable
    }

    fn greet(&mut self, start_ms_max: u64) -> Result<(), ContainerFault> {
        let deadline = Instant::now() + Duration::from_millis(start_ms_max);
        self.send(&protocol::hello(), deadline, start_ms_max)?;
        match self.receive(deadline, start_ms_max)? {
            FromProgram::Ready(protocol::VERSION) => Ok(()),
            FromProgram::Ready(other) => {
                let ours = protocol::VERSION;
                Err(self.process.misbehaved(&format!("it speaks version {other} of the protocol, this host {ours}")))
            }
            _ => Err(self.process.misbehaved("something before `ready` (81)")),
        }
    }

    /// Runs one call. After any fault the process is dead.
    pub(super) fn call(
        &mut self,
        inputs: &CallInputs,
        input: &[u8],
        call_out: &dyn CallOut,
        call_ms_max: u64,
    ) -> Result<Ending, ContainerFault> {
        self.is_usable = false;
        let deadline = Instant::now() + Duration::from_millis(call_ms_max);
        self.send(&protocol::call(inputs, input), deadline, call_ms_max)?;
        let (mut log_lines, mut log_bytes) = (0, 0);
        loop {
            match self.receive(deadline, call_ms_max)? {
                FromProgram::Ended(ending) => {
                    self.is_usable = true;
                    return Ok(ending);
                }
                FromProgram::Log(line) => {
                    log_lines += 1;
                    log_bytes += line.len();
                    if log_lines > engine::LOG_LINES_MAX || log_bytes > engine::LOG_BYTES_MAX as usize {
                        return Err(self.process.misbehaved("more log than a call may have"));
                    }
                    call_out.log(inputs.call_key, &line);
                }
                FromProgram::Ready(_) => return Err(self.process.misbehaved("a second `ready` (81)")),
            }
        }
    }

    fn send(&mut self, frame: &[u8], deadline: Instant, limit_ms: u64) -> Result<(), ContainerFault> {
        self.process.channel.send_until(frame, deadline).map_err(|error| self.fault(error, limit_ms))
    }

    fn receive(&mut self, deadline: Instant, limit_ms: u64) -> Result<FromProgram, ContainerFault> {
        let bytes_max = protocol::FROM_PROGRAM_BYTES_MAX;
        let frame = self.process.channel.receive_frame(bytes_max, deadline);
        let frame = frame.map_err(|error| self.fault(error, limit_ms))?;
        protocol::parse(frame).map_err(|why| self.process.misbehaved(&why))
    }

    fn fault(&mut self, error: WireError, limit_ms: u64) -> ContainerFault {
        match error {
            WireError::Deadline => {
                self.process.kill();
                ContainerFault::DeadlineExceeded { limit_ms }
            }
            other => self.process.fault(other),
        }
    }
}

/// A call's end with its price. Every call of a program costs the same: its work cannot be counted alike everywhere.
pub(super) fn settle(ending: Ending, inputs: &CallInputs, units: u64) -> CallAnswer {
    let output_bytes_max = (inputs.output_bytes_max as usize).min(engine::OUTPUT_BYTES_MAX);
    let ending = match ending {
        Ending::Returned(output) | Ending::Failed(output) if output.len() > output_bytes_max => {
            Ending::Trapped(trap::output_too_long(output_bytes_max))
        }
        other => other,
    };
    CallAnswer { ending, units }
}

/// The end of a call that did not pay for itself, if it did not.
pub(super) fn too_poor(inputs: &CallInputs, units: u64) -> Option<CallAnswer> {
    let ending = || Ending::Trapped(trap::OUT_OF_UNITS.to_owned());
    (inputs.units_max < units).then(|| CallAnswer { ending: ending(), units: inputs.units_max })
}
