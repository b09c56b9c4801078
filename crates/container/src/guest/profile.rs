//! The settings of an engine that are the same for every isolation, and those that are the virtual machine's own.

use super::limits;
use wasmtime::Config;

/// What decides how a guest runs, beside its code: with [`in_vm`] or without.
pub(crate) fn common(config: &mut Config) {
    config
        .consume_fuel(true)
        .epoch_interruption(false)
        .max_wasm_stack(limits::STACK_BYTES_MAX)
        .memory_init_cow(false)
        .memory_may_move(false)
        .wasm_backtrace_max_frames(None)
        .wasm_component_model(true)
        .wasm_simd(true)
        .wasm_relaxed_simd(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false);
}

/// In the virtual machine there is nobody to catch a fault, so machine code checks every bound itself, and a memory is exactly as
/// large as it may become. What a guest computes, and the fuel it burns, are the same.
pub(crate) fn in_vm(config: &mut Config) {
    config
        .signals_based_traps(false)
        .memory_reservation(limits::MEMORY_BYTES_MAX as u64)
        .memory_reservation_for_growth(0)
        .memory_guard_size(0)
        .guard_before_linear_memory(false);
}
