//! A run whose journal nobody can read: it is parked, said so by name, and keeps nobody else
//! from going on.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly, as tests may"
)]

use baton_ledger::{Bytes, EmbeddedLedger, Ledger, Submission};
use baton_ledger_redis::{RedisLedger, RedisOptions};
use baton_testkit::{
    baton::{Baton, command},
    cluster::Cluster,
    stores::LocalStores,
};
use baton_tests::{Client, ask, ended, report, until};
use baton_workflow::RunId;
use serde_json::json;
use std::time::Duration;
use tokio::runtime::Runtime;

const QUICK: [&str; 3] = ["--simulated", "--sim-time-scale", "0"];
const GARBAGE: &str = "what no version writes";
const PARKED: &str = "a run is parked";
const STOP_LIMIT: Duration = Duration::from_secs(30);

fn a_run(client: &Client) -> String {
    let reply = client.chat(&ask("baton/direct", json!({})));
    assert_eq!(reply.status, 200, "{reply:?}");
    let run = reply.header("x-request-id").unwrap().to_owned();
    assert_eq!(report(client, &run)["status"], "completed");
    run
}

/// A run that begins as this one did, and goes on as none does.
async fn poison(ledger: &dyn Ledger, like: &str) -> String {
    let view = ledger.read(&RunId::new(like).unwrap(), 0).await.unwrap();
    let events = vec![view.entries[0].event.clone(), Bytes::from_static(GARBAGE.as_bytes())];
    let submission = Submission {
        tenant: view.tenant,
        run: RunId::new(format!("{like}-poisoned").replace('-', "_")).unwrap(),
        key: None,
        digest: String::new(),
        budget: view.budget,
        events,
        tasks: Vec::new(),
        timers: Vec::new(),
        bodies: Vec::new(),
        traceparent: None,
        label: view.label,
    };
    let run = submission.run.to_string();
    ledger.submit(submission).await.unwrap();
    run
}

/// Whoever asks for the run, or waits for it, is told which entry it is; others are served.
fn is_told_of(client: &Client, run: &str) {
    let reply = client.get(&format!("/v1/runs/{run}"));
    assert_eq!((reply.status, &reply.json["error"]["code"]), (500, &json!("journal_unreadable")));
    let message = reply.json["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with(&format!("entry 2 of the journal of {run} ")), "{message}");
    let last = client.events(&format!("/v1/runs/{run}/events")).last().unwrap();
    assert_eq!(
        (last.name.as_str(), &last.json()["error"]["code"]),
        ("error", &json!("journal_unreadable"))
    );
    let listed = client.get("/v1/runs");
    assert!(listed.json.to_string().contains(run), "{listed:?}");
    a_run(client);
}

fn times_parked(servers: &[&Baton]) -> usize {
    servers.iter().map(|server| server.stderr().matches(PARKED).count()).sum()
}

#[test]
fn a_run_in_a_file_is_parked_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let stop = |server: Baton| {
        server.signal("TERM").unwrap();
        let (status, stderr) = server.wait(STOP_LIMIT).unwrap();
        assert!(status.success(), "{stderr}");
    };
    let server = Baton::up(folder.path(), &QUICK).unwrap();
    let like = a_run(&Client::new(server.url()));
    stop(server);
    let run = Runtime::new().unwrap().block_on(async {
        let ledger = EmbeddedLedger::open(folder.path().join("ledger.redb")).unwrap();
        let run = poison(&ledger, &like).await;
        ledger.close().await;
        run
    });
    for _start in 0..2 {
        let server = Baton::up(folder.path(), &QUICK).unwrap();
        until("the run to be parked", || (times_parked(&[&server]) > 0).then_some(()));
        is_told_of(&Client::new(server.url()), &run);
        assert_eq!(times_parked(&[&server]), 1, "{}", server.stderr());
        stop(server);
    }
    let mut looked = command(["ledger", "journal", &run, "--data"]).unwrap();
    looked.arg(folder.path());
    let looked = ended(looked, "");
    assert_eq!(looked.stdout.lines().count(), 2, "{looked:?}");
    assert!(looked.stdout.contains(GARBAGE), "{looked:?}");
}

#[test]
fn a_run_on_redis_is_parked_over_restarts() {
    let stores = LocalStores::start().unwrap();
    let mut cluster = Cluster::start(&stores, 1, "0").unwrap();
    let client = Client::new(cluster.gateways[0].url());
    let like = a_run(&client);
    let options = RedisOptions {
        prefix: cluster.name().to_owned(),
        cluster: cluster.name().to_owned(),
        ..RedisOptions::new(format!("redis://{}", stores.redis()))
    };
    let run = Runtime::new().unwrap().block_on(async {
        let ledger = RedisLedger::connect(options).await.unwrap();
        poison(&ledger, &like).await
    });
    until("the run to be parked", || (times_parked(&[&cluster.conductors[0]]) > 0).then_some(()));
    is_told_of(&client, &run);
    assert_eq!(times_parked(&[&cluster.conductors[0]]), 1);
    cluster.conductors.push(cluster.serve("conductor").unwrap());
    cluster.conductors.swap_remove(0).kill().unwrap();
    is_told_of(&client, &run);
    assert!(times_parked(&[&cluster.conductors[0]]) <= 1);
    let words = cluster.words();
    let words = words.iter().map(String::as_str).filter(|word| !word.contains("etcd"));
    let mut looked = command(["ledger", "journal", &run]).unwrap();
    looked.args(words.filter(|word| *word != stores.etcd_url()));
    let looked = ended(looked, "");
    assert!(looked.stdout.contains(GARBAGE), "{looked:?}");
}
