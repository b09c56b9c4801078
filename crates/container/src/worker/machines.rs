//! Role `RunInVm`: as `Run`, with a virtual machine for each cryptlet. Guests' code never runs in this process.

use super::ChildError;
use crate::{
    engine::EngineProfile,
    sandbox::{self, Profile, Protection, ResourceBounds},
    vm::{self, GuestImage, LoadFault, Machine, Program},
    wire::{Channel, EngineKind, FRAME_BYTES_MAX, FromWorker, MachineTask, PROTOCOL_VERSION, Ready, ToWorker},
};
use alloy_primitives::B256;
use kvm_ioctls::Kvm;
use std::collections::HashMap;

const TASK_BYTES_MAX: usize = 64;
/// Longest reason of a machine's end that is passed on, in bytes.
const REASON_BYTES_MAX: usize = 1024;

pub(super) fn serve(mut channel: Channel, bounds: &ResourceBounds) -> Result<(), ChildError> {
    let task: MachineTask = channel.receive(TASK_BYTES_MAX, None)?;
    let image = GuestImage::parse(&channel.receive_raw(task.image_bytes as usize, None)?)?;
    let program = Program::new(image).map_err(|error| ChildError::NoMachines(error.to_string()))?;
    let kvm = vm::open().map_err(ChildError::NoMachines)?;
    let mut report = sandbox::enter(Profile::RunInVm, bounds);
    report.note(Protection::VirtualMachine, vm::try_the_walls(&kvm, &program));
    let profile = EngineProfile::current().digest();
    channel.send(&Ready { version: PROTOCOL_VERSION, profile, report })?;
    let mut machines = HashMap::new();
    loop {
        let Some(answer) = serve_one(&mut channel, &mut machines, (&kvm, &program))? else { return Ok(()) };
        channel.send(&answer)?;
    }
}

/// Does what the next message says. None if the supervisor lost count: a new worker starts from nothing.
fn serve_one(
    channel: &mut Channel,
    machines: &mut HashMap<B256, Machine>,
    (kvm, program): (&Kvm, &Program),
) -> Result<Option<FromWorker>, ChildError> {
    match channel.receive(FRAME_BYTES_MAX, None)? {
        ToWorker::Load { engine: EngineKind::Evm, .. } => Ok(None),
        ToWorker::Load { artefact, engine: EngineKind::Wasm, bytes } => {
            let code = channel.receive_raw(bytes as usize, None)?;
            Ok(Some(match Machine::load(kvm, program, &code) {
                Ok(machine) => {
                    machines.insert(artefact, machine);
                    FromWorker::Loaded
                }
                Err(LoadFault::Refused(refusal)) => FromWorker::Refused(refusal),
                Err(LoadFault::Machine(fault)) => lost(&fault),
            }))
        }
        ToWorker::Unload { artefact } => {
            machines.remove(&artefact);
            serve_one(channel, machines, (kvm, program))
        }
        ToWorker::Call { artefact, inputs, input } => {
            let Some(machine) = machines.get_mut(&artefact) else { return Ok(None) };
            let mut logs = channel.share();
            // A host that is gone is noticed by the call's own answer.
            let answer = machine.call(&inputs, &input, |line| drop(logs.send(&FromWorker::Log(line.to_owned()))));
            Ok(Some(match answer {
                Ok(answer) => FromWorker::Answer(answer),
                Err(fault) => {
                    machines.remove(&artefact);
                    lost(&fault)
                }
            }))
        }
    }
}

fn lost(fault: &vm::MachineFault) -> FromWorker {
    let mut reason = fault.to_string();
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    FromWorker::MachineLost(reason)
}
