//! Making code ready in a jail, and the cache of what was made.

use crate::{
    artefact::{self, Artefact, ArtefactCache, Form},
    compile::{self, CompileBounds},
    fault::ContainerFault,
    process::WorkerCommand,
    sandbox::SandboxPolicy,
    wire::SourceKind,
};
use std::sync::{Mutex, PoisonError};

/// The compiler of a provider.
pub(super) struct Maker {
    pub(super) command: WorkerCommand,
    pub(super) policy: SandboxPolicy,
    pub(super) bounds: CompileBounds,
    pub(super) cache: Option<ArtefactCache>,
    /// Held while compiling: one component at a time, so that many do not take the machine's memory together.
    pub(super) compiling: Mutex<()>,
    /// Only asked for its compatibility; it runs nothing.
    pub(super) engine: wasmtime::Engine,
}

impl Maker {
    /// Machine code of a component, from the cache or made now.
    pub(super) fn component(&self, source: SourceKind, component: &[u8]) -> Result<Artefact, ContainerFault> {
        let name = artefact::name_of(&self.engine, component);
        let form = if source == SourceKind::ComponentForVm { Form::WasmForVm } else { Form::Wasm };
        if let Some(cache) = &self.cache
            && let Some(bytes) = cache.load(name)?
        {
            return Ok(Artefact { name, bytes, form });
        }
        let bytes = self.make(source, component)?.into();
        let artefact = Artefact { name, bytes, form };
        if let Some(cache) = &self.cache {
            cache.store(&artefact)?;
        }
        Ok(artefact)
    }

    pub(super) fn make(&self, source: SourceKind, code: &[u8]) -> Result<Vec<u8>, ContainerFault> {
        let _turn = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        compile::in_jail(&self.command, &self.policy, &self.bounds, source, code)
    }
}
