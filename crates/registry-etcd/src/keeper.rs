//! Keeps one connection after another, and with it what this process knows and is known by.

use crate::{
    client::Client,
    keys::Keys,
    known::Known,
    metrics::CONNECTED,
    options::EtcdOptions,
    session::{Break, Listed, Session, member_at},
    store::claim,
    value,
    wire::KeyValue,
};
use backon::{BackoffBuilder, ExponentialBuilder};
use baton_actor::{Mailbox, Reply};
use baton_registry::{Complaint, Document, InForce, Member, Members, Refusal, RegistryError};
use baton_telemetry::{Measure, Metrics};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// Pauses between attempts to reach an etcd that is away: doubled from the first to the
/// last, and each up to twice as long by chance, so that not all processes come at once when
/// it is back.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Whether etcd can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Not yet known.
    Starting,
    /// It can, over this endpoint.
    Up {
        /// Its address.
        endpoint: String,
    },
    /// It cannot; what was known stays in force.
    Away {
        /// Why.
        reason: String,
    },
}

/// What the keeper can be asked.
#[derive(Debug)]
pub(crate) enum Ask {
    /// To make etcd hold the processes that are announced here.
    Settle(Reply<Result<(), RegistryError>>),
}

/// What the keeper and the registry's handle share.
pub(crate) struct Shared {
    pub(crate) options: Arc<EtcdOptions>,
    pub(crate) keys: Keys,
    pub(crate) cluster_id: String,
    pub(crate) in_force: InForce,
    pub(crate) members: watch::Sender<Arc<Members>>,
    pub(crate) documents: watch::Sender<Option<Arc<Document>>>,
    link: watch::Sender<Link>,
    connected: Measure,
    known: Mutex<Known>,
}

impl Shared {
    pub(crate) fn new(
        options: Arc<EtcdOptions>,
        keys: Keys,
        cluster_id: String,
        in_force: InForce,
        document: Option<Arc<Document>>,
        metrics: &Metrics,
    ) -> Self {
        let connected = metrics.of(&CONNECTED);
        connected.set(&[], 0.0);
        Self {
            connected,
            options,
            keys,
            cluster_id,
            in_force,
            members: watch::Sender::new(Arc::default()),
            documents: watch::Sender::new(document),
            link: watch::Sender::new(Link::Starting),
            known: Mutex::default(),
        }
    }

    /// Tells whether etcd can be reached.
    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    /// Notes whether etcd can be reached.
    pub(crate) fn set_link(&self, link: Link) {
        let level = match link {
            Link::Up { .. } => 1.0,
            Link::Starting | Link::Away { .. } => 0.0,
        };
        self.connected.set(&[], level);
        self.link.send_replace(link);
    }

    /// Changes who is known, and shows it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.lock();
        let changed = change(&mut known);
        self.show(&known);
        changed
    }

    /// Notes a load, without showing it yet.
    pub(crate) fn set_load(&self, holder: &str, load: u32) {
        self.lock().set_load(holder, load);
    }

    /// Shows what was noted.
    pub(crate) fn publish(&self) {
        self.show(&self.lock());
    }

    /// The processes that are announced here.
    pub(crate) fn own(&self) -> Vec<Member> {
        self.lock().own().cloned().collect()
    }

    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.lock().next_end()
    }

    /// Takes all of what etcd holds. Gives what of it was written under this lease.
    pub(crate) fn take_list(
        &self,
        listed: &Listed,
        lease: Option<i64>,
        until: Option<Instant>,
    ) -> BTreeMap<String, Vec<u8>> {
        let members: BTreeMap<_, _> = listed.members.iter().map(|kv| member_at(self, kv)).collect();
        let before = self.members.borrow().clone();
        for stranger in members.values().filter_map(|read| read.as_ref().err()) {
            if !before.strangers().contains(stranger) {
                warn(stranger);
            }
        }
        self.change(|known| known.listed(members, until));
        if let Some(kv) = &listed.config {
            self.take_document(kv);
        }
        let ours = listed.members.iter().filter(|kv| Some(kv.lease) == lease);
        let pair =
            |kv: &KeyValue| (String::from_utf8_lossy(&kv.key).into_owned(), kv.value.clone());
        ours.map(pair).collect()
    }

    pub(crate) fn take_put(&self, kv: &KeyValue) {
        if kv.key == self.keys.config().into_bytes() {
            return self.take_document(kv);
        }
        let (key, read) = member_at(self, kv);
        let stranger = read.as_ref().err().cloned();
        let new = self.change(|known| known.put(key, read));
        if let Some(stranger) = stranger.filter(|_| new) {
            warn(&stranger);
        }
    }

    pub(crate) fn take_delete(&self, kv: &KeyValue, until: Option<Instant>) {
        if kv.key == self.keys.config().into_bytes() {
            tracing::warn!("the configuration was deleted in etcd: the last one stays in force");
            return;
        }
        let key = String::from_utf8_lossy(&kv.key);
        self.change(|known| known.deleted(&key, until));
    }

    fn take_document(&self, kv: &KeyValue) {
        match value::document(&self.keys.config(), &kv.value) {
            Ok(document) => {
                let document = Some(Arc::new(document));
                self.documents.send_if_modified(|last| {
                    let other = *last != document;
                    if other {
                        last.clone_from(&document);
                    }
                    other
                });
            }
            Err(reason) => {
                tracing::error!(reason, "configuration refused");
                let complaint = Complaint { line: None, column: None, reason };
                let refusal = Refusal::now(self.keys.config(), vec![complaint]);
                self.in_force.refuse(Some(refusal));
            }
        }
    }

    fn show(&self, known: &Known) {
        let members = known.members();
        self.members.send_if_modified(|shown| {
            let other = **shown != members;
            if other {
                *shown = Arc::new(members);
            }
            other
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        // Each change is whole: nothing in `Known` panics half-way.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn warn(stranger: &baton_registry::Stranger) {
    let (place, version, reason) = (&stranger.place, &stranger.version, &stranger.reason);
    tracing::warn!(place, version, reason, "what is registered there is not used");
}

/// Keeps the connection. One for each registry, as a supervised task.
pub struct Keeper {
    pub(crate) shared: Arc<Shared>,
    pub(crate) asked: Mailbox<Ask>,
    pub(crate) kept: Arc<tokio::sync::Mutex<Kept>>,
}

/// What outlives a failure of the task.
#[derive(Default)]
pub(crate) struct Kept {
    lease: Option<i64>,
    /// The endpoint to try first.
    endpoint: usize,
    /// Whether there ever was a connection.
    met: bool,
}

impl Clone for Keeper {
    fn clone(&self) -> Self {
        let (shared, asked) = (self.shared.clone(), self.asked.clone());
        Self { shared, asked, kept: self.kept.clone() }
    }
}

impl Keeper {
    /// Works until `stop` is cancelled; then takes back what is registered here.
    pub async fn run(self, stop: CancellationToken) {
        let mut kept = self.kept.lock().await;
        let mut pauses = pauses();
        let mut away_since: Option<Instant> = None;
        loop {
            match self.session(&mut kept, &mut away_since, &stop).await {
                Break::Stopped => return,
                Break::Compacted => {
                    tracing::info!("etcd has compacted what was to be watched: reading it again");
                }
                Break::Lost(error) => {
                    let reason = error.to_string();
                    if away_since.is_none() {
                        away_since = Some(Instant::now());
                        pauses = self::pauses();
                        tracing::warn!(reason, "etcd is away: what is known stays in force");
                    }
                    kept.endpoint = kept.endpoint.wrapping_add(1);
                    self.shared.set_link(Link::Away { reason });
                    let pause = pauses.next().unwrap_or(PAUSE_MAX);
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(pause) => {}
                        () = self.answer(&error) => {}
                    }
                }
            }
        }
    }

    /// One connection from its beginning to its end.
    async fn session(
        &self,
        kept: &mut Kept,
        away_since: &mut Option<Instant>,
        stop: &CancellationToken,
    ) -> Break {
        let Kept { lease, endpoint, met } = kept;
        let was_away = away_since.is_some() && *met;
        let opened = tokio::select! {
            () = stop.cancelled() => return Break::Stopped,
            opened = self.open(lease, endpoint, was_away) => opened,
        };
        let mut session = match opened {
            Ok(session) => session,
            Err(end) => return end,
        };
        *met = true;
        if let Some(since) = away_since.take() {
            let away_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(away_ms, "etcd is back");
        }
        let end = session.run(&self.asked, stop).await;
        if matches!(end, Break::Stopped) {
            let closed = timeout(self.shared.options.timing.call, session.close()).await;
            if let Ok(Err(error)) = closed {
                tracing::warn!(%error, "what is registered here ends with its lease");
            }
        }
        end
    }

    async fn open<'a>(
        &'a self,
        lease: &'a mut Option<i64>,
        endpoint: &mut usize,
        was_away: bool,
    ) -> Result<Session<'a>, Break> {
        let (client, found) = Client::connect(&self.shared.options, *endpoint).await?;
        *endpoint = found;
        // Another etcd may answer there by now.
        claim(&client, &self.shared.keys, Some(&self.shared.cluster_id)).await?;
        Session::open(&self.shared, client, lease, was_away).await
    }

    /// Answers whoever asks while etcd is away.
    async fn answer(&self, error: &RegistryError) {
        while let Some(Ask::Settle(reply)) = self.asked.next().await {
            let _heard = reply.send(Err(error.clone()));
        }
        std::future::pending().await
    }
}

fn pauses() -> impl Iterator<Item = Duration> {
    let pauses = ExponentialBuilder::default().with_min_delay(PAUSE_MIN).with_max_delay(PAUSE_MAX);
    pauses.with_jitter().without_max_times().build()
}
