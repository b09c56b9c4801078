//! System calls: a short list is allowed, the rest fails with `EPERM`, and what only an attacker would try kills the process.

use super::Profile;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What every profile needs: its channel, memory, signals, time, the end.
const COMMON: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_ppoll,
    libc::SYS_close,
    libc::SYS_futex,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_membarrier,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// What the compiler's threads need on top.
const THREADS: &[libc::c_long] = &[libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_clone3];

/// What a program's runtime needs on top: reading files, waiting, threads. What it can reach with these is up to its root.
const PROGRAM: &[libc::c_long] = &[
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_clone3,
    libc::SYS_set_tid_address,
    libc::SYS_openat,
    libc::SYS_newfstatat,
    libc::SYS_fstat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_lseek,
    libc::SYS_pread64,
    libc::SYS_fadvise64,
    libc::SYS_fcntl,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_pselect6,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_getsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mincore,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_getuid,
    libc::SYS_getgid,
    libc::SYS_geteuid,
    libc::SYS_getegid,
    libc::SYS_getppid,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_capget,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_gettimeofday,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_getpriority,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigpending,
];

/// Older spellings of the same, which this architecture still has.
#[cfg(target_arch = "x86_64")]
const PROGRAM_OLD: &[libc::c_long] = &[
    libc::SYS_arch_prctl,
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_poll,
    libc::SYS_epoll_wait,
    libc::SYS_dup2,
    libc::SYS_getrlimit,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const PROGRAM_OLD: &[libc::c_long] = &[];

/// What programs may call and workers never do: executing the program is itself such a call, and some runtimes try `io_uring`
/// and go on without it.
const NOT_HOSTILE_OF_PROGRAMS: &[libc::c_long] = &[libc::SYS_execveat, libc::SYS_io_uring_setup];

/// Requests of `ioctl` that say something about a descriptor the program has.
const IOCTLS: [libc::c_ulong; 4] = [libc::FIONREAD, libc::FIONBIO, libc::FIOCLEX, libc::TCGETS];
/// Requests of `ioctl` that make a virtual machine, run it, and set the state of its processor: those of `vm/machine.rs`.
const MACHINE_IOCTLS: [libc::c_ulong; 11] = [
    0xae01,      // KVM_CREATE_VM
    0xae04,      // KVM_GET_VCPU_MMAP_SIZE
    0xae41,      // KVM_CREATE_VCPU
    0x4020_ae46, // KVM_SET_USER_MEMORY_REGION
    0xae80,      // KVM_RUN
    0x8090_ae81, // KVM_GET_REGS
    0x4090_ae82, // KVM_SET_REGS
    0x8138_ae83, // KVM_GET_SREGS
    0x4138_ae84, // KVM_SET_SREGS
    0x81a0_ae8c, // KVM_GET_FPU
    0x41a0_ae8d, // KVM_SET_FPU
];
/// What a thread may set or ask of itself: its name, and names of its memory.
const PRCTLS: [libc::c_int; 3] = [libc::PR_SET_NAME, libc::PR_GET_NAME, 0x5356_4d41];

/// What nothing in a worker ever calls.
const HOSTILE: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_bpf,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_userfaultfd,
    libc::SYS_perf_event_open,
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_io_uring_setup,
    libc::SYS_open_by_handle_at,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_reboot,
];

pub(super) fn restrict(profile: Profile) -> Result<(), String> {
    let is_program = matches!(profile, Profile::Program(_));
    let hostile = HOSTILE.iter().filter(|call| !(is_program && NOT_HOSTILE_OF_PROGRAMS.contains(call)));
    let hostile: Vec<libc::c_long> = hostile.copied().collect();
    install(plain(&hostile), SeccompAction::Allow, SeccompAction::KillProcess)?;
    if is_program || profile == Profile::Compile {
        // The C library falls back to `clone`, whose flags can be checked, only if `clone3` is not there at all.
        install(plain(&[libc::SYS_clone3]), SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32))?;
    }
    install(allowed(profile)?, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)
}

fn allowed(profile: Profile) -> Result<Rules, String> {
    let mut rules = plain(COMMON);
    let maps_memory = [libc::SYS_mmap, libc::SYS_mprotect];
    match profile {
        Profile::Run => rules.extend(plain(&maps_memory)),
        Profile::Compile => {
            rules.extend(plain(&maps_memory));
            rules.extend(plain(THREADS));
            rules.insert(libc::SYS_clone, vec![thread()?]);
        }
        Profile::Program(executable) => {
            rules.extend(plain(PROGRAM));
            rules.extend(plain(PROGRAM_OLD));
            rules.insert(libc::SYS_clone, vec![thread()?]);
            rules.insert(libc::SYS_execveat, vec![this_file(executable)?]);
            let ioctls = IOCTLS.iter().map(|request| equal(1, Width::Dword, *request));
            rules.insert(libc::SYS_ioctl, ioctls.collect::<Result<_, _>>()?);
            let prctls = PRCTLS.iter().map(|option| equal(0, Width::Dword, *option as u64));
            rules.insert(libc::SYS_prctl, prctls.collect::<Result<_, _>>()?);
            // Its own limits only; what is given up cannot be taken back.
            rules.insert(libc::SYS_prlimit64, vec![equal(0, Width::Dword, 0)?]);
        }
        Profile::RunInVm => {
            rules.extend(never_executable()?);
            rules.extend(plain(&[libc::SYS_mincore, libc::SYS_sysinfo]));
            let ioctls = MACHINE_IOCTLS.iter().map(|request| equal(1, Width::Dword, *request));
            rules.insert(libc::SYS_ioctl, ioctls.collect::<Result<_, _>>()?);
        }
        Profile::Sign => rules.extend(never_executable()?),
    }
    Ok(rules)
}

/// Memory may be mapped, but not made executable.
fn never_executable() -> Result<Rules, String> {
    let rule = |call| masked(2, libc::PROT_EXEC as u64, 0).map(|rule| (call, vec![rule]));
    [libc::SYS_mmap, libc::SYS_mprotect].into_iter().map(rule).collect()
}

fn plain(calls: &[libc::c_long]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

/// Matches a `clone` that makes a thread, not a process.
fn thread() -> Result<SeccompRule, String> {
    masked(0, libc::CLONE_THREAD as u64, libc::CLONE_THREAD as u64)
}

/// Matches an `execveat` of one open file. It closes as it is executed, so the program itself finds nothing to execute.
fn this_file(descriptor: std::os::fd::RawFd) -> Result<SeccompRule, String> {
    let is_it = SeccompCondition::new(0, Width::Dword, Op::Eq, u64::from(descriptor.cast_unsigned()));
    let by_descriptor = SeccompCondition::new(4, Width::Dword, Op::Eq, libc::AT_EMPTY_PATH as u64);
    let conditions = is_it.and_then(|one| Ok(vec![one, by_descriptor?]));
    conditions.and_then(SeccompRule::new).map_err(|error| error.to_string())
}

/// Matches if the argument has this value.
fn equal(argument: u8, width: Width, value: u64) -> Result<SeccompRule, String> {
    let condition = SeccompCondition::new(argument, width, Op::Eq, value);
    condition.and_then(|condition| SeccompRule::new(vec![condition])).map_err(|error| error.to_string())
}

/// Matches if the masked argument has this value.
fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompRule, String> {
    let condition = SeccompCondition::new(argument, Width::Qword, Op::MaskedEq(mask), value);
    condition.and_then(|condition| SeccompRule::new(vec![condition])).map_err(|error| error.to_string())
}

fn install(rules: Rules, otherwise: SeccompAction, on_match: SeccompAction) -> Result<(), String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let filter = SeccompFilter::new(rules, otherwise, on_match, arch).map_err(|error| error.to_string())?;
    let program: BpfProgram = filter.try_into().map_err(|error: seccompiler::BackendError| error.to_string())?;
    apply_filter(&program).map_err(|error| error.to_string())
}
