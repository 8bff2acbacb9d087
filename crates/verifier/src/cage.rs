//! The sandbox of this process: whether there is one is found out once.

use baton_registry::{IsolationLevel, SandboxSettings};
use baton_sandbox::{Config, Level, Sandbox, SandboxError};
use std::{sync::Arc, time::Duration};
use tokio::{sync::OnceCell, time::timeout};

/// How long finding out may take; two seconds are usual.
const PROBE: Duration = Duration::from_secs(60);

/// Why no program is run here.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoSandbox {
    /// Something is missing, and the text says what.
    #[error("{0}")]
    Missing(Arc<str>),
    /// Something got out of the sandbox, and the text says what.
    #[error("{0}")]
    Escaped(Arc<str>),
}

/// Programs are run in here. Clones are the same.
#[derive(Clone)]
pub(crate) struct Cage {
    config: Config,
    found: Arc<OnceCell<Result<Sandbox, NoSandbox>>>,
}

impl Cage {
    /// As the settings say.
    pub(crate) fn of(settings: &SandboxSettings) -> Self {
        Self { config: config(settings), found: Arc::default() }
    }

    /// Programs at the same time.
    pub(crate) fn slots(&self) -> usize {
        self.config.slots
    }

    /// The sandbox, once it is known whether there is one. Who asks first has it found out.
    pub(crate) async fn sandbox(&self) -> Result<Sandbox, NoSandbox> {
        self.found.get_or_init(|| probe(self.config.clone())).await.clone()
    }
}

fn config(settings: &SandboxSettings) -> Config {
    let level = |level| match level {
        IsolationLevel::Lsm => Level::Lsm,
        IsolationLevel::Ns => Level::Ns,
    };
    let usual = Config::default();
    let SandboxSettings { at_least, at_most, python, folder, uid, control_groups, slots } =
        settings.clone();
    Config {
        at_least: level(at_least),
        at_most: level(at_most),
        python,
        libraries: Vec::new(),
        folder: folder.unwrap_or(usual.folder),
        uid,
        control_groups,
        slots: slots.and_then(|slots| usize::try_from(slots).ok()).unwrap_or(usual.slots),
        launcher: None,
        #[cfg(debug_assertions)]
        without: without(),
    }
}

/// The layer that a test leaves out, to see what becomes of a process whose sandbox does not
/// hold. Released programs have no such thing.
#[cfg(debug_assertions)]
fn without() -> Option<baton_sandbox::Layer> {
    let layer = std::env::var("BATON_SANDBOX_WITHOUT").ok()?;
    serde_json::from_value(layer.into()).ok()
}

async fn probe(config: Config) -> Result<Sandbox, NoSandbox> {
    let probed = timeout(PROBE, Sandbox::probe(config)).await;
    match probed {
        Ok(Ok(sandbox)) => {
            let found = sandbox.isolation();
            tracing::info!(
                level = found.level.name(),
                landlock = found.landlock_abi,
                cgroup = ?found.cgroup,
                outer = found.outer.as_deref().unwrap_or("none"),
                held = found.battery_held,
                kernel = found.kernel,
                python = found.python,
                "programs are run in a sandbox"
            );
            Ok(sandbox)
        }
        Ok(Err(error @ SandboxError::Escaped { .. })) => {
            tracing::error!(%error, "no program is run here");
            Err(NoSandbox::Escaped(error.to_string().into()))
        }
        Ok(Err(
            error @ (SandboxError::Unavailable { .. }
            | SandboxError::NoPython(_)
            | SandboxError::Config(_)
            | SandboxError::Launcher { .. }
            | SandboxError::Io { .. }),
        )) => Err(missing(described(&error))),
        Err(_elapsed) => Err(missing(format!("its probe took longer than {PROBE:?}"))),
    }
}

fn missing(what: String) -> NoSandbox {
    tracing::warn!(missing = what, "no program is run here");
    NoSandbox::Missing(what.into())
}

/// An error with all that caused it.
pub(crate) fn described(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
