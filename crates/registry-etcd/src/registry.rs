//! The registry as services see it.

use crate::{
    client::Client,
    keeper::{Ask, Keeper, Kept, Link, Shared},
    keys::Keys,
    options::EtcdOptions,
    store::claim,
    value,
};
use async_trait::async_trait;
use baton_actor::{Address, AskError, mailbox};
use baton_registry::{
    Configuration, Document, InForce, Member, Members, Refusal, Registry, RegistryError, Settings,
};
use baton_telemetry::Metrics;
use std::sync::Arc;
use tokio::{sync::watch, time::timeout};

/// Questions that wait for the keeper.
const ASKED_MAX: usize = 64;

/// The registry on etcd. Cheap to clone; the keeper beside it does the work.
#[derive(Clone)]
pub struct EtcdRegistry {
    shared: Arc<Shared>,
    keeper: Address<Ask>,
}

/// An etcd that was found in order, before anything of this process is in it.
pub struct Opened {
    options: Arc<EtcdOptions>,
    keys: Keys,
    cluster_id: String,
    document: Option<Arc<Document>>,
}

impl EtcdRegistry {
    /// Connects, and says what is wrong: the address, the password, certificates, the
    /// version, the cluster, what stands under our prefix. Writes the cluster's id where
    /// there is none, and nothing else.
    ///
    /// # Errors
    /// `Unavailable` where nobody answers, `Unusable` where waiting does not help.
    pub async fn open(options: EtcdOptions) -> Result<Opened, RegistryError> {
        let options = Arc::new(options);
        let keys = Keys::of(&options.cluster);
        let (client, _) = Client::connect(&options, 0).await?;
        let cluster_id = claim(&client, &keys, options.cluster_id.as_deref()).await?;
        let document = match client.get(&keys.config()).await? {
            Some(kv) => {
                let read = value::document(&keys.config(), &kv.value);
                Some(Arc::new(read.map_err(RegistryError::Unusable)?))
            }
            None => None,
        };
        Ok(Opened { options, keys, cluster_id, document })
    }

    /// Which cluster this is: the same for all its processes, and for no other cluster.
    pub fn cluster_id(&self) -> &str {
        &self.shared.cluster_id
    }

    /// Tells whether etcd can be reached. That it cannot stops nothing but changes.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.shared.link()
    }

    /// Waits until etcd holds what is announced here.
    async fn settle(&self) -> Result<(), RegistryError> {
        let timing = self.shared.options.timing;
        let limit = timing.connect + timing.call;
        match timeout(limit, self.keeper.ask(Ask::Settle)).await {
            Ok(Ok(settled)) => settled,
            Ok(Err(AskError::Full)) => {
                Err(RegistryError::Unavailable("too many changes wait already".to_owned()))
            }
            Ok(Err(AskError::Stopped | AskError::Dropped)) => {
                Err(RegistryError::Unavailable("its keeper does not run".to_owned()))
            }
            Err(_elapsed) => {
                let ms = limit.as_millis();
                Err(RegistryError::Unavailable(format!("no answer from etcd within {ms} ms")))
            }
        }
    }
}

impl Opened {
    /// The configuration that the cluster shares, if one was pushed. Whoever starts reads
    /// its settings from it.
    pub fn document(&self) -> Option<&Document> {
        self.document.as_deref()
    }

    /// Which cluster this is.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The registry with these settings as version 1, and what keeps it: to be run as a
    /// supervised task. Without it, nobody is known and nothing is made known. Whether etcd
    /// can be reached is measured.
    pub fn with(self, settings: Settings, metrics: &Metrics) -> (EtcdRegistry, Keeper) {
        let Self { options, keys, cluster_id, document } = self;
        let in_force = InForce::new(settings);
        let shared = Arc::new(Shared::new(options, keys, cluster_id, in_force, document, metrics));
        let (keeper, asked) = mailbox(ASKED_MAX);
        let kept = Arc::new(tokio::sync::Mutex::new(Kept::default()));
        let registry = EtcdRegistry { shared: shared.clone(), keeper };
        (registry, Keeper { shared, asked, kept })
    }
}

#[async_trait]
impl Registry for EtcdRegistry {
    async fn announce(&self, member: Member) -> Result<(), RegistryError> {
        self.shared.keys.member(member.kind, &member.holder)?;
        self.shared.change(|known| known.announce(member));
        self.settle().await
    }

    async fn withdraw(&self, holder: &str) -> Result<(), RegistryError> {
        self.shared.change(|known| known.withdraw(holder));
        self.settle().await
    }

    fn set_load(&self, holder: &str, load: u32) {
        self.shared.set_load(holder, load);
    }

    fn watch_members(&self) -> watch::Receiver<Arc<Members>> {
        self.shared.members.subscribe()
    }

    fn configuration(&self) -> Arc<Configuration> {
        self.shared.in_force.configuration()
    }

    fn watch(&self) -> watch::Receiver<Arc<Configuration>> {
        self.shared.in_force.watch()
    }

    fn accept(&self, settings: Settings, restart: Vec<String>) -> u64 {
        self.shared.in_force.accept(settings, restart)
    }

    fn refuse(&self, refusal: Option<Refusal>) {
        self.shared.in_force.refuse(refusal);
    }

    fn documents(&self) -> Option<watch::Receiver<Option<Arc<Document>>>> {
        Some(self.shared.documents.subscribe())
    }
}
