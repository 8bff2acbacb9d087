//! What a new process gives up before it becomes the program. The order matters: another uid
//! before the kernel's word about a dead parent (which a change of uid takes back), limits and
//! files before system calls (which would refuse to set them).

use super::{At, Failure, syscalls};
#[cfg(debug_assertions)]
use crate::config::Layer;
use crate::{
    config::{Level, Limits},
    wire::Setup,
};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, Scope,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Gid, Resource, Rlimit, Signal, Uid, set_parent_process_death_signal, setrlimit},
    thread::{
        CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs, set_thread_gid,
        set_thread_groups, set_thread_uid,
    },
};
use seccompiler::{BpfProgram, apply_filter};
use std::{
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    process,
};

/// The newest rights that this crate knows; the kernel enforces those that it knows.
const NEWEST: ABI = ABI::V7;
/// Deep recursion needs room; each thread's stack takes as much of the address space.
const STACK_BYTES: u64 = 32 << 20;
const OPEN_FILES_MAX: u64 = 64;
/// What a launcher and its program count beside the program's threads.
const PROCESSES_MORE: u64 = 2;

/// What a program is to live in.
pub(super) struct Confinement {
    pub(super) setup: Setup,
    pub(super) limits: Limits,
    pub(super) room: PathBuf,
    pub(super) allowed: BpfProgram,
    /// Entrances of control groups.
    pub(super) groups: Vec<OwnedFd>,
}

impl Confinement {
    /// Gives Landlock's version.
    pub(super) fn apply(&self, launcher: impl AsFd) -> Result<u8, Failure> {
        rustix::process::setsid().at("leave the session")?;
        for group in &self.groups {
            rustix::io::write(group, b"0").at("enter a control group")?;
        }
        if let (Level::Lsm, Some(uid)) = (self.setup.level, self.setup.uid) {
            become_somebody(uid)?;
        }
        set_parent_process_death_signal(Some(Signal::KILL)).at("tie itself to the launcher")?;
        // It may have died before.
        let mut fds = [PollFd::new(&launcher, PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut fds, Some(&now)).at("look for the launcher")? > 0 {
            process::exit(1);
        }
        set_capabilities(None, NOTHING).at("drop its capabilities")?;
        set_no_new_privs(true).at("give up new privileges")?;
        #[cfg(debug_assertions)]
        let without = self.setup.without;
        #[cfg(debug_assertions)]
        let (files, calls, limits) = (
            without != Some(Layer::Landlock),
            without != Some(Layer::Seccomp),
            without != Some(Layer::Rlimits),
        );
        #[cfg(not(debug_assertions))]
        let (files, calls, limits) = (true, true, true);

        let abi = if files { self.files()? } else { 0 };
        let own = syscalls::own_signals(process::id())?;
        if limits {
            self.limit()?;
        }
        if calls {
            apply_filter(&own).at("install its list of system calls")?;
            apply_filter(&self.allowed).at("install its list of system calls")?;
        }
        Ok(abi)
    }

    /// Files by Landlock: what the interpreter needs, read only, and the private folder.
    fn files(&self) -> Result<u8, Failure> {
        let stage = "apply Landlock";
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let ruleset = Ruleset::default()
            .handle_access(AccessFs::from_all(NEWEST))
            .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
            .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
            .and_then(Ruleset::create)
            .at(stage)?;
        let interpreter = &self.setup.interpreter;
        let mut ruleset = ruleset;
        for path in &interpreter.visible {
            ruleset = allow(ruleset, path, read)?;
        }
        for path in interpreter.loader.iter().chain([&interpreter.executable]) {
            ruleset = allow(ruleset, path, AccessFs::ReadFile | AccessFs::Execute)?;
        }
        ruleset = allow(ruleset, Path::new("/dev/null"), AccessFs::ReadFile | AccessFs::WriteFile)?;
        ruleset = allow(ruleset, Path::new("/dev/urandom"), AccessFs::ReadFile.into())?;
        // Flat on disk, where nothing but the launcher's watch bounds it: a file that is there
        // can be counted. In memory the kernel counts.
        let mut write = read | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg;
        if self.setup.level == Level::Ns {
            write |= AccessFs::MakeDir | AccessFs::RemoveFile | AccessFs::RemoveDir;
        }
        let ruleset = allow(ruleset, &self.room, write)?;
        let status = ruleset.restrict_self().at(stage)?;
        match status.landlock {
            LandlockStatus::Available { effective_abi, .. } => Ok(effective_abi as u8),
            LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => Ok(0),
        }
    }

    fn limit(&self) -> Result<(), Failure> {
        let limits = &self.limits;
        let both = |value| Rlimit { current: Some(value), maximum: Some(value) };
        let mut all = vec![
            // The launcher's watch is finer; this one needs no launcher.
            (Resource::Cpu, limits.cpu_ms.div_ceil(1_000) + 1),
            (Resource::Fsize, limits.file_bytes),
            (Resource::Nofile, OPEN_FILES_MAX),
            (Resource::Stack, STACK_BYTES),
            (Resource::Core, 0),
            (Resource::Memlock, 0),
            (Resource::Msgqueue, 0),
            (Resource::Nice, 0),
            (Resource::Rtprio, 0),
        ];
        if self.setup.level == Level::Ns {
            // It counts in this program's own user namespace. Without one it would count all
            // processes of the uid, in other containers too.
            all.push((Resource::Nproc, limits.threads.saturating_add(PROCESSES_MORE)));
        }
        // Last: this process may have more of it than the program will.
        all.push((Resource::As, limits.memory_bytes));
        for (resource, value) in all {
            setrlimit(resource, both(value)).at("set a resource limit")?;
        }
        Ok(())
    }
}

const NOTHING: CapabilitySets = CapabilitySets {
    effective: CapabilitySet::empty(),
    permitted: CapabilitySet::empty(),
    inheritable: CapabilitySet::empty(),
};

/// From root to somebody without rights, for good.
pub(super) fn become_somebody(uid: u32) -> Result<(), Failure> {
    let stage = "change its user";
    let (gid, uid) = (Gid::from_raw(uid), Uid::from_raw(uid));
    set_thread_groups(&[]).at(stage)?;
    set_thread_gid(gid).at(stage)?;
    set_thread_uid(uid).at(stage)
}

fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, Failure> {
    let stage = "apply Landlock";
    let file = PathFd::new(path).at(stage)?;
    // A right to list is no right on a file; asking for it would count as not enforced.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    ruleset.add_rule(PathBeneath::new(file, access)).at(stage)
}
