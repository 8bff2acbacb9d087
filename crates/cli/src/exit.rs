//! How a command ends when it does not do what it was asked.

use baton_codes::{ExitCode as Exit, StartCode};
use std::{fmt, process::ExitCode};

/// The run ended without an answer.
pub(crate) const NO_ANSWER: u8 = Exit::NoAnswer.number();
/// There is an answer, but it was not accepted, or the run was cut short.
pub(crate) const INCOMPLETE: u8 = Exit::Incomplete.number();
/// A check found something that will do harm, and nothing that does.
pub(crate) const WARNINGS: u8 = Exit::Warnings.number();
/// Interrupted by Ctrl-C, as shells count it.
pub(crate) const INTERRUPTED: u8 = Exit::Interrupted.number();

/// Why, with the exit code that says so.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    /// What `baton explain` knows more about.
    name: Option<&'static str>,
    message: String,
}

impl Failure {
    /// Anything else.
    pub(crate) fn other(message: impl Into<String>) -> Self {
        Self { exit: Exit::Error, name: None, message: message.into() }
    }

    /// What was said cannot be meant; nothing was started.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, name: None, message: message.into() }
    }

    /// The key is missing or not accepted.
    pub(crate) fn auth(message: impl Into<String>) -> Self {
        Self { exit: Exit::Auth, name: None, message: message.into() }
    }

    /// Has a page of its own.
    pub(crate) fn named(mut self, code: StartCode) -> Self {
        self.name = Some(code.as_str());
        self
    }

    /// Has the page of this code, if there is one: an endpoint of another version may
    /// have others.
    pub(crate) fn explained_by(mut self, code: &str) -> Self {
        self.name = baton_codes::find(code).map(|entry| entry.name);
        self
    }

    /// What `baton explain` knows more about.
    pub(crate) fn name(&self) -> Option<&'static str> {
        self.name
    }

    pub(crate) fn settings(faults: &baton_registry::SettingsFaults) -> Self {
        Self::usage(faults.to_string()).named(StartCode::ConfigInvalid)
    }

    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.exit.number())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
