//! Isolation `vm`: each cryptlet runs in a virtual machine of its own, in a sandboxed worker process (ADR 0023). Keys live in
//! signer processes, compiling is done in a jail, as with isolation `process`.
//!
//! It protects this host and other cryptlets from a cryptlet. It does not protect a cryptlet from this host, which sees all of
//! its memory.

use super::{
    IsolatedRegion, Isolation, IsolationProvider, MeasuredStack,
    instance::Instance,
    making::Maker,
    process::{InWorkers, ProcessConfig, Shared, start_processes},
};
use crate::{
    artefact::{Artefact, Form},
    call::CallOut,
    code::{GuestCode, Kind},
    engine::{self, EngineProfile},
    fault::ContainerFault,
    keyring::InstanceTerms,
    pool::WorkerLaunch,
    vm::{self, GuestImage},
    wire::SourceKind,
};
use alloy_primitives::Bytes;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// Name of the program for virtual machines, which lies beside the worker's binary.
const IMAGE_FILE: &str = "cryptlet-vm-guest";

/// The provider. Dropping the last handle on it, and on its regions, ends its processes, and the machines in them.
pub struct VmProvider {
    shared: Arc<Shared>,
    maker: Maker,
}

impl VmProvider {
    /// Starts signers, and workers that have machines try every forbidden thing; and measures them. Fails if this machine gives
    /// no virtual machines, if their program is not there, or if a wall does not hold.
    pub fn start(config: ProcessConfig) -> Result<Self, ContainerFault> {
        let ProcessConfig { command, policy, pool, signers, compile, cache, programs_max: _ } = config;
        Self::check_machine()?;
        let image = read_image(&Self::image_beside(&command.program))?;
        let launch = vm::launch::measurement(&GuestImage::parse(&image).map_err(cannot)?);
        let workers = WorkerLaunch { command: command.clone(), policy: policy.clone(), machine_image: Some(image) };
        let (worker_binary, signers, pool) = start_processes(signers, pool, workers)?;
        let stack = MeasuredStack {
            isolation: Isolation::Vm,
            engine_profile: EngineProfile::in_vm().digest(),
            worker_binary,
            worker_sandbox: pool.report().clone(),
            signer_sandbox: signers.report().clone(),
            launch: Some(launch),
        };
        let measurement = stack.measurement();
        let engine = engine::engine_for_vm()?;
        let maker = Maker { command, policy, bounds: compile, cache, compiling: Mutex::new(()), engine };
        Ok(Self { shared: Arc::new(Shared { pool, signers, stack, measurement }), maker })
    }

    /// Can virtual machines of this kind run here? Says what is missing.
    pub fn check_machine() -> Result<(), ContainerFault> {
        vm::open().map_err(ContainerFault::NoMachines)?;
        let missing = engine::missing_processor_features();
        if missing.is_empty() {
            return Ok(());
        }
        Err(ContainerFault::NoMachines(format!("the processor lacks {}", missing.join(", "))))
    }

    /// Where the program for virtual machines is looked for, if this is the worker's binary.
    pub fn image_beside(worker: &Path) -> PathBuf {
        worker.with_file_name(IMAGE_FILE)
    }

    /// Process ids of the workers there are.
    pub fn worker_ids(&self) -> Vec<u32> {
        self.shared.pool.worker_ids()
    }
}

impl IsolationProvider for VmProvider {
    fn stack(&self) -> &MeasuredStack {
        &self.shared.stack
    }

    fn prepare(&self, code: &GuestCode) -> Result<Artefact, ContainerFault> {
        match code {
            GuestCode::Wasm(component) => self.maker.component(SourceKind::ComponentForVm, component),
            GuestCode::Process { .. } | GuestCode::Evm { .. } => Err(not_here(code.kind())),
        }
    }

    fn create(
        &self,
        artefact: &Artefact,
        terms: &InstanceTerms,
        call_out: Arc<dyn CallOut>,
    ) -> Result<Arc<dyn IsolatedRegion>, ContainerFault> {
        match &artefact.form {
            Form::WasmForVm => {}
            Form::Wasm => return Err(ContainerFault::CompiledElsewhere),
            Form::Evm => return Err(not_here(Kind::Evm)),
            Form::Process(_) => return Err(not_here(Kind::Process)),
        }
        let runner = Box::new(InWorkers { shared: Arc::clone(&self.shared), artefact: artefact.clone() });
        let keys = self.shared.signers.create(terms)?;
        Ok(Arc::new(Instance::new(runner, call_out, keys, self.shared.measurement)?))
    }
}

fn read_image(path: &Path) -> Result<Bytes, ContainerFault> {
    let image = std::fs::read(path).map_err(|error| {
        cannot(format!("its program `{}` cannot be read: {error}; `scripts/build-vm-guest` builds it", path.display()))
    });
    image.map(Bytes::from)
}

fn not_here(kind: Kind) -> ContainerFault {
    ContainerFault::KindNotHere { kind, isolation: Isolation::Vm.name() }
}

fn cannot(why: impl ToString) -> ContainerFault {
    ContainerFault::NoMachines(why.to_string())
}
