//! etcd is away for longer than leases last, and comes back.

use crate::support::{Somebody, Started, Way, member, names, options, until};
use baton_registry::{Departures, Registry, RegistryError};
use baton_registry_etcd::{ConfigStore, EtcdOptions, Timing};
use baton_testkit::etcd::EtcdServer;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{task::JoinHandle, time::sleep};

/// Two that live, and one that dies while etcd is away.
struct Team {
    options: EtcdOptions,
    a: Started,
    b: Started,
    /// Between b and etcd.
    way: Way,
    c: Option<Started>,
    departed: Arc<Mutex<Vec<String>>>,
    noting: JoinHandle<()>,
}

impl Team {
    async fn on(server: &EtcdServer) -> Self {
        let options = options(&server.url());
        // Only what is told counts, and only the lease says that nobody answers.
        let timing = Timing { list_every: Duration::from_secs(3600), ..options.timing };
        let options = EtcdOptions { timing, ..options };
        let way = Way::to(server.address()).await;
        let over_the_way = EtcdOptions { endpoints: vec![way.url()], ..options.clone() };
        let [a, b, c] = [
            Started::new(options.clone()).await,
            Started::new(over_the_way).await,
            Started::new(options.clone()).await,
        ];
        for (started, holder) in [(&a, "a"), (&b, "b"), (&c, "c")] {
            started.announce(member(holder)).await.unwrap();
        }
        a.sees(&["a", "b", "c"]).await;
        let departed = Arc::new(Mutex::new(Vec::new()));
        let mut departures = Departures::of(&a);
        let told = departed.clone();
        let noting = tokio::spawn(async move {
            loop {
                let gone = departures.next().await;
                told.lock().unwrap().extend(gone.into_iter().map(|member| member.holder));
            }
        });
        Self { options, a, b, way, c: Some(c), departed, noting }
    }

    async fn is_up(&self, up: bool) {
        self.a.is_up(up).await;
        self.b.is_up(up).await;
    }

    /// What holds while nobody answers.
    async fn goes_on_without_etcd(&mut self) {
        self.is_up(false).await;
        let refused = self.a.announce(member("late")).await;
        let refused = refused.expect_err("nobody can have written it");
        assert!(matches!(refused, RegistryError::Unavailable(_)), "{refused}");
        assert_eq!(names(&self.a.members()), ["a", "b", "c", "late"]);
        self.c = None;
        // Longer than any lease lasts: that is what is tried here.
        let lease = Duration::from_secs(u64::from(self.options.timing.lease_seconds));
        sleep(lease * 2).await;
        assert_eq!(names(&self.a.members()), ["a", "b", "c", "late"], "what was known stays");
    }

    /// What holds once it answers again.
    async fn recovers(self) {
        self.is_up(true).await;
        // Who comes new knows only what etcd tells it.
        let new = Started::new(self.options.clone()).await;
        new.sees(&["a", "b", "late"]).await;
        self.a.sees(&["a", "b", "late"]).await;
        self.b.sees(&["a", "b", "late"]).await;
        // Beyond the grace of whoever was away, nobody else goes.
        sleep(self.options.timing.grace).await;
        self.noting.abort();
        assert_eq!(*self.departed.lock().unwrap(), ["c"], "only the dead one departed, once");
        assert_eq!(names(&self.a.members()), ["a", "b", "late"]);
    }
}

#[tokio::test]
async fn a_frozen_etcd_costs_nobody_who_lives_its_place() {
    let mut server = EtcdServer::start().await.unwrap();
    let mut team = Team::on(&server).await;
    server.freeze().unwrap();
    team.goes_on_without_etcd().await;
    // When it goes on, it ends all leases at once; and b finds back a little later than a.
    team.way.cut();
    server.thaw().unwrap();
    team.a.is_up(true).await;
    let mut somebody = Somebody::at(&server.url()).await;
    let place_of_b = format!("/baton/{}/members/worker-agent/b", team.options.cluster);
    while !somebody.leases(&place_of_b).await.is_empty() {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(names(&team.a.members()), ["a", "b", "c", "late"]);
    team.way.mend();
    team.recovers().await;
}

#[tokio::test]
async fn a_killed_etcd_costs_nobody_who_lives_its_place() {
    let mut server = EtcdServer::start().await.unwrap();
    let mut team = Team::on(&server).await;
    server.kill().unwrap();
    team.goes_on_without_etcd().await;
    server.restart().await.unwrap();
    team.recovers().await;
}

#[tokio::test]
async fn an_etcd_that_lost_everything_is_filled_again() {
    let mut server = EtcdServer::start().await.unwrap();
    let mut team = Team::on(&server).await;
    let id = team.a.registry.cluster_id().to_owned();
    server.kill().unwrap();
    team.goes_on_without_etcd().await;
    server.forget().unwrap();
    server.restart().await.unwrap();
    let options = team.options.clone();
    team.recovers().await;
    let again = Started::new(options).await;
    assert_eq!(again.registry.cluster_id(), id, "it is still this cluster's");
}

#[tokio::test]
async fn what_was_compacted_while_the_way_was_cut_is_read_again() {
    let server = EtcdServer::start().await.unwrap();
    let way = Way::to(server.address()).await;
    let direct = options(&server.url());
    let far = EtcdOptions { endpoints: vec![way.url()], ..direct.clone() };
    let (near, far) = (Started::new(direct.clone()).await, Started::new(far).await);
    let store = ConfigStore::connect(direct).await.unwrap();
    for holder in ["a", "b"] {
        near.announce(member(holder)).await.unwrap();
    }
    far.sees(&["a", "b"]).await;

    way.cut();
    far.is_up(false).await;
    near.withdraw("a").await.unwrap();
    near.announce(member("c")).await.unwrap();
    let text = crate::configuration::text(3);
    store.push(&text, "a test", "", None).await.unwrap();
    let mut somebody = Somebody::at(&server.url()).await;
    somebody.compact().await;
    assert_eq!(names(&far.members()), ["a", "b"]);

    way.mend();
    far.is_up(true).await;
    far.sees(&["b", "c"]).await;
    let documents = far.documents().unwrap();
    until("the configuration", || documents.borrow().as_ref().is_some_and(|d| d.text == text))
        .await;

    // And it watches as before: from here on nothing is read, only told.
    somebody.compact().await;
    near.withdraw("b").await.unwrap();
    far.sees(&["c"]).await;
}
