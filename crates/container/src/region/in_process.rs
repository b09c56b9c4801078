//! Isolation `none`: guests and keys in the caller's own address space. For tests of what stands above, where no worker binary
//! is at hand; it says so in its measurement, and no policy should name it.

use super::{
    IsolatedRegion, Isolation, IsolationProvider, MeasuredStack,
    instance::{Instance, Runner},
};
use crate::{
    artefact::{self, Artefact, Form},
    call::{CallAnswer, CallInputs, CallOut},
    code::{GuestCode, Kind},
    component,
    engine::{self, EngineProfile},
    evm::{self, EvmGuest},
    fault::ContainerFault,
    guest::Guest,
    keyring::InstanceTerms,
    sandbox::SandboxReport,
    signers::InsecureLocalKey,
};
use alloy_primitives::B256;
use std::{num::NonZeroU32, sync::Arc};

/// Guests that may run at once.
const GUESTS_MAX: NonZeroU32 = NonZeroU32::new(16).expect("not zero");

/// The provider without isolation. The same engine profile, so the same results; no clock stops a call, only fuel does.
pub struct InsecureInProcess {
    engine: wasmtime::Engine,
    stack: MeasuredStack,
}

impl InsecureInProcess {
    /// A provider that protects nothing from anything.
    pub fn insecure_new() -> Result<Self, ContainerFault> {
        Self::at(wasmtime::OptLevel::Speed)
    }

    /// The same, with machine code that is not optimised: for tests that compare both.
    pub fn insecure_unoptimised() -> Result<Self, ContainerFault> {
        Self::at(wasmtime::OptLevel::None)
    }

    fn at(level: wasmtime::OptLevel) -> Result<Self, ContainerFault> {
        let stack = MeasuredStack {
            isolation: Isolation::None,
            engine_profile: EngineProfile::current().digest(),
            worker_binary: B256::ZERO,
            worker_sandbox: SandboxReport::default(),
            signer_sandbox: SandboxReport::default(),
            launch: None,
        };
        Ok(Self { engine: engine::engine_at(GUESTS_MAX, level)?, stack })
    }

    fn not_here(&self, kind: Kind) -> ContainerFault {
        ContainerFault::KindNotHere { kind, isolation: self.isolation().name() }
    }
}

impl IsolationProvider for InsecureInProcess {
    fn stack(&self) -> &MeasuredStack {
        &self.stack
    }

    fn prepare(&self, code: &GuestCode) -> Result<Artefact, ContainerFault> {
        match code {
            GuestCode::Wasm(component) => {
                let bytes = component::compile(&self.engine, component)?;
                Ok(Artefact::wasm(artefact::name_of(&self.engine, component), bytes.into()))
            }
            GuestCode::Evm { code: contract, is_creation } => {
                let bytes = evm::prepare(contract, *is_creation)?;
                Ok(Artefact { name: code.digest().0, bytes: bytes.into(), form: Form::Evm })
            }
            GuestCode::Process { .. } => Err(self.not_here(Kind::Process)),
        }
    }

    fn create(
        &self,
        artefact: &Artefact,
        terms: &InstanceTerms,
        call_out: Arc<dyn CallOut>,
    ) -> Result<Arc<dyn IsolatedRegion>, ContainerFault> {
        let guest = match artefact.form {
            // SAFETY: as far as this provider goes: the artefact came from `prepare`, or from a caller who wants it run.
            Form::Wasm => Loaded::Wasm(unsafe { component::load(&self.engine, &artefact.bytes) }?),
            Form::Evm => Loaded::Evm(EvmGuest::load(&artefact.bytes)?),
            Form::WasmForVm => return Err(ContainerFault::CompiledElsewhere),
            Form::Process(_) => return Err(self.not_here(Kind::Process)),
        };
        let keys = InsecureLocalKey::insecure_create(terms)?;
        Ok(Arc::new(Instance::new(Box::new(guest), call_out, keys, self.stack.measurement())?))
    }
}

/// Code this process can run.
enum Loaded {
    Wasm(Guest),
    Evm(EvmGuest),
}

impl Runner for Loaded {
    fn run(
        &self,
        inputs: &CallInputs,
        input: &[u8],
        call_out: &Arc<dyn CallOut>,
    ) -> Result<CallAnswer, ContainerFault> {
        Ok(match self {
            Self::Wasm(guest) => guest.call(inputs, input.to_vec(), Arc::clone(call_out)),
            Self::Evm(guest) => guest.call(inputs, input.to_vec()),
        })
    }
}
