//! A virtual machine whose guest runs entirely in ring 3 (ADR 0023): what the worker that owns it does.
//!
//! ```text
//! image ──launch──▶ Machine ──load code──▶ snapshot ──┬─ request in, run, answer out ─┐
//!   (measured)                                        └────────── put back ◀──────────┘
//! ```
//!
//! The machine has one processor, no kernel, no devices, no interrupts and no clock. It leaves by one instruction, a write to a
//! port, with a number of bytes that lie in a fixed place; the host never follows an address that the guest names.
//! Whatever else it does (a fault, another port, a system call) ends it.

#[cfg(target_arch = "x86_64")]
mod image;
#[cfg(target_arch = "x86_64")]
pub(crate) mod launch;
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only sizes are asked for"))]
mod layout;
#[cfg(target_arch = "x86_64")]
mod machine;
#[cfg(target_arch = "x86_64")]
mod ram;
#[cfg(target_arch = "x86_64")]
mod system;

#[cfg(target_arch = "x86_64")]
pub(crate) use {
    image::{GuestImage, ImageFault},
    machine::{LoadFault, Machine, MachineFault, Program},
    system::{open, try_the_walls},
};

/// Machines that one worker keeps, each with the code of one cryptlet.
pub(crate) const MACHINES_MAX: usize = 16;
/// Memory of one beside its code, in bytes. Most of it is never there.
pub(crate) const MACHINE_BYTES_MAX: u64 = layout::IMAGE.bytes
    + layout::STACK.bytes
    + layout::MAILBOX.bytes
    + layout::HEAP.bytes
    + layout::MEMORY.bytes
    + layout::TABLES.bytes;
