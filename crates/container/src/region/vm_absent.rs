//! Isolation `vm` where it cannot be: it does not start.

use super::{IsolatedRegion, IsolationProvider, MeasuredStack, process::ProcessConfig};
use crate::{artefact::Artefact, call::CallOut, code::GuestCode, fault::ContainerFault, keyring::InstanceTerms};
use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The provider, of which there is none on this architecture.
pub struct VmProvider(Infallible);

impl VmProvider {
    /// Always fails.
    pub fn start(_: ProcessConfig) -> Result<Self, ContainerFault> {
        Err(Self::check_machine().err().unwrap_or(ContainerFault::Stopped))
    }

    /// Always fails.
    pub fn check_machine() -> Result<(), ContainerFault> {
        Err(ContainerFault::NoMachines(format!("it is made for x86-64, this is {}", std::env::consts::ARCH)))
    }

    /// Where the program for virtual machines would be.
    pub fn image_beside(worker: &Path) -> PathBuf {
        worker.with_file_name("cryptlet-vm-guest")
    }

    /// Process ids of the workers there are.
    pub fn worker_ids(&self) -> Vec<u32> {
        match self.0 {}
    }
}

impl IsolationProvider for VmProvider {
    fn stack(&self) -> &MeasuredStack {
        match self.0 {}
    }

    fn prepare(&self, _: &GuestCode) -> Result<Artefact, ContainerFault> {
        match self.0 {}
    }

    fn create(
        &self,
        _: &Artefact,
        _: &InstanceTerms,
        _: Arc<dyn CallOut>,
    ) -> Result<Arc<dyn IsolatedRegion>, ContainerFault> {
        match self.0 {}
    }
}
