//! The sandbox of a worker process. The process locks itself in before it reads anything a guest could have made, then tries
//! the door from inside, and reports what it found. The report is part of the measurement: what was not in force is not claimed.

mod landlock;
mod namespaces;
mod privileges;
mod resources;
mod root;
mod seccomp;
mod self_check;

pub use resources::ResourceBounds;

use crate::program::RuntimeView;
use alloy_primitives::{B256, keccak256};
use root::Root;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    os::fd::{AsRawFd, OwnedFd, RawFd},
};

/// One thing that stands between a guest that has broken out of its engine and the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[repr(u8)]
pub enum Protection {
    /// A user namespace of its own.
    UserNamespace,
    /// A mount namespace of its own.
    MountNamespace,
    /// A network namespace of its own, with nothing in it.
    NetworkNamespace,
    /// A process namespace of its own: it sees no other process.
    PidNamespace,
    /// An IPC namespace of its own.
    IpcNamespace,
    /// A host name of its own.
    UtsNamespace,
    /// The root folder is an empty, read-only file system.
    EmptyRoot,
    /// The root folder is a read-only file system that holds a program and its runtime, and nothing else of the machine.
    OwnRoot,
    /// It does not run as the machine's root.
    UnprivilegedUser,
    /// No capabilities, and none to be had.
    NoCapabilities,
    /// `no_new_privs`: nothing it executes can gain rights.
    NoNewPrivileges,
    /// No core dumps, and no attaching by processes of the same user.
    NoCoreDumps,
    /// Limits on memory, files, processes.
    ResourceLimits,
    /// Landlock: no access to any file (of a program: but its own and its runtime's), no TCP.
    Landlock,
    /// A list of allowed system calls; others fail, hostile ones kill.
    Seccomp,
    /// Observed from inside: no file of the machine can be opened (by a program: but those of its runtime), none written.
    NoFiles,
    /// Observed from inside: no socket can be made.
    NoNetwork,
    /// Observed from inside: no process can be made.
    NoNewProcesses,
    /// Guests run in virtual machines. Observed: a machine that tries what it must not is ended by that.
    VirtualMachine,
}

impl Protection {
    /// Every protection of a process that serves the host.
    pub const ALL: [Self; 17] = Self::with_root(Self::EmptyRoot);
    /// Every protection of a program of its own (container kind `process`).
    pub const OF_PROGRAMS: [Self; 17] = Self::with_root(Self::OwnRoot);
    /// Every protection of a worker with virtual machines.
    pub const OF_MACHINES: [Self; 18] = {
        let mut all = [Self::VirtualMachine; 18];
        let mut index = 0;
        while index < Self::ALL.len() {
            all[index] = Self::ALL[index];
            index += 1;
        }
        all
    };

    const fn with_root(root: Self) -> [Self; 17] {
        [
            Self::UserNamespace,
            Self::MountNamespace,
            Self::NetworkNamespace,
            Self::PidNamespace,
            Self::IpcNamespace,
            Self::UtsNamespace,
            root,
            Self::UnprivilegedUser,
            Self::NoCapabilities,
            Self::NoNewPrivileges,
            Self::NoCoreDumps,
            Self::ResourceLimits,
            Self::Landlock,
            Self::Seccomp,
            Self::NoFiles,
            Self::NoNetwork,
            Self::NoNewProcesses,
        ]
    }

    /// What no policy can do without: with less, a guest that escapes its engine reaches files or the network.
    pub const INDISPENSABLE: [Self; 5] =
        [Self::NoNewPrivileges, Self::NoCoreDumps, Self::Seccomp, Self::NoFiles, Self::NoNetwork];

    /// Can no policy do without it, where it is wanted? So it is with the machine of a worker that is to have one, too.
    fn is_indispensable(self) -> bool {
        self == Self::VirtualMachine || Self::INDISPENSABLE.contains(&self)
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Which protections a caller can do without on machines that cannot give them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxPolicy {
    tolerated: BTreeSet<Protection>,
}

impl SandboxPolicy {
    /// Everything must be in force.
    pub fn strict() -> Self {
        Self::default()
    }

    /// These may be missing. The indispensable ones cannot be waived, and are ignored here.
    pub fn dangerous_without(tolerated: impl IntoIterator<Item = Protection>) -> Self {
        let is_waivable = |protection: &Protection| !protection.is_indispensable();
        Self { tolerated: tolerated.into_iter().filter(is_waivable).collect() }
    }

    /// Whatever the machine cannot give may be missing, save the indispensable: for nested containers and old kernels.
    pub fn dangerous_best_effort() -> Self {
        Self::dangerous_without(Protection::ALL)
    }

    /// What the report of a process that serves the host lacks and this policy demands.
    pub fn objections(&self, report: &SandboxReport) -> Vec<(Protection, String)> {
        self.objections_to(report, &Protection::ALL)
    }

    /// What a report lacks of these protections and this policy demands.
    pub fn objections_to(&self, report: &SandboxReport, wanted: &[Protection]) -> Vec<(Protection, String)> {
        let is_waived = |protection: &Protection| self.tolerated.contains(protection) && !protection.is_indispensable();
        let is_wanted = |protection: &&Protection| !report.in_force.contains(*protection) && !is_waived(protection);
        let why =
            |protection: &Protection| report.missing.get(protection).cloned().unwrap_or_else(|| "not reported".into());
        wanted.iter().filter(is_wanted).map(|protection| (*protection, why(protection))).collect()
    }
}

/// What was in force in one process, as it found itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxReport {
    /// In force.
    pub in_force: BTreeSet<Protection>,
    /// Not in force, and why.
    pub missing: BTreeMap<Protection, String>,
}

impl SandboxReport {
    /// Hash of what was in force, for the measurement.
    pub fn digest(&self) -> B256 {
        let names: Vec<String> = self.in_force.iter().map(ToString::to_string).collect();
        keccak256(format!("cryptlet/sandbox/v1\n{}", names.join("\n")))
    }

    pub(crate) fn note(&mut self, protection: Protection, outcome: Result<(), impl fmt::Display>) {
        match outcome {
            Ok(()) => {
                self.in_force.insert(protection);
            }
            Err(why) => {
                self.missing.insert(protection, why.to_string());
            }
        }
    }
}

/// What a process does after it has locked itself in, and so which system calls it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Runs guests: may make memory executable.
    Run,
    /// Runs guests in virtual machines: may ask the system for those, and make no memory executable.
    RunInVm,
    /// Compiles: may also start threads.
    Compile,
    /// Holds keys: neither.
    Sign,
    /// Becomes a program: may execute this open file, start threads, read what is left of the file system.
    Program(RawFd),
}

/// Locks the calling process in, for good. It must have a single thread and hold no file but its channel. On return it may be
/// another process than before (the first one of a process namespace); the original waits for it and ends as it ends.
pub(crate) fn enter(profile: Profile, bounds: &ResourceBounds) -> SandboxReport {
    let mut report = SandboxReport::default();
    report.note(Protection::NoNewPrivileges, privileges::forbid_new());
    namespaces::enter(&mut report, &Root::Empty);
    lock(profile, bounds, &[], &mut report);
    report
}

/// As [`enter`], for a process that is to become a program. The root folder then holds what the view names, and the program's
/// file. Gives the open file to execute, too; there is none if the root could not be made.
pub(crate) fn enter_as_program(
    view: &RuntimeView,
    program: &[u8],
    bounds: &ResourceBounds,
) -> (SandboxReport, rustix::io::Result<OwnedFd>) {
    let mut report = SandboxReport::default();
    report.note(Protection::NoNewPrivileges, privileges::forbid_new());
    namespaces::enter(&mut report, &Root::Program { view, program });
    let executable = root::open_executable(view);
    let profile = Profile::Program(executable.as_ref().map_or(-1, AsRawFd::as_raw_fd));
    let readable: Vec<_> = view.binds.iter().map(AsRef::as_ref).chain([root::program_folder()]).collect();
    // Without a root of its own, the machine's own files would be what is readable.
    let readable = if report.in_force.contains(&Protection::OwnRoot) { readable } else { Vec::new() };
    lock(profile, bounds, &readable, &mut report);
    (report, executable)
}

fn lock(profile: Profile, bounds: &ResourceBounds, readable: &[&std::path::Path], report: &mut SandboxReport) {
    report.note(Protection::NoCapabilities, privileges::drop_capabilities());
    report.note(Protection::NoCoreDumps, privileges::forbid_dumps());
    report.note(Protection::ResourceLimits, resources::limit(profile, bounds));
    report.note(Protection::Landlock, landlock::restrict(readable));
    report.note(Protection::Seccomp, seccomp::restrict(profile));
    self_check::run(profile, report);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strict_policy_objects_to_whatever_is_missing() {
        let mut report = SandboxReport::default();
        assert_eq!(SandboxPolicy::strict().objections(&report).len(), Protection::ALL.len());
        report.in_force.extend(Protection::ALL);
        assert!(SandboxPolicy::strict().objections(&report).is_empty());
    }

    #[test]
    fn no_policy_waives_what_is_indispensable() {
        let nothing = SandboxReport::default();
        let objections = SandboxPolicy::dangerous_best_effort().objections_to(&nothing, &Protection::OF_MACHINES);
        let objected: Vec<Protection> = objections.into_iter().map(|(protection, _)| protection).collect();
        assert!(Protection::INDISPENSABLE.iter().all(|protection| objected.contains(protection)));
        assert!(objected.contains(&Protection::VirtualMachine));
        assert_eq!(objected.len(), Protection::INDISPENSABLE.len() + 1);
        let smuggled = SandboxPolicy { tolerated: Protection::OF_MACHINES.into() };
        let objections = smuggled.objections_to(&nothing, &Protection::OF_MACHINES);
        assert_eq!(objections.len(), Protection::INDISPENSABLE.len() + 1);
    }

    #[test]
    fn what_was_in_force_shows_in_the_digest_and_why_the_rest_was_not_does_not() {
        let mut one = SandboxReport::default();
        one.note(Protection::Seccomp, Ok::<(), String>(()));
        let mut other = one.clone();
        other.note(Protection::Landlock, Err("old kernel"));
        assert_eq!(one.digest(), other.digest());
        other.note(Protection::UtsNamespace, Ok::<(), String>(()));
        assert_ne!(one.digest(), other.digest());
    }
}
