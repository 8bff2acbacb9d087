//! The sandbox of this process: whether there is one is found out once.

use crate::remainder::MathVerify;
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
    mathematics: Arc<OnceCell<Option<MathVerify>>>,
}

impl Cage {
    /// As the settings say.
    pub(crate) fn of(settings: &SandboxSettings) -> Self {
        Self { config: config(settings), found: Arc::default(), mathematics: Arc::default() }
    }

    /// Programs at the same time.
    pub(crate) fn slots(&self) -> usize {
        self.config.slots
    }

    /// The sandbox, once it is known whether there is one. Who asks first has it found out.
    pub(crate) async fn sandbox(&self) -> Result<Sandbox, NoSandbox> {
        let find = async || said(probe(self.config.clone()).await);
        self.found.get_or_init(find).await.clone()
    }

    /// Who settles what is left open in mathematics, if somebody here can.
    pub(crate) async fn mathematics(&self) -> Option<MathVerify> {
        let libraries = &self.config.libraries;
        if libraries.is_empty() {
            return None;
        }
        let find = async || {
            let sandbox = self.sandbox().await.ok()?;
            let found = MathVerify::find(&sandbox, libraries).await;
            found.inspect_err(|error| tracing::warn!(%error, "mathematics is not settled")).ok()?
        };
        self.mathematics.get_or_init(find).await.clone()
    }
}

/// What a verifier with these settings would find on this machine.
///
/// # Errors
/// Why it would run no programs.
pub async fn try_sandbox(settings: &SandboxSettings) -> Result<Sandbox, NoSandbox> {
    probe(config(settings)).await
}

fn config(settings: &SandboxSettings) -> Config {
    let level = |level| match level {
        IsolationLevel::Lsm => Level::Lsm,
        IsolationLevel::Ns => Level::Ns,
    };
    let usual = Config::default();
    let SandboxSettings {
        at_least,
        at_most,
        python,
        libraries,
        folder,
        uid,
        control_groups,
        slots,
    } = settings.clone();
    Config {
        at_least: level(at_least),
        at_most: level(at_most),
        python,
        libraries,
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
    let error = match timeout(PROBE, Sandbox::probe(config)).await {
        Ok(Ok(sandbox)) => return Ok(sandbox),
        Ok(Err(error)) => error,
        Err(_elapsed) => {
            return Err(NoSandbox::Missing(format!("its probe took longer than {PROBE:?}").into()));
        }
    };
    let what = described(&error).into();
    Err(match error {
        SandboxError::Escaped { .. } => NoSandbox::Escaped(what),
        SandboxError::Unavailable { .. }
        | SandboxError::NoPython(_)
        | SandboxError::Config(_)
        | SandboxError::Launcher { .. }
        | SandboxError::Io { .. } => NoSandbox::Missing(what),
    })
}

/// The same, and said in a line.
fn said(found: Result<Sandbox, NoSandbox>) -> Result<Sandbox, NoSandbox> {
    match &found {
        Ok(sandbox) => {
            let found = sandbox.isolation();
            tracing::info!(
                level = found.level.name(),
                landlock = found.landlock_abi,
                cgroup = ?found.cgroup,
                outer = found.outer.as_deref().unwrap_or("none"),
                escapes_tried = found.battery_total,
                kernel = found.kernel,
                python = found.python,
                "programs are run in a sandbox"
            );
        }
        Err(NoSandbox::Missing(missing)) => tracing::warn!(%missing, "no program is run here"),
        Err(NoSandbox::Escaped(escaped)) => tracing::error!(%escaped, "no program is run here"),
    }
    found
}

/// An error with all that caused it.
pub(crate) fn described(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
