//! Why there is no sandbox, or no execution.

use crate::config::Level;
use std::{fmt, io};

/// A part of a level that this machine, or this pod, does not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The level that needs it.
    pub level: Level,
    /// The step of the launcher that failed.
    pub what: String,
    /// What the kernel answered.
    pub why: String,
    /// What to do.
    pub hint: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { level, what, why, hint } = self;
        write!(f, "level {} needs {what}: {why}; {hint}", level.name())
    }
}

/// Each variant is another reaction.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The machine does not give the level that is asked for: do not advertise execution.
    #[error("no sandbox of level {} or above: {}", required.name(), list(missing))]
    Unavailable {
        /// The level that is asked for.
        required: Level,
        /// What is missing at each level that was tried.
        missing: Vec<Missing>,
    },
    /// Something got out. Fatal: it is not another level's turn.
    #[error(
        "level {} does not hold: {}; no code is run here until it does",
        level.name(),
        escapes.join(", ")
    )]
    Escaped {
        /// The level.
        level: Level,
        /// The attempts that succeeded.
        escapes: Vec<String>,
    },
    /// There is no usable interpreter.
    #[error("{0}; install Debian's python3, or configure the path of another")]
    NoPython(String),
    /// The settings are wrong.
    #[error("{0}")]
    Config(String),
    /// An execution did not happen, through no fault of the program. Another attempt may help.
    #[error("the launcher could not {stage}: {why}")]
    Launcher {
        /// What it was doing.
        stage: String,
        /// What it was told.
        why: String,
    },
    /// This process could not speak with its launcher. Another attempt may help.
    #[error("cannot {doing}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// What came of it.
        source: io::Error,
    },
}

fn list(missing: &[Missing]) -> String {
    missing.iter().map(Missing::to_string).collect::<Vec<_>>().join(" · ")
}

impl SandboxError {
    /// Whether the same call may succeed later.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Launcher { .. } | Self::Io { .. } => true,
            Self::Unavailable { .. }
            | Self::Escaped { .. }
            | Self::NoPython(_)
            | Self::Config(_) => false,
        }
    }

    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}
