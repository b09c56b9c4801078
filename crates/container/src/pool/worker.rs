//! One worker process, seen from the supervisor: what it has loaded, and a call with it.

use crate::{
    artefact::{Artefact, Form},
    call::{CallAnswer, CallInputs, CallOut, Ending},
    engine,
    fault::ContainerFault,
    process::Process,
    sandbox::SandboxReport,
    wire::{EngineKind, FromWorker, ToWorker, WireError},
};
use alloy_primitives::B256;
use std::time::{Duration, Instant};

/// Compiled code one worker keeps, in bytes; the one used longest ago goes first.
pub(super) const LOADED_BYTES_MAX: usize = 512 << 20;
/// Time to load code, in milliseconds.
const LOAD_MS_MAX: u64 = 10_000;
/// Room for everything in an answer but its output, in bytes.
const ANSWER_OVERHEAD_BYTES: usize = 1024;

#[derive(Debug)]
pub(super) struct Worker {
    process: Process,
    /// Names and sizes, the one used last at the end.
    loaded: Vec<(B256, usize)>,
    /// Components it keeps.
    loaded_max: usize,
    is_usable: bool,
}

impl Worker {
    pub(super) fn new(process: Process, loaded_max: usize) -> Self {
        Self { process, loaded: Vec::new(), loaded_max, is_usable: true }
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(super) fn report(&self) -> &SandboxReport {
        &self.process.report
    }

    /// Alive, and with nothing to say, as an idle worker should be.
    pub(super) fn is_quiet(&self) -> bool {
        self.process.channel.is_quiet()
    }

    /// May it be given another call?
    pub(super) fn is_usable(&self) -> bool {
        self.is_usable
    }

    pub(super) fn has(&self, artefact: &Artefact) -> bool {
        self.loaded.iter().any(|(name, _)| *name == artefact.name)
    }

    /// Runs one call. After any fault but a refusal of the code, or the end of a virtual machine, the worker is dead.
    pub(super) fn call(
        &mut self,
        artefact: &Artefact,
        inputs: &CallInputs,
        input: &[u8],
        call_out: &dyn CallOut,
        call_ms_max: u64,
    ) -> Result<CallAnswer, ContainerFault> {
        self.is_usable = false;
        self.load(artefact)?;
        let task = ToWorker::Call { artefact: artefact.name, inputs: *inputs, input: input.to_vec() };
        self.send(&task)?;
        let deadline = Instant::now() + Duration::from_millis(call_ms_max);
        let answer = self.answer(inputs, call_out, deadline);
        if matches!(answer, Err(Failure::Fault(ContainerFault::MachineLost { .. }))) {
            self.loaded.retain(|(name, _)| *name != artefact.name);
        }
        let answer = answer.map_err(|fault| match fault {
            Failure::TooSlow => {
                self.process.kill();
                ContainerFault::DeadlineExceeded { limit_ms: call_ms_max }
            }
            Failure::Fault(fault) => fault,
        })?;
        self.is_usable = true;
        Ok(answer)
    }

    fn answer(
        &mut self,
        inputs: &CallInputs,
        call_out: &dyn CallOut,
        deadline: Instant,
    ) -> Result<CallAnswer, Failure> {
        let output_bytes_max = (inputs.output_bytes_max as usize).min(engine::OUTPUT_BYTES_MAX);
        let bytes_max = output_bytes_max.max(engine::LOG_BYTES_MAX as usize) + ANSWER_OVERHEAD_BYTES;
        let mut log_lines = 0;
        loop {
            match self.process.channel.receive(bytes_max, Some(deadline)) {
                Ok(FromWorker::Answer(answer)) => return self.check(answer, inputs, output_bytes_max),
                Ok(FromWorker::MachineLost(detail)) => return Err(self.machine_lost(detail).into()),
                Ok(FromWorker::Log(line)) if log_lines < engine::LOG_LINES_MAX => {
                    log_lines += 1;
                    call_out.log(inputs.call_key, &line);
                }
                Ok(_) => return Err(self.process.misbehaved("a message that does not belong here").into()),
                Err(WireError::Deadline) => return Err(Failure::TooSlow),
                Err(error) => return Err(self.process.fault(error).into()),
            }
        }
    }

    /// A worker that a guest took over can say anything; it cannot say more than was asked for.
    fn check(
        &mut self,
        answer: CallAnswer,
        inputs: &CallInputs,
        output_bytes_max: usize,
    ) -> Result<CallAnswer, Failure> {
        let bytes = match &answer.ending {
            Ending::Returned(output) | Ending::Failed(output) => output.len(),
            Ending::Trapped(_) => 0,
        };
        if bytes > output_bytes_max || answer.units > inputs.units_max {
            return Err(self.process.misbehaved("an answer over the call's limits").into());
        }
        Ok(answer)
    }

    fn load(&mut self, artefact: &Artefact) -> Result<(), ContainerFault> {
        if let Some(position) = self.loaded.iter().position(|(name, _)| *name == artefact.name) {
            let entry = self.loaded.remove(position);
            self.loaded.push(entry);
            return Ok(());
        }
        self.make_room(artefact.bytes.len())?;
        let engine = if artefact.form == Form::Evm { EngineKind::Evm } else { EngineKind::Wasm };
        self.send(&ToWorker::Load { artefact: artefact.name, engine, bytes: artefact.bytes.len() as u64 })?;
        self.process.channel.send_raw(&artefact.bytes).map_err(|error| self.process.fault(error))?;
        let deadline = Instant::now() + Duration::from_millis(LOAD_MS_MAX);
        match self.process.channel.receive(64 << 10, Some(deadline)) {
            Ok(FromWorker::Loaded) => {
                self.loaded.push((artefact.name, artefact.bytes.len()));
                Ok(())
            }
            Ok(FromWorker::Refused(refusal)) => {
                self.is_usable = true;
                Err(refusal.into())
            }
            Ok(FromWorker::MachineLost(detail)) => Err(self.machine_lost(detail)),
            Ok(_) => Err(self.process.misbehaved("a message that does not belong here")),
            Err(error) => Err(self.process.fault(error)),
        }
    }

    /// The machine of the last call or load is gone; the worker lives, and makes another when it is asked again.
    fn machine_lost(&mut self, detail: String) -> ContainerFault {
        self.is_usable = true;
        ContainerFault::MachineLost { detail }
    }

    fn make_room(&mut self, bytes: usize) -> Result<(), ContainerFault> {
        let mut held: usize = self.loaded.iter().map(|(_, bytes)| bytes).sum();
        while !self.loaded.is_empty() && (held + bytes > LOADED_BYTES_MAX || self.loaded.len() >= self.loaded_max) {
            let (oldest, freed) = self.loaded.remove(0);
            held -= freed;
            self.send(&ToWorker::Unload { artefact: oldest })?;
        }
        Ok(())
    }

    fn send(&mut self, message: &ToWorker) -> Result<(), ContainerFault> {
        self.process.channel.send(message).map_err(|error| self.process.fault(error))
    }
}

enum Failure {
    TooSlow,
    Fault(ContainerFault),
}

impl From<ContainerFault> for Failure {
    fn from(fault: ContainerFault) -> Self {
        Self::Fault(fault)
    }
}
