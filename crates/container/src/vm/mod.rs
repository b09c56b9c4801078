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

mod image;
pub(crate) mod launch;
pub(crate) mod layout;
mod machine;
mod ram;

pub(crate) use image::{GuestImage, ImageFault};
pub(crate) use machine::{LoadFault, Machine, MachineFault};

use kvm_ioctls::Kvm;
use layout::Probe;

/// Machines that one worker keeps, each with the code of one cryptlet.
pub(crate) const MACHINES_MAX: usize = 16;
/// Memory of one beside its code, in bytes. Most of it is never there.
pub(crate) const MACHINE_BYTES_MAX: u64 = layout::IMAGE.bytes
    + layout::STACK.bytes
    + layout::MAILBOX.bytes
    + layout::HEAP.bytes
    + layout::MEMORY.bytes
    + layout::TABLES.bytes;
/// The version of the interface, which has not changed since 2007.
const KVM_API_VERSION: i32 = 12;
/// File of the system's virtual machines.
pub(crate) const KVM_DEVICE: &str = "/dev/kvm";

/// Opens the system's virtual machines; says what is missing and what would help.
pub(crate) fn open() -> Result<Kvm, String> {
    let kvm = Kvm::new().map_err(|error| {
        let error = std::io::Error::from_raw_os_error(error.errno());
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => "this machine or its kernel gives no virtual machines",
            std::io::ErrorKind::PermissionDenied => "add the host's user to the group `kvm`",
            _ => "see the kernel's log",
        };
        format!("{KVM_DEVICE} cannot be opened: {error}; {help}")
    })?;
    match kvm.get_api_version() {
        KVM_API_VERSION => Ok(kvm),
        other => Err(format!("{KVM_DEVICE} speaks version {other} of its interface; {KVM_API_VERSION} is needed")),
    }
}

/// Has a machine try every forbidden thing. Each must be the end of it.
pub(crate) fn try_the_walls(kvm: &Kvm, image: &GuestImage) -> Result<(), String> {
    for probe in Probe::ALL {
        match Machine::probe(kvm, image, probe) {
            Err(MachineFault::Shutdown(_)) => {}
            Ok(()) | Err(MachineFault::Survived(_)) => {
                return Err(format!("a machine could do what it must not: {probe:?}"));
            }
            Err(other) => return Err(format!("a machine that tried {probe:?} did not end as it should: {other}")),
        }
    }
    Ok(())
}
