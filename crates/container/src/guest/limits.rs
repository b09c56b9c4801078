//! What bounds a guest: part of the engine profile, and the same wherever it runs.

/// Name of the one interface a guest may import.
pub const HOST_INTERFACE: &str = "cryptlet:fabric/host@1.0.0";
/// Fuel in one compute unit.
pub const FUEL_PER_UNIT: u64 = 1_000;
/// Fuel for instantiating a component, not charged to anyone; what needs more is refused at registration.
pub const INSTANTIATION_FUEL_MAX: u64 = 200_000_000;
/// Linear memory of a guest, in bytes.
pub const MEMORY_BYTES_MAX: usize = 128 << 20;
/// Wasm stack of a guest, in bytes.
pub const STACK_BYTES_MAX: usize = 1 << 20;
/// Elements of one table.
pub const TABLE_ELEMENTS_MAX: usize = 100_000;
/// Tables of one component: toolchains add one for their own indirections.
pub const TABLES_MAX: u32 = 8;
/// Core instances within one component: toolchains link a few modules, Python's some dozens.
pub const CORE_INSTANCES_MAX: u32 = 64;
/// Linear memories of one component.
pub const MEMORIES_MAX: u32 = 1;
/// Calls of the host interface in one call.
pub const HOST_CALLS_MAX: u32 = 10_000;
/// Fuel of one call of the host interface, before its bytes.
pub const HOST_CALL_FUEL: u64 = 1_000;
/// Fuel per byte that crosses the host interface.
pub const HOST_BYTE_FUEL: u64 = 8;
/// Bytes of randomness in one call.
pub const RANDOM_BYTES_MAX: u32 = 1 << 20;
/// Log lines in one call.
pub const LOG_LINES_MAX: u32 = 1_000;
/// Bytes of log in one call.
pub const LOG_BYTES_MAX: u32 = 64 << 10;
/// Input of one call, in bytes, whatever the chain's own (smaller) limit is.
pub const INPUT_BYTES_MAX: usize = 8 << 20;
/// Output of one call, in bytes, whatever the chain's own (smaller) limit is.
pub const OUTPUT_BYTES_MAX: usize = 8 << 20;
