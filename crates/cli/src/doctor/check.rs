//! What a check found.

use serde_json::{Value, json};

/// How bad it is, the worst last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Ok,
    Warning,
    Failed,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// One check, with what was found and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) found: String,
    pub(crate) advice: Option<String>,
}

impl Check {
    pub(crate) fn ok(name: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Ok, found: String::new(), advice: None }
    }

    pub(crate) fn found(mut self, found: impl Into<String>) -> Self {
        self.found = found.into();
        self
    }

    pub(crate) fn warn(mut self, found: impl Into<String>) -> Self {
        self.state = State::Warning;
        self.found(found)
    }

    pub(crate) fn fail(mut self, found: impl Into<String>) -> Self {
        self.state = State::Failed;
        self.found(found)
    }

    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    pub(crate) fn document(&self) -> Value {
        json!({
            "name": self.name,
            "state": self.state.name(),
            "found": self.found,
            "advice": self.advice,
        })
    }
}

pub(crate) fn worst(checks: &[Check]) -> State {
    checks.iter().map(|check| check.state).max().unwrap_or(State::Ok)
}
