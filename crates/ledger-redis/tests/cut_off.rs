//! A holder that cannot reach its ledger stops before others may begin.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests may fail loudly, as tests may"
)]

use async_trait::async_trait;
use baton_ledger::{
    Class, Handler, Heard, Held, LeaseTerms, Leased, Ledger, Lessee, NewTask, Room, Submission,
};
use baton_ledger_redis::{RedisLedger, RedisOptions};
use baton_testkit::redis::RedisServer;
use baton_workflow::{Budget, RunId, Spend, TenantId, Usd};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long a lease lasts without a heartbeat.
const LEASE: Duration = Duration::from_secs(3);

/// Works until it is told to stop, and tells what it holds when it began, and when it stopped.
struct Works(mpsc::Sender<Held>);

#[async_trait]
impl Handler for Works {
    async fn handle(&self, leased: Leased, stop: CancellationToken) {
        let held = Held { task: leased.task, token: leased.token };
        self.0.send(held.clone()).await.unwrap();
        stop.cancelled().await;
        self.0.send(held).await.unwrap();
    }
}

/// After how long a holder stops whose ledger is cut off and whose lease ends after [`LEASE`];
/// nothing where it still works when that time has passed. It believes that leases last as
/// long as it is told.
async fn stops_after(believed: Duration) -> Option<Duration> {
    let mut server = RedisServer::start().await.unwrap();
    let lease = LeaseTerms::lasting(believed.as_millis().try_into().unwrap());
    let options = RedisOptions { lease, ..RedisOptions::new(server.url()) };
    let ledger: Arc<dyn Ledger> = Arc::new(RedisLedger::connect(options).await.unwrap());
    let class = Class::from_text("work/agent");
    let task = NewTask {
        number: 1,
        class: class.clone(),
        priority: 5,
        cost: 1,
        reserve: Spend::ZERO,
        payload: "payload".into(),
    };
    let budget = Budget { usd: Usd::from_pico(1), tokens: 1, calls: 1, seconds: 600, depth: 1 };
    let submission = Submission {
        tenant: TenantId::new("t").unwrap(),
        run: RunId::new("r").unwrap(),
        key: None,
        digest: "d".into(),
        budget,
        events: vec!["submitted".into()],
        tasks: vec![task],
        timers: Vec::new(),
        bodies: Vec::new(),
        traceparent: None,
        label: "l".into(),
    };
    ledger.submit(submission).await.unwrap();
    let (told, mut tells) = mpsc::channel(2);
    let lessee = Lessee { holder: "holder".into(), classes: vec![class], room: Room::new(1) };
    let stop = CancellationToken::new();
    let running = lessee.run(ledger.clone(), Arc::new(Works(told)), stop.clone());
    let running = tokio::spawn(running);
    let held = tells.recv().await.unwrap();
    // From here on no heartbeat is answered, so the lease ends when this one says.
    let cut = Instant::now();
    let heard = ledger.heartbeat(&[held], LEASE.as_millis().try_into().unwrap()).await;
    assert_eq!(heard, Ok(vec![Heard::Extended]));
    server.kill().unwrap();
    let stopped = tokio::time::timeout(LEASE.saturating_sub(cut.elapsed()), tells.recv()).await;
    let after = stopped.is_ok().then(|| cut.elapsed());
    running.abort();
    after
}

#[tokio::test]
async fn work_stops_before_its_lease_ends() {
    let after = stops_after(LEASE).await.expect("it works on although its lease may have ended");
    assert!(after > LEASE / 2, "it gave up although its lease held: {after:?}");
}

/// A negative control: who believes in a longer lease than it has does not stop in time.
#[tokio::test]
async fn a_holder_that_trusts_in_its_lease_too_long_is_seen() {
    assert_eq!(stops_after(LEASE * 4).await, None);
}
