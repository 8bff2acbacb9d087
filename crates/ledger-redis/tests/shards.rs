//! A ledger of several shards on several servers: runs are at home with their tenant, and
//! whoever looks for work finds it wherever it waits.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, its helpers too")]

use baton_ledger::{
    Body, Cancelled, Class, Commit, Completion, Heard, Held, LeaseRequest, Leased, Ledger,
    LedgerError, NewChild, NewTask, Recorded, Retention, RunView, Signal, Signalled, Submission,
    Submitted, TenantTerms, Watched,
};
use baton_ledger_redis::{RedisLedger, RedisOptions};
use baton_testkit::redis::RedisServer;
use baton_workflow::{Budget, RunId, Spend, TenantId, Usd};
use bytes::Bytes;
use futures::StreamExt;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

const SHARDS: u16 = 5;
const LONG_MS: u64 = 600_000;

fn work() -> Class {
    Class::from_text("work/a")
}

fn tenant(number: usize) -> TenantId {
    TenantId::new(format!("tenant-{number}")).unwrap()
}

fn submission(tenant: &TenantId, run: &str, tasks: u32) -> Submission {
    let task = |number| NewTask {
        number,
        class: work(),
        priority: 5,
        cost: 10,
        reserve: Spend::ZERO,
        payload: Bytes::new(),
    };
    Submission {
        tenant: tenant.clone(),
        run: RunId::new(run).unwrap(),
        key: Some(format!("key-{run}")),
        digest: String::new(),
        budget: Budget { usd: Usd::from_pico(1), tokens: 1000, calls: 100, seconds: 1, depth: 3 },
        events: vec![Bytes::from_static(b"submitted")],
        tasks: (1..=tasks).map(task).collect(),
        timers: vec![],
        bodies: vec![Body::new(format!("body of {run}"))],
        traceparent: None,
        label: Bytes::new(),
    }
}

fn options(servers: &[RedisServer]) -> RedisOptions {
    let urls = servers.iter().map(RedisServer::url).collect();
    RedisOptions { urls, shards: SHARDS, ..RedisOptions::new("") }
}

async fn servers() -> [RedisServer; 2] {
    [RedisServer::start().await.unwrap(), RedisServer::start().await.unwrap()]
}

fn request(class: Class, max: usize) -> LeaseRequest {
    LeaseRequest {
        holder: "holder".into(),
        classes: vec![class],
        max,
        ttl_ms: LONG_MS,
        wait_ms: 0,
        request: rand::random(),
    }
}

async fn lease_all(ledger: &RedisLedger, class: Class) -> Vec<Leased> {
    let mut all = Vec::new();
    loop {
        let leased = ledger.lease(request(class.clone(), 256)).await.unwrap();
        if leased.is_empty() {
            return all;
        }
        all.extend(leased);
    }
}

fn held(leased: &Leased) -> Held {
    Held { task: leased.task.clone(), token: leased.token }
}

fn shard_of(run: &RunId) -> &str {
    run.as_str().rsplit_once(".s").unwrap().1.split('-').next().unwrap()
}

async fn submit(ledger: &RedisLedger, submission: Submission) -> RunId {
    match ledger.submit(submission).await.unwrap() {
        Submitted::New(run) => run,
        Submitted::Known(run) => panic!("{run} was there"),
    }
}

fn completion() -> Completion {
    let outcome = Bytes::from_static(b"done");
    Completion { outcome, spend: Spend::ZERO, estimated: false, bodies: vec![] }
}

fn commit(leased: &Leased) -> Commit {
    let RunView { journal_len, mails, .. } = leased.reading.as_deref().unwrap();
    Commit {
        task: leased.task.clone(),
        token: leased.token,
        journal_len: *journal_len,
        mail_seen: mails.last().map_or(0, |mail| mail.number),
        events: vec![],
        tasks: vec![],
        timers: vec![],
        children: vec![],
        withdraw: vec![],
        withdraw_children: vec![],
        end: None,
        bodies: vec![],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_go_on_wherever_their_tenant_is_at_home() {
    let servers = servers().await;
    let ledger = RedisLedger::connect(options(&servers)).await.unwrap();
    let mut runs = BTreeMap::new();
    for number in 0..24 {
        let run = submit(&ledger, submission(&tenant(number % 12), &format!("r{number}"), 1)).await;
        runs.insert(number, run);
    }
    for number in 0..12 {
        assert_eq!(shard_of(&runs[&number]), shard_of(&runs[&(number + 12)]), "one home each");
        let again = ledger.submit(submission(&tenant(number), &format!("r{number}"), 1)).await;
        assert_eq!(again, Ok(Submitted::Known(runs[&number].clone())));
    }
    let shards: BTreeSet<_> = runs.values().map(shard_of).collect();
    assert!(shards.len() > 2, "{shards:?}");

    let leased = lease_all(&ledger, work()).await;
    assert_eq!(leased.len(), 24);
    let all: Vec<_> = leased.iter().map(held).collect();
    let heard = ledger.heartbeat(&all, LONG_MS).await.unwrap();
    assert!(heard.iter().all(|heard| *heard == Heard::Extended));
    for task in &all {
        assert_eq!(ledger.start(task).await, Ok(Recorded::Now));
        assert_eq!(ledger.complete(task, completion()).await, Ok(Recorded::Now));
    }
    let mut watch = ledger.watch(&runs[&0], 0).await.unwrap();
    let decisions = lease_all(&ledger, Class::decide()).await;
    assert_eq!(decisions.len(), 24);
    for decision in &decisions {
        let child =
            NewChild { number: 1, events: vec![Bytes::new()], tasks: vec![], timers: vec![] };
        ledger.commit(Commit { children: vec![child], ..commit(decision) }).await.unwrap();
    }
    assert_eq!(ledger.cancel(&runs[&1], "why").await, Ok(Cancelled::Asked));
    let below = lease_all(&ledger, Class::decide()).await;
    for decision in below.iter().filter(|decision| decision.task.run != decision.root) {
        let root = &decision.root;
        assert_eq!(shard_of(root), shard_of(&decision.task.run), "with its root");
        assert_eq!(decision.cancelled, *root == runs[&1]);
        let end = Some(Bytes::from_static(b"child over"));
        ledger.commit(Commit { end, ..commit(decision) }).await.unwrap();
    }
    let word =
        Signal { run: runs[&2].clone(), key: "k".into(), event: Bytes::new(), bodies: vec![] };
    assert_eq!(ledger.signal(word).await, Ok(Signalled::Delivered));
    let stats = ledger.stats().await.unwrap();
    assert_eq!((stats.unfinished, stats.bodies, stats.files.len()), (24, 24, 4));

    // Two of the roots were asked to decide already when their cancellation was seen.
    let mut ended = BTreeSet::new();
    let until = Instant::now() + Duration::from_secs(20);
    while ended.len() < 24 {
        ledger.reap("holder", 0).await.unwrap();
        for decision in lease_all(&ledger, Class::decide()).await {
            let end = Some(Bytes::from_static(b"over"));
            ledger.commit(Commit { end, ..commit(&decision) }).await.unwrap();
            ended.insert(decision.root);
        }
        assert!(Instant::now() < until, "{} ended", ended.len());
    }
    let mut last = None;
    while let Some(seen) = watch.next().await {
        last = Some(seen.unwrap());
    }
    assert_eq!(last, Some(Watched::Ended(Bytes::from_static(b"over"))));
    let listed = ledger.list(&tenant(3), 10, None).await.unwrap();
    let listed: Vec<_> = listed.into_iter().map(|run| run.run).collect();
    assert_eq!(listed, [runs[&15].clone(), runs[&3].clone()]);
    assert_eq!(ledger.list(&tenant(3), 10, Some(&runs[&15])).await.unwrap().len(), 1);
    ledger.body(&tenant(3), &Body::new("body of r3").name).await.unwrap();
    let rules = Retention { runs_max: Some(0), ..Retention::FOR_EVER };
    assert_eq!(ledger.retain(&rules, 10).await.unwrap().deleted, 10);
    while ledger.retain(&rules, 10).await.unwrap().deleted > 0 {}
    let stats = ledger.stats().await.unwrap();
    assert_eq!((stats.unfinished, stats.finished, stats.bodies), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_with_work_on_any_server() {
    let servers = servers().await;
    let ledger = Arc::new(RedisLedger::connect(options(&servers)).await.unwrap());
    for number in 0..8 {
        let waiting = LeaseRequest { wait_ms: LONG_MS, ..request(work(), 1) };
        let waiter = ledger.clone();
        let waiting = tokio::spawn(async move { waiter.lease(waiting).await.unwrap() });
        let run = submit(&ledger, submission(&tenant(number), &format!("w{number}"), 1)).await;
        let leased = tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap().unwrap();
        assert_eq!(leased[0].task.run, run);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_share_a_tenants_terms() {
    let servers = servers().await;
    let lanes = BTreeMap::from([(tenant(0), 3)]);
    let options = RedisOptions { lanes, ..options(&servers) };
    let ledger = RedisLedger::connect(options).await.unwrap();
    let terms = TenantTerms { runs_max: 12, leased_max: 6, weight: 90 };
    ledger.set_tenant(&tenant(0), terms).await.unwrap();
    assert_eq!(ledger.inventory().await.unwrap().terms, [(tenant(0), terms)]);
    let (mut runs, mut full) = (Vec::new(), 0);
    for number in 0..200 {
        match ledger.submit(submission(&tenant(0), &format!("l{number}"), 2)).await {
            Ok(Submitted::New(run)) => runs.push((number, run)),
            Err(LedgerError::QueueFull { .. }) => full += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((runs.len(), full), (12, 188), "all of its runs, and no more");
    let used: BTreeSet<_> = runs.iter().map(|(_, run)| shard_of(run)).collect();
    assert_eq!(used.len(), 3);
    for (number, run) in &runs {
        let again = ledger.submit(submission(&tenant(0), &format!("l{number}"), 2)).await;
        assert_eq!(again, Ok(Submitted::Known(run.clone())));
        ledger.body(&tenant(0), &Body::new(format!("body of l{number}")).name).await.unwrap();
    }
    assert_eq!(lease_all(&ledger, work()).await.len(), 6, "leases at a time");
    let (mut listed, mut before) = (Vec::new(), None);
    loop {
        let page = ledger.list(&tenant(0), 5, before.as_ref()).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.run.clone());
        listed.extend(page.into_iter().map(|run| run.run));
    }
    let all: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), 12, "each once");
    assert_eq!(all, runs.into_iter().map(|(_, run)| run).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_keeps_nobody_from_the_other() {
    let [first, mut second] = servers().await;
    let urls = vec![first.url(), second.url()];
    let options = RedisOptions { urls, shards: SHARDS, timeout_ms: 500, ..RedisOptions::new("") };
    let ledger = RedisLedger::connect(options).await.unwrap();
    for number in 0..16 {
        submit(&ledger, submission(&tenant(number), &format!("a{number}"), 2)).await;
    }
    let mut mine = Vec::new();
    for _ in 0..16 {
        mine.extend(ledger.lease(request(work(), 1)).await.unwrap());
    }
    let on_second = |task: &Leased| shard_of(&task.task.run).parse::<u16>().unwrap() % 2 == 1;
    assert!(mine.iter().any(on_second) && !mine.iter().all(on_second));
    second.kill().unwrap();
    let heard =
        ledger.heartbeat(&mine.iter().map(held).collect::<Vec<_>>(), LONG_MS).await.unwrap();
    for (task, heard) in mine.iter().zip(heard) {
        let expected = if on_second(task) { Heard::Unknown } else { Heard::Extended };
        assert_eq!(heard, expected);
    }
    ledger.tick(8).await.unwrap();
    let mut others = 0;
    let patient = request(work(), 1);
    while let Ok(leased) =
        ledger.lease(LeaseRequest { request: rand::random(), ..patient.clone() }).await
    {
        assert!(leased.iter().all(|task| !on_second(task)));
        others += leased.len();
    }
    assert!(others > 0, "what is left is on the server that is away");
    second.restart().await.unwrap();
    let rest = lease_all(&ledger, work()).await;
    assert_eq!(mine.len() + others + rest.len(), 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_layout_of_shards_is_fixed() {
    let servers = servers().await;
    RedisLedger::connect(options(&servers)).await.unwrap();
    let refusal = async |options| match RedisLedger::connect(options).await {
        Err(LedgerError::Unusable(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was taken"),
    };
    let why = refusal(RedisOptions { shards: 3, ..options(&servers) }).await;
    assert!(why.contains("has 5 shards, and 3 are configured"), "{why}");
    let urls = vec![servers[0].url()];
    let why = refusal(RedisOptions { urls, ..options(&servers) }).await;
    assert!(why.contains("shard 1 of the ledger is not at"), "{why}");
    let why = refusal(RedisOptions { shards: 1, ..options(&servers) }).await;
    assert!(why.contains("at least as many shards as servers"), "{why}");
    RedisLedger::connect(options(&servers)).await.unwrap();
}

/// What was written before there were several shards is read as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_one_shard_names_no_shard() {
    let server = RedisServer::start().await.unwrap();
    let ledger = RedisLedger::connect(RedisOptions::new(server.url())).await.unwrap();
    let run = submit(&ledger, submission(&tenant(0), "old", 1)).await;
    assert_eq!(run.as_str(), "old");
    let client = redis::Client::open(server.url()).unwrap();
    let mut plain = client.get_multiplexed_async_connection().await.unwrap();
    // As an earlier version left it.
    let () =
        redis::AsyncCommands::hdel(&mut plain, "baton:{s0}:meta", &["shards", "cluster", "clock"])
            .await
            .unwrap();
    let ledger = RedisLedger::connect(RedisOptions::new(server.url())).await.unwrap();
    ledger.read(&run, 0).await.unwrap();
}
