//! The same ledger on a Redis Cluster: each shard on the node that has its slot.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, its helpers too")]

use baton_ledger::{
    Admission, Admit, Class, Completion, Held, LeaseRequest, Leased, Ledger, LedgerError, NewTask,
    Recorded, Submission, Submitted, contract,
};
use baton_ledger_redis::{Durability, RedisLedger, RedisOptions};
use baton_testkit::redis::RedisServer;
use baton_workflow::{Budget, RunId, Spend, TenantId, Usd};
use bytes::Bytes;
use redis::FromRedisValue;
use std::{
    collections::BTreeMap,
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::OnceCell;

const NODES: usize = 3;
const SLOTS: usize = 16384;
const SHARDS: u16 = 8;
const PATIENCE: Duration = Duration::from_secs(60);

async fn ask<T: FromRedisValue>(server: &RedisServer, words: &str) -> T {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut words = words.split(' ');
    let mut asking = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        asking.arg(word);
    });
    asking.query_async(&mut connection).await.unwrap()
}

fn port(server: &RedisServer) -> String {
    server.url().rsplit_once(':').unwrap().1.to_owned()
}

/// Three nodes that share all slots, ready to be asked.
async fn start() -> Vec<RedisServer> {
    let mut nodes = Vec::new();
    let mut buses = Vec::new();
    for _ in 0..NODES {
        let bus = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let lines = [
            "appendonly yes".to_owned(),
            "appendfsync always".to_owned(),
            "cluster-enabled yes".to_owned(),
            // A node that is gone takes nothing away but its own slots.
            "cluster-require-full-coverage no".to_owned(),
            format!("cluster-port {bus}"),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        nodes.push(RedisServer::start_with(&lines).await.unwrap());
        buses.push(bus);
    }
    for (place, node) in nodes.iter().enumerate() {
        let (from, until) = (place * SLOTS / NODES, (place + 1) * SLOTS / NODES - 1);
        let () = ask(node, &format!("CLUSTER ADDSLOTSRANGE {from} {until}")).await;
    }
    for (node, bus) in nodes.iter().zip(&buses).skip(1) {
        let () = ask(&nodes[0], &format!("CLUSTER MEET 127.0.0.1 {} {bus}", port(node))).await;
    }
    let until = Instant::now() + PATIENCE;
    for node in &nodes {
        loop {
            let info: String = ask(node, "CLUSTER INFO").await;
            if info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3") {
                break;
            }
            assert!(Instant::now() < until, "no cluster: {info}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    nodes
}

async fn nodes() -> &'static [RedisServer] {
    static NODES: OnceCell<Vec<RedisServer>> = OnceCell::const_new();
    NODES.get_or_init(start).await
}

fn prefix() -> String {
    format!("p{}", rand::random::<u64>())
}

/// A ledger of several shards under a prefix of its own.
async fn spread(nodes: &[RedisServer], prefix: &str) -> RedisLedger {
    let urls = nodes.iter().map(RedisServer::url).collect();
    let prefix = prefix.to_owned();
    let options = RedisOptions { urls, prefix, shards: SHARDS, ..RedisOptions::new("") };
    RedisLedger::connect(options).await.unwrap()
}

/// A ledger of one shard, which may be on any of the nodes.
async fn fresh() -> Arc<dyn Ledger> {
    let prefix = prefix();
    let options = RedisOptions { prefix, ..RedisOptions::new(nodes().await[0].url()) };
    Arc::new(RedisLedger::connect(options).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    contract::sample(fresh).await;
}

fn submission(tenant: &str, run: &str) -> Submission {
    let class = Class::from_text("work/a");
    let (reserve, payload) = (Spend::ZERO, Bytes::new());
    Submission {
        tenant: TenantId::new(tenant).unwrap(),
        run: RunId::new(run).unwrap(),
        key: Some(format!("key-{run}")),
        digest: String::new(),
        budget: Budget { usd: Usd::from_pico(1), tokens: 1000, calls: 100, seconds: 1, depth: 3 },
        events: vec![Bytes::from_static(b"submitted")],
        tasks: vec![NewTask { number: 1, class, priority: 5, cost: 10, reserve, payload }],
        timers: vec![],
        bodies: vec![],
        traceparent: None,
        label: Bytes::new(),
    }
}

async fn lease(ledger: &RedisLedger) -> Vec<Leased> {
    let request = LeaseRequest {
        holder: "holder".into(),
        classes: vec![Class::from_text("work/a")],
        max: 64,
        ttl_ms: 600_000,
        wait_ms: 0,
        request: rand::random(),
    };
    ledger.lease(request).await.unwrap()
}

async fn complete(ledger: &RedisLedger, leased: &Leased) -> Result<Recorded, LedgerError> {
    let held = Held { task: leased.task.clone(), token: leased.token };
    let outcome = Bytes::from_static(b"done");
    let completion = Completion { outcome, spend: Spend::ZERO, estimated: false, bodies: vec![] };
    ledger.complete(&held, completion).await
}

/// The shards of which this node has keys.
async fn shards_on(node: &RedisServer, prefix: &str) -> Vec<String> {
    let keys: Vec<String> = ask(node, &format!("KEYS {prefix}:*meta")).await;
    let inside = |key: &String| Some(key.split_once("{s")?.1.split_once('}')?.0.to_owned());
    keys.iter().filter_map(inside).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_and_accounts_are_spread_over_the_nodes() {
    let (nodes, prefix) = (nodes().await, prefix());
    let ledger = spread(nodes, &prefix).await;
    for account in 0..16_u64 {
        let ask = Admit {
            account: format!("account {account}"),
            agent: "a".into(),
            agent_concurrency: 1,
            permit: account + 1,
            tokens: 1,
            ttl_ms: 60_000,
            terms: Default::default(),
        };
        assert_eq!(ledger.admit(ask).await, Ok(Admission::Admitted));
    }
    let mut shards = Vec::new();
    for node in nodes {
        shards.push(shards_on(node, &prefix).await.len());
    }
    assert_eq!(shards.iter().sum::<usize>(), usize::from(SHARDS));
    let used = shards.iter().filter(|shards| **shards > 0).count();
    assert!(used > 1, "{shards:?}");
    // Two sizes of each node.
    assert_eq!(ledger.stats().await.unwrap().files.len(), 2 * used);
    assert_eq!(ledger.fsck().await.unwrap().found, []);
}

async fn is_moving(ledger: &RedisLedger, when: &str) {
    match ledger.submit(submission("t", "while-moving")).await {
        Err(LedgerError::Unavailable(why)) if why.contains("is being moved") => {}
        other => panic!("{when}: {other:?}"),
    }
}

/// Nothing is done while keys are in two places; what was leased before is still leased.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_moved_under_a_ledger() {
    // Of its own: the slot is that of other ledgers' first shards, too.
    let (nodes, prefix) = (start().await, prefix());
    let options = RedisOptions { prefix: prefix.clone(), ..RedisOptions::new(nodes[0].url()) };
    let ledger = RedisLedger::connect(options).await.unwrap();
    for run in 0..20 {
        ledger.submit(submission("t", &format!("run-{run}"))).await.unwrap();
    }
    let leased = lease(&ledger).await;
    assert_eq!(leased.len(), 20);
    let epoch = ledger.stats().await.unwrap().epoch;

    let meta = format!("{prefix}:{{s0}}:meta");
    let slot: u16 = ask(&nodes[0], &format!("CLUSTER KEYSLOT {meta}")).await;
    let mut counts = Vec::new();
    for node in &nodes {
        counts.push(ask::<u64>(node, &format!("CLUSTER COUNTKEYSINSLOT {slot}")).await);
    }
    let from = counts.iter().position(|count| *count > 0).unwrap();
    let (source, target) = (&nodes[from], &nodes[(from + 1) % NODES]);
    let (there, here): (String, String) =
        (ask(target, "CLUSTER MYID").await, ask(source, "CLUSTER MYID").await);
    let () = ask(target, &format!("CLUSTER SETSLOT {slot} IMPORTING {here}")).await;
    let () = ask(source, &format!("CLUSTER SETSLOT {slot} MIGRATING {there}")).await;
    is_moving(&ledger, "before the first key").await;
    let moved = async |key: String| {
        let () = ask(source, &format!("MIGRATE 127.0.0.1 {} {key} 0 5000", port(target))).await;
    };
    moved(meta).await;
    is_moving(&ledger, "between the first key and the second").await;
    assert!(matches!(complete(&ledger, &leased[0]).await, Err(LedgerError::Unavailable(_))));
    let keys: Vec<String> = ask(source, &format!("CLUSTER GETKEYSINSLOT {slot} 1000")).await;
    assert!(keys.len() > 60, "{keys:?}");
    for key in keys {
        moved(key).await;
    }
    is_moving(&ledger, "behind the last key").await;
    for node in [target, source] {
        let () = ask(node, &format!("CLUSTER SETSLOT {slot} NODE {there}")).await;
    }

    for leased in &leased {
        assert_eq!(complete(&ledger, leased).await, Ok(Recorded::Now));
    }
    let new = ledger.submit(submission("t", "while-moving")).await;
    assert_eq!(new, Ok(Submitted::New(RunId::new("while-moving").unwrap())));
    assert!(ledger.stats().await.unwrap().epoch > epoch, "it is another server");
    assert_eq!(ledger.fsck().await.unwrap().found, []);
}

/// How long shards on other nodes may take for a call while one node is gone.
const OTHERS_MAX: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_gone_takes_its_shards_away_and_no_others() {
    let (mut nodes, prefix) = (start().await, prefix());
    let ledger = spread(&nodes, &prefix).await;
    let mut runs = BTreeMap::<String, Vec<String>>::new();
    for number in 0..48 {
        let tenant = format!("tenant-{number}");
        let submitted = ledger.submit(submission(&tenant, &format!("run-{number}"))).await;
        let Ok(Submitted::New(run)) = submitted else { panic!("{submitted:?}") };
        runs.entry(run.as_str().split_once(".s").unwrap().1.to_owned()).or_default().push(tenant);
    }
    assert_eq!(runs.len(), usize::from(SHARDS));
    let mut leased = Vec::new();
    while leased.len() < 48 {
        leased.extend(lease(&ledger).await);
    }

    let gone = shards_on(&nodes[0], &prefix).await;
    nodes[0].kill().unwrap();
    let calls = runs.iter().flat_map(|(shard, tenants)| {
        tenants.iter().map(|tenant| (gone.contains(shard), tenant.clone()))
    });
    let ledger = &ledger;
    let calls = calls.map(|(is_gone, tenant)| async move {
        let (asked, run) = (Instant::now(), format!("more-{tenant}"));
        let submitted = ledger.submit(submission(&tenant, &run)).await;
        (is_gone, submitted, asked.elapsed())
    });
    let (mut away, mut new) = (0, 0);
    for (is_gone, submitted, took) in futures::future::join_all(calls).await {
        match submitted {
            Err(LedgerError::Unavailable(_)) if is_gone => away += 1,
            Ok(Submitted::New(_)) if !is_gone && took < OTHERS_MAX => new += 1,
            other => panic!("{is_gone}, after {took:?}: {other:?}"),
        }
    }
    assert_eq!(away + new, 48);
    assert!(new > 0, "all shards are on one node");

    nodes[0].restart().await.unwrap();
    let until = Instant::now() + PATIENCE;
    for leased in &leased {
        while let Err(error) = complete(ledger, leased).await {
            assert!(matches!(error, LedgerError::Unavailable(_)), "{error:?}");
            assert!(Instant::now() < until, "{error:?}");
        }
    }
    assert_eq!(ledger.fsck().await.unwrap().found, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_promotes_by_itself_is_refused_for_replicas() {
    let options = RedisOptions {
        durability: Durability::Replicas(1),
        ..RedisOptions::new(nodes().await[0].url())
    };
    match RedisLedger::connect(options).await {
        Err(LedgerError::Unusable(why)) => assert!(why.contains("promotes replicas"), "{why}"),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was taken"),
    }
}
