//! A holder that cannot reach its ledger stops before others may begin.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly, as tests may")]

use async_trait::async_trait;
use baton_ledger::{Class, Handler, Leased, Ledger, Lessee, NewTask, Room, Submission};
use baton_ledger_redis::{RedisLedger, RedisOptions};
use baton_testkit::redis::RedisServer;
use baton_workflow::{Budget, RunId, Spend, TenantId, Usd};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long a lease lasts without a heartbeat; see the lessee.
const LEASE: Duration = Duration::from_secs(30);

/// Works until it is told to stop, and tells when it began and stopped.
struct Works(mpsc::Sender<Instant>);

#[async_trait]
impl Handler for Works {
    async fn handle(&self, _leased: Leased, stop: CancellationToken) {
        self.0.send(Instant::now()).await.unwrap();
        stop.cancelled().await;
        self.0.send(Instant::now()).await.unwrap();
    }
}

#[tokio::test]
async fn work_stops_before_its_lease_ends() {
    let mut server = RedisServer::start().await.unwrap();
    let ledger = RedisLedger::connect(RedisOptions::new(server.url())).await.unwrap();
    let ledger: Arc<dyn Ledger> = Arc::new(ledger);
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
    let running = lessee.run(ledger, Arc::new(Works(told)), stop.clone());
    let running = tokio::spawn(running);
    tells.recv().await.unwrap();
    // From here on no heartbeat is answered. The last one that was may have been answered a
    // moment ago, so the lease ends no earlier than this.
    let cut = Instant::now();
    server.kill().unwrap();
    let stopped = tokio::time::timeout(LEASE, tells.recv()).await;
    assert!(stopped.is_ok(), "it works on although its lease may have ended");
    assert!(cut.elapsed() > LEASE / 2, "it gave up although its lease held");
    stop.cancel();
    running.await.unwrap();
}
