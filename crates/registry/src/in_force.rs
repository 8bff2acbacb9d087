//! Which settings are in force, and since when.

use crate::{Complaint, Settings};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::sync::watch;

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
    /// What was refused: the name of a file, or of a revision in the registry.
    pub source: String,
    /// Everything that is wrong with it.
    pub complaints: Vec<Complaint>,
}

/// What is in force in one process, and whoever wants to be told: the half of a registry
/// that is the same in all of them.
#[derive(Debug)]
pub struct InForce {
    configuration: watch::Sender<Arc<Configuration>>,
}

impl InForce {
    /// These settings as version 1.
    pub fn new(settings: Settings) -> Self {
        Self { configuration: watch::Sender::new(Arc::new(Configuration::first(settings))) }
    }

    /// As [`crate::Registry::accept`].
    pub fn accept(&self, settings: Settings, restart: Vec<String>) -> u64 {
        let mut version = 0;
        self.configuration.send_modify(|configuration| {
            let next = configuration.followed_by(settings, restart);
            version = next.version;
            *configuration = Arc::new(next);
        });
        version
    }

    /// As [`crate::Registry::refuse`].
    pub fn refuse(&self, refusal: Option<Refusal>) {
        self.configuration.send_modify(|configuration| {
            let next = Configuration { refusal, ..configuration.as_ref().clone() };
            *configuration = Arc::new(next);
        });
    }

    /// As [`crate::Registry::configuration`].
    pub fn configuration(&self) -> Arc<Configuration> {
        self.configuration.borrow().clone()
    }

    /// As [`crate::Registry::watch`].
    pub fn watch(&self) -> watch::Receiver<Arc<Configuration>> {
        self.configuration.subscribe()
    }
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
