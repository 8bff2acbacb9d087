//! Which settings are in force, and since when.

use crate::{Complaint, Settings};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Settings in force, under a number that rises with each change. It is replaced as a
/// whole: whoever holds one sees one state and never a mixture of two.
#[derive(Debug, Clone, PartialEq)]
pub struct Configuration {
    /// 1 at the start of the process, one more with each accepted change.
    pub version: u64,
    /// In force since this time, in milliseconds of Unix time.
    pub since_ms: u64,
    /// The settings.
    pub settings: Arc<Settings>,
    /// The latest attempt at a change, if it was refused.
    pub refusal: Option<Refusal>,
    /// Names of settings that differ from those in force and wait for a restart.
    pub restart: Vec<String>,
}

/// Why other settings are not in force.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refusal {
    /// When, in milliseconds of Unix time.
    pub at_ms: u64,
    /// What was refused: the name of a file.
    pub source: String,
    /// Everything that is wrong with it.
    pub complaints: Vec<Complaint>,
}

impl Configuration {
    pub(crate) fn first(settings: Settings) -> Self {
        let settings = Arc::new(settings);
        Self { version: 1, since_ms: now_ms(), settings, refusal: None, restart: Vec::new() }
    }

    pub(crate) fn followed_by(&self, settings: Settings, restart: Vec<String>) -> Self {
        let (version, settings) = (self.version.saturating_add(1), Arc::new(settings));
        Self { version, since_ms: now_ms(), settings, refusal: None, restart }
    }
}

impl Refusal {
    /// Refused now.
    pub fn now(source: impl Into<String>, complaints: Vec<Complaint>) -> Self {
        Self { at_ms: now_ms(), source: source.into(), complaints }
    }
}

/// The system's clock: told to people, and to nothing that decides.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
