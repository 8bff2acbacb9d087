//! A registry with its keeper at work.

use async_trait::async_trait;
use baton_registry::{
    Configuration, Document, Kind, Member, Members, Refusal, Registry, RegistryError, Settings,
    contract,
};
use baton_registry_etcd::{EtcdOptions, EtcdRegistry, Link, Timing};
use baton_telemetry::Metrics;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long to wait for what must happen.
pub(crate) const SEEN: Duration = Duration::from_secs(30);

/// Options for a cluster that nobody else has.
pub(crate) fn options(endpoints: &str) -> EtcdOptions {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let cluster = format!("test-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    EtcdOptions { cluster, timing: quick(), ..EtcdOptions::new(endpoints) }
}

/// Short times, so that tests take little of it.
pub(crate) fn quick() -> Timing {
    Timing {
        lease_seconds: 3,
        call: Duration::from_millis(900),
        grace: Duration::from_secs(6),
        load_every: Duration::from_millis(200),
        // Often, so that what is read and what is told meet in every test.
        list_every: Duration::from_millis(70),
        ..Timing::default()
    }
}

/// A registry with its keeper at work, until it is dropped. Dropping it is its death:
/// nothing is taken back.
pub(crate) struct Started {
    pub(crate) registry: EtcdRegistry,
    stop: CancellationToken,
    keeper: JoinHandle<()>,
}

impl Started {
    pub(crate) async fn new(options: EtcdOptions) -> Self {
        Self::with(options, contract::settings()).await
    }

    pub(crate) async fn with(options: EtcdOptions, settings: Settings) -> Self {
        let opened = EtcdRegistry::open(options).await.unwrap_or_else(|error| panic!("{error}"));
        let (registry, keeper) = opened.with(settings, &Metrics::default());
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(keeper.run(stop.clone()));
        Self { registry, stop, keeper }
    }

    /// Stops in order.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        timeout(SEEN, &mut self.keeper).await.unwrap().unwrap();
    }

    /// Waits until these are the members, whatever their kind.
    pub(crate) async fn sees(&self, holders: &[&str]) {
        let is = |members: &Arc<Members>| names(members) == holders;
        let mut members = self.registry.watch_members();
        let seen = timeout(SEEN, members.wait_for(is)).await;
        if seen.is_err() {
            panic!("expected {holders:?}, found {:?}", names(&self.members()));
        }
    }

    pub(crate) fn members(&self) -> Arc<Members> {
        self.registry.watch_members().borrow().clone()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

pub(crate) fn names(members: &Members) -> Vec<&str> {
    members.all().map(|member| member.holder.as_str()).collect()
}

pub(crate) fn member(holder: &str) -> Member {
    Member::new(holder, Kind::WorkerAgent, "http://127.0.0.1:1")
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + SEEN;
    while !holds() {
        assert!(Instant::now() < end, "it does not come: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[async_trait]
impl Registry for Started {
    async fn announce(&self, member: Member) -> Result<(), RegistryError> {
        self.registry.announce(member).await
    }

    async fn withdraw(&self, holder: &str) -> Result<(), RegistryError> {
        self.registry.withdraw(holder).await
    }

    fn set_load(&self, holder: &str, load: u32) {
        self.registry.set_load(holder, load);
    }

    fn watch_members(&self) -> watch::Receiver<Arc<Members>> {
        self.registry.watch_members()
    }

    fn configuration(&self) -> Arc<Configuration> {
        self.registry.configuration()
    }

    fn watch(&self) -> watch::Receiver<Arc<Configuration>> {
        self.registry.watch()
    }

    fn accept(&self, settings: Settings, restart: Vec<String>) -> u64 {
        self.registry.accept(settings, restart)
    }

    fn refuse(&self, refusal: Option<Refusal>) {
        self.registry.refuse(refusal);
    }

    fn documents(&self) -> Option<watch::Receiver<Option<Arc<Document>>>> {
        self.registry.documents()
    }
}

/// etcd's own calls, for what only others do to it.
pub(crate) mod raw {
    #![allow(
        missing_docs,
        dead_code,
        unreachable_pub,
        clippy::all,
        clippy::allow_attributes_without_reason,
        reason = "generated code; etcd's documentation describes it"
    )]
    tonic::include_proto!("etcdserverpb");
}

/// Somebody else who uses the same etcd.
pub(crate) struct Somebody {
    url: String,
    kv: raw::kv_client::KvClient<tonic::transport::Channel>,
}

impl Somebody {
    pub(crate) async fn at(url: &str) -> Self {
        let url = url.to_owned();
        Self { kv: raw::kv_client::KvClient::connect(url.clone()).await.unwrap(), url }
    }

    pub(crate) async fn put(&mut self, key: &str, value: &str) {
        let (key, value) = (key.as_bytes().to_vec(), value.as_bytes().to_vec());
        let put = raw::PutRequest { key, value, lease: 0 };
        let request = Some(raw::request_op::Request::RequestPut(put));
        let success = vec![raw::RequestOp { request }];
        let request = raw::TxnRequest { success, ..Default::default() };
        self.kv.txn(request).await.unwrap();
    }

    /// The leases under which the keys that begin so were written, by key.
    pub(crate) async fn leases(&mut self, prefix: &str) -> Vec<(String, i64)> {
        let mut range_end = prefix.as_bytes().to_vec();
        *range_end.last_mut().unwrap() += 1;
        let request = raw::RangeRequest { key: prefix.into(), range_end, ..Default::default() };
        let found = self.kv.range(request).await.unwrap().into_inner();
        let pair = |kv: raw::KeyValue| (String::from_utf8(kv.key).unwrap(), kv.lease);
        found.kvs.into_iter().map(pair).collect()
    }

    /// Ends a lease.
    pub(crate) async fn revoke(&mut self, id: i64) {
        let mut lease = raw::lease_client::LeaseClient::connect(self.url.clone()).await.unwrap();
        lease.lease_revoke(raw::LeaseRevokeRequest { id }).await.unwrap();
    }

    /// Compacts all of the past.
    pub(crate) async fn compact(&mut self) {
        // There is no second time for the same revision.
        self.put("/somebody/else", "").await;
        let request = raw::RangeRequest { key: b"x".to_vec(), ..Default::default() };
        let now = self.kv.range(request).await.unwrap().into_inner().header.unwrap().revision;
        let request = raw::CompactionRequest { revision: now, physical: true };
        self.kv.compact(request).await.unwrap();
    }
}

/// A way to a server that can be cut.
pub(crate) struct Way {
    address: std::net::SocketAddr,
    open: watch::Sender<bool>,
}

impl Way {
    /// Stands open.
    pub(crate) async fn to(server: std::net::SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, state) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut state = state.clone();
                tokio::spawn(async move {
                    if !*state.borrow() {
                        return;
                    }
                    let Ok(mut far) = tokio::net::TcpStream::connect(server).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = state.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { address, open }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts all connections, and refuses new ones.
    pub(crate) fn cut(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.open.send_replace(true);
    }
}

impl Started {
    /// Waits until etcd is known to be away, or to be back.
    pub(crate) async fn is_up(&self, up: bool) {
        let mut link = self.registry.link();
        let is = |link: &Link| matches!(link, Link::Up { .. }) == up;
        timeout(SEEN, link.wait_for(is)).await.unwrap().unwrap();
    }
}
