//! What is asked of the sandbox, and what it says about itself.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How far a program is kept from the machine. The order is the order of strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Landlock, a list of allowed system calls (no sockets, no new processes), resource limits,
    /// a private folder. Needs no privilege.
    Lsm,
    /// All of that in namespaces of its own (user, mount, process, network, IPC, UTS, cgroup),
    /// with a root that holds the interpreter alone.
    Ns,
}

impl Level {
    /// Its name in configuration and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lsm => "lsm",
            Self::Ns => "ns",
        }
    }
}

/// A layer that builds for tests can leave out, so that the battery is seen to turn red.
#[cfg(debug_assertions)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Rules on files.
    Landlock,
    /// The list of allowed system calls.
    Seccomp,
    /// Resource limits.
    Rlimits,
}

/// How a sandbox is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Below this there is no sandbox.
    pub at_least: Level,
    /// Above this is not tried.
    pub at_most: Level,
    /// The interpreter; without it `/usr/bin/python3`, or the first `python3` on `PATH`.
    pub python: Option<PathBuf>,
    /// Folders of Python modules that every program may read besides, such as the
    /// `site-packages` of a virtual environment. A program finds them on its module path once it
    /// puts them there.
    pub libraries: Vec<PathBuf>,
    /// Where level `lsm` makes its private folders. A file system in memory with a size is best.
    pub folder: PathBuf,
    /// Whom programs run as when the service is root. Programs of one uid cannot reach each
    /// other, but a uid that nothing else uses is better.
    pub uid: u32,
    /// Puts each program into a control group too, where this process may make one. To enter one
    /// waits for all processors, some milliseconds each time.
    pub control_groups: bool,
    /// Programs at the same time. More of them wait.
    pub slots: usize,
    /// The binary that is run again as a launcher; its `main` must call [`crate::launched`]
    /// first. Without it, this process's own.
    pub launcher: Option<PathBuf>,
    /// Leaves a layer out.
    #[cfg(debug_assertions)]
    pub without: Option<Layer>,
}

/// The uid `nobody`.
pub(crate) const NOBODY: u32 = 65_534;

impl Default for Config {
    fn default() -> Self {
        Self {
            at_least: Level::Lsm,
            at_most: Level::Ns,
            python: None,
            libraries: Vec::new(),
            folder: std::env::temp_dir(),
            uid: NOBODY,
            control_groups: false,
            slots: std::thread::available_parallelism().map_or(1, usize::from),
            launcher: None,
            #[cfg(debug_assertions)]
            without: None,
        }
    }
}

/// What one program may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// From its start to its end.
    pub wall_ms: u64,
    /// Of all its threads together.
    pub cpu_ms: u64,
    /// Of its address space, and so of its memory.
    pub memory_bytes: u64,
    /// On standard output, and as much on the control descriptor.
    pub output_bytes: usize,
    /// On standard error.
    pub error_bytes: usize,
    /// Of one file.
    pub file_bytes: u64,
    /// Of its private folder.
    pub folder_bytes: u64,
    /// Files in its private folder, its own program among them.
    pub files: u64,
    /// Threads, the first among them. There is one process.
    pub threads: u64,
}

impl Default for Limits {
    /// LiveCodeBench's six seconds a test, and room for what its problems ask for.
    fn default() -> Self {
        Self {
            wall_ms: 12_000,
            cpu_ms: 6_000,
            memory_bytes: 1 << 30,
            output_bytes: 16 << 20,
            error_bytes: 256 << 10,
            file_bytes: 16 << 20,
            folder_bytes: 64 << 20,
            files: 64,
            threads: 32,
        }
    }
}

/// A limit that a program has hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// `wall_ms`.
    Wall,
    /// `cpu_ms`.
    Cpu,
    /// `memory_bytes`.
    Memory,
    /// `output_bytes` or `error_bytes`.
    Output,
    /// `file_bytes`, `folder_bytes` or `files`.
    Files,
    /// `threads`.
    Threads,
}

/// The control groups that bound a program besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cgroup {
    /// Version 2.
    V2,
    /// Version 1.
    V1,
    /// None is asked for, or this process may make none.
    None,
}

/// What stands between a program and the machine, as it was found at start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsolationReport {
    /// The level.
    pub level: Level,
    /// The kernel's version of Landlock; 0 without.
    pub landlock_abi: u32,
    /// Control groups.
    pub cgroup: Cgroup,
    /// A virtual machine or a kernel in user space around all of this, where there is a sign
    /// of one.
    pub outer: Option<String>,
    /// Attempts to escape that failed.
    pub battery_held: usize,
    /// Attempts to escape.
    pub battery_total: usize,
    /// The kernel's release.
    pub kernel: String,
    /// The interpreter and its version.
    pub python: String,
}
