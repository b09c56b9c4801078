//! The system's virtual machines, and the proof that they hold.

use super::{Machine, MachineFault, Program, layout::Probe};
use kvm_ioctls::Kvm;

/// The version of the interface, which has not changed since 2007.
const KVM_API_VERSION: i32 = 12;
/// File of the system's virtual machines.
const KVM_DEVICE: &str = "/dev/kvm";

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
pub(crate) fn try_the_walls(kvm: &Kvm, program: &Program) -> Result<(), String> {
    for probe in Probe::ALL {
        match Machine::probe(kvm, program, probe) {
            Err(MachineFault::Shutdown(_)) => {}
            Ok(()) | Err(MachineFault::Survived(_)) => {
                return Err(format!("a machine could do what it must not: {probe:?}"));
            }
            Err(other) => return Err(format!("a machine that tried {probe:?} did not end as it should: {other}")),
        }
    }
    Ok(())
}
