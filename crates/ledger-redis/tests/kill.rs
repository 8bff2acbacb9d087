//! Nothing that was acknowledged is lost, and nothing happens twice, whoever is killed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly, also outside of its function"
)]

mod load;

use baton_ledger::{Class, Completion, Held, LeaseRequest, Leased, Ledger, LedgerError, Recorded};
use baton_ledger_redis::{RedisLedger, RedisOptions};
use baton_testkit::redis::RedisServer;
use baton_workflow::{RunId, Spend};
use load::{Acknowledged, answered, check, followed, submit, work_on};
use std::{
    collections::HashMap,
    io::Write,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
};
use tokio::task::JoinSet;

/// Runs in each test.
const RUNS: usize = 180;
/// How often something is killed.
const KILLS: usize = 5;

async fn connect(url: &str) -> RedisLedger {
    RedisLedger::connect(RedisOptions::new(url)).await.unwrap()
}

/// Submits all runs, follows them to their ends, and has `kill` called in between, as
/// the ends come in.
async fn carried_out<F>(
    ledger: Arc<RedisLedger>,
    mut kill: impl FnMut() -> F,
) -> HashMap<RunId, Vec<String>>
where
    F: Future<Output = ()>,
{
    let mut following = JoinSet::new();
    for number in 0..RUNS {
        let ledger = ledger.clone();
        following.spawn(async move {
            let run = submit(&ledger, number).await;
            let journal = followed(&ledger, &run).await;
            (run, journal)
        });
    }
    let mut journals = HashMap::new();
    while let Some(followed) = following.join_next().await {
        journals.extend([followed.unwrap()]);
        if journals.len() % (RUNS / (KILLS + 1)) == 0 && journals.len() < RUNS {
            kill().await;
        }
    }
    journals
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_has_lost_nothing_when_it_is_back() {
    let server = Arc::new(tokio::sync::Mutex::new(RedisServer::start().await.unwrap()));
    let url = server.lock().await.url();
    let ledger = Arc::new(connect(&url).await);
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut workers = JoinSet::new();
    for number in 0..4 {
        let (ledger, told) = (Arc::new(connect(&url).await), acknowledged.clone());
        workers.spawn(async move {
            work_on(&ledger, &format!("w{number}"), |done| told.lock().unwrap().push(done)).await;
        });
    }
    let journals = carried_out(ledger, || async {
        let mut server = server.lock().await;
        server.kill().unwrap();
        server.restart().await.unwrap();
    })
    .await;
    assert!(workers.try_join_next().is_none(), "a worker ended by itself");
    workers.shutdown().await;
    check(&journals, &acknowledged.lock().unwrap());
}

fn request(request: u64, ttl_ms: u64) -> LeaseRequest {
    LeaseRequest {
        holder: "test".into(),
        classes: vec![Class::decide(), Class::from_text("work/agent")],
        max: 1,
        ttl_ms,
        wait_ms: 5_000,
        request,
    }
}

async fn one(ledger: &RedisLedger, request: &LeaseRequest) -> Leased {
    answered(|| ledger.lease(request.clone())).await.unwrap().pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_outlives_the_server_until_another_is_given() {
    let mut server = RedisServer::start().await.unwrap();
    let ledger = connect(&server.url()).await;
    submit(&ledger, 0).await;
    let decide = one(&ledger, &request(1, 60_000)).await;
    let commit = |of: &Leased, tasks| baton_ledger::Commit {
        task: of.task.clone(),
        token: of.token,
        journal_len: 1,
        mail_seen: 0,
        events: vec![],
        tasks,
        timers: vec![],
        children: vec![],
        withdraw: vec![],
        withdraw_children: vec![],
        end: None,
        bodies: vec![],
    };
    server.kill().unwrap();
    server.restart().await.unwrap();

    // The lease was durable, so its holder may go on.
    let class = Class::from_text("work/agent");
    let task = baton_ledger::NewTask {
        number: 1,
        class,
        priority: 0,
        cost: 1,
        reserve: baton_workflow::Spend::ZERO,
        payload: bytes::Bytes::new(),
    };
    let first = commit(&decide, vec![task]);
    assert_eq!(answered(|| ledger.commit(first.clone())).await, Ok(Recorded::Now));
    assert_eq!(ledger.commit(first).await, Ok(Recorded::AlreadyDone));

    // What expires is leased again, under a token of the new epoch; the old one is refused.
    let old = one(&ledger, &request(2, 0)).await;
    assert!(old.token.epoch > decide.token.epoch, "the epoch rose with the restart");
    while ledger.tick(1).await.unwrap().leases == 0 {}
    let new = one(&ledger, &request(3, 60_000)).await;
    server.kill().unwrap();
    server.restart().await.unwrap();
    let held = |of: &Leased| Held { task: of.task.clone(), token: of.token };
    let done = Completion {
        outcome: bytes::Bytes::new(),
        spend: Spend::ZERO,
        estimated: false,
        bodies: vec![],
    };
    let old = held(&old);
    let stale = answered(|| ledger.complete(&old, done.clone())).await;
    assert_eq!(stale, Err(LedgerError::LeaseLost));
    assert_eq!(ledger.complete(&held(&new), done.clone()).await, Ok(Recorded::Now));
}

/// Names the server to a worker in a process of its own, and the file it reports to.
const WORKER_URL: &str = "BATON_TEST_WORKER_URL";
const WORKER_FILE: &str = "BATON_TEST_WORKER_FILE";

/// Not a test: the program of the worker processes of the test below.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "is started by another test, in a process of its own"]
async fn worker_process() {
    let (Ok(url), Ok(path)) = (std::env::var(WORKER_URL), std::env::var(WORKER_FILE)) else {
        return;
    };
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    let ledger = connect(&url).await;
    let name = format!("p{}", std::process::id());
    work_on(&ledger, &name, |(run, task, text)| {
        file.write_all(format!("{run} {task} {text}\n").as_bytes()).unwrap();
    })
    .await;
}

fn spawn_worker(url: &str, file: &Path) -> tokio::process::Child {
    tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "worker_process", "--ignored", "--nocapture"])
        .env(WORKER_URL, url)
        .env(WORKER_FILE, file)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn reported(file: &Path) -> Vec<Acknowledged> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines = text.lines().filter_map(|line| {
        let mut words = line.splitn(3, ' ').map(str::to_owned);
        Some((words.next()?, words.next()?.parse().ok()?, words.next()?))
    });
    lines.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_are_replaced_and_leave_nothing_behind() {
    let server = RedisServer::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acknowledged");
    let ledger = Arc::new(connect(&server.url()).await);
    let mut workers: Vec<_> = (0..3).map(|_| spawn_worker(&server.url(), &file)).collect();
    let mut killed = 0;
    let journals = carried_out(ledger, || {
        let worker = killed % workers.len();
        killed += 1;
        let fresh = spawn_worker(&server.url(), &file);
        let mut old = std::mem::replace(&mut workers[worker], fresh);
        async move {
            assert_eq!(old.try_wait().unwrap(), None, "a worker ended by itself");
            old.kill().await.unwrap();
        }
    })
    .await;
    for worker in &mut workers {
        assert_eq!(worker.try_wait().unwrap(), None, "a worker ended by itself");
        worker.kill().await.unwrap();
    }
    assert_eq!(killed, KILLS);
    check(&journals, &reported(&file));
}
