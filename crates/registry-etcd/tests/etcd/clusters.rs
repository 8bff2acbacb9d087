//! Several clusters, several versions and somebody else on one etcd.

use crate::support::{Somebody, Started, member, names, options, until};
use baton_registry::{Registry, RegistryError};
use baton_registry_etcd::{EtcdOptions, EtcdRegistry};
use baton_testkit::etcd::EtcdServer;

#[tokio::test]
async fn two_clusters_on_one_etcd_do_not_see_each_other() {
    let server = EtcdServer::shared().await.unwrap();
    let [one, two] = [options(&server.url()), options(&server.url())];
    let [one, two] = [Started::new(one).await, Started::new(two).await];
    one.announce(member("one")).await.unwrap();
    two.announce(member("two")).await.unwrap();
    one.sees(&["one"]).await;
    two.sees(&["two"]).await;
    assert_ne!(one.registry.cluster_id(), two.registry.cluster_id());
}

#[tokio::test]
async fn two_clusters_under_one_name_are_told_apart() {
    let server = EtcdServer::shared().await.unwrap();
    let known = |id: &str, options: &EtcdOptions| EtcdOptions {
        cluster_id: Some(id.to_owned()),
        ..options.clone()
    };
    let options = options(&server.url());
    let first = EtcdRegistry::open(known("cluster-of-ledger-1", &options)).await.unwrap();
    assert_eq!(first.cluster_id(), "cluster-of-ledger-1");
    let unsaid = EtcdRegistry::open(options.clone()).await.unwrap();
    assert_eq!(unsaid.cluster_id(), "cluster-of-ledger-1");
    let second = EtcdRegistry::open(known("cluster-of-ledger-2", &options)).await;
    let Err(RegistryError::Unusable(reason)) = second else { panic!("it is let in") };
    for part in ["cluster-of-ledger-1", "cluster-of-ledger-2", &options.cluster] {
        assert!(reason.contains(part), "{reason}");
    }
}

#[tokio::test]
async fn many_processes_that_start_at_once_agree_on_the_clusters_id() {
    let server = EtcdServer::shared().await.unwrap();
    let options = options(&server.url());
    let open = || EtcdRegistry::open(options.clone());
    let opened = tokio::join!(open(), open(), open(), open(), open(), open(), open(), open());
    let (a, b, c, d, e, f, g, h) = opened;
    let ids: std::collections::BTreeSet<_> = [a, b, c, d, e, f, g, h]
        .into_iter()
        .map(|opened| opened.unwrap().cluster_id().to_owned())
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[tokio::test]
async fn what_is_not_ours_and_what_is_newer_is_shown_and_not_used() {
    let server = EtcdServer::shared().await.unwrap();
    let mut somebody = Somebody::at(&server.url()).await;
    let options = options(&server.url());
    let place = |name: &str| format!("/baton/{}/members/{name}", options.cluster);
    somebody.put(&place("verifier/note"), "hello").await;
    let started = Started::new(options.clone()).await;
    started.announce(member("a")).await.unwrap();
    let newer = r#"{"format":2,"version":"9.0.0","roles":["cook"]}"#;
    somebody.put(&place("cook/b"), newer).await;
    until("two strangers", || started.members().strangers().len() == 2).await;
    let members = started.members();
    assert_eq!(names(&members), ["a"]);
    let said: Vec<_> = members
        .strangers()
        .iter()
        .map(|stranger| (stranger.place.as_str(), stranger.version.as_deref()))
        .collect();
    assert_eq!(
        said,
        [(place("cook/b").as_str(), Some("9.0.0")), (place("verifier/note").as_str(), None)]
    );
    assert!(members.strangers()[0].reason.contains("format 2"));
    assert!(members.strangers()[1].reason.contains("not ours"));
}

#[tokio::test]
async fn an_id_that_is_none_is_refused() {
    let server = EtcdServer::shared().await.unwrap();
    let mut somebody = Somebody::at(&server.url()).await;
    let options = options(&server.url());
    somebody.put(&format!("/baton/{}/id", options.cluster), "two words").await;
    let Err(error) = EtcdRegistry::open(options).await else { panic!("it is let in") };
    assert!(error.to_string().contains("no id of a cluster"), "{error}");
    assert!(!error.is_retryable());
}
