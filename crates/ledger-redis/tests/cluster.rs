//! The same ledger on a Redis Cluster: each shard on the node that has its slot.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, its helpers too")]

use baton_ledger::{Admission, Admit, Ledger, LedgerError};
use baton_ledger_redis::{Durability, RedisLedger, RedisOptions};
use baton_testkit::redis::RedisServer;
use std::{
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::OnceCell;

const NODES: usize = 3;
const SLOTS: usize = 16384;
const PATIENCE: Duration = Duration::from_secs(60);

async fn ask(server: &RedisServer, words: &[String]) -> String {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut asking = redis::cmd(&words[0]);
    asking.arg(&words[1..]);
    let value: redis::Value = asking.query_async(&mut connection).await.unwrap();
    redis::from_redis_value::<String>(value).unwrap()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
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
            format!("cluster-port {bus}"),
        ];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        nodes.push(RedisServer::start_with(&lines).await.unwrap());
        buses.push(bus);
    }
    for (place, node) in nodes.iter().enumerate() {
        let (from, until) = (place * SLOTS / NODES, (place + 1) * SLOTS / NODES - 1);
        ask(node, &words(&format!("CLUSTER ADDSLOTSRANGE {from} {until}"))).await;
    }
    for (node, bus) in nodes.iter().zip(&buses).skip(1) {
        let port = node.url().rsplit_once(':').unwrap().1.to_owned();
        ask(&nodes[0], &words(&format!("CLUSTER MEET 127.0.0.1 {port} {bus}"))).await;
    }
    let until = Instant::now() + PATIENCE;
    for node in &nodes {
        loop {
            let info = ask(node, &words("CLUSTER INFO")).await;
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

/// A ledger of one shard under a prefix of its own, which may be on any of the nodes.
async fn fresh() -> Arc<dyn Ledger> {
    let options = RedisOptions {
        prefix: format!("p{}", rand::random::<u64>()),
        ..RedisOptions::new(nodes().await[0].url())
    };
    Arc::new(RedisLedger::connect(options).await.unwrap())
}

baton_ledger::contract_tests!(make = fresh());

#[tokio::test(flavor = "multi_thread")]
async fn shards_and_accounts_are_spread_over_the_nodes() {
    let prefix = format!("p{}", rand::random::<u64>());
    let options = |shards| RedisOptions { prefix: prefix.clone(), shards, ..RedisOptions::new("") };
    let urls = vec![nodes().await[1].url()];
    let ledger = RedisLedger::connect(RedisOptions { urls, ..options(8) }).await.unwrap();
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
    let mut used = 0;
    for node in nodes().await {
        let client = redis::Client::open(node.url()).unwrap();
        let mut plain = client.get_multiplexed_async_connection().await.unwrap();
        let pattern = format!("{prefix}:*meta");
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(pattern).query_async(&mut plain).await.unwrap();
        used += usize::from(!keys.is_empty());
    }
    assert!(used > 1, "on {used} nodes");
    ledger.stats().await.unwrap();
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
