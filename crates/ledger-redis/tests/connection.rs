//! How the store is reached: who may, over what, and what is said when it does not work.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, its helpers too")]

use baton_ledger::{Ledger, LedgerError};
use baton_ledger_redis::{RedisLedger, RedisOptions, Tls};
use baton_testkit::redis::RedisServer;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::{fs, net::TcpListener, path::Path};

async fn refusal(options: RedisOptions) -> LedgerError {
    match RedisLedger::connect(options).await {
        Ok(_) => panic!("it was let in"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_wrong_password_is_told() {
    let settings = ["appendonly yes", "appendfsync always", "user baton on >right ~* &* +@all"];
    let server = RedisServer::start_with(&settings).await.unwrap();
    let mut options = RedisOptions::new(server.url());
    options.user = Some("baton".into());
    options.password = Some("right".into());
    let ledger = RedisLedger::connect(options.clone()).await.unwrap();
    ledger.stats().await.unwrap();
    let in_url = server.url().replace("redis://", "redis://baton:right@");
    RedisLedger::connect(RedisOptions::new(in_url)).await.unwrap();
    options.password = Some("wr0ng".into());
    let error = refusal(options).await;
    let LedgerError::Unusable(why) = &error else { panic!("{error:?}") };
    assert!(why.contains("refused the user or the password"), "{why}");
    assert!(why.contains(&server.url()) && !why.contains("wr0ng"), "{why}");
}

#[tokio::test]
async fn a_wrong_address_is_told() {
    let mut options = RedisOptions::new("redis://:secret@127.0.0.1:1");
    options.timeout_ms = 1_000;
    let error = refusal(options).await;
    let LedgerError::Unavailable(why) = &error else { panic!("{error:?}") };
    assert!(why.contains("redis://127.0.0.1:1 cannot be reached"), "{why}");
    assert!(why.contains("refused") && !why.contains("secret"), "{why}");
}

#[tokio::test]
async fn two_clusters_do_not_share_keys() {
    let server = RedisServer::start().await.unwrap();
    let ours = RedisOptions { cluster: "ours".into(), ..RedisOptions::new(server.url()) };
    let theirs = RedisOptions { cluster: "theirs".into(), ..ours.clone() };
    RedisLedger::connect(ours.clone()).await.unwrap();
    let error = refusal(theirs.clone()).await;
    let LedgerError::Unusable(why) = &error else { panic!("{error:?}") };
    assert!(why.contains("belong to cluster \"ours\", and this one is \"theirs\""), "{why}");
    RedisLedger::connect(RedisOptions { prefix: "apart".into(), ..theirs }).await.unwrap();
    RedisLedger::connect(ours).await.unwrap();
}

/// Certificates in a folder: of an authority, the server and a client.
fn certificates(folder: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.distinguished_name.push(DnType::CommonName, "authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let signed = params.signed_by(&key, &authority).unwrap();
        fs::write(folder.join(format!("{name}.pem")), signed.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[tokio::test]
async fn certificates_are_shown_and_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let lines = [
        "appendonly yes".to_owned(),
        "appendfsync always".to_owned(),
        format!("tls-port {port}"),
        format!("tls-cert-file {}", file("server.pem").display()),
        format!("tls-key-file {}", file("server.key").display()),
        format!("tls-ca-cert-file {}", file("ca.pem").display()),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let _server = RedisServer::start_with(&lines).await.unwrap();
    let mut options = RedisOptions::new(format!("rediss://localhost:{port}"));
    options.timeout_ms = 2_000;
    let error = refusal(options.clone()).await;
    assert!(error.to_string().contains("certificate"), "{error}");
    options.tls.ca_file = Some(file("ca.pem"));
    let error = refusal(options.clone()).await;
    assert!(
        matches!(error, LedgerError::Unavailable(_)),
        "the server wants a certificate: {error}"
    );
    options.tls.client_files = Some((file("client.pem"), file("client.key")));
    let ledger = RedisLedger::connect(options.clone()).await.unwrap();
    ledger.stats().await.unwrap();
    options.tls.ca_file = Some(file("nowhere.pem"));
    let error = refusal(options.clone()).await;
    assert!(error.to_string().contains("nowhere.pem cannot be read"), "{error}");
    options.tls = Tls { ca_file: Some(file("ca.pem")), client_files: None };
    options.urls = vec![format!("redis://localhost:{port}")];
    let error = refusal(options).await;
    assert!(error.to_string().contains("does not ask for TLS"), "{error}");
}
