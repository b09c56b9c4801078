//! Isolation `process`, the default: guests run in sandboxed worker processes, keys live in signer processes, compiling is
//! done in a process that does nothing else. This process only carries values between them.

use super::{
    IsolatedRegion, Isolation, IsolationProvider, MeasuredStack,
    instance::{Instance, Runner},
    making::Maker,
};
use crate::{
    artefact::{Artefact, ArtefactCache, Form},
    call::{CallAnswer, CallInputs, CallOut},
    code::GuestCode,
    compile::CompileBounds,
    engine::{self, EngineProfile},
    fault::{ContainerFault, GuestRefusal},
    keyring::InstanceTerms,
    pool::{PoolConfig, WorkerLaunch, WorkerPool},
    process::WorkerCommand,
    program::{LivePrograms, ProgramLaunch, ProgramPool, ProgramSpec},
    sandbox::SandboxPolicy,
    signers::SignerPool,
    wire::SourceKind,
};
use alloy_primitives::{B256, Bytes};
use cryptlet_primitives::Measurement;
use sha2::{Digest, Sha256};
use std::{
    fs,
    num::{NonZeroU32, NonZeroUsize},
    sync::{Arc, Mutex},
    thread,
};

/// How to run isolated processes.
#[derive(Debug)]
pub struct ProcessConfig {
    /// How to start one.
    pub command: WorkerCommand,
    /// Which protections are demanded of each.
    pub policy: SandboxPolicy,
    /// The workers.
    pub pool: PoolConfig,
    /// Signer processes.
    pub signers: NonZeroUsize,
    /// What compiling a component may take.
    pub compile: CompileBounds,
    /// Programs (container kind `process`) that may run at once, of all cryptlets together.
    pub programs_max: usize,
    /// Where compiled code is kept; without it every start compiles anew.
    pub cache: Option<ArtefactCache>,
}

impl ProcessConfig {
    /// Everything strict, one worker per core, no cache.
    pub fn new(command: WorkerCommand) -> Self {
        let pool = PoolConfig::default();
        let signers = pool.workers;
        let policy = SandboxPolicy::strict();
        Self { command, policy, pool, signers, compile: CompileBounds::default(), programs_max: 64, cache: None }
    }
}

/// The provider. Dropping the last handle on it, and on its regions, ends its processes.
pub struct ProcessProvider {
    shared: Arc<Shared>,
    maker: Maker,
    /// Patience with calls, of programs as of workers.
    pool: PoolConfig,
    programs: LivePrograms,
}

pub(super) struct Shared {
    pub(super) pool: WorkerPool,
    pub(super) signers: SignerPool,
    pub(super) stack: MeasuredStack,
    pub(super) measurement: Measurement,
}

impl ProcessProvider {
    /// Starts signers and workers, and measures them. Fails if their sandbox is weaker than the policy demands.
    pub fn start(config: ProcessConfig) -> Result<Self, ContainerFault> {
        let ProcessConfig { command, policy, pool, signers, compile, programs_max, cache } = config;
        let bounds = pool.clone();
        let workers = WorkerLaunch { command: command.clone(), policy: policy.clone(), machine_image: None };
        let (worker_binary, signers, pool) = start_processes(signers, pool, workers)?;
        let stack = MeasuredStack {
            isolation: Isolation::Process,
            engine_profile: EngineProfile::current().digest(),
            worker_binary,
            worker_sandbox: pool.report().clone(),
            signer_sandbox: signers.report().clone(),
            launch: None,
        };
        let measurement = stack.measurement();
        let engine = engine::engine(NonZeroU32::MIN)?;
        let shared = Arc::new(Shared { pool, signers, stack, measurement });
        let programs = LivePrograms::at_most(programs_max);
        let maker = Maker { command, policy, bounds: compile, cache, compiling: Mutex::new(()), engine };
        Ok(Self { shared, maker, pool: bounds, programs })
    }

    /// Process ids of the workers there are.
    pub fn worker_ids(&self) -> Vec<u32> {
        self.shared.pool.worker_ids()
    }

    /// Process ids of the signers there are.
    pub fn signer_ids(&self) -> Vec<u32> {
        self.shared.signers.ids()
    }
}

impl IsolationProvider for ProcessProvider {
    fn stack(&self) -> &MeasuredStack {
        &self.shared.stack
    }

    fn prepare(&self, code: &GuestCode) -> Result<Artefact, ContainerFault> {
        match code {
            GuestCode::Wasm(component) => self.maker.component(SourceKind::Component, component),
            GuestCode::Process { program, spec } => self.try_program(code, program, spec),
            GuestCode::Evm { code: contract, is_creation } => {
                let source = SourceKind::Contract { is_creation: *is_creation };
                let bytes = self.maker.make(source, contract)?;
                Ok(Artefact { name: code.digest().0, bytes: bytes.into(), form: Form::Evm })
            }
        }
    }

    fn create(
        &self,
        artefact: &Artefact,
        terms: &InstanceTerms,
        call_out: Arc<dyn CallOut>,
    ) -> Result<Arc<dyn IsolatedRegion>, ContainerFault> {
        let runner: Box<dyn Runner> = match &artefact.form {
            Form::Wasm | Form::Evm => {
                Box::new(InWorkers { shared: Arc::clone(&self.shared), artefact: artefact.clone() })
            }
            Form::Process(spec) => {
                let launch = self.launch(artefact.bytes.clone(), spec.clone());
                Box::new(ProgramPool::start(launch, self.pool.clone())?)
            }
            Form::WasmForVm => return Err(ContainerFault::CompiledElsewhere),
        };
        let keys = self.shared.signers.create(terms)?;
        Ok(Arc::new(Instance::new(runner, call_out, keys, self.shared.measurement)?))
    }
}

impl ProcessProvider {
    fn try_program(&self, code: &GuestCode, program: &Bytes, spec: &ProgramSpec) -> Result<Artefact, ContainerFault> {
        let (bytes, bytes_max) = (program.len(), self.maker.bounds.component_bytes_max);
        if bytes > bytes_max {
            return Err(GuestRefusal::TooLong { bytes, bytes_max }.into());
        }
        let objections = spec.objections();
        if !objections.is_empty() {
            return Err(GuestRefusal::BadSpec(objections.join("; ")).into());
        }
        self.launch(program.clone(), spec.clone()).try_start()?;
        Ok(Artefact { name: code.digest().0, bytes: program.clone(), form: Form::Process(spec.clone()) })
    }

    fn launch(&self, program: Bytes, spec: ProgramSpec) -> ProgramLaunch {
        let (command, policy, live) = (self.maker.command.clone(), self.maker.policy.clone(), self.programs.clone());
        ProgramLaunch { command, policy, spec, program, live }
    }
}

/// Code that any worker can run.
pub(super) struct InWorkers {
    pub(super) shared: Arc<Shared>,
    pub(super) artefact: Artefact,
}

impl Runner for InWorkers {
    fn run(
        &self,
        inputs: &CallInputs,
        input: &[u8],
        call_out: &Arc<dyn CallOut>,
    ) -> Result<CallAnswer, ContainerFault> {
        self.shared.pool.call(&self.artefact, inputs, input, &**call_out)
    }
}

/// A program, in processes of its own.
impl Runner for ProgramPool {
    fn run(
        &self,
        inputs: &CallInputs,
        input: &[u8],
        call_out: &Arc<dyn CallOut>,
    ) -> Result<CallAnswer, ContainerFault> {
        self.call(inputs, input, &**call_out)
    }
}

/// Starts signers and workers, and hashes their binary meanwhile, since it is large.
pub(super) fn start_processes(
    signers: NonZeroUsize,
    pool: PoolConfig,
    workers: WorkerLaunch,
) -> Result<(B256, SignerPool, WorkerPool), ContainerFault> {
    thread::scope(|scope| {
        let command = workers.command.clone();
        let binary = scope.spawn(move || hash_of_binary(&command));
        let signers = SignerPool::start(signers, workers.command.clone(), workers.policy.clone())?;
        let pool = WorkerPool::start(pool, workers)?;
        let binary = binary.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok((binary, signers, pool))
    })
}

fn hash_of_binary(command: &WorkerCommand) -> Result<B256, ContainerFault> {
    let program = command.program.display().to_string();
    let bytes = fs::read(&command.program);
    bytes.map(|bytes| B256::new(Sha256::digest(bytes).into())).map_err(|source| ContainerFault::Spawn {
        role: "worker",
        program,
        source,
    })
}
