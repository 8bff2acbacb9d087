//! A control group for each execution, where it is asked for and the machine lets this process
//! make one: for memory that no limit of a process counts (its files in memory, its pipes, the
//! kernel's own) and its threads. In most pods it may not; what else bounds a program is there
//! without.

use crate::config::{Cgroup, Limits};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

/// Beside the program's own memory and its folder: its stacks in the kernel, its pipes.
const MORE_BYTES: u64 = 16 << 20;
/// A launcher's child is one before it is the program.
const MORE_THREADS: u64 = 2;

/// The groups of a sandbox.
#[derive(Debug)]
pub(crate) struct Groups {
    kind: Cgroup,
    /// One that bounds both in version 2; in version 1 one for memory and one for threads.
    bases: Vec<PathBuf>,
    number: AtomicU32,
    /// Whose processes were not yet gone.
    left: Mutex<Vec<PathBuf>>,
}

/// One execution's.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    groups: &'a Groups,
    folders: Vec<PathBuf>,
}

impl Groups {
    /// Groups of this name under this process's own, or beside it; of no kind where it may not.
    pub(crate) fn find(name: &str) -> Self {
        let found = [(Cgroup::V2, places_v2(name)), (Cgroup::V1, places_v1(name))];
        for (kind, candidates) in found {
            for bases in candidates {
                let groups =
                    Self { kind, bases, number: AtomicU32::new(0), left: Mutex::default() };
                if groups.prepare().is_ok() {
                    return groups;
                }
            }
        }
        Self::none()
    }

    pub(crate) fn none() -> Self {
        let (number, left) = (AtomicU32::new(0), Mutex::default());
        Self { kind: Cgroup::None, bases: Vec::new(), number, left }
    }

    pub(crate) const fn kind(&self) -> Cgroup {
        self.kind
    }

    /// Makes the bases, and a first group to see that it can be bounded.
    fn prepare(&self) -> io::Result<()> {
        for base in &self.bases {
            if self.kind == Cgroup::V2 {
                // Not where processes are in it; then somebody may have done so before.
                let above = base.parent().unwrap_or(base);
                let _ = set(&above.join("cgroup.subtree_control"), "+memory +pids");
            }
            fs::create_dir(base)?;
            if self.kind == Cgroup::V2 {
                set(&base.join("cgroup.subtree_control"), "+memory +pids")?;
            }
        }
        self.make(&Limits::default())?.entrances().map(drop)
    }

    pub(crate) fn make(&self, limits: &Limits) -> io::Result<Group<'_>> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(|folder| fs::remove_dir(folder).is_err());
        drop(left);
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let mut group = Group { groups: self, folders: Vec::new() };
        for base in &self.bases {
            let folder = base.join(number.to_string());
            fs::create_dir(&folder)?;
            group.folders.push(folder);
        }
        let memory = limits.memory_bytes.saturating_add(limits.folder_bytes);
        let memory = memory.saturating_add(MORE_BYTES).to_string();
        let threads = limits.threads.saturating_add(MORE_THREADS).to_string();
        match (self.kind, group.folders.as_slice()) {
            (Cgroup::V2, [folder]) => {
                set(&folder.join("memory.max"), &memory)?;
                set(&folder.join("pids.max"), &threads)?;
            }
            (Cgroup::V1, [of_memory, of_threads]) => {
                set(&of_memory.join("memory.limit_in_bytes"), &memory)?;
                set(&of_threads.join("pids.max"), &threads)?;
            }
            _ => {}
        }
        Ok(group)
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for folder in self.left.get_mut().unwrap_or_else(PoisonError::into_inner) {
            let _ = fs::remove_dir(folder);
        }
        for base in &self.bases {
            let _ = fs::remove_dir(base);
        }
    }
}

/// Removes the groups of a sandbox whose service is gone.
pub(crate) fn sweep(name: &str) {
    for base in [places_v2(name), places_v1(name)].into_iter().flatten().flatten() {
        for entry in fs::read_dir(&base).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(entry.path());
        }
        let _ = fs::remove_dir(&base);
    }
}

impl Group<'_> {
    /// Where a process that writes `0` enters.
    pub(crate) fn entrances(&self) -> io::Result<Vec<OwnedFd>> {
        let open = |folder: &PathBuf| open(&folder.join("cgroup.procs")).map(OwnedFd::from);
        self.folders.iter().map(open).collect()
    }

    /// Whether the kernel has ended a process for its memory.
    pub(crate) fn ran_out(&self) -> bool {
        let Some(folder) = self.folders.first() else { return false };
        let file = match self.groups.kind {
            Cgroup::V2 => "memory.events",
            Cgroup::V1 => "memory.oom_control",
            Cgroup::None => return false,
        };
        let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
        let killed = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        killed.is_some_and(|count| count != "0")
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        for folder in self.folders.drain(..) {
            if fs::remove_dir(&folder).is_err() {
                self.groups.left.lock().unwrap_or_else(PoisonError::into_inner).push(folder);
            }
        }
    }
}

/// A file of the kernel's, which is there or is not: a mistake makes none.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).open(path)
}

fn set(path: &Path, value: &str) -> io::Result<()> {
    open(path)?.write_all(value.as_bytes())
}

/// Under the group that this process is in, and under the one above it: a manager that delegates
/// a group puts the process into one below.
fn places_v2(name: &str) -> Vec<Vec<PathBuf>> {
    let Some(own) = own(|kind, _| kind == "cgroup2", |controllers| controllers.is_empty()) else {
        return Vec::new();
    };
    let above = own.parent().map(Path::to_owned);
    let folders = [Some(own), above].into_iter().flatten();
    let groups = folders.filter(|folder| folder.join("cgroup.controllers").exists());
    groups.map(|folder| vec![folder.join(name)]).collect()
}

fn places_v1(name: &str) -> Vec<Vec<PathBuf>> {
    let of = |controller: &str| {
        let has = |list: &str| list.split(',').any(|word| word == controller);
        own(|kind, options| kind == "cgroup" && has(options), has).map(|own| own.join(name))
    };
    let both = of("memory").zip(of("pids"));
    both.map(|(memory, threads)| vec![vec![memory, threads]]).unwrap_or_default()
}

/// This process's folder in the hierarchy that both find theirs.
fn own(mounted: impl Fn(&str, &str) -> bool, controls: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (place, kind, options) = (words.next()?, words.next()?, words.next()?);
        mounted(kind, options).then_some(place)
    })?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| {
        let mut words = line.splitn(3, ':').skip(1);
        let (controllers, path) = (words.next()?, words.next()?);
        controls(controllers).then_some(path)
    })?;
    Some(Path::new(mount).join(path.trim_start_matches('/')))
}
