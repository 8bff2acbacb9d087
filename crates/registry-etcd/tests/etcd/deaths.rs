//! Processes that end, in order and otherwise.

use crate::support::{SEEN, Somebody, Started, member, options};
use baton_registry::{Departures, Registry};
use baton_registry_etcd::{EtcdOptions, Timing};
use baton_testkit::etcd::EtcdServer;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::time::timeout;

/// Tells the child that it is one, and where to go.
const CHILD: &str = "BATON_TEST_CHILD";

/// Not a test: what the child of one does.
#[tokio::test]
#[ignore = "the child of another test"]
async fn child() {
    let Ok(place) = std::env::var(CHILD) else { return };
    let (endpoint, cluster) = place.split_once(' ').unwrap();
    let options = EtcdOptions { cluster: cluster.to_owned(), ..options(endpoint) };
    let started = Started::new(options).await;
    started.announce(member("child")).await.unwrap();
    println!("\nannounced");
    std::future::pending::<()>().await;
}

/// A process of its own that has announced itself.
fn start_child(options: &EtcdOptions) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "deaths::child", "--ignored", "--nocapture"])
        .env(CHILD, format!("{} {}", options.endpoints[0], options.cluster))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "announced"), "the child starts");
    child
}

#[tokio::test]
async fn a_killed_process_is_gone_when_its_lease_ends_and_is_told_of_once() {
    let server = EtcdServer::shared().await.unwrap();
    let options = options(&server.url());
    let watcher = Started::new(options.clone()).await;
    watcher.announce(member("watcher")).await.unwrap();
    let mut child = start_child(&options);
    watcher.sees(&["child", "watcher"]).await;
    let mut departures = Departures::of(&watcher);
    child.kill().unwrap();
    child.wait().unwrap();
    let gone = timeout(SEEN, departures.next()).await.unwrap();
    assert_eq!(gone, [member("child")]);
    watcher.sees(&["watcher"]).await;
    assert!(timeout(Duration::ZERO, departures.next()).await.is_err());
}

#[tokio::test]
async fn a_process_that_stops_is_gone_long_before_its_lease() {
    let server = EtcdServer::shared().await.unwrap();
    let options = options(&server.url());
    let timing = Timing { lease_seconds: 3600, ..options.timing };
    let options = EtcdOptions { timing, ..options };
    let watcher = Started::new(options.clone()).await;
    let leaver = Started::new(options).await;
    leaver.announce(member("one")).await.unwrap();
    leaver.announce(member("two")).await.unwrap();
    watcher.sees(&["one", "two"]).await;
    leaver.stop().await;
    watcher.sees(&[]).await;
}

#[tokio::test]
async fn a_process_whose_lease_is_taken_registers_again() {
    let server = EtcdServer::shared().await.unwrap();
    let options = options(&server.url());
    let timing = Timing { list_every: Duration::from_secs(3600), ..options.timing };
    let options = EtcdOptions { timing, ..options };
    let watcher = Started::new(options.clone()).await;
    let other = Started::new(options.clone()).await;
    other.announce(member("other")).await.unwrap();
    watcher.sees(&["other"]).await;
    let mut departures = Departures::of(&watcher);
    let mut somebody = Somebody::at(&server.url()).await;
    let members = format!("/baton/{}/members/", options.cluster);
    for (_, lease) in somebody.leases(&members).await {
        somebody.revoke(lease).await;
    }
    // etcd was in order all the time, so it is believed.
    let gone = timeout(SEEN, departures.next()).await.unwrap();
    assert_eq!(gone, [member("other")]);
    watcher.sees(&["other"]).await;
    assert!(other.members().get("other").is_some(), "it never took itself for dead");
}
