//! What services ask of a registry.

use crate::{Configuration, Document, Kind, Member, Members, Refusal, Settings};
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::watch;

/// Why the registry did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It cannot be reached; what was known before still holds.
    #[error("the registry did not answer: {0}")]
    Unavailable(String),
    /// It answers, and cannot be used so: another password, another version, somebody
    /// else's data.
    #[error("the registry cannot be used: {0}")]
    Unusable(String),
    /// What it was asked to keep cannot be kept.
    #[error("the registry does not take this: {0}")]
    Invalid(String),
}

impl RegistryError {
    /// Whether the same call can succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Unusable(_) | Self::Invalid(_) => false,
        }
    }
}

/// Membership and configuration, as last known.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Makes a process known until it is withdrawn, or dies. One that is announced again
    /// is replaced. Where the registry is away (`Unavailable`), it is made known once it
    /// is back.
    async fn announce(&self, member: Member) -> Result<(), RegistryError>;

    /// Takes a process back.
    async fn withdraw(&self, holder: &str) -> Result<(), RegistryError>;

    /// Makes known how many tasks a process announced here holds. Cheap, to be called at
    /// each change: it is told to the others from time to time.
    fn set_load(&self, holder: &str, load: u32);

    /// Tells of members that come, change and go. The state told of is the last one: who
    /// comes and goes between two looks was not seen.
    fn watch_members(&self) -> watch::Receiver<Arc<Members>>;

    /// The processes of one kind that are alive, in a stable order.
    fn members(&self, kind: Kind) -> Vec<Member> {
        self.watch_members().borrow().of(kind).cloned().collect()
    }

    /// The configuration in force, with what was refused since. Whoever decides something
    /// takes it once and decides by that: it may be another one a moment later.
    fn configuration(&self) -> Arc<Configuration>;

    /// Tells of every other configuration that comes into force, and of refusals.
    fn watch(&self) -> watch::Receiver<Arc<Configuration>>;

    /// The settings in force.
    fn settings(&self) -> Arc<Settings> {
        self.configuration().settings.clone()
    }

    /// Puts other settings into force in this process; what was refused before is
    /// forgotten. `restart` names what differs and waits for a restart. Gives the new
    /// version.
    fn accept(&self, settings: Settings, restart: Vec<String>) -> u64;

    /// Notes that other settings were refused, or with nothing that there is nothing to
    /// refuse any more. What is in force stays in force.
    fn refuse(&self, refusal: Option<Refusal>);

    /// Tells of the configuration that all processes share, where the registry keeps one:
    /// the text as it was pushed, which whoever follows it reads, and accepts or refuses.
    fn documents(&self) -> Option<watch::Receiver<Option<Arc<Document>>>> {
        None
    }
}

/// Those who go. Each is told of once; one who comes back before it was told of did not go,
/// and one who came since the last look as well was never seen.
pub struct Departures {
    members: watch::Receiver<Arc<Members>>,
    before: Arc<Members>,
}

impl Departures {
    /// From now on.
    pub fn of(registry: &dyn Registry) -> Self {
        let mut members = registry.watch_members();
        let before = members.borrow_and_update().clone();
        Self { members, before }
    }

    /// Waits until somebody is gone. Nothing is lost when the wait is given up. Without a
    /// registry any more, it waits for ever.
    pub async fn next(&mut self) -> Vec<Member> {
        loop {
            if self.members.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            let now = self.members.borrow_and_update().clone();
            let gone = now.departed_since(&self.before);
            self.before = now;
            if !gone.is_empty() {
                return gone;
            }
        }
    }
}
