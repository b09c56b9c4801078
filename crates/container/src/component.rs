//! Components and their machine code.

use crate::{fault::GuestRefusal, guest::Guest};
use wasmtime::{Engine, component::Component};

/// Compiles a component for this machine. Costs seconds for large ones: only ever done in a jailed process, or in tests.
pub(crate) fn compile(engine: &Engine, component: &[u8]) -> Result<Vec<u8>, GuestRefusal> {
    let compiled = Component::from_binary(engine, component).map_err(invalid)?;
    let guest = Guest::of_component(engine, &compiled)?;
    guest.try_start()?;
    compiled.serialize().map_err(invalid)
}

/// Loads what [`compile`] made.
///
/// # Safety
/// `artefact` is run as machine code. It must be what [`compile`] returned, unaltered.
pub(crate) unsafe fn load(engine: &Engine, artefact: &[u8]) -> Result<Guest, GuestRefusal> {
    // SAFETY: the caller vouches for the bytes.
    let component = unsafe { Component::deserialize(engine, artefact) };
    Guest::of_component(engine, &component.map_err(invalid)?)
}

fn invalid(error: wasmtime::Error) -> GuestRefusal {
    GuestRefusal::Invalid(format!("{error:#}"))
}
