//! The endpoint's status, read once.

use crate::exit::Failure;
use baton_registry::Programs;
use serde::Deserialize;
use serde_json::Value;

/// What `GET /v1/status` says, as far as it is shown. Fields that an endpoint of another
/// version does not have are at their defaults.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Snapshot {
    pub(super) version: String,
    pub(super) tenant: String,
    /// The ledger's time, in milliseconds since 1970.
    pub(super) now: u64,
    pub(super) ledger: Option<LedgerSums>,
    pub(super) queues: Vec<Queue>,
    pub(super) runs: Vec<Run>,
    pub(super) agents: Vec<Agent>,
    /// Only for whoever may see everything.
    pub(super) members: Vec<Member>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct LedgerSums {
    pub(super) unfinished: u64,
    pub(super) finished: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Queue {
    pub(super) class: String,
    pub(super) tenant: String,
    pub(super) queued: u64,
    pub(super) leased: u64,
    pub(super) oldest_ms: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) title: String,
    pub(super) submitted_at: u64,
    pub(super) ended_at: Option<u64>,
    pub(super) usage: Usage,
    pub(super) doing: Option<Doing>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    pub(super) usd: f64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Doing {
    pub(super) stage: String,
    pub(super) round: u32,
    pub(super) steps: u32,
    pub(super) steps_done: u32,
    pub(super) agents: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Agent {
    pub(super) id: String,
    pub(super) concurrency: Option<u32>,
    pub(super) in_flight: u32,
    pub(super) calls: u64,
    pub(super) errors: u64,
    pub(super) tokens_a_second: f64,
    pub(super) usd: f64,
    pub(super) p50_ms: Option<u32>,
    pub(super) p99_ms: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Member {
    pub(super) holder: String,
    pub(super) kind: String,
    pub(super) address: String,
    pub(super) agents: Vec<String>,
    pub(super) capacity: u32,
    pub(super) load: u32,
    pub(super) version: String,
    pub(super) programs: Option<Programs>,
}

impl Snapshot {
    pub(crate) fn read(document: Value) -> Result<Self, Failure> {
        serde_json::from_value(document).map_err(|error| {
            Failure::other(format!(
                "the endpoint's status cannot be read: {error}. Does it run the same version?"
            ))
        })
    }
}

impl Run {
    pub(super) fn is_running(&self) -> bool {
        self.ended_at.is_none()
    }

    /// How long it has run, or ran, in milliseconds.
    pub(super) fn age_ms(&self, now: u64) -> u64 {
        self.ended_at.unwrap_or(now).saturating_sub(self.submitted_at)
    }
}
