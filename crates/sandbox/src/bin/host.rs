//! A process that has the launcher in it, for this crate's tests: it probes as whom it is told
//! and where it is told, says in a line what came of it, and may then hold a program.
//!
//! `baton-sandbox-host LEVEL [best] [groups] [user|pod] [without LAYER] [hold MARK]`

use baton_sandbox::{Config, Level, Limits, Program, Sandbox, launched};
use rustix::{
    process::{Gid, Uid, geteuid},
    thread::{
        CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs, set_thread_gid,
        set_thread_groups, set_thread_uid,
    },
};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};
use std::{
    env,
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    if let Some(code) = launched() {
        return Ok(code);
    }
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    let after = |word: &str| {
        arguments.iter().skip_while(|argument| *argument != word).nth(1).map(String::as_str)
    };
    if has("user") || has("pod") {
        ordinary_user()?;
    }
    if has("pod") {
        restricted_pod()?;
    }
    let level = if has("ns") { Level::Ns } else { Level::Lsm };
    #[allow(unused_mut, reason = "a release build leaves nothing out")]
    let mut config = Config { at_least: level, control_groups: has("groups"), ..Config::default() };
    if !has("best") {
        config.at_most = level;
    }
    #[cfg(debug_assertions)]
    if let Some(layer) = after("without") {
        config.without = Some(serde_json::from_value(layer.into())?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let sandbox = match Sandbox::probe(config).await {
            Ok(sandbox) => sandbox,
            Err(error) => return say(&error.to_string()),
        };
        say(&serde_json::to_string(sandbox.isolation())?)?;
        if let Some(mark) = after("hold") {
            let mut program = Program::python("import time\ntime.sleep(600)");
            program.arguments.push(mark.into());
            let limits = Limits { wall_ms: 600_000, ..Limits::default() };
            sandbox.run(&program, &limits).await?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn say(line: &str) -> Result<(), Box<dyn Error>> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}

fn ordinary_user() -> Result<(), Box<dyn Error>> {
    if !geteuid().is_root() {
        return Ok(());
    }
    set_thread_groups(&[])?;
    set_thread_gid(Gid::from_raw(1000))?;
    Ok(set_thread_uid(Uid::from_raw(1000))?)
}

/// What a pod is given by the standard "restricted" and a runtime's default filter: no
/// capability, no new privilege, no namespace, no mount, and none of the calls below.
fn restricted_pod() -> Result<(), Box<dyn Error>> {
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    set_no_new_privs(true)?;
    let refused = [
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_open_tree,
        libc::SYS_move_mount,
        libc::SYS_fsopen,
        libc::SYS_fsmount,
        libc::SYS_fsconfig,
        libc::SYS_fspick,
        libc::SYS_mount_setattr,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_open_by_handle_at,
        libc::SYS_kexec_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_settimeofday,
        libc::SYS_acct,
        libc::SYS_quotactl,
        libc::SYS_syslog,
        libc::SYS_fanotify_init,
        libc::SYS_lookup_dcookie,
        libc::SYS_nfsservctl,
        libc::SYS_vhangup,
        libc::SYS_move_pages,
        libc::SYS_set_mempolicy,
        libc::SYS_mbind,
    ];
    let mut rules: std::collections::BTreeMap<i64, Vec<SeccompRule>> =
        refused.into_iter().map(|call| (call, vec![])).collect();
    let masks = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ];
    let mut clone = Vec::new();
    for mask in masks.map(|mask| mask as u64) {
        let asks = SeccompCmpOp::MaskedEq(mask);
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Dword, asks, mask)?;
        clone.push(SeccompRule::new(vec![condition])?);
    }
    rules.insert(libc::SYS_clone, clone);
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        TargetArch::try_from(env::consts::ARCH)?,
    )?;
    let filter: seccompiler::BpfProgram = filter.try_into()?;
    Ok(apply_filter(&filter)?)
}
