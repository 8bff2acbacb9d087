//! How a command ends when it does not do what it was asked.

use std::{fmt, process::ExitCode};

/// The run ended without an answer.
pub(crate) const NO_ANSWER: u8 = 3;
/// There is an answer, but it was not accepted, or the run was cut short.
pub(crate) const INCOMPLETE: u8 = 5;
/// Interrupted by Ctrl-C, as shells count it.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why, in the words of the exit codes.
#[derive(Debug)]
pub(crate) enum Failure {
    /// 1: anything else.
    Other(String),
    /// 2: what was said cannot be meant; nothing was started.
    Usage(String),
    /// 4: the key is missing or not accepted.
    Auth(String),
}

impl Failure {
    pub(crate) fn other(message: impl Into<String>) -> Self {
        Self::Other(message.into())
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub(crate) fn settings(faults: &baton_registry::SettingsFaults) -> Self {
        Self::Usage(faults.to_string())
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::Auth(_) => 4,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(message) | Self::Usage(message) | Self::Auth(message) => {
                f.write_str(message)
            }
        }
    }
}
