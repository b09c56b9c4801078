//! Namespaces: a view of the machine with nothing in it. Works as root and as an ordinary user, by different roads.

use super::{Protection, SandboxReport, root::Root};
use rustix::{
    fs,
    io::{self, Errno},
    process::{
        DumpableBehavior, Gid, Signal, Uid, getegid, geteuid, set_dumpable_behavior, set_parent_process_death_signal,
    },
    thread::{UnshareFlags, set_thread_groups, set_thread_res_gid, set_thread_res_uid, unshare_unsafe},
};

/// User and group `nobody`, in and out of a user namespace.
const NOBODY: u32 = 65_534;

const NAMESPACES: [(Protection, UnshareFlags); 5] = [
    (Protection::MountNamespace, UnshareFlags::NEWNS),
    (Protection::NetworkNamespace, UnshareFlags::NEWNET),
    (Protection::PidNamespace, UnshareFlags::NEWPID),
    (Protection::IpcNamespace, UnshareFlags::NEWIPC),
    (Protection::UtsNamespace, UnshareFlags::NEWUTS),
];

pub(super) fn enter(report: &mut SandboxReport, root: &Root<'_>) {
    if geteuid().is_root() {
        enter_as_root(report, root)
    } else {
        enter_as_user(report, root)
    }
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        // Without it the end of the channel still ends this process.
        report.missing.entry(Protection::PidNamespace).or_insert_with(|| error.to_string());
    }
}

/// Root makes the five with its own rights, then stops being root, then takes a user namespace in which it is nobody.
fn enter_as_root(report: &mut SandboxReport, root: &Root<'_>) {
    let Err(error) = share_nothing(UnshareFlags::empty()) else {
        note_all(report, Ok(()));
        report.note(root.protection(), root.enter());
        report.note(Protection::UnprivilegedUser, become_nobody());
        report.note(Protection::UserNamespace, unshare(UnshareFlags::NEWUSER));
        return;
    };
    // A root without the rights of root, as within other containers: try the road of ordinary users.
    let nobody = become_nobody();
    let is_nobody = nobody.is_ok();
    report.note(Protection::UnprivilegedUser, nobody);
    if is_nobody {
        enter_with_user_namespace(report, root);
    } else {
        note_all(report, Err(error));
        report.note(Protection::UserNamespace, Err::<(), _>(error));
        report.note(root.protection(), Err::<(), _>(error));
    }
}

fn enter_as_user(report: &mut SandboxReport, root: &Root<'_>) {
    report.note(Protection::UnprivilegedUser, Ok::<(), Errno>(()));
    enter_with_user_namespace(report, root);
}

/// An ordinary user gets the rights to make the others from a user namespace.
fn enter_with_user_namespace(report: &mut SandboxReport, root: &Root<'_>) {
    let (outer_user, outer_group) = (geteuid(), getegid());
    if let Err(error) = share_nothing_as(outer_user, outer_group) {
        note_all(report, Err(error));
        report.note(Protection::UserNamespace, Err::<(), _>(error));
        report.note(root.protection(), Err::<(), _>("needs a mount namespace"));
        return;
    }
    report.note(Protection::UserNamespace, Ok::<(), Errno>(()));
    note_all(report, Ok(()));
    report.note(root.protection(), root.enter());
}

fn note_all(report: &mut SandboxReport, outcome: io::Result<()>) {
    for (protection, _) in NAMESPACES {
        report.note(protection, outcome);
    }
}

/// Takes all five, and becomes the first process of the process namespace.
fn share_nothing(more: UnshareFlags) -> io::Result<()> {
    let flags = NAMESPACES.iter().fold(more, |flags, (_, flag)| flags | *flag);
    unshare(flags)?;
    if more.is_empty() { become_first_process() } else { Ok(()) }
}

fn share_nothing_as(outer_user: Uid, outer_group: Gid) -> io::Result<()> {
    // A process that changed its user is not dumpable, and one that is not may not write its own maps.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    share_nothing(UnshareFlags::NEWUSER)?;
    write_map("/proc/self/setgroups", "deny")?;
    write_map("/proc/self/uid_map", &format!("{NOBODY} {} 1", outer_user.as_raw()))?;
    write_map("/proc/self/gid_map", &format!("{NOBODY} {} 1", outer_group.as_raw()))?;
    become_first_process()
}

fn write_map(path: &str, line: &str) -> io::Result<()> {
    let file = fs::open(path, fs::OFlags::WRONLY | fs::OFlags::CLOEXEC, fs::Mode::empty())?;
    io::write(&file, line.as_bytes()).map(drop)
}

fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: of all flags only FILES is unsound with threads or shared descriptors; it is never among these.
    unsafe { unshare_unsafe(flags) }
}

/// A process namespace holds the children of the one that made it. The child goes on as the worker; the parent waits, with
/// nothing left open, and ends as the child ends, so that whoever started it can tell, or kill it.
fn become_first_process() -> io::Result<()> {
    // SAFETY: this process has a single thread, so the child may do anything.
    match unsafe { libc::fork() } {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::AGAIN)),
        0 => Ok(()),
        child => wait_and_end(child),
    }
}

fn wait_and_end(child: libc::pid_t) -> ! {
    // SAFETY: plain system calls on descriptors and a child that belong to this process, which uses neither afterwards.
    unsafe {
        libc::syscall(libc::SYS_close_range, 0, u32::MAX, 0);
        let mut status = 0;
        while libc::waitpid(child, &mut status, 0) == -1 && *libc::__errno_location() == libc::EINTR {}
        if libc::WIFSIGNALED(status) {
            libc::prctl(libc::PR_SET_DUMPABLE, 0);
            // The standard library catches some signals that end a process.
            libc::signal(libc::WTERMSIG(status), libc::SIG_DFL);
            libc::raise(libc::WTERMSIG(status));
            libc::_exit(128 + libc::WTERMSIG(status));
        }
        libc::_exit(libc::WEXITSTATUS(status))
    }
}

fn become_nobody() -> io::Result<()> {
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    set_thread_groups(&[])?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)
}
