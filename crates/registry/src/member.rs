//! Who is alive: processes that announce themselves.

use baton_workflow::AgentId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// HTTP for users.
    Gateway,
    /// Plans and decisions.
    Conductor,
    /// Steps.
    WorkerAgent,
    /// Checks.
    Verifier,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 4] = [Self::Gateway, Self::Conductor, Self::WorkerAgent, Self::Verifier];

    /// As it is written: `worker-agent`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Conductor => "conductor",
            Self::WorkerAgent => "worker-agent",
            Self::Verifier => "verifier",
        }
    }

    /// The kind that is written so, if one is.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A process that serves something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Unique; the holder's name in the ledger's observations.
    pub holder: String,
    /// What it serves.
    pub kind: Kind,
    /// Where its gRPC server listens, such as `http://127.0.0.1:4317`.
    pub address: String,
    /// The agents it hosts, for worker-agents.
    pub agents: Vec<AgentId>,
    /// How many tasks it takes at the same time; 0 where it takes none.
    pub capacity: u32,
    /// How many tasks it held when it last said so. A hint: it may be seconds old.
    pub load: u32,
    /// The version of its program.
    pub version: String,
    /// Of a verifier: whether it runs programs, once it knows.
    pub programs: Option<Programs>,
}

/// Whether programs are run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Programs {
    /// In a sandbox of this level.
    Isolated(String),
    /// Not at all: this is missing.
    Missing(String),
}

impl Member {
    /// A process of this program's version that hosts no agents and takes no tasks.
    pub fn new(holder: impl Into<String>, kind: Kind, address: impl Into<String>) -> Self {
        Self {
            holder: holder.into(),
            kind,
            address: address.into(),
            agents: Vec::new(),
            capacity: 0,
            load: 0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            programs: None,
        }
    }
}

/// Everybody who is alive, as last known. It is replaced as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Members {
    alive: BTreeMap<String, Member>,
    strangers: Vec<Stranger>,
}

/// What is registered and cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// Where it stands in the registry.
    pub place: String,
    /// The version of its program, where that much could be read.
    pub version: Option<String>,
    /// Why it is not used.
    pub reason: String,
}

impl Members {
    /// These, by the names of their holders.
    pub fn new(alive: BTreeMap<String, Member>, strangers: Vec<Stranger>) -> Self {
        Self { alive, strangers }
    }

    /// Those of one kind, in the order of their holders.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Member> {
        self.alive.values().filter(move |member| member.kind == kind)
    }

    /// All of them, in the order of their holders.
    pub fn all(&self) -> impl Iterator<Item = &Member> {
        self.alive.values()
    }

    /// Whether there is somebody who runs programs.
    pub fn run_programs(&self) -> bool {
        self.all().any(|member| matches!(member.programs, Some(Programs::Isolated(_))))
    }

    /// The one of this name.
    pub fn get(&self, holder: &str) -> Option<&Member> {
        self.alive.get(holder)
    }

    /// What is registered and cannot be used, such as processes of a later version.
    pub fn strangers(&self) -> &[Stranger] {
        &self.strangers
    }

    /// Those who were here `before` and are not any more.
    pub fn departed_since(&self, before: &Self) -> Vec<Member> {
        let gone = before.alive.values().filter(|member| !self.alive.contains_key(&member.holder));
        gone.cloned().collect()
    }
}
