//! `deploy/local-stores`, and the configuration that a cluster shares on the etcd that it
//! starts, as a user works with it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly, as tests may"
)]

use baton_testkit::{baton::command, etcd::EtcdServer, stores::LocalStores};
use baton_tests::{
    Ended,
    config::{Config, agent, policy, provider},
    ended,
};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
};

fn config(etcd: &str, args: &[&str]) -> Ended {
    let mut command = command([&["config"], args].concat()).unwrap();
    command.env("BATON_ETCD", etcd);
    ended(command, "")
}

fn json_of(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

fn team(steps_max: u32) -> Config {
    let (provider, agent) = (provider("p", "http://127.0.0.1:9"), agent("a", "p", "m"));
    let limits = format!("[limits]\nsteps_max = {steps_max}\n");
    Config::new(&[provider, agent, policy("p"), limits])
}

#[test]
fn one_command_starts_stores_that_a_cluster_can_be_kept_on() {
    let stores = LocalStores::start().unwrap();
    for (setting, value) in
        [("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "noeviction")]
    {
        let mut redis = TcpStream::connect(stores.redis()).unwrap();
        write!(redis, "CONFIG GET {setting}\r\nQUIT\r\n").unwrap();
        let mut answer = String::new();
        redis.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(&format!("\r\n{value}\r\n")), "{setting}: {answer}");
    }

    let etcd = stores.etcd_url();
    let none = config(&etcd, &["show"]);
    assert!(none.code == Some(1) && none.stderr.contains("shares no configuration"), "{none:?}");

    let first = team(3);
    let path = first.path();
    let path = path.to_str().unwrap();
    let pushed = config(&etcd, &["push", path, "--comment", "the first", "--author", "ada"]);
    assert_eq!(pushed.code, Some(0), "{pushed:?}");
    assert!(pushed.stdout.contains("revision 1"), "{pushed:?}");
    let second = team(4);
    let other = second.path();
    let other = other.to_str().unwrap();
    let pushed = config(&etcd, &["push", other, "--expect", "1", "-o", "json"]);
    assert_eq!(json_of(&pushed)["revision"], 2);

    let late = config(&etcd, &["push", path, "--expect", "1"]);
    assert_eq!(late.code, Some(1));
    for words in ["revision 2 is current", "baton explain config_conflict"] {
        assert!(late.stderr.contains(words), "no {words:?} in {late:?}");
    }
    let shown = json_of(&config(&etcd, &["show", "-o", "json", "--origin"]));
    assert_eq!(shown["settings"]["limits"]["steps_max"], 4);
    let origin = shown["origins"]["limits.steps_max"].as_str().unwrap();
    assert!(origin.starts_with("revision 2 in the registry:"), "{origin}");
    let shown = json_of(&config(&etcd, &["show", path, "-o", "json"]));
    assert_eq!(shown["settings"]["limits"]["steps_max"], 3, "a file that is named goes first");

    let bad = Config::new(&["[limits]\nsteps_max = 99\n".into()]);
    let bad = bad.path();
    let refused = config(&etcd, &["push", bad.to_str().unwrap()]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains(":2: limits.steps_max is 99"), "{refused:?}");

    let back = config(&etcd, &["rollback", "1", "-o", "json"]);
    assert_eq!(json_of(&back)["comment"], "back to revision 1");
    assert_eq!(config(&etcd, &["rollback", "9"]).code, Some(2));
    let history = json_of(&config(&etcd, &["history", "-o", "json"]));
    let kept = history["revisions"].as_array().unwrap();
    let revisions: Vec<_> = kept.iter().map(|kept| kept["revision"].clone()).collect();
    assert_eq!(revisions, [json!(3), json!(2), json!(1)]);
    assert_eq!((&kept[2]["author"], &kept[2]["comment"]), (&json!("ada"), &json!("the first")));
    assert_eq!(kept[0]["text"], kept[2]["text"]);
    let history = config(&etcd, &["history"]).stdout;
    assert!(history.contains("ada") && history.contains("the first"), "{history}");
}

#[test]
fn an_etcd_that_cannot_be_used_is_named_with_what_to_do() {
    let nowhere = config("http://127.0.0.1:9", &["history"]);
    assert_eq!(nowhere.code, Some(1));
    for words in ["http://127.0.0.1:9", "refused", "baton explain registry_unavailable"] {
        assert!(nowhere.stderr.contains(words), "no {words:?} in {nowhere:?}");
    }
    let wrong = config("127.0.0.1:2379", &["history"]);
    for words in ["127.0.0.1:2379 is no endpoint", "baton explain registry_unusable"] {
        assert!(wrong.stderr.contains(words), "no {words:?} in {wrong:?}");
    }
    let without = ended(command(["config", "history"]).unwrap(), "");
    assert!(without.code == Some(2) && without.stderr.contains("BATON_ETCD"), "{without:?}");
    let mut lost = command(["config", "history", "--etcd", "http://127.0.0.1:9"]).unwrap();
    lost.env("BATON_ETCD_USER", "baton");
    let lost = ended(lost, "");
    assert!(lost.stderr.contains("BATON_ETCD_PASSWORD"), "{lost:?}");
}

#[test]
fn users_and_certificates_are_named_on_the_command_line_and_passwords_are_not() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut server = runtime.block_on(EtcdServer::start()).unwrap();
    runtime.block_on(server.enable_auth("baton", "right")).unwrap();
    let history = |password: &str, more: &[&str]| {
        let words = ["config", "history", "--etcd", &server.url(), "--etcd-user", "baton"];
        let mut command = command([&words, more].concat()).unwrap();
        command.env("BATON_ETCD_PASSWORD", password);
        ended(command, "")
    };
    let let_in = history("right", &[]);
    assert_eq!(let_in.code, Some(0), "{let_in:?}");
    let refused = history("wrong", &[]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("does not accept the user and password"), "{refused:?}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "right\n").unwrap();
    let from_file = history("wrong", &["--etcd-password-file", file.path().to_str().unwrap()]);
    assert_eq!(from_file.code, Some(0), "the file goes before the variable: {from_file:?}");

    let server = runtime.block_on(EtcdServer::start_tls()).unwrap();
    let files = server.certificates().unwrap();
    let [ca, certificate, key] = [files.ca(), files.client(), files.client_key()];
    let mut command = command(["config", "history", "--etcd", &server.url()]).unwrap();
    command.arg("--etcd-ca").arg(ca).arg("--etcd-cert").arg(certificate);
    command.arg("--etcd-key").arg(key);
    let shown = ended(command, "");
    assert_eq!(shown.code, Some(0), "{shown:?}");
}
