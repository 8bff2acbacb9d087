//! What holds of a lessee, whatever its handlers do.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly, as tests may")]

use async_trait::async_trait;
use baton_ledger::{
    Class, EmbeddedLedger, Handler, LeaseRequest, Leased, Ledger, Lessee, NewTask, Room, SILENT_MS,
    Submission, hand_back,
};
use baton_workflow::{Budget, RunId, Spend, TenantId, Usd};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

fn work() -> Class {
    Class::from_text("work/agent")
}

async fn submit(ledger: &dyn Ledger) {
    let task = NewTask {
        number: 1,
        class: work(),
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
}

fn lessee() -> Lessee {
    Lessee { holder: "holder".into(), classes: vec![work()], room: Room::new(1) }
}

/// Computes, and never lets anybody else have its thread.
struct Busy {
    begun: Notify,
    lasts: Duration,
}

#[async_trait]
impl Handler for Busy {
    async fn handle(&self, _leased: Leased, _stop: CancellationToken) {
        self.begun.notify_one();
        let end = std::time::Instant::now() + self.lasts;
        while std::time::Instant::now() < end {
            std::hint::spin_loop();
        }
    }
}

#[test]
fn a_handler_that_computes_keeps_no_heartbeat_waiting() {
    let workshop = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = workshop.handle().clone();
    other.block_on(async {
        let ledger: Arc<dyn Ledger> = Arc::new(EmbeddedLedger::in_memory().unwrap());
        submit(ledger.as_ref()).await;
        let silent = Duration::from_millis(SILENT_MS);
        let busy = Arc::new(Busy { begun: Notify::new(), lasts: silent * 2 });
        let stop = CancellationToken::new();
        let running = lessee().run_in(Some(handle), ledger.clone(), busy.clone(), stop.clone());
        let running = tokio::spawn(running);
        busy.begun.notified().await;
        tokio::time::sleep(silent + silent / 2).await;
        assert_eq!(ledger.reap("holder", SILENT_MS).await.unwrap().leases, 0, "no heartbeat");
        assert_eq!(ledger.reap("holder", 0).await.unwrap().leases, 1, "it was not held");
        stop.cancel();
        running.await.unwrap();
    });
    workshop.shutdown_background();
}

/// Never ends by itself.
struct Endless(Notify);

#[async_trait]
impl Handler for Endless {
    async fn handle(&self, _leased: Leased, _stop: CancellationToken) {
        self.0.notify_one();
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn what_outlasts_the_stop_is_handed_back() {
    let ledger: Arc<dyn Ledger> = Arc::new(EmbeddedLedger::in_memory().unwrap());
    submit(ledger.as_ref()).await;
    let (endless, stop) = (Arc::new(Endless(Notify::new())), CancellationToken::new());
    let running = lessee().run(ledger.clone(), endless.clone(), stop.clone());
    let running = tokio::spawn(running);
    endless.0.notified().await;
    stop.cancel();
    running.await.unwrap();
    // The ledger's own time was never stopped.
    tokio::time::resume();
    let request = LeaseRequest {
        holder: "other".into(),
        classes: vec![work()],
        max: 1,
        ttl_ms: 1000,
        wait_ms: 0,
        request: 1,
    };
    assert_eq!(ledger.lease(request.clone()).await.unwrap().len(), 0, "its lease has not ended");
    hand_back(ledger.as_ref(), "holder").await;
    let leased = ledger.lease(LeaseRequest { request: 2, ..request }).await.unwrap();
    assert_eq!((leased.len(), leased[0].token.attempt), (1, 2));
}
