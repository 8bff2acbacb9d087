//! What goes over the wire: operations of one moment together, texts once, and no look where
//! nothing can have happened.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly, also outside of its function"
)]

use baton_ledger::{
    Body, Class, Commit, Completion, END, Held, LeaseRequest, Leased, Ledger, LedgerError, NewTask,
    Recorded, Submission, Watched,
};
use baton_ledger_redis::{RedisLedger, RedisOptions};
use baton_testkit::redis::RedisServer;
use baton_workflow::{Budget, RunId, Spend, TenantId, Usd};
use bytes::Bytes;
use futures::{StreamExt, future::join_all};
use redis::AsyncCommands;
use std::time::Duration;

/// Runs that are submitted at the same moment.
const RUNS: usize = 48;

/// A ledger on a server of its own, and a connection to look at what was sent to it.
async fn ledger() -> (RedisServer, RedisLedger, redis::aio::MultiplexedConnection) {
    let server = RedisServer::start().await.unwrap();
    let ledger = RedisLedger::connect(RedisOptions::new(server.url())).await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let plain = client.get_multiplexed_async_connection().await.unwrap();
    (server, ledger, plain)
}

/// A number behind its name in what the server tells of itself.
async fn told(plain: &mut redis::aio::MultiplexedConnection, name: &str) -> u64 {
    let info: String = redis::cmd("INFO").arg("everything").query_async(plain).await.unwrap();
    let rest = info.split(name).nth(1).unwrap_or("0");
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0)
}

async fn calls(plain: &mut redis::aio::MultiplexedConnection) -> u64 {
    told(plain, "cmdstat_evalsha:calls=").await
}

fn submission(id: &str, class: Class, bodies: Vec<Body>) -> Submission {
    let task = NewTask {
        number: 1,
        class,
        priority: 0,
        cost: 1,
        reserve: Spend::ZERO,
        payload: Bytes::new(),
    };
    let usd = Usd::from_pico(u64::MAX);
    Submission {
        tenant: TenantId::new("t").unwrap(),
        run: RunId::new(id).unwrap(),
        key: None,
        digest: String::new(),
        budget: Budget { usd, tokens: u64::MAX, calls: u32::MAX, seconds: 1, depth: 0 },
        events: vec![Bytes::from_static(b"submitted")],
        tasks: vec![task],
        timers: vec![],
        bodies,
        traceparent: None,
        label: Bytes::new(),
    }
}

async fn lease(ledger: &RedisLedger, class: Class) -> Vec<Leased> {
    let request = LeaseRequest {
        holder: "test".into(),
        classes: vec![class],
        max: RUNS,
        ttl_ms: 60_000,
        wait_ms: 20_000,
        request: rand::random(),
    };
    ledger.lease(request).await.unwrap()
}

async fn complete(ledger: &RedisLedger, leased: &Leased) -> Result<Recorded, LedgerError> {
    let held = Held { task: leased.task.clone(), token: leased.token };
    let outcome = Bytes::from_static(b"done");
    let (spend, estimated, bodies) = (Spend::ZERO, false, Vec::new());
    ledger.complete(&held, Completion { outcome, spend, estimated, bodies }).await
}

fn work() -> Class {
    Class::from_text("work/agent")
}

#[tokio::test]
async fn operations_of_one_moment_go_together_and_one_that_fails_fails_alone() {
    let (_server, ledger, mut plain) = ledger().await;
    let before = calls(&mut plain).await;
    let all = (0..RUNS).map(|n| ledger.submit(submission(&format!("r{n}"), work(), vec![])));
    assert!(join_all(all).await.iter().all(Result::is_ok));
    let needed = calls(&mut plain).await - before;
    assert!(needed <= 4, "{needed} calls for {RUNS} submissions at once");
    let leased = lease(&ledger, work()).await;
    assert_eq!(leased.len(), RUNS);
    // Somebody else wrote there what no script of ours writes.
    let poisoned = &leased[RUNS / 2];
    let () = plain.set(format!("baton:{{s0}}:mail:{}", poisoned.task.run), "?").await.unwrap();
    let all = join_all(leased.iter().map(|leased| complete(&ledger, leased))).await;
    for (leased, recorded) in leased.iter().zip(all) {
        if leased.task == poisoned.task {
            let why = recorded.unwrap_err();
            assert!(matches!(&why, LedgerError::Unusable(_)), "{why}");
        } else {
            assert_eq!(recorded, Ok(Recorded::Now), "{}", leased.task);
            assert_eq!(complete(&ledger, leased).await, Ok(Recorded::AlreadyDone));
        }
    }
}

#[tokio::test]
async fn a_stored_text_is_sent_again_only_where_it_is_gone() {
    let (_server, ledger, mut plain) = ledger().await;
    let (body, tenant) = (Body::new(vec![b'x'; 200_000]), TenantId::new("t").unwrap());
    let mut sent = Vec::new();
    for id in ["a", "b", "c"] {
        if id == "c" {
            // As when the last run that had it is deleted.
            let key = format!("baton:{{s0}}:body:t:{}", body.name.hash);
            let () = plain.del(key).await.unwrap();
        }
        let before = told(&mut plain, "total_net_input_bytes:").await;
        ledger.submit(submission(id, work(), vec![body.clone()])).await.unwrap();
        sent.push(told(&mut plain, "total_net_input_bytes:").await - before);
        assert_eq!(ledger.body(&tenant, &body.name).await.unwrap(), body.bytes);
    }
    assert!(sent[0] > 200_000 && sent[1] < 10_000 && sent[2] > 200_000, "{sent:?}");
}

#[tokio::test]
async fn who_waits_for_an_end_looks_when_it_has_come() {
    let (_server, ledger, mut plain) = ledger().await;
    ledger.submit(submission("a", Class::plan(), vec![])).await.unwrap();
    let before = calls(&mut plain).await;
    let mut end = ledger.watch(&RunId::new("a").unwrap(), END).await.unwrap();
    let watched = tokio::spawn(async move { end.next().await });
    let leased = lease(&ledger, Class::plan()).await;
    complete(&ledger, &leased[0]).await.unwrap();
    let decide = lease(&ledger, Class::decide()).await.remove(0);
    let commit = Commit {
        task: decide.task,
        token: decide.token,
        journal_len: 1,
        mail_seen: 1,
        events: vec![Bytes::from_static(b"heard")],
        tasks: vec![],
        timers: vec![],
        children: vec![],
        withdraw: vec![],
        withdraw_children: vec![],
        end: Some(Bytes::from_static(b"over")),
        bodies: vec![],
    };
    ledger.commit(commit).await.unwrap();
    let limit = Duration::from_secs(20);
    let seen = tokio::time::timeout(limit, watched).await.unwrap().unwrap();
    assert_eq!(seen, Some(Ok(Watched::Ended(Bytes::from_static(b"over")))));
    let needed = calls(&mut plain).await - before;
    // Two leases, one completion, one commit and one look; another where the subscription,
    // which the first waiter asks for, begins meanwhile.
    assert!(needed <= 6, "{needed} calls");
}
