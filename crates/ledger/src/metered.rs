//! A ledger whose operations are counted and timed.

use crate::{
    Admission, Admit, Bytes, Cancelled, Commit, Completion, Heard, Held, Inventory, LeaseRequest,
    LeaseTerms, Leased, Ledger, LedgerError, Reaped, Reconciled, Recorded, Release, Retained,
    Retention, RunSummary, RunView, Signal, Signalled, Stats, Submission, Submitted, TenantTerms,
    Ticked, Watched, metrics,
};
use async_trait::async_trait;
use baton_telemetry::{Measure, Metrics, One};
use baton_workflow::{BodyRef, RunId, Spend, TenantId};
use futures_core::stream::BoxStream;
use std::{sync::Arc, time::Instant};

/// A ledger that is measured. Clones share it.
#[derive(Clone)]
pub struct Metered {
    ledger: Arc<dyn Ledger>,
    seconds: Arc<Seconds>,
    errors: Measure,
    granted: Measure,
    taken: Measure,
    abandon: One,
    lost: One,
    expired: One,
}

macro_rules! operations {
    ($($name:ident),*) => {
        /// A series for each operation, found once.
        struct Seconds {
            $($name: One,)*
        }

        impl Seconds {
            fn of(seconds: &Measure) -> Self {
                Self { $($name: seconds.with(&[stringify!($name)]),)* }
            }
        }
    };
}

operations!(
    set_tenant, inventory, submit, heartbeat, reserve, settle, complete, start, park, commit, tick,
    reap, signal, cancel, read, watch, list, admit, release, body, reconcile, retain, stats
);

macro_rules! timed {
    ($self:ident.$operation:ident($($argument:expr),*)) => {{
        let began = Instant::now();
        let result = $self.ledger.$operation($($argument),*).await;
        $self.seconds.$operation.took(began.elapsed());
        if let Err(error) = &result {
            $self.failed(stringify!($operation), error);
        }
        result
    }};
}

impl Metered {
    /// Measures a ledger.
    pub fn new(ledger: Arc<dyn Ledger>, metrics: &Metrics) -> Self {
        let leases = metrics.of(&metrics::LEASES_ENDED);
        Self {
            ledger,
            seconds: Arc::new(Seconds::of(&metrics.of(&metrics::SECONDS))),
            errors: metrics.of(&metrics::ERRORS),
            granted: metrics.of(&metrics::LEASES),
            taken: metrics.of(&metrics::LEASE_CALLS),
            abandon: leases.with(&["abandon"]),
            lost: leases.with(&["lost"]),
            expired: leases.with(&["expired"]),
        }
    }

    fn failed(&self, operation: &str, error: &LedgerError) {
        self.errors.count(&[operation, metrics::name_of(error)]);
    }
}

#[async_trait]
impl Ledger for Metered {
    async fn set_tenant(&self, tenant: &TenantId, terms: TenantTerms) -> Result<(), LedgerError> {
        timed!(self.set_tenant(tenant, terms))
    }

    async fn inventory(&self) -> Result<Inventory, LedgerError> {
        timed!(self.inventory())
    }

    async fn submit(&self, submission: Submission) -> Result<Submitted, LedgerError> {
        timed!(self.submit(submission))
    }

    fn lease_terms(&self) -> LeaseTerms {
        self.ledger.lease_terms()
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Leased>, LedgerError> {
        let leased = self.ledger.lease(request).await;
        match &leased {
            Ok(leased) => {
                self.taken.count(&[if leased.is_empty() { "nothing" } else { "tasks" }]);
                for task in leased {
                    self.granted.count(&[task.class.as_str()]);
                }
            }
            Err(error) => self.failed("lease", error),
        }
        leased
    }

    async fn heartbeat(&self, held: &[Held], ttl_ms: u64) -> Result<Vec<Heard>, LedgerError> {
        let heard = timed!(self.heartbeat(held, ttl_ms));
        for heard in heard.iter().flatten() {
            match heard {
                Heard::Extended | Heard::Unknown => {}
                Heard::Lost => self.lost.add(1),
                Heard::Abandon => self.abandon.add(1),
            }
        }
        heard
    }

    async fn reserve(&self, held: &Held, call: u64, amount: Spend) -> Result<(), LedgerError> {
        timed!(self.reserve(held, call, amount))
    }

    async fn settle(
        &self,
        held: &Held,
        call: u64,
        reserved: Spend,
        spent: Spend,
    ) -> Result<(), LedgerError> {
        timed!(self.settle(held, call, reserved, spent))
    }

    async fn complete(&self, held: &Held, completion: Completion) -> Result<Recorded, LedgerError> {
        timed!(self.complete(held, completion))
    }

    async fn start(&self, held: &Held) -> Result<Recorded, LedgerError> {
        timed!(self.start(held))
    }

    async fn park(&self, held: &Held) -> Result<Recorded, LedgerError> {
        timed!(self.park(held))
    }

    async fn commit(&self, commit: Commit) -> Result<Recorded, LedgerError> {
        timed!(self.commit(commit))
    }

    async fn tick(&self, max: usize) -> Result<Ticked, LedgerError> {
        let ticked = timed!(self.tick(max));
        if let Ok(ticked) = &ticked {
            self.expired.add(ticked.leases as u64);
        }
        ticked
    }

    async fn reap(&self, holder: &str, silent_ms: u64) -> Result<Reaped, LedgerError> {
        timed!(self.reap(holder, silent_ms))
    }

    async fn signal(&self, signal: Signal) -> Result<Signalled, LedgerError> {
        timed!(self.signal(signal))
    }

    async fn cancel(&self, run: &RunId, reason: &str) -> Result<Cancelled, LedgerError> {
        timed!(self.cancel(run, reason))
    }

    async fn read(&self, run: &RunId, from: u64) -> Result<RunView, LedgerError> {
        timed!(self.read(run, from))
    }

    async fn watch(
        &self,
        run: &RunId,
        from: u64,
    ) -> Result<BoxStream<'static, Result<Watched, LedgerError>>, LedgerError> {
        timed!(self.watch(run, from))
    }

    async fn list(
        &self,
        tenant: &TenantId,
        limit: usize,
        before: Option<&RunId>,
    ) -> Result<Vec<RunSummary>, LedgerError> {
        timed!(self.list(tenant, limit, before))
    }

    async fn admit(&self, ask: Admit) -> Result<Admission, LedgerError> {
        timed!(self.admit(ask))
    }

    async fn release(&self, release: Release) -> Result<(), LedgerError> {
        timed!(self.release(release))
    }

    async fn body(&self, tenant: &TenantId, body: &BodyRef) -> Result<Bytes, LedgerError> {
        timed!(self.body(tenant, body))
    }

    async fn reconcile(&self, max: usize) -> Result<Reconciled, LedgerError> {
        timed!(self.reconcile(max))
    }

    async fn retain(&self, rules: &Retention, max: usize) -> Result<Retained, LedgerError> {
        timed!(self.retain(rules, max))
    }

    async fn stats(&self) -> Result<Stats, LedgerError> {
        timed!(self.stats())
    }
}
