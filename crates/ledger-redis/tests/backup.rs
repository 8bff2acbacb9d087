//! Backups in one form: what one ledger saved, the other brings back, whatever it was doing.
//!
//! `tests/golden` holds a backup of a ledger on Redis by every released version, which is
//! brought back for ever. That of a version that is not released is written anew by
//! `BATON_GOLDEN=write cargo test -p baton-ledger-redis --test backup`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail loudly, its helpers too"
)]

use baton_ledger::{
    Body, Class, Completion, EmbeddedLedger, Held, LeaseRequest, Ledger, LedgerError, NewTask,
    QueueStats, Submission, Submitted, contract, fsck, restore_backup,
    saved::{Reader, Saved, Standing, Totals},
};
use baton_ledger_redis::{RedisLedger, RedisOptions};
use baton_testkit::redis::RedisServer;
use baton_workflow::{Budget, RunId, Spend, TenantId, Usd};
use bytes::Bytes;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// The folder of the version that is not released yet.
const PRESENT: &str = "0.1";
/// Random calls that make a ledger to be saved.
const CALLS: usize = 400;

async fn options() -> RedisOptions {
    let prefix = format!("p{}", rand::random::<u64>());
    RedisOptions { prefix, ..RedisOptions::new(RedisServer::shared().await.unwrap().url()) }
}

async fn restore(file: &Path, options: RedisOptions) -> Result<RedisLedger, LedgerError> {
    RedisLedger::restore(options.clone(), || File::open(file)).await?;
    RedisLedger::connect(options).await
}

async fn save(ledger: &RedisLedger, file: &Path) {
    let saved = ledger.backup(File::create(file).unwrap()).await.unwrap();
    assert_eq!(saved, baton_ledger::verify_backup(File::open(file).unwrap()).unwrap());
}

async fn is_sound(ledger: &RedisLedger) {
    assert_eq!(ledger.fsck().await.unwrap().found, []);
}

/// What a backup says, in an order of its own, with places in the order of others for the
/// numbers that each ledger gives in its own way.
fn read(file: &Path) -> Vec<String> {
    let mut reader = Reader::new(File::open(file).unwrap()).unwrap();
    let mut all = Vec::new();
    while let Some(rows) = reader.read().unwrap() {
        all.extend(rows);
    }
    let place = |numbers: &[u64], number: u64| numbers.binary_search(&number).unwrap() as u64;
    let (mut ages, mut orders) = (Vec::new(), Vec::new());
    all.retain(|row| *row != Saved::Totals(Totals::default()));
    for row in &all {
        match row {
            Saved::TaskHead(_, head) => ages.push(head.age),
            Saved::Root(_, order, _) => orders.push(*order),
            _ => {}
        }
    }
    ages.sort_unstable();
    orders.sort_unstable();
    let mut told = BTreeMap::new();
    for mut row in all {
        match &mut row {
            Saved::Epoch(epoch) => *epoch = 0,
            Saved::TaskHead(_, head) => head.age = place(&ages, head.age),
            Saved::Root(_, order, _) => *order = place(&orders, *order),
            Saved::Head(_, head) => head.order = 0,
            // Nobody asks of what is over.
            Saved::Task(_, task) if matches!(task.standing, Standing::Done(_) | Standing::Gone) => {
                task.withdrawn = false;
            }
            _ => {}
        }
        // The last one under a name counts.
        let name = match &row {
            Saved::Shared(tenant, hash, _) => format!("shared {tenant} {hash}"),
            row => format!("{row:?}"),
        };
        told.insert(name, format!("{row:?}"));
    }
    told.into_values().collect()
}

#[track_caller]
fn are_alike(one: &Path, other: &Path) {
    let (one, other) = (read(one), read(other));
    let lacks: Vec<_> = other.iter().filter(|row| !one.contains(row)).collect();
    let has: Vec<_> = one.iter().filter(|row| !other.contains(row)).collect();
    assert!(lacks.is_empty() && has.is_empty(), "only before {has:#?}, only after {lacks:#?}");
}

/// What waits, and what is held.
async fn queues(ledger: &dyn Ledger) -> Vec<(Class, TenantId, u64, u64)> {
    let queues = ledger.stats().await.unwrap().queues.into_iter();
    let mut queues: Vec<_> = queues
        .filter(|queue| queue.class != Class::decide())
        .map(|QueueStats { class, tenant, queued, leased, .. }| (class, tenant, queued, leased))
        .collect();
    queues.sort();
    queues
}

/// A ledger that random calls have made, and that is in the middle of everything.
async fn random<L: Ledger + 'static>(ledger: L) -> Arc<L> {
    let ledger = Arc::new(ledger);
    let once = Mutex::new(Some(ledger.clone()));
    contract::random_ops(
        async || {
            let ledger: Arc<dyn Ledger> = once.lock().unwrap().take().unwrap();
            ledger
        },
        1,
        CALLS,
    )
    .await;
    ledger
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_on_redis_is_brought_back_on_redis_and_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let [saved, again, ledger_file, third] =
        ["saved", "again", "ledger.redb", "third"].map(|name| folder.path().join(name));
    let ledger = random(RedisLedger::connect(options().await).await.unwrap()).await;
    save(&ledger, &saved).await;

    let options = options().await;
    let restored = restore(&saved, options.clone()).await.unwrap();
    is_sound(&restored).await;
    assert_eq!(queues(&restored).await, queues(&*ledger).await);
    save(&restored, &again).await;
    are_alike(&saved, &again);
    let epochs = (ledger.stats().await.unwrap().epoch, restored.stats().await.unwrap().epoch);
    assert!(epochs.1 > epochs.0 + 4096, "{epochs:?}");
    match restore(&saved, options).await {
        Err(LedgerError::Unusable(why)) => assert!(why.contains("already"), "{why}"),
        other => panic!("{:?}", other.map(|_| ())),
    }

    restore_backup(File::open(&saved).unwrap(), &ledger_file).unwrap();
    let looked = fsck(&ledger_file).unwrap();
    assert_eq!(looked.found, []);
    baton_ledger::backup_of(&ledger_file, File::create(&third).unwrap()).unwrap();
    are_alike(&saved, &third);
    assert!(read(&saved).len() > 20, "{:#?}", read(&saved));
    let embedded = EmbeddedLedger::open(&ledger_file).unwrap();
    embedded.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_in_a_file_is_brought_back_on_redis() {
    let folder = tempfile::tempdir().unwrap();
    let [ledger_file, saved, again] =
        ["ledger.redb", "saved", "again"].map(|name| folder.path().join(name));
    let ledger = random(EmbeddedLedger::open(&ledger_file).unwrap()).await;
    ledger.backup(File::create(&saved).unwrap()).await.unwrap();
    let restored = restore(&saved, options().await).await.unwrap();
    is_sound(&restored).await;
    assert_eq!(queues(&restored).await, queues(&*ledger).await);
    save(&restored, &again).await;
    are_alike(&saved, &again);
    ledger.close().await;
}

fn submission(tenant: &str, run: &str) -> Submission {
    let task = NewTask {
        number: 1,
        class: Class::from_text("work/a"),
        priority: 5,
        cost: 10,
        reserve: Spend::ZERO,
        payload: Bytes::from_static(b"payload"),
    };
    Submission {
        tenant: TenantId::new(tenant).unwrap(),
        run: RunId::new(run).unwrap(),
        key: Some(format!("key-{run}")),
        digest: String::new(),
        budget: Budget { usd: Usd::from_pico(1), tokens: 1000, calls: 100, seconds: 1, depth: 3 },
        events: vec![Bytes::from_static(b"submitted")],
        tasks: vec![task],
        timers: vec![],
        bodies: vec![Body::new("all have it"), Body::new(format!("text of {run}"))],
        traceparent: Some("00-trace".into()),
        label: Bytes::from_static(b"label"),
    }
}

async fn lease(ledger: &RedisLedger) -> Vec<Held> {
    let request = LeaseRequest {
        holder: "holder".into(),
        classes: vec![Class::from_text("work/a")],
        max: 64,
        ttl_ms: 600_000,
        wait_ms: 0,
        request: rand::random(),
    };
    let leased = ledger.lease(request).await.unwrap().into_iter();
    leased.map(|leased| Held { task: leased.task, token: leased.token }).collect()
}

fn done() -> Completion {
    let outcome = Bytes::from_static(b"done");
    Completion { outcome, spend: Spend::ZERO, estimated: false, bodies: vec![] }
}

/// What is brought back goes on: the same key is the same run, what was leased is leased
/// again, and its old holder is refused.
async fn goes_on(restored: &RedisLedger, tenant: &str, run: &RunId, held: &Held) {
    let again = Submission { run: RunId::new("another").unwrap(), ..submission(tenant, "r") };
    let key = format!("key-{}", run.as_str().split(".s").next().unwrap());
    let again = restored.submit(Submission { key: Some(key), ..again }).await;
    assert_eq!(again, Ok(Submitted::Known(run.clone())));
    while restored.tick(64).await.unwrap().leases > 0 {}
    let lost = restored.complete(held, done()).await;
    assert_eq!(lost, Err(LedgerError::LeaseLost));
    let mut all = Vec::new();
    loop {
        let more = lease(restored).await;
        if more.is_empty() {
            break;
        }
        all.extend(more);
    }
    assert!(all.iter().any(|now| now.task == held.task), "{all:?}");
    for held in all {
        restored.complete(&held, done()).await.unwrap();
    }
    is_sound(restored).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_and_lanes_are_brought_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saved");
    let lanes = BTreeMap::from([(TenantId::new("wide").unwrap(), 3)]);
    let of = async |shards| RedisOptions { shards, lanes: lanes.clone(), ..options().await };
    let ledger = RedisLedger::connect(of(4).await).await.unwrap();
    for number in 0..24 {
        let tenant = if number % 2 == 0 { "wide" } else { "narrow" };
        ledger.submit(submission(tenant, &format!("run-{number}"))).await.unwrap();
    }
    let held = lease(&ledger).await.pop().unwrap();
    save(&ledger, &file).await;
    let Err(LedgerError::Unusable(why)) = restore(&file, of(3).await).await else {
        panic!("runs of four shards are in three");
    };
    assert!(why.contains("as many shards"), "{why}");
    let restored = restore(&file, of(4).await).await.unwrap();
    is_sound(&restored).await;
    let wide = TenantId::new("wide").unwrap();
    let list = restored.list(&wide, 100, None).await.unwrap();
    assert_eq!(list.len(), 12);
    for run in list {
        let name = run.run.as_str().split(".s").next().unwrap();
        let body = Body::new(format!("text of {name}"));
        assert_eq!(restored.body(&wide, &body.name).await, Ok(body.bytes));
    }
    let run = held.task.run.clone();
    let tenant = restored.read(&run, 0).await.unwrap().tenant;
    goes_on(&restored, tenant.as_str(), &run, &held).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_holds_whole_trees() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(RedisLedger::connect(options().await).await.unwrap());
    let busy = ledger.clone();
    let load = tokio::spawn(async move {
        for number in 0.. {
            busy.submit(submission("t", &format!("run-{number}"))).await.unwrap();
            for held in lease(&busy).await {
                busy.complete(&held, done()).await.unwrap();
            }
        }
    });
    while ledger.stats().await.unwrap().unfinished < 50 {
        tokio::task::yield_now().await;
    }
    let file = folder.path().join("saved");
    save(&ledger, &file).await;
    load.abort();
    let restored = restore(&file, options().await).await.unwrap();
    is_sound(&restored).await;
    assert!(restored.stats().await.unwrap().unfinished >= 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_did_not_end_is_no_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saved");
    let ledger = RedisLedger::connect(options().await).await.unwrap();
    ledger.submit(submission("t", "run")).await.unwrap();
    save(&ledger, &file).await;
    let options = options().await;
    // The second reading breaks off.
    let (readings, whole) = (Mutex::new(0), fs::read(&file).unwrap());
    let torn = RedisLedger::restore(options.clone(), || {
        let mut readings = readings.lock().unwrap();
        *readings += 1;
        let end = if *readings == 1 { whole.len() } else { whole.len() - 20 };
        Ok(std::io::Cursor::new(whole[..end].to_vec()))
    });
    assert!(torn.await.unwrap_err().to_string().contains("cut off"));
    for refused in [RedisLedger::connect(options.clone()).await, restore(&file, options).await] {
        match refused {
            Err(LedgerError::Unusable(why)) => assert!(why.contains("restor"), "{why}"),
            other => panic!("{:?}", other.map(|_| ())),
        }
    }
}

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_released_backup_is_brought_back() {
    if std::env::var("BATON_GOLDEN").is_ok_and(|value| value == "write") {
        let ledger = RedisLedger::connect(options().await).await.unwrap();
        for number in 0..3 {
            ledger.submit(submission("t", &format!("run-{number}"))).await.unwrap();
        }
        assert_eq!(lease(&ledger).await.len(), 3);
        let folder = golden().join(PRESENT);
        fs::create_dir_all(&folder).unwrap();
        save(&ledger, &folder.join("backup")).await;
    }
    let embedded = golden().join("../../../ledger/tests/golden");
    let of = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for folder in of(golden()) {
        let restored = restore(&folder.join("backup"), options().await).await.unwrap();
        is_sound(&restored).await;
        let run = RunId::new("run-1").unwrap();
        assert_eq!(restored.read(&run, 0).await.unwrap().entries[0].event, "submitted");
        let token = baton_ledger::Token { epoch: 1, attempt: 1, nonce: 1 };
        let held = Held { task: baton_workflow::TaskId { run: run.clone(), number: 1 }, token };
        goes_on(&restored, "t", &run, &held).await;
    }
    for folder in of(embedded) {
        is_sound(&restore(&folder.join("backup"), options().await).await.unwrap()).await;
    }
}
