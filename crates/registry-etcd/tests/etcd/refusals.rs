//! Servers that cannot be used, each with words that say why.

use crate::support::{Started, member, options};
use baton_registry::{Registry, RegistryError};
use baton_registry_etcd::{ConfigStore, Credentials, EtcdOptions, EtcdRegistry, Secret, Tls};
use baton_testkit::{certificates::Certificates, etcd::EtcdServer};

async fn refused(options: EtcdOptions) -> RegistryError {
    match EtcdRegistry::open(options).await {
        Ok(_) => panic!("it is let in"),
        Err(error) => error,
    }
}

fn check(error: &RegistryError, retryable: bool, parts: &[&str]) {
    assert_eq!(error.is_retryable(), retryable, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "expected {part:?} in: {error}");
    }
}

#[tokio::test]
async fn a_wrong_address_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = refused(options(&url)).await;
    check(&error, true, &["no answer from etcd at", &url, "refused"]);
    let error = refused(options(&format!("{url},http://no-such-host.invalid:2379"))).await;
    check(&error, true, &[&url, "no-such-host.invalid"]);
}

#[tokio::test]
async fn a_server_that_is_no_etcd_is_named() {
    let server = EtcdServer::shared().await.unwrap();
    // It speaks HTTP, and nothing else of what is wanted.
    let error = refused(options(&server.health_url())).await;
    check(&error, true, &[&server.health_url()]);
}

#[tokio::test]
async fn the_next_endpoint_is_used_where_one_is_away() {
    let server = EtcdServer::shared().await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let started = Started::new(options(&format!("{dead},{}", server.url()))).await;
    started.announce(member("a")).await.unwrap();
    started.sees(&["a"]).await;
}

fn as_user(options: &EtcdOptions, user: &str, password: &str) -> EtcdOptions {
    let (user, password) = (user.to_owned(), Secret::new(password));
    EtcdOptions { credentials: Some(Credentials { user, password }), ..options.clone() }
}

#[tokio::test]
async fn users_are_let_in_by_their_password_and_no_further_than_they_may_go() {
    let mut server = EtcdServer::start().await.unwrap();
    let options = options(&server.url());
    let error = refused(as_user(&options, "baton", "wrong")).await;
    check(&error, false, &["authentication is switched off"]);

    server.enable_auth("baton", "right").await.unwrap();
    let error = refused(as_user(&options, "baton", "wrong")).await;
    check(&error, false, &["does not accept the user and password"]);
    check(&refused(options.clone()).await, false, &["asks for a user and a password"]);
    let error = refused(as_user(&options, "stranger", "right")).await;
    check(&error, false, &["reading and writing of /baton/"]);

    let user = as_user(&options, "baton", "right");
    let started = Started::new(user.clone()).await;
    started.announce(member("a")).await.unwrap();
    started.sees(&["a"]).await;

    // Tokens run out: a client's goes bad under its hands.
    let store = ConfigStore::connect(user).await.unwrap();
    store.push(&crate::configuration::text(1), "a test", "", None).await.unwrap();
    server.forget_tokens("baton", "right").await.unwrap();
    store.push(&crate::configuration::text(2), "a test", "", None).await.unwrap();
    started.is_up(true).await;
    started.announce(member("b")).await.unwrap();
    started.sees(&["a", "b"]).await;
}

#[tokio::test]
async fn certificates_are_checked_on_both_sides() {
    let server = EtcdServer::start_tls().await.unwrap();
    let ours = server.certificates().unwrap();
    let others = Certificates::new().unwrap();
    let client = Some((ours.client(), ours.client_key()));
    let good = Tls { ca: Some(ours.ca()), client, server_name: None };
    let with = |tls: Tls| EtcdOptions { tls, ..options(&server.url()) };

    let started = Started::new(with(good.clone())).await;
    started.announce(member("a")).await.unwrap();
    started.sees(&["a"]).await;
    let named = Tls { server_name: Some("localhost".into()), ..good.clone() };
    assert!(EtcdRegistry::open(with(named)).await.is_ok());

    let nobody = Tls { ca: None, ..good.clone() };
    check(&refused(with(nobody)).await, false, &["no file of the CA"]);
    let missing = Tls { ca: Some("/nowhere/ca.pem".into()), ..good.clone() };
    check(&refused(with(missing)).await, false, &["cannot read /nowhere/ca.pem"]);
    let foreign = Tls { ca: Some(others.ca()), ..good.clone() };
    check(&refused(with(foreign)).await, false, &["signed by nobody that is trusted"]);
    let named = Tls { server_name: Some("elsewhere".into()), ..good.clone() };
    check(&refused(with(named)).await, false, &["for another name"]);
    let without = Tls { client: None, ..good.clone() };
    // Whether the server's last words arrive before the connection ends is its own affair.
    let said = refused(with(without)).await.to_string();
    assert!(said.contains("client's certificate"), "{said}");
    let foreign = Some((others.client(), others.client_key()));
    let foreign = Tls { client: foreign, ..good.clone() };
    let said = refused(with(foreign)).await.to_string();
    assert!(said.contains("client's certificate"), "{said}");

    let plain = server.url().replace("https://", "http://");
    check(&refused(options(&plain)).await, true, &["begins with https://"]);
    let shared = EtcdServer::shared().await.unwrap();
    let tls = EtcdOptions { tls: good, ..options(&shared.url().replace("http://", "https://")) };
    let said = refused(tls).await.to_string();
    assert!(said.contains("address") && said.contains("with http://"), "{said}");
}

#[tokio::test]
async fn a_certificate_and_a_password_are_both_asked_for() {
    let mut server = EtcdServer::start().await.unwrap();
    server.enable_auth("baton", "right").await.unwrap();
    server.restart_with_tls().await.unwrap();
    let ours = server.certificates().unwrap();
    let client = Some((ours.client(), ours.client_key()));
    let tls = Tls { ca: Some(ours.ca()), client, server_name: None };
    let with = EtcdOptions { tls: tls.clone(), ..options(&server.url()) };
    let started = Started::new(as_user(&with, "baton", "right")).await;
    started.announce(member("a")).await.unwrap();
    started.sees(&["a"]).await;
    let error = refused(as_user(&with, "baton", "wrong")).await;
    check(&error, false, &["does not accept the user and password"]);
    check(&refused(with.clone()).await, false, &["user"]);
    let without = EtcdOptions { tls: Tls { client: None, ..tls }, ..with };
    let said = refused(as_user(&without, "baton", "right")).await.to_string();
    assert!(said.contains("client's certificate"), "{said}");
}
