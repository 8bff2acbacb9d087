//! What is particular to Redis: its settings, its restarts, its numbers, its failures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly, also outside of its function"
)]

use baton_ledger::{Class, Held, LeaseRequest, Leased, Ledger, LedgerError, NewTask, Submission};
use baton_ledger_redis::{Durability, RedisLedger, RedisOptions};
use baton_testkit::redis::RedisServer;
use baton_workflow::{Budget, Resource, RunId, Spend, TenantId, Usd};
use bytes::Bytes;
use redis::AsyncCommands;
use std::sync::atomic::{AtomicU64, Ordering};

async fn connect(server: &RedisServer) -> RedisLedger {
    RedisLedger::connect(RedisOptions::new(server.url())).await.unwrap()
}

async fn plain(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    let client = redis::Client::open(server.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

async fn tell(server: &RedisServer, command: &str) {
    let mut words = command.split(' ');
    let mut telling = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        telling.arg(word);
    });
    telling.exec_async(&mut plain(server).await).await.unwrap();
}

fn submission(id: &str) -> Submission {
    Submission {
        tenant: TenantId::new("t").unwrap(),
        run: RunId::new(id).unwrap(),
        key: None,
        digest: String::new(),
        budget: Budget {
            usd: Usd::from_pico(u64::MAX),
            tokens: u64::MAX,
            calls: u32::MAX,
            seconds: 1,
            depth: 0,
        },
        events: vec![Bytes::from_static(b"submitted")],
        tasks: vec![NewTask {
            number: 1,
            class: work(),
            priority: 0,
            cost: 1,
            reserve: baton_workflow::Spend::ZERO,
            payload: Bytes::new(),
        }],
        timers: vec![],
        bodies: vec![],
        traceparent: None,
        label: Bytes::new(),
    }
}

fn work() -> Class {
    Class::from_text("work/agent")
}

async fn lease(ledger: &RedisLedger, wait_ms: u64) -> Option<Leased> {
    let request = LeaseRequest {
        holder: "test".into(),
        classes: vec![work()],
        max: 1,
        ttl_ms: 60_000,
        wait_ms,
        request: rand::random(),
    };
    ledger.lease(request).await.unwrap().pop()
}

fn held(leased: &Leased) -> Held {
    Held { task: leased.task.clone(), token: leased.token }
}

/// The number of a reservation or settlement: above all before.
fn next_call() -> u64 {
    static CALLS: AtomicU64 = AtomicU64::new(1);
    CALLS.fetch_add(1, Ordering::Relaxed)
}

async fn refusal(server: &RedisServer, durability: Durability) -> Option<String> {
    let options = RedisOptions { durability, ..RedisOptions::new(server.url()) };
    match RedisLedger::connect(options).await {
        Ok(_) => None,
        Err(LedgerError::Unusable(why)) => Some(why),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_may_forget_is_refused() {
    let server = RedisServer::start_with(&["appendonly no"]).await.unwrap();
    let why = refusal(&server, Durability::Always).await.unwrap();
    assert!(why.contains("set appendonly yes (found no), appendfsync always"), "{why}");
    tell(&server, "CONFIG SET appendonly yes").await;
    assert_eq!(refusal(&server, Durability::EverySecond).await, None);
    let why = refusal(&server, Durability::Always).await.unwrap();
    assert!(why.contains("set appendfsync always (found everysec) in"), "{why}");
    tell(&server, "CONFIG SET maxmemory-policy allkeys-lru").await;
    let why = refusal(&server, Durability::EverySecond).await.unwrap();
    assert!(why.contains("set maxmemory-policy noeviction (found allkeys-lru) in"), "{why}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let mut options = RedisOptions::new("redis://127.0.0.1:1");
    options.timeout_ms = 200;
    let refused = RedisLedger::connect(options.clone()).await;
    assert!(matches!(refused, Err(LedgerError::Unavailable(_))));
    options.urls = vec!["http://127.0.0.1".into()];
    let refused = RedisLedger::connect(options.clone()).await;
    assert!(matches!(refused, Err(LedgerError::Unusable(_))));
    options.prefix = "{a}".into();
    options.urls = vec!["redis://127.0.0.1:1".into()];
    let refused = RedisLedger::connect(options).await;
    assert!(matches!(refused, Err(LedgerError::Unusable(_))));
}

#[tokio::test]
async fn keys_of_another_layout_are_left_alone() {
    let server = RedisServer::start().await.unwrap();
    let () = plain(&server).await.hset("baton:{s0}:meta", "layout", "0").await.unwrap();
    let why = refusal(&server, Durability::Always).await.unwrap();
    assert!(why.contains("are of layout \"0\""), "{why}");
}

#[tokio::test]
async fn the_epoch_rises_with_each_start_of_the_server_only() {
    let mut server = RedisServer::start().await.unwrap();
    let ledger = connect(&server).await;
    ledger.submit(submission("a")).await.unwrap();
    let first = lease(&ledger, 0).await.unwrap().token.epoch;
    tell(&server, "SCRIPT FLUSH").await;
    let second = connect(&server).await;
    second.submit(submission("b")).await.unwrap();
    assert_eq!(lease(&second, 0).await.unwrap().token.epoch, first);
    server.kill().unwrap();
    server.restart().await.unwrap();
    let third = connect(&server).await;
    third.submit(submission("c")).await.unwrap();
    assert_eq!(lease(&third, 0).await.unwrap().token.epoch, first + 1);
}

#[tokio::test]
async fn data_from_an_old_copy_gets_a_new_epoch() {
    let server = RedisServer::start().await.unwrap();
    let ledger = connect(&server).await;
    let () = plain(&server).await.hset("baton:{s0}:meta", "epoch", 7).await.unwrap();
    ledger.submit(submission("a")).await.unwrap();
    let () = plain(&server).await.hset("baton:{s0}:meta", "epoch", 3).await.unwrap();
    assert_eq!(lease(&ledger, 0).await.unwrap().token.epoch, 8);
}

#[tokio::test]
async fn amounts_are_exact_to_the_last_bit() {
    let server = RedisServer::start().await.unwrap();
    let ledger = connect(&server).await;
    ledger.submit(submission("a")).await.unwrap();
    let task = held(&lease(&ledger, 0).await.unwrap());
    let spend = |pico, tokens_out, calls| Spend {
        usd: Usd::from_pico(pico),
        tokens_in: 0,
        tokens_out,
        calls,
    };
    let root = RunId::new("a").unwrap();
    // Around the two parts' border, and past what a double can tell apart.
    for (set_aside, spent) in [
        (spend(9_999_999_999, 1, 1), spend(1, 0, 1)),
        (spend(1 << 53, 1, 0), spend((1 << 53) + 1, 3, 0)),
        (spend(u64::MAX - 1, 9, 0), spend(10_000_000_000, 0, 0)),
    ] {
        let before = ledger.read(&root, 0).await.unwrap();
        ledger.reserve(&task, next_call(), set_aside).await.unwrap();
        let between = ledger.read(&root, 0).await.unwrap();
        assert_eq!(between.root_reserved, before.root_reserved.plus(set_aside));
        ledger.settle(&task, next_call(), set_aside, spent).await.unwrap();
        let after = ledger.read(&root, 0).await.unwrap();
        assert_eq!(after.root_reserved, before.root_reserved);
        assert_eq!(after.root_spent, before.root_spent.plus(spent));
    }
    ledger
        .settle(&task, next_call(), Spend::ZERO, spend(u64::MAX, u64::MAX, u32::MAX))
        .await
        .unwrap();
    let full = ledger.read(&root, 0).await.unwrap().root_spent;
    assert_eq!(full, spend(u64::MAX, u64::MAX, u32::MAX));
}

#[tokio::test]
async fn a_budget_is_kept_to_the_last_picodollar() {
    let server = RedisServer::start().await.unwrap();
    let ledger = connect(&server).await;
    let most = (1 << 60) + 1;
    let mut run = submission("a");
    run.budget.usd = Usd::from_pico(most);
    ledger.submit(run).await.unwrap();
    let task = held(&lease(&ledger, 0).await.unwrap());
    let spend = |pico| Spend { usd: Usd::from_pico(pico), ..Spend::ZERO };
    ledger.reserve(&task, next_call(), spend(most - 1)).await.unwrap();
    let refused = ledger.reserve(&task, next_call(), spend(2)).await;
    assert_eq!(refused, Err(LedgerError::BudgetSpent(Resource::Usd)));
    ledger.reserve(&task, next_call(), spend(1)).await.unwrap();
}

#[tokio::test]
async fn a_full_server_writes_nothing_and_says_so() {
    let server = RedisServer::start().await.unwrap();
    let options = RedisOptions { memory_percent_max: 255, ..RedisOptions::new(server.url()) };
    let ledger = RedisLedger::connect(options).await.unwrap();
    ledger.stats().await.unwrap();
    tell(&server, "CONFIG SET maxmemory 1000000").await;
    match ledger.submit(submission("a")).await {
        Err(LedgerError::Unavailable(why)) => assert!(why.contains("raise maxmemory"), "{why}"),
        other => panic!("{other:?}"),
    }
    tell(&server, "CONFIG SET maxmemory 0").await;
    let run = RunId::new("a").unwrap();
    assert_eq!(ledger.read(&run, 0).await, Err(LedgerError::NoSuchRun(run.clone())));
    ledger.submit(submission("a")).await.unwrap();
}

#[tokio::test]
async fn a_replica_is_refused_with_advice() {
    let server = RedisServer::start().await.unwrap();
    let ledger = connect(&server).await;
    tell(&server, "REPLICAOF 127.0.0.1 1").await;
    match ledger.submit(submission("a")).await {
        Err(LedgerError::Unavailable(why)) => assert!(why.contains("to the primary"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lost_subscription_costs_no_task() {
    let server = RedisServer::start().await.unwrap();
    let ledger = connect(&server).await;
    let waiting = lease(&ledger, 30_000);
    let submitting = async {
        for _ in 0..3 {
            tell(&server, "CLIENT KILL TYPE pubsub").await;
        }
        ledger.submit(submission("a")).await.unwrap();
    };
    let (leased, ()) = tokio::join!(waiting, submitting);
    assert!(leased.is_some());
}

/// Before there is no memory left: what is under way goes on, only new runs have to wait.
#[tokio::test]
async fn new_runs_wait_before_the_memory_is_full() {
    let server = RedisServer::start().await.unwrap();
    let ledger = connect(&server).await;
    ledger.submit(submission("a")).await.unwrap();
    let stats = ledger.stats().await.unwrap();
    let used = stats.files.iter().find(|file| file.name == "memory").unwrap().bytes;
    tell(&server, &format!("CONFIG SET maxmemory {}", used * 100 / 85)).await;
    let full = loop {
        // What was seen of the memory before holds for a moment.
        match ledger.submit(submission(&rand::random::<u32>().to_string())).await {
            Ok(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            Err(full) => break full,
        }
    };
    let LedgerError::MemoryFull { used_percent, retry_after_ms } = full else { panic!("{full}") };
    assert!(used_percent >= 80 && retry_after_ms > 0 && full.is_retryable());
    let task = held(&lease(&ledger, 0).await.unwrap());
    let completion = baton_ledger::Completion {
        outcome: Bytes::from_static(b"done"),
        spend: Spend::ZERO,
        estimated: false,
        bodies: vec![],
    };
    ledger.complete(&task, completion).await.unwrap();
    tell(&server, "CONFIG SET maxmemory 0").await;
    while let Err(error) = ledger.submit(submission("b")).await {
        assert!(matches!(error, LedgerError::MemoryFull { .. }), "{error}");
    }
}

/// As after an hour's step back of the server's clock: all that was noted is an hour ahead.
#[tokio::test]
async fn a_clock_that_is_set_back_neither_ends_nor_prolongs_leases() {
    const HOUR_MS: u64 = 3_600_000;
    let server = RedisServer::start().await.unwrap();
    let ledger = connect(&server).await;
    for run in ["a", "b"] {
        ledger.submit(submission(run)).await.unwrap();
    }
    let request = |ttl_ms| LeaseRequest {
        holder: "test".into(),
        classes: vec![work()],
        max: 1,
        ttl_ms,
        wait_ms: 0,
        request: rand::random(),
    };
    ledger.lease(request(1_500)).await.unwrap();
    ledger.lease(request(600_000)).await.unwrap();
    let mut plain = plain(&server).await;
    let clock: u64 = plain.hget("baton:{s0}:meta", "clock").await.unwrap();
    let () = plain.hset("baton:{s0}:meta", "clock", clock + HOUR_MS).await.unwrap();
    let leases: Vec<String> = plain.zrange("baton:{s0}:leases", 0, -1).await.unwrap();
    for lease in &leases {
        let () = plain.zincr("baton:{s0}:leases", lease, HOUR_MS).await.unwrap();
    }
    let before = ledger.read(&RunId::new("a").unwrap(), 0).await.unwrap().now;
    assert!(before.0 >= clock + HOUR_MS, "its time goes on from where it was");
    let ticked = ledger.tick(8).await.unwrap();
    assert_eq!(ticked.leases, 0, "and ends no lease before it is over");
    assert!(ticked.next_ms.is_some_and(|ms| ms <= 1_600), "nor prolongs one: {ticked:?}");
    // Something is written now and then, as heartbeats do.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let mut last = before;
    loop {
        ledger.submit(submission(&rand::random::<u32>().to_string())).await.unwrap();
        let now = ledger.read(&RunId::new("a").unwrap(), 0).await.unwrap().now;
        assert!(now >= last, "{now:?} after {last:?}");
        last = now;
        if ledger.tick(8).await.unwrap().leases == 1 {
            break;
        }
        assert!(std::time::Instant::now() < until);
    }
    let passed = last.since_ms(before);
    assert!((1_000..10_000).contains(&passed), "it passes about as fast as it should: {passed}");
    let ahead: u64 = plain.hget("baton:{s0}:meta", "ahead").await.unwrap();
    assert!(ahead < HOUR_MS, "and comes back: {ahead}");
}

/// What `everysec` means: a loss of power takes the last second, here cut off the
/// append-only file. What it took is done again, and nothing from it is accepted.
#[tokio::test]
async fn a_lost_second_is_done_again_under_other_tokens() {
    let settings = ["appendonly yes", "appendfsync everysec"];
    let mut server = RedisServer::start_with(&settings).await.unwrap();
    let options =
        RedisOptions { durability: Durability::EverySecond, ..RedisOptions::new(server.url()) };
    let ledger = RedisLedger::connect(options.clone()).await.unwrap();
    ledger.submit(submission("a")).await.unwrap();
    let kept = server.appended().unwrap();
    let lost = lease(&ledger, 0).await.unwrap();
    ledger.submit(submission("b")).await.unwrap();
    server.kill().unwrap();
    drop(ledger);
    server.forget(kept).unwrap();
    server.restart().await.unwrap();
    let ledger = RedisLedger::connect(options).await.unwrap();
    let gone = RunId::new("b").unwrap();
    assert_eq!(ledger.read(&gone, 0).await, Err(LedgerError::NoSuchRun(gone.clone())));
    let again = lease(&ledger, 0).await.unwrap();
    assert_eq!((&again.task, again.token.attempt), (&lost.task, 1));
    assert!(again.token.epoch > lost.token.epoch && again.token.nonce > lost.token.nonce);
    let stale = ledger.start(&held(&lost)).await;
    assert_eq!(stale, Err(LedgerError::LeaseLost));
    ledger.start(&held(&again)).await.unwrap();
}

/// What a process costs that waits for work of every class: one look a second for each.
#[tokio::test]
async fn a_process_that_waits_asks_little() {
    const CLASSES: u64 = 4;
    const SECONDS: u64 = 4;
    let server = RedisServer::start().await.unwrap();
    let ledger = std::sync::Arc::new(connect(&server).await);
    ledger.submit(submission("a")).await.unwrap();
    lease(&ledger, 0).await.unwrap();
    for class in 0..CLASSES {
        // More than one waits for the same: they share the look.
        for _ in 0..4 {
            let ledger = ledger.clone();
            let request = LeaseRequest {
                holder: "test".into(),
                classes: vec![Class::from_text(&format!("work/{class}"))],
                max: 1,
                ttl_ms: 60_000,
                wait_ms: 60_000,
                request: rand::random(),
            };
            tokio::spawn(async move { ledger.lease(request).await });
        }
    }
    let scripts = async || {
        let mut plain = plain(&server).await;
        let info: String =
            redis::cmd("INFO").arg("commandstats").query_async(&mut plain).await.unwrap();
        let line = info.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap();
        let calls = line.split("calls=").nth(1).unwrap().split(',').next().unwrap();
        calls.parse::<u64>().unwrap()
    };
    // All of them have begun to wait.
    let mut before = scripts().await;
    while before < 3 {
        before = scripts().await;
    }
    tokio::time::sleep(std::time::Duration::from_secs(SECONDS)).await;
    let calls = scripts().await - before;
    println!("at idle: {:.1} script calls a second", calls as f64 / SECONDS as f64);
    assert!(calls <= (SECONDS + 1) * CLASSES, "{calls} calls in {SECONDS} s");
}
