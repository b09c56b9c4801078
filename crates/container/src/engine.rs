//! The engine profile: how guests are run, down to the flag, and its digest, which is part of every code digest.
//!
//! Everything here is chosen so that a call is a function of its inputs: NaNs are canonical, there are no threads and no
//! relaxed SIMD, run time is counted in fuel, memory and stack are bounded. Wall-clock time is no part of it: the pool kills
//! a worker that is too slow (see [`crate::pool`]), which gives a fault and never a signed result.

pub use crate::guest::limits::*;

use crate::{fault::ContainerFault, guest::profile};
use alloy_primitives::{B256, keccak256};
use alloy_sol_types::SolValue;
use cryptlet_primitives::CodeDigest;
use std::{fmt, num::NonZeroU32};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy};

/// Version of the engine. Fuel per instruction may differ between versions, so it is part of the profile; a test compares it
/// with `Cargo.lock`.
pub const WASMTIME_VERSION: &str = "48.0.8";
/// The world guests are written against.
pub const WIT: &str = include_str!("../../../wit/cryptlet.wit");
/// Memory a guest gets at once, so that most loads need no bounds check.
const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;
const MEMORY_GUARD_BYTES: u64 = 32 << 20;
/// What machine code for the virtual machine is made for: no operating system is called, but the engine compares the names.
const VM_TARGET: &str = "x86_64-unknown-linux-gnu";
/// What a processor that runs it must have, beside what all of that architecture have: rounding and counting without calls.
pub(crate) const VM_FEATURES: [&str; 8] =
    ["has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt", "has_lzcnt", "has_bmi1", "has_bmi2"];
/// Bytes of a memory that are zeroed by hand rather than given back to the kernel between two calls.
const KEEP_RESIDENT_BYTES: usize = 64 << 10;

/// The profile as text, one `name=value` a line, in a fixed order: what [`EngineProfile::digest`] hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineProfile(String);

impl EngineProfile {
    /// The profile of this build.
    pub fn current() -> Self {
        let limits = [
            ("fuel-per-unit", FUEL_PER_UNIT),
            ("instantiation-fuel-max", INSTANTIATION_FUEL_MAX),
            ("memory-bytes-max", MEMORY_BYTES_MAX as u64),
            ("memories-max", MEMORIES_MAX.into()),
            ("stack-bytes-max", STACK_BYTES_MAX as u64),
            ("table-elements-max", TABLE_ELEMENTS_MAX as u64),
            ("tables-max", TABLES_MAX.into()),
            ("core-instances-max", CORE_INSTANCES_MAX.into()),
            ("host-calls-max", HOST_CALLS_MAX.into()),
            ("host-call-fuel", HOST_CALL_FUEL),
            ("host-byte-fuel", HOST_BYTE_FUEL),
            ("random-bytes-max", RANDOM_BYTES_MAX.into()),
            ("log-lines-max", LOG_LINES_MAX.into()),
            ("log-bytes-max", LOG_BYTES_MAX.into()),
            ("input-bytes-max", INPUT_BYTES_MAX as u64),
            ("output-bytes-max", OUTPUT_BYTES_MAX as u64),
        ];
        let mut text = format!(
            "profile=1\nengine=wasmtime {WASMTIME_VERSION}\nstrategy=cranelift\nfuel=on\nepochs=off\nnan=canonical\n\
             threads=off\nrelaxed-simd=off\nsimd=on\nmulti-memory=off\nmemory64=off\nexceptions=off\ngc=off\n\
             memory-init-cow=off\n"
        );
        for (name, value) in limits {
            text.push_str(&format!("{name}={value}\n"));
        }
        text.push_str(&format!("wit={}\n", wit_hash(WIT)));
        Self(text)
    }

    /// The profile of this build in the virtual machine: the same, so code has the same digest and gives the same results, with
    /// what is done there in another way. Only part of the provider's measurement.
    pub fn in_vm() -> Self {
        let Self(text) = Self::current();
        Self(format!("{text}isolation=vm\ntraps=checked\ntarget={VM_TARGET} {}\n", VM_FEATURES.join(" ")))
    }

    /// What goes into every code digest.
    pub fn digest(&self) -> B256 {
        keccak256(&self.0)
    }
}

impl fmt::Display for EngineProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identity of code as it will run: `keccak256(abi.encode(keccak256("cryptlet/code/v1"), keccak256(component), profile))`.
pub fn code_digest(component: &[u8]) -> CodeDigest {
    let words = (keccak256("cryptlet/code/v1"), keccak256(component), EngineProfile::current().digest());
    CodeDigest(keccak256(words.abi_encode()))
}

/// Hash of a WIT file without its comments and with single spaces: only its meaning.
fn wit_hash(text: &str) -> B256 {
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    keccak256(words.join(" "))
}

/// An engine of this profile that can hold `guests_max` guests at a time.
pub fn engine(guests_max: NonZeroU32) -> Result<Engine, ContainerFault> {
    engine_at(guests_max, OptLevel::Speed)
}

/// As [`engine`], at another level of optimisation: what a guest does, and the fuel it burns, must not depend on it.
pub(crate) fn engine_at(guests_max: NonZeroU32, level: OptLevel) -> Result<Engine, ContainerFault> {
    let mut config = config_of(guests_max, level);
    config.memory_reservation(MEMORY_RESERVATION_BYTES).memory_guard_size(MEMORY_GUARD_BYTES);
    build(&config)
}

/// An engine whose machine code runs in the virtual machine (and here, to try it once when it is made).
pub(crate) fn engine_for_vm() -> Result<Engine, ContainerFault> {
    let mut config = config_of(NonZeroU32::MIN, OptLevel::Speed);
    profile::in_vm(&mut config);
    // Naming a target turns off whatever this processor has on top.
    config.target(VM_TARGET).map_err(fault)?;
    for feature in VM_FEATURES {
        // SAFETY: a flag that the processor running the code must have; the engine checks it when the code is loaded.
        unsafe { config.cranelift_flag_enable(feature) };
    }
    for mitigation in ["enable_heap_access_spectre_mitigation", "enable_table_access_spectre_mitigation"] {
        // SAFETY: changes no semantics. These two work by faults, which nobody would catch in the virtual machine.
        unsafe { config.cranelift_flag_set(mitigation, "false") };
    }
    build(&config)
}

/// What the processor lacks to run machine code for the virtual machine.
pub(crate) fn missing_processor_features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    let has = [
        is_x86_feature_detected!("sse3"),
        is_x86_feature_detected!("ssse3"),
        is_x86_feature_detected!("sse4.1"),
        is_x86_feature_detected!("sse4.2"),
        is_x86_feature_detected!("popcnt"),
        is_x86_feature_detected!("lzcnt"),
        is_x86_feature_detected!("bmi1"),
        is_x86_feature_detected!("bmi2"),
    ];
    #[cfg(not(target_arch = "x86_64"))]
    let has = [false; VM_FEATURES.len()];
    VM_FEATURES.into_iter().zip(has).filter(|(_, has)| !has).map(|(feature, _)| feature).collect()
}

fn config_of(guests_max: NonZeroU32, level: OptLevel) -> Config {
    let mut config = Config::new();
    profile::common(&mut config);
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(level)
        .cranelift_nan_canonicalization(true)
        .parallel_compilation(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool_of(guests_max)));
    config
}

fn build(config: &Config) -> Result<Engine, ContainerFault> {
    Engine::new(config).map_err(fault)
}

fn fault(error: wasmtime::Error) -> ContainerFault {
    ContainerFault::Engine(format!("{error:#}"))
}

fn pool_of(guests_max: NonZeroU32) -> PoolingAllocationConfig {
    let guests = guests_max.get();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(guests)
        .total_core_instances(guests * CORE_INSTANCES_MAX)
        .total_memories(guests * MEMORIES_MAX)
        .total_tables(guests * TABLES_MAX)
        .max_core_instances_per_component(CORE_INSTANCES_MAX)
        .max_memories_per_component(MEMORIES_MAX)
        .max_tables_per_component(TABLES_MAX)
        .max_memory_size(MEMORY_BYTES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .max_unused_warm_slots(guests)
        .pagemap_scan(Enabled::No);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_names_the_engine_that_was_linked() {
        let lock = include_str!("../../../Cargo.lock");
        let entry = format!("name = \"wasmtime\"\nversion = \"{WASMTIME_VERSION}\"");
        assert!(lock.contains(&entry));
        let in_machines = include_str!("../vm-guest/Cargo.lock");
        assert!(in_machines.contains(&entry), "the engine in virtual machines is another");
    }

    #[test]
    fn comments_and_white_space_do_not_change_the_wit_hash() {
        assert_eq!(wit_hash("world  a { // one\n  import host; }"), wit_hash("// two\nworld a {\nimport host;\n}"));
        assert_ne!(wit_hash("world a { import host; }"), wit_hash("world b { import host; }"));
    }

    #[test]
    fn other_code_has_another_digest() {
        assert_ne!(code_digest(b"one"), code_digest(b"two"));
    }
}
