//! Services that show each other certificates.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly, as tests may")]

use baton_testkit::{
    baton::Baton, certificates::Certificates, cluster::Cluster, stores::LocalStores,
};
use baton_tests::{Client, ask, ended, until};
use serde_json::json;

/// What the command line says of these certificates. The server's is good for both sides.
fn words(certificates: &Certificates) -> Vec<String> {
    let path = |path: std::path::PathBuf| path.display().to_string();
    let words = [
        ("--grpc-tls-ca", path(certificates.ca())),
        ("--grpc-tls-cert", path(certificates.server())),
        ("--grpc-tls-key", path(certificates.server_key())),
    ];
    words.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
}

#[test]
fn services_take_no_calls_from_strangers() {
    let stores = LocalStores::start().unwrap();
    let (own, other) = (Certificates::new().unwrap(), Certificates::new().unwrap());
    let own_words = words(&own);
    let own_words: Vec<_> = own_words.iter().map(String::as_str).collect();
    let cluster = Cluster::start_with(&stores, 1, "0.1", &own_words).unwrap();
    let client = Client::new(cluster.gateways[0].url());
    let judged = json!({ "stream": true, "baton": { "verify": { "judge": true } } });
    let last = client.stream("/v1/chat/completions", &ask("baton", judged)).last().unwrap();
    assert_eq!(last.data, "[DONE]");
    assert_eq!(client.chat(&ask("sim-arith", json!({}))).status, 200, "an agent called directly");
    let status = client.get("/v1/status").json;
    for member in status["members"].as_array().unwrap() {
        let scheme = if member["kind"] == "gateway" { "http://" } else { "https://" };
        assert!(member["address"].as_str().unwrap().starts_with(scheme), "{member}");
    }

    // A stranger knows the stores, and has no certificate, or one of another authority.
    let stranger = |more: &[String]| {
        let mut command = baton_testkit::baton::command(["serve", "gateway"]).unwrap();
        command.args(cluster.words()).args(["--listen", "127.0.0.1:0"]).args(more);
        command.args(["--sim", &format!("{}/v1", cluster.sim.url())]);
        Baton::serve(command).unwrap()
    };
    for (more, said) in [(Vec::new(), "--grpc-tls-ca"), (words(&other), "certificate")] {
        let gateway = stranger(&more);
        let client = Client::new(gateway.url());
        let reply = until("the conductor to be known", || {
            let reply = client.chat(&ask("baton/direct", json!({})));
            (reply.status == 503).then_some(reply)
        });
        let message = reply.json["error"]["message"].as_str().unwrap().to_owned();
        until("the reason to be told", || {
            gateway.stderr().to_lowercase().contains(said).then_some(())
        });
        assert!(!message.is_empty());
    }
}

#[test]
fn certificates_that_cannot_be_used_are_named() {
    let certificates = Certificates::new().unwrap();
    let missing = words(&certificates).into_iter().map(|word| word.replace("ca.pem", "no.pem"));
    let swapped = words(&certificates).into_iter().map(|word| word.replace(".key", ".pem"));
    let serve = |more: Vec<String>| {
        let mut command = baton_testkit::baton::command(["serve", "verifier"]).unwrap();
        command.args(["--etcd", "http://127.0.0.1:9"]).args(more);
        ended(command, "")
    };
    let without = serve(missing.collect());
    assert_eq!(without.code, Some(2), "{without:?}");
    assert!(without.stderr.contains("no.pem"), "{without:?}");
    let wrong = serve(swapped.collect());
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("server.pem"), "{wrong:?}");
    let half = serve(vec!["--grpc-tls-ca".into(), "x".into()]);
    assert!(half.code == Some(2) && half.stderr.contains("--grpc-tls-cert"), "{half:?}");
}
