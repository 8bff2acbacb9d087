//! A cluster of several processes whose etcd is away for longer than leases last.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may fail loudly and say what they saw, as tests may"
)]

use baton_testkit::{
    baton::{Baton, command},
    etcd::EtcdServer,
    redis::RedisServer,
};
use baton_tests::{
    Client, ask, calls,
    config::{Config, agent, policy, provider},
    until,
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread::{scope, sleep},
    time::{Duration, Instant},
};

/// Longer than the 10 s that a process's lease lasts; `BATON_ETCD_AWAY_SECONDS` says another.
const AWAY: Duration = Duration::from_secs(14);
/// Who asks at the same time.
const CLIENTS: usize = 3;

/// `baton cluster up`, which ends with this value.
struct Cluster {
    child: Child,
    url: String,
}

impl Cluster {
    fn start(mut command: Command) -> Self {
        // Held until the end of the test, whatever happens to it.
        command.env("BATON_LEAVE_WITH_PARENT", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut lines = lines.map_while(Result::ok);
        let greeting = lines.find_map(|line| {
            let (_, places) = line.split_once(" nodes listens on ")?;
            Some(places.split("/v1").next()?.to_owned())
        });
        // What it says later is for nobody, but must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: greeting.unwrap() }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ended = self.child.wait();
    }
}

/// Lets those who ask end, whatever happened.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The names of all processes that the cluster knows.
fn members(client: &Client) -> BTreeSet<String> {
    let status = client.get("/v1/status?runs=0").json;
    let members = status["members"].as_array().unwrap();
    members.iter().map(|member| member["holder"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn no_request_fails_while_etcd_is_away_and_nobody_is_taken_for_dead() {
    let said = std::env::var("BATON_ETCD_AWAY_SECONDS");
    let away = said.map_or(AWAY, |said| Duration::from_secs(said.parse().unwrap()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let redis = runtime.block_on(RedisServer::start()).unwrap();
    let mut etcd = runtime.block_on(EtcdServer::start()).unwrap();
    let sim = Baton::sim(&["--time-scale", "0.1", "--malformed-rate", "0"]).unwrap();
    let config = Config::new(&[
        provider("sim", &sim.url()),
        agent("arith", "sim", "sim-arith"),
        agent("sage", "sim", "sim-sage"),
        policy("sim"),
    ]);
    let mut cluster =
        command(["cluster", "up", "--nodes", "2", "--listen", "127.0.0.1:0"]).unwrap();
    cluster.arg("--config").arg(config.path());
    cluster.args(["--redis", &redis.url(), "--etcd", &etcd.url()]);
    let cluster = Cluster::start(cluster);
    let client = Client::new(&cluster.url);
    let before = until("both nodes", || Some(members(&client)).filter(|all| all.len() == 8));

    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let _ends = Ends(&done);
                while !done.load(Ordering::Relaxed) {
                    let reply = client.post("/v1/chat/completions", &ask("baton", json!({})));
                    assert_eq!(reply.status, 200, "{reply:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _ends = Ends(&done);
        let others = |more: usize| {
            let from = answered.load(Ordering::Relaxed);
            until("answers", || {
                let now = answered.load(Ordering::Relaxed);
                (now >= from + more || done.load(Ordering::Relaxed)).then_some(())
            });
        };
        others(3);
        for loss in ["frozen", "killed"] {
            match loss {
                "frozen" => etcd.freeze().unwrap(),
                _ => etcd.kill().unwrap(),
            }
            let end = Instant::now() + away;
            while Instant::now() < end && !done.load(Ordering::Relaxed) {
                others(1);
                assert_eq!(members(&client), before, "while etcd is {loss}");
                sleep(Duration::from_millis(200));
            }
            println!("{away:?} {loss}: {} requests so far", answered.load(Ordering::Relaxed));
            match loss {
                "frozen" => etcd.thaw().unwrap(),
                _ => runtime.block_on(etcd.restart()).unwrap(),
            }
            // Over the grace of whoever was away, and beyond it.
            let end = Instant::now() + away;
            while Instant::now() < end && !done.load(Ordering::Relaxed) {
                others(1);
                assert_eq!(members(&client), before, "after etcd was {loss}");
                sleep(Duration::from_millis(200));
            }
        }
    });
    // Who comes new knows nothing but what etcd tells it.
    let mut gateway =
        command(["serve", "gateway", "--listen", "127.0.0.1:0", "--simulated"]).unwrap();
    gateway.args([
        "--sim",
        "http://127.0.0.1:9/v1",
        "--redis",
        &redis.url(),
        "--etcd",
        &etcd.url(),
    ]);
    let gateway = Baton::start(gateway).unwrap();
    let new = Client::new(gateway.url());
    until("all registered again", || before.is_subset(&members(&new)).then_some(()));
    // Work that is taken from the living is done twice, as the pool's own record would show.
    let calls = calls(&Client::new(sim.url()));
    let keys: Vec<_> = calls.iter().map(|call| call["idempotency_key"].to_string()).collect();
    let different: BTreeSet<_> = keys.iter().collect();
    assert_eq!(different.len(), keys.len(), "a call was made twice");
    println!("{} calls, each once", keys.len());
    println!("{} requests, none failed", answered.load(Ordering::Relaxed));
}
