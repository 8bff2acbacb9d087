//! The sandbox of a service: probed once, then asked to run programs.

use crate::{
    battery,
    cgroup::Groups,
    config::{Config, IsolationReport, Level, Limits},
    error::{Missing, SandboxError},
    folder::Folder,
    interpreter::Interpreter,
    outside,
    run::{self, Execution, Launcher, Program, Running},
    wire::Setup,
};
use std::{
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Landlock's first version that knows about cutting files short. Before it, `lsm` is none.
const LANDLOCK_ABI_MIN: u32 = 3;

/// Runs programs at the level that was found. Clones are handles of the same.
#[derive(Debug, Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    cell: Cell,
    slots: Semaphore,
    isolation: IsolationReport,
}

/// Where programs run, whatever is known about it.
#[derive(Debug)]
pub(crate) struct Cell {
    setup: Setup,
    launcher: Option<PathBuf>,
    groups: Groups,
    folder: Folder,
    slots: usize,
    /// Prepared while others ran: a program waits for none of it.
    ready: Mutex<Vec<Launcher>>,
}

impl Sandbox {
    /// Finds the highest level that this machine gives, and tries to break out of it.
    ///
    /// # Errors
    /// Which parts are missing when no level is there; [`SandboxError::Escaped`] when one is
    /// there and does not hold.
    pub async fn probe(config: Config) -> Result<Self, SandboxError> {
        if config.uid == 0 {
            return Err(SandboxError::Config("programs cannot run as uid 0; take another".into()));
        }
        if config.slots == 0 || config.at_most < config.at_least {
            let Config { slots, at_least, at_most, .. } = config;
            let (low, high) = (at_least.name(), at_most.name());
            let text = format!("{slots} slots, levels {low} to {high}: nothing could run");
            return Err(SandboxError::Config(text));
        }
        let interpreter = Interpreter::find(config.python.as_deref(), &config.libraries)?;
        let levels = [Level::Ns, Level::Lsm];
        let mut missing = Vec::new();
        for level in levels.into_iter().filter(|l| (config.at_least..=config.at_most).contains(l)) {
            let cell = Cell::new(&config, level, interpreter.clone())?;
            match Self::at(&config, cell).await {
                Err(SandboxError::Launcher { stage, why }) => {
                    let hint = hint(&stage);
                    missing.push(Missing { level, what: format!("to {stage}"), why, hint });
                }
                done => return done,
            }
        }
        Err(SandboxError::Unavailable { required: config.at_least, missing })
    }

    async fn at(config: &Config, cell: Cell) -> Result<Self, SandboxError> {
        let level = cell.setup.level;
        let first = cell.run(&Program::python(""), &Limits::default()).await?;
        let landlock_abi = first.landlock_abi;
        #[cfg(debug_assertions)]
        let meant = config.without == Some(crate::Layer::Landlock);
        #[cfg(not(debug_assertions))]
        let meant = false;
        if level == Level::Lsm && landlock_abi < LANDLOCK_ABI_MIN && !meant {
            let why = format!("the kernel has version {landlock_abi}, not {LANDLOCK_ABI_MIN}");
            return Err(SandboxError::Launcher { stage: "apply Landlock".into(), why });
        }
        let outcome = battery::attempt(&cell).await?;
        if !outcome.escapes.is_empty() {
            return Err(SandboxError::Escaped { level, escapes: outcome.escapes });
        }
        let Interpreter { executable, version, .. } = &cell.setup.interpreter;
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let isolation = IsolationReport {
            level,
            landlock_abi,
            cgroup: cell.groups.kind(),
            outer: outside::outer(),
            battery_held: outcome.attempts,
            battery_total: outcome.attempts,
            kernel: kernel.trim().into(),
            python: format!("{} {version}", executable.display()),
        };
        let slots = Semaphore::new(config.slots);
        Ok(Self { shared: Arc::new(Shared { cell, slots, isolation }) })
    }

    /// What stands between a program and the machine.
    pub fn isolation(&self) -> &IsolationReport {
        &self.shared.isolation
    }

    /// Runs a program when a slot is free. Dropping the future ends the program.
    ///
    /// # Errors
    /// When it did not run, through no fault of its own; and when what it is made of is more than
    /// it may hold.
    pub async fn run(&self, program: &Program, limits: &Limits) -> Result<Execution, SandboxError> {
        program.check(limits)?;
        let _slot = self.slot().await?;
        self.shared.cell.run(program, limits).await
    }

    /// Leave to let a program work.
    pub(crate) async fn slot(&self) -> Result<SemaphorePermit<'_>, SandboxError> {
        let slot = self.shared.slots.acquire().await;
        slot.map_err(|_| SandboxError::Config("the sandbox is closed".into()))
    }

    /// Runs a program at once, whose standard input comes through `stdin`.
    pub(crate) async fn run_reading(
        &self,
        program: &Program,
        limits: &Limits,
        stdin: OwnedFd,
    ) -> Result<Execution, SandboxError> {
        self.shared.cell.start(program, limits, stdin)?.end().await
    }
}

impl Cell {
    fn new(config: &Config, level: Level, interpreter: Interpreter) -> Result<Self, SandboxError> {
        let root = rustix::process::geteuid().is_root();
        let doing = "make a folder for the sandbox";
        let folder = Folder::new(&config.folder).map_err(SandboxError::io(doing))?;
        let setup = Setup {
            level,
            interpreter,
            uid: root.then_some(config.uid),
            folder: folder.path().to_owned(),
            #[cfg(debug_assertions)]
            without: config.without,
        };
        let groups = match config.control_groups {
            true => Groups::find(folder.name()),
            false => Groups::none(),
        };
        let (launcher, slots) = (config.launcher.clone(), config.slots);
        Ok(Self { setup, launcher, groups, folder, slots, ready: Mutex::default() })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) async fn run(
        &self,
        program: &Program,
        limits: &Limits,
    ) -> Result<Execution, SandboxError> {
        let stdin = run::in_memory(&program.stdin);
        let stdin = stdin.map_err(SandboxError::io("prepare an execution"))?;
        self.start(program, limits, stdin)?.end().await
    }

    fn start(
        &self,
        program: &Program,
        limits: &Limits,
        stdin: OwnedFd,
    ) -> Result<Running<'_>, SandboxError> {
        let start = || Launcher::start(self.launcher.as_deref(), &self.setup);
        let ready = || self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let prepared = ready().pop();
        let launcher = prepared.map_or_else(start, Ok)?;
        let group = self.groups.make(limits).map_err(SandboxError::io("make a control group"))?;
        let running = launcher.begin(program, limits, stdin, group)?;
        // The next one prepares while this one runs.
        if ready().len() < self.slots {
            let next = start()?;
            ready().push(next);
        }
        Ok(running)
    }
}

/// What to do about a step that failed.
fn hint(stage: &str) -> &'static str {
    match stage {
        "make namespaces" | "map its user" => {
            "allow user namespaces (user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns, the pod's seccomp profile), or ask for level lsm"
        }
        "apply Landlock" => {
            "take a kernel from 6.2 on with landlock among its `lsm=`, or a container runtime that lets its calls through"
        }
        "start the interpreter" => {
            "make the interpreter readable for the sandbox's user, or configure another"
        }
        _ => "docs/guides/sandbox.md says what each level needs",
    }
}
