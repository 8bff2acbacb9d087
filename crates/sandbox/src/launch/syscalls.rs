//! The system calls that a single-process Python program needs. All others answer `ENOSYS`, as
//! on a kernel without them, for which the C library has a way out where there is one. Calls of
//! another architecture kill.

use super::{At, Failure};
use seccompiler::{
    BpfProgram, SeccompAction,
    SeccompCmpArgLen::{Dword, Qword},
    SeccompCmpOp::{self, Eq, MaskedEq, Ne},
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use std::{collections::BTreeMap, env::consts::ARCH};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Allowed whatever their arguments.
const ALWAYS: &[i64] = &[
    // Descriptors that are open, and files: which ones is Landlock's affair.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_ftruncate,
    libc::SYS_truncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sendfile,
    libc::SYS_copy_file_range,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_renameat2,
    libc::SYS_umask,
    // Waiting.
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    // Memory.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_msync,
    // Signals of its own.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_setitimer,
    libc::SYS_getitimer,
    // Threads, and the end.
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Landlock lets the interpreter and its loader be executed, and nothing else.
    libc::SYS_execve,
    // What it is, and what time it is.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getgroups,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getcpu,
    libc::SYS_sched_getaffinity,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
];

/// Forms that newer architectures do without.
#[cfg(target_arch = "x86_64")]
const LEGACY: &[i64] = &[
    libc::SYS_arch_prctl,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_getdents,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_creat,
    libc::SYS_unlink,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_alarm,
    libc::SYS_pause,
    libc::SYS_getpgrp,
    libc::SYS_time,
    libc::SYS_getrlimit,
];
#[cfg(not(target_arch = "x86_64"))]
const LEGACY: &[i64] = &[];

/// Makes a file without a name, which no limit on a folder would see.
const TMPFILE: u64 = 0o20_000_000;
/// A thread of this process, and no new namespace.
const THREAD: u64 = (libc::CLONE_THREAD | libc::CLONE_VM) as u64;
const NEW: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// The list, as a program for the kernel.
pub(super) fn allowed() -> Result<BpfProgram, Failure> {
    let mut rules: Rules = ALWAYS.iter().chain(LEGACY).map(|call| (*call, vec![])).collect();
    let commands = [
        libc::F_DUPFD,
        libc::F_DUPFD_CLOEXEC,
        libc::F_GETFD,
        libc::F_SETFD,
        libc::F_GETFL,
        libc::F_SETFL,
    ];
    let fcntl = commands.map(|command| is(1, Eq, command as u64));
    let terminals = [
        libc::TCGETS,
        libc::TIOCGWINSZ,
        libc::FIOCLEX,
        libc::FIONCLEX,
        libc::FIONBIO,
        libc::FIONREAD,
    ];
    let ioctl = terminals.map(|request| is(1, Eq, request));
    let names = [libc::PR_SET_NAME, libc::PR_GET_NAME].map(|option| is(0, Eq, option as u64));
    rules.insert(libc::SYS_fcntl, any(fcntl)?);
    rules.insert(libc::SYS_ioctl, any(ioctl)?);
    rules.insert(libc::SYS_prctl, any(names)?);
    rules.insert(libc::SYS_openat, any([is(2, MaskedEq(TMPFILE), 0)])?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, any([is(1, MaskedEq(TMPFILE), 0)])?);
    rules.insert(libc::SYS_clone, any([is(0, MaskedEq(THREAD | NEW), THREAD)])?);
    // To read its own limits, not to set any.
    let limits = vec![condition(is(0, Eq, 0))?, wide(2, 0)?];
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(limits).at("list system calls")?]);
    // Whose signals: see `own_signals`.
    rules.insert(libc::SYS_kill, vec![]);
    rules.insert(libc::SYS_tgkill, vec![]);
    compile(rules, SeccompAction::Errno(libc::ENOSYS as u32), SeccompAction::Allow)
}

/// Signals to this process alone: its number is known when it is there.
pub(super) fn own_signals(pid: u32) -> Result<BpfProgram, Failure> {
    let others = || any([is(0, Ne, pid.into())]);
    let rules = [(libc::SYS_kill, others()?), (libc::SYS_tgkill, others()?)];
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    compile(rules.into_iter().collect(), SeccompAction::Allow, refused)
}

fn compile(
    rules: Rules,
    others: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, Failure> {
    let arch = TargetArch::try_from(ARCH).at("list system calls")?;
    let filter = SeccompFilter::new(rules, others, listed, arch).at("list system calls")?;
    filter.try_into().at("list system calls")
}

struct Is(u8, SeccompCmpOp, u64);

/// An argument's lower half: all that the kernel reads of these.
const fn is(argument: u8, how: SeccompCmpOp, value: u64) -> Is {
    Is(argument, how, value)
}

fn condition(Is(argument, how, value): Is) -> Result<SeccompCondition, Failure> {
    SeccompCondition::new(argument, Dword, how, value).at("list system calls")
}

fn wide(argument: u8, value: u64) -> Result<SeccompCondition, Failure> {
    SeccompCondition::new(argument, Qword, Eq, value).at("list system calls")
}

fn any<const N: usize>(conditions: [Is; N]) -> Result<Vec<SeccompRule>, Failure> {
    let rule = |is| SeccompRule::new(vec![condition(is)?]).at("list system calls");
    conditions.into_iter().map(rule).collect()
}
