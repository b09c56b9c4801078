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
    install(plain(HOSTILE), SeccompAction::Allow, SeccompAction::KillProcess)?;
    if profile == Profile::Compile {
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
            let is_thread = masked(0, libc::CLONE_THREAD as u64, libc::CLONE_THREAD as u64)?;
            rules.insert(libc::SYS_clone, vec![is_thread]);
        }
        Profile::Sign => {
            for call in maps_memory {
                rules.insert(call, vec![masked(2, libc::PROT_EXEC as u64, 0)?]);
            }
        }
    }
    Ok(rules)
}

fn plain(calls: &[libc::c_long]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
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
