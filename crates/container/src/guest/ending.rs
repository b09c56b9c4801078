//! How a run ended, in words that are part of the signed result: short, fixed, and free of addresses and names, so that the
//! same call ends in the same bytes everywhere.

use super::limits;
use alloc::{
    format,
    string::{String, ToString},
};
use wasmtime::Trap;

/// A limit of the host interface that a guest ran into. Travels through the engine as the error of a host call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostLimit {
    #[error("too many host calls")]
    Calls,
    #[error("too much randomness asked for")]
    RandomBytes,
    #[error("too much logged")]
    Log,
    #[error("host called while the component was being instantiated")]
    DuringStart,
}

/// The words when a call spent all it had.
pub(crate) const OUT_OF_UNITS: &str = "out of compute units";

/// Reason of a failed run: the same words for the same failure, whatever the engine's own message says.
pub(crate) fn reason(error: &wasmtime::Error, was_memory_refused: bool) -> String {
    if let Some(limit) = error.downcast_ref::<HostLimit>() {
        return limit.to_string();
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => OUT_OF_UNITS.into(),
        Some(Trap::StackOverflow) => format!("stack overflow: the limit is {} bytes", limits::STACK_BYTES_MAX),
        _ if was_memory_refused => format!("out of memory: the limit is {} bytes", limits::MEMORY_BYTES_MAX),
        Some(Trap::UnreachableCodeReached) => "unreachable code reached".into(),
        Some(Trap::MemoryOutOfBounds) => "memory access out of bounds".into(),
        Some(Trap::TableOutOfBounds) => "table access out of bounds".into(),
        Some(Trap::IndirectCallToNull) => "indirect call of nothing".into(),
        Some(Trap::BadSignature) => "indirect call of another signature".into(),
        Some(Trap::IntegerOverflow) => "integer overflow".into(),
        Some(Trap::IntegerDivisionByZero) => "integer division by zero".into(),
        Some(Trap::BadConversionToInteger) => "invalid conversion to integer".into(),
        Some(_) => "trap".into(),
        None => "canonical ABI violated".into(),
    }
}

/// Is this the failure of a run that spent all it had?
pub(crate) fn is_out_of_fuel(error: &wasmtime::Error) -> bool {
    error.downcast_ref::<Trap>() == Some(&Trap::OutOfFuel)
}

/// The words when a guest's output is longer than was paid for.
pub(crate) fn output_too_long(bytes_max: usize) -> String {
    format!("output too long: {bytes_max} bytes were paid for")
}
