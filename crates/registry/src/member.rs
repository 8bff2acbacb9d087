//! Who is alive: processes that announce themselves, and whoever looks for them.

use crate::{Configuration, Refusal, Settings};
use async_trait::async_trait;
use baton_workflow::AgentId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;

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
}

/// Why the registry did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It cannot be reached; what was known before still holds.
    #[error("the registry did not answer: {0}")]
    Unavailable(String),
}

impl RegistryError {
    /// Whether the same call can succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
        }
    }
}

/// Membership and configuration, as last known.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Makes a process known until it is withdrawn, or dies.
    async fn announce(&self, member: Member) -> Result<(), RegistryError>;

    /// Takes a process back.
    async fn withdraw(&self, holder: &str) -> Result<(), RegistryError>;

    /// The processes of one kind that are alive, in a stable order.
    fn members(&self, kind: Kind) -> Vec<Member>;

    /// The configuration in force, with what was refused since. Whoever decides something
    /// takes it once and decides by that: it may be another one a moment later.
    fn configuration(&self) -> Arc<Configuration>;

    /// Tells of every other configuration that comes into force, and of refusals.
    fn watch(&self) -> watch::Receiver<Arc<Configuration>>;

    /// The settings in force.
    fn settings(&self) -> Arc<Settings> {
        self.configuration().settings.clone()
    }
}

/// The registry of a single process: membership in memory, configuration given.
#[derive(Debug)]
pub struct InProcess {
    members: Mutex<BTreeMap<String, Member>>,
    configuration: watch::Sender<Arc<Configuration>>,
}

impl InProcess {
    /// Nobody yet, and these settings as version 1.
    pub fn new(settings: Settings) -> Self {
        let configuration = watch::Sender::new(Arc::new(Configuration::first(settings)));
        Self { members: Mutex::default(), configuration }
    }

    /// Puts other settings into force; what was refused before is forgotten. `restart` names
    /// what differs and waits for a restart. Gives the new version.
    pub fn accept(&self, settings: Settings, restart: Vec<String>) -> u64 {
        let mut version = 0;
        self.configuration.send_modify(|configuration| {
            let next = configuration.followed_by(settings, restart);
            version = next.version;
            *configuration = Arc::new(next);
        });
        version
    }

    /// Notes that other settings were refused, or with nothing that there is nothing to
    /// refuse any more. What is in force stays in force.
    pub fn refuse(&self, refusal: Option<Refusal>) {
        self.configuration.send_modify(|configuration| {
            let next = Configuration { refusal, ..configuration.as_ref().clone() };
            *configuration = Arc::new(next);
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Member>> {
        // A map is whole between any two of its operations, whoever panicked.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Registry for InProcess {
    async fn announce(&self, member: Member) -> Result<(), RegistryError> {
        self.lock().insert(member.holder.clone(), member);
        Ok(())
    }

    async fn withdraw(&self, holder: &str) -> Result<(), RegistryError> {
        self.lock().remove(holder);
        Ok(())
    }

    fn members(&self, kind: Kind) -> Vec<Member> {
        self.lock().values().filter(|member| member.kind == kind).cloned().collect()
    }

    fn configuration(&self) -> Arc<Configuration> {
        self.configuration.borrow().clone()
    }

    fn watch(&self) -> watch::Receiver<Arc<Configuration>> {
        self.configuration.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PolicySettings, StrategySettings, settings_for};
    use baton_workflow::{AgentCard, Price};

    #[tokio::test]
    async fn one_process_keeps_the_contract() {
        let card = AgentCard {
            id: AgentId::new("agent").unwrap(),
            provider: "provider".into(),
            model: "model".into(),
            strengths: String::new(),
            price: Price::default(),
            context_tokens: 8,
            output_tokens: 8,
            concurrency: 1,
            images: false,
            abilities: Default::default(),
            tags: Default::default(),
        };
        let policy = PolicySettings::Strategy(StrategySettings::direct());
        let settings = settings_for(vec![card], BTreeMap::new(), policy).unwrap();
        crate::contract::suite(&settings, async |settings| InProcess::new(settings)).await;
    }
}
