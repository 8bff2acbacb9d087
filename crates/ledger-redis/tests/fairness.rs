//! Who is served next where tenants are on several shards, and several processes ask: each
//! with connections of its own, and turns of its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, its helpers too")]

use baton_ledger::{
    Body, Class, LeaseRequest, Ledger, NewTask, Submission, Submitted, Watched, contract::backlog,
};
use baton_ledger_redis::{RedisLedger, RedisOptions};
use baton_testkit::redis::RedisServer;
use baton_workflow::{Budget, RunId, Spend, TenantId, Usd};
use bytes::Bytes;
use futures::{StreamExt, future::join_all};
use std::sync::Arc;
use tokio::sync::Mutex;

const PROCESSES: usize = 4;
/// Tenants at home on each shard: as unequal as it may come.
const HOMES: [usize; 4] = [120, 50, 20, 10];

struct Cluster {
    _servers: [RedisServer; 2],
    processes: Vec<Arc<dyn Ledger>>,
}

async fn cluster() -> Cluster {
    let servers = [RedisServer::start().await.unwrap(), RedisServer::start().await.unwrap()];
    let urls: Vec<_> = servers.iter().map(RedisServer::url).collect();
    let options = RedisOptions { urls, shards: HOMES.len() as u16, ..RedisOptions::new("") };
    let mut processes = Vec::<Arc<dyn Ledger>>::new();
    for _ in 0..PROCESSES {
        processes.push(Arc::new(RedisLedger::connect(options.clone()).await.unwrap()));
    }
    Cluster { _servers: servers, processes }
}

fn submission(tenant: &TenantId, run: String, bells: u32) -> Submission {
    let bell = |number| NewTask {
        number,
        class: Class::from_text("bell"),
        priority: 5,
        cost: 1,
        reserve: Spend::ZERO,
        payload: Bytes::new(),
    };
    Submission {
        tenant: tenant.clone(),
        run: RunId::new(run).unwrap(),
        key: None,
        digest: String::new(),
        budget: Budget { usd: Usd::from_pico(1), tokens: 1000, calls: 100, seconds: 1, depth: 3 },
        events: vec![Bytes::from_static(b"submitted")],
        tasks: (1..=bells).map(bell).collect(),
        timers: vec![],
        bodies: Vec::<Body>::new(),
        traceparent: None,
        label: Bytes::new(),
    }
}

impl Cluster {
    async fn submit(&self, submission: Submission) -> RunId {
        match self.processes[0].submit(submission).await.unwrap() {
            Submitted::New(run) => run,
            Submitted::Known(run) => panic!("{run} was there"),
        }
    }

    /// So many tenants for each shard, those of the last shard last.
    async fn tenants(&self, homes: [usize; 4]) -> Vec<TenantId> {
        let mut found = homes.map(|_| Vec::new());
        for number in 0.. {
            if found.iter().zip(homes).all(|(found, wanted)| found.len() == wanted) {
                break;
            }
            let tenant = TenantId::new(format!("tenant-{number}")).unwrap();
            let run = self.submit(submission(&tenant, format!("finds-{number}"), 0)).await;
            let shard: usize = run.as_str().rsplit_once(".s").unwrap().1.parse().unwrap();
            if found[shard].len() < homes[shard] {
                found[shard].push(tenant);
            }
        }
        found.into_iter().flatten().collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_share_by_weight_wherever_they_are_at_home() {
    let cluster = cluster().await;
    let tenants = cluster.tenants(HOMES).await;
    backlog::share_by_weight(&cluster.processes, tenants).await;
}

/// At home where few others are: there, processes come by seldom of themselves.
#[tokio::test(flavor = "multi_thread")]
async fn a_light_tenant_waits_for_nobodys_backlog_on_any_shard() {
    let cluster = cluster().await;
    let mut tenants = cluster.tenants([24, 14, 9, 4]).await;
    let light = tenants.pop().unwrap();
    // Hints come in the order in which they were published: who sees a later one, by the
    // same server, has seen those before.
    let bells = 256;
    let run = cluster.submit(submission(&light, "bells".into(), bells)).await;
    let mut watches = Vec::new();
    for process in &cluster.processes {
        let mut watch = process.watch(&run, 0).await.unwrap();
        assert!(matches!(watch.next().await, Some(Ok(Watched::Entry(_)))));
        watches.push(watch);
    }
    let watches = Mutex::new(watches);
    let heard = async || {
        let ring = LeaseRequest {
            holder: "ringer".into(),
            classes: vec![Class::from_text("bell")],
            max: 1,
            ttl_ms: 600_000,
            wait_ms: 0,
            request: rand::random(),
        };
        assert_eq!(cluster.processes[0].lease(ring).await.unwrap().len(), 1);
        let mut watches = watches.lock().await;
        for seen in join_all(watches.iter_mut().map(StreamExt::next)).await {
            assert!(matches!(seen, Some(Ok(Watched::Observed(_)))), "{seen:?}");
        }
    };
    backlog::light_beside(&cluster.processes, light, tenants, heard).await;
}
