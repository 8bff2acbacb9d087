//! What replicas promise: a run that was acknowledged is there after the loss of the
//! primary's machine, because nothing is acknowledged before the replicas have it.
//!
//! The link to the replica goes through a relay that stops passing bytes on, as a cut cable
//! does: a killed process would still have its sockets flushed by the kernel.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly, its helpers too")]

use baton_ledger::{
    Class, Held, LeaseRequest, Ledger, LedgerError, NewTask, Submission, Submitted,
};
use baton_ledger_redis::{Durability, RedisLedger, RedisOptions, barrier};
use baton_testkit::redis::RedisServer;
use baton_workflow::{Budget, RunId, Spend, TenantId, Usd};
use bytes::Bytes;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    time::sleep,
};

/// The switch is for the whole process: one test at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Runs acknowledged before the link is cut.
const BEFORE: u64 = 50;

/// Passes bytes on in both directions until it is cut.
struct Link {
    address: String,
    cut: Arc<AtomicBool>,
}

impl Link {
    async fn to(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = server.url().trim_start_matches("redis://").to_owned();
        let cut = Arc::new(AtomicBool::new(false));
        let is_cut = cut.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&target).await else { continue };
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                tokio::spawn(pass(near_in, far_out, is_cut.clone()));
                tokio::spawn(pass(far_in, near_out, is_cut.clone()));
            }
        });
        Self { address: format!("127.0.0.1 {port}"), cut }
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    cut: Arc<AtomicBool>,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        while cut.load(Ordering::Relaxed) {
            sleep(LOOK_AGAIN).await;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

async fn tell(server: &RedisServer, command: &str) -> redis::Value {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut words = command.split(' ');
    let mut telling = redis::cmd(words.next().unwrap());
    words.for_each(|word| {
        telling.arg(word);
    });
    telling.query_async(&mut connection).await.unwrap()
}

async fn until_online(primary: &RedisServer) {
    let until = Instant::now() + PATIENCE;
    loop {
        let info = tell(primary, "INFO replication").await;
        let info: String = redis::from_redis_value(info).unwrap();
        if info.contains("state=online") {
            return;
        }
        assert!(Instant::now() < until, "the replica does not come: {info}");
        sleep(LOOK_AGAIN).await;
    }
}

fn submission(number: u64) -> Submission {
    Submission {
        tenant: TenantId::new("t").unwrap(),
        run: RunId::new(format!("run-{number}")).unwrap(),
        key: Some(number.to_string()),
        digest: String::new(),
        budget: Budget { usd: Usd::from_pico(1), tokens: 1, calls: 1, seconds: 1, depth: 0 },
        events: vec![Bytes::from_static(b"submitted")],
        tasks: vec![NewTask {
            number: 1,
            class: Class::from_text("work/a"),
            priority: 0,
            cost: 1,
            reserve: Spend::ZERO,
            payload: Bytes::new(),
        }],
        timers: vec![],
        bodies: vec![],
        traceparent: None,
        label: Bytes::new(),
    }
}

/// The first run. A replica that is online may be a while about its first confirmation.
async fn submit_first(ledger: &RedisLedger) {
    let until = Instant::now() + PATIENCE;
    loop {
        match ledger.submit(submission(1)).await {
            Ok(_) => return,
            Err(LedgerError::Unavailable(_)) if Instant::now() < until => {}
            Err(other) => panic!("{other:?}"),
        }
    }
}

fn options(server: &RedisServer, durability: Durability, timeout_ms: u64) -> RedisOptions {
    RedisOptions { durability, timeout_ms, ..RedisOptions::new(server.url()) }
}

/// What of what was acknowledged is missing after the primary is lost and its replica
/// promoted, while runs are submitted and the link is cut under way.
async fn lost() -> (usize, usize) {
    let settings = ["appendonly yes", "appendfsync everysec", "repl-diskless-sync-delay 0"];
    let mut primary = RedisServer::start_with(&settings).await.unwrap();
    let replica = RedisServer::start_with(&settings).await.unwrap();
    let link = Link::to(&primary).await;
    tell(&replica, &format!("REPLICAOF {}", link.address)).await;
    until_online(&primary).await;
    let wanted = options(&primary, Durability::Replicas(1), 600);
    let ledger = Arc::new(RedisLedger::connect(wanted).await.unwrap());

    let (numbers, acknowledged) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(Vec::new())));
    let stop = Arc::new(AtomicBool::new(false));
    let submitters: Vec<_> = (0..8)
        .map(|_| {
            let (ledger, numbers) = (ledger.clone(), numbers.clone());
            let (acknowledged, stop) = (acknowledged.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    match ledger.submit(submission(number)).await {
                        Ok(Submitted::New(run) | Submitted::Known(run)) => {
                            acknowledged.lock().await.push(run);
                        }
                        Err(LedgerError::Unavailable(_)) => {}
                        Err(other) => panic!("{other:?}"),
                    }
                }
            })
        })
        .collect();
    let until = Instant::now() + PATIENCE;
    let enough = async |count: u64| {
        while (acknowledged.lock().await.len() as u64) < count && Instant::now() < until {
            sleep(LOOK_AGAIN).await;
        }
    };
    enough(BEFORE).await;
    link.cut.store(true, Ordering::Relaxed);
    // Whatever else is acknowledged, the replica does not have.
    let tried = numbers.load(Ordering::Relaxed);
    while numbers.load(Ordering::Relaxed) < tried + 24 && Instant::now() < until {
        sleep(LOOK_AGAIN).await;
    }
    stop.store(true, Ordering::Relaxed);
    for submitter in submitters {
        submitter.await.unwrap();
    }
    primary.kill().unwrap();
    tell(&replica, "REPLICAOF NO ONE").await;
    let ledger = RedisLedger::connect(options(&replica, Durability::EverySecond, 5_000)).await;
    let ledger = ledger.unwrap();
    let mut missing = 0;
    let acknowledged = acknowledged.lock().await.clone();
    for run in &acknowledged {
        missing += usize::from(ledger.read(run, 0).await.is_err());
    }
    (acknowledged.len(), missing)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_outlives_the_primarys_machine() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let (acknowledged, missing) = lost().await;
    println!("{acknowledged} acknowledged, {missing} lost");
    assert!(acknowledged as u64 >= BEFORE);
    assert_eq!(missing, 0);
}

/// The negative control: without the barrier the same test must find what is lost.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_barrier_acknowledged_runs_are_lost() {
    let _alone = ONE_AT_A_TIME.lock().await;
    barrier::switch_off(true);
    let (acknowledged, missing) = lost().await;
    barrier::switch_off(false);
    println!("{acknowledged} acknowledged, {missing} lost");
    assert!(missing > 0, "of {acknowledged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_handed_out_or_shown_that_may_vanish() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let settings = ["appendonly yes", "appendfsync everysec", "repl-diskless-sync-delay 0"];
    let primary = RedisServer::start_with(&settings).await.unwrap();
    let replica = RedisServer::start_with(&settings).await.unwrap();
    let refused = RedisLedger::connect(options(&primary, Durability::Replicas(1), 600)).await;
    let Err(LedgerError::Unavailable(why)) = refused else { panic!("no replica is there") };
    assert!(why.contains("0 replicas are connected, and 1 have to confirm"), "{why}");
    let link = Link::to(&primary).await;
    tell(&replica, &format!("REPLICAOF {}", link.address)).await;
    until_online(&primary).await;
    let connect = async || {
        RedisLedger::connect(options(&primary, Durability::Replicas(1), 600)).await.unwrap()
    };
    let (writer, reader) = (connect().await, connect().await);
    submit_first(&writer).await;
    link.cut.store(true, Ordering::Relaxed);
    let request = LeaseRequest {
        holder: "h".into(),
        classes: vec![Class::from_text("work/a")],
        max: 1,
        ttl_ms: 600_000,
        wait_ms: 0,
        request: 1,
    };
    let unsafe_lease = writer.lease(request.clone()).await;
    let Err(LedgerError::Unavailable(why)) = unsafe_lease else { panic!("{unsafe_lease:?}") };
    assert!(why.contains("0 of 1 replicas confirmed"), "{why}");
    // Somebody else, who wrote nothing, is not shown it either.
    let run = RunId::new("run-1").unwrap();
    let shown = reader.read(&run, 0).await;
    assert!(matches!(shown, Err(LedgerError::Unavailable(_))), "{shown:?}");
    link.cut.store(false, Ordering::Relaxed);
    let leased = loop {
        match writer.lease(request.clone()).await {
            Ok(leased) => break leased,
            Err(LedgerError::Unavailable(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(leased.len(), 1, "the same request gets its task once it is safe");
    reader.read(&run, 0).await.unwrap();
}

/// A promoted replica is another server: whatever was leased before is refused there if it
/// is leased anew, and goes on if it is not.
#[tokio::test(flavor = "multi_thread")]
async fn the_epoch_rises_with_a_promotion() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let settings = ["appendonly yes", "appendfsync everysec", "repl-diskless-sync-delay 0"];
    let mut primary = RedisServer::start_with(&settings).await.unwrap();
    let replica = RedisServer::start_with(&settings).await.unwrap();
    let link = Link::to(&primary).await;
    tell(&replica, &format!("REPLICAOF {}", link.address)).await;
    until_online(&primary).await;
    let wanted = options(&primary, Durability::Replicas(1), 600);
    let ledger = RedisLedger::connect(wanted).await.unwrap();
    submit_first(&ledger).await;
    let request = |request| LeaseRequest {
        holder: "h".into(),
        classes: vec![Class::from_text("work/a")],
        max: 1,
        ttl_ms: 1,
        wait_ms: 0,
        request,
    };
    let before = ledger.lease(request(1)).await.unwrap().pop().unwrap();
    primary.kill().unwrap();
    tell(&replica, "REPLICAOF NO ONE").await;
    let promoted = options(&replica, Durability::EverySecond, 5_000);
    let promoted = RedisLedger::connect(promoted).await.unwrap();
    let until = Instant::now() + PATIENCE;
    while promoted.tick(8).await.unwrap().leases == 0 {
        assert!(Instant::now() < until);
        sleep(LOOK_AGAIN).await;
    }
    let after = promoted.lease(request(2)).await.unwrap().pop().unwrap();
    assert_eq!(after.token.epoch, before.token.epoch + 1);
    let stale = Held { task: before.task, token: before.token };
    assert_eq!(promoted.start(&stale).await, Err(LedgerError::LeaseLost));
}
