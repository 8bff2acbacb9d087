//! What is counted and measured of a ledger.

use crate::{LedgerError, Stats};
use baton_telemetry::{Measure, Metric, MetricKind, Metrics, QUICK_SECONDS};

/// All of them.
pub const METRICS: &[Metric] = &[
    SECONDS,
    ERRORS,
    LEASE_CALLS,
    LEASES,
    LEASES_ENDED,
    QUEUED,
    LEASED,
    OLDEST,
    UNFINISHED,
    FINISHED,
    BODY_BYTES,
];

pub(crate) const SECONDS: Metric = Metric {
    name: "baton_ledger_seconds",
    kind: MetricKind::Spread(QUICK_SECONDS),
    help: "How long the ledger took, by operation; lease, which waits for tasks, is left out",
    labels: &["operation"],
};
pub(crate) const ERRORS: Metric = Metric {
    name: "baton_ledger_errors",
    kind: MetricKind::Count,
    help: "Operations that the ledger refused or did not answer, by the error's name",
    labels: &["operation", "error"],
};
pub(crate) const LEASE_CALLS: Metric = Metric {
    name: "baton_lease_calls",
    kind: MetricKind::Count,
    help: "Requests for tasks, by what they gave: tasks or nothing",
    labels: &["gave"],
};
pub(crate) const LEASES: Metric = Metric {
    name: "baton_leases_granted",
    kind: MetricKind::Count,
    help: "Leases granted to this process, by class",
    labels: &["class"],
};
pub(crate) const LEASES_ENDED: Metric = Metric {
    name: "baton_leases_cut",
    kind: MetricKind::Count,
    help: "Leases that ended before their task did: lost (a heartbeat came too late), abandon \
           (the task is not wanted any more), expired (of any process, found by this one)",
    labels: &["how"],
};
const QUEUED: Metric = Metric {
    name: "baton_queue_waiting",
    kind: MetricKind::Level,
    help: "Tasks that wait in the whole ledger, by class and tenant; of the fullest queues, \
           the rest under the class other",
    labels: &["class", "tenant"],
};
const LEASED: Metric = Metric {
    name: "baton_queue_leased",
    kind: MetricKind::Level,
    help: "Tasks that somebody holds in the whole ledger, likewise",
    labels: &["class", "tenant"],
};
const OLDEST: Metric = Metric {
    name: "baton_queue_oldest_seconds",
    kind: MetricKind::Level,
    help: "Age of the task that waits longest, by class and tenant",
    labels: &["class", "tenant"],
};
const UNFINISHED: Metric = Metric {
    name: "baton_runs_unfinished",
    kind: MetricKind::Level,
    help: "Root runs in the ledger that have not ended",
    labels: &[],
};
const FINISHED: Metric = Metric {
    name: "baton_runs_kept",
    kind: MetricKind::Level,
    help: "Root runs in the ledger that have ended",
    labels: &[],
};
const BODY_BYTES: Metric = Metric {
    name: "baton_ledger_body_bytes",
    kind: MetricKind::Level,
    help: "Bytes of the texts that the ledger keeps",
    labels: &[],
};

/// The ledger as a whole, as its statistics have it. Every process that shows them shows
/// the same.
#[derive(Clone, Debug)]
pub struct Gauges {
    queued: Measure,
    leased: Measure,
    oldest: Measure,
    unfinished: Measure,
    finished: Measure,
    body_bytes: Measure,
}

impl Gauges {
    /// Their handles.
    pub fn of(metrics: &Metrics) -> Self {
        Self {
            queued: metrics.of(&QUEUED),
            leased: metrics.of(&LEASED),
            oldest: metrics.of(&OLDEST),
            unfinished: metrics.of(&UNFINISHED),
            finished: metrics.of(&FINISHED),
            body_bytes: metrics.of(&BODY_BYTES),
        }
    }

    /// Shows these statistics. Queues that are empty are not shown.
    pub fn set(&self, stats: &Stats) {
        [&self.queued, &self.leased, &self.oldest].into_iter().for_each(Measure::clear);
        for queue in &stats.queues {
            let labels = [queue.class.as_str(), queue.tenant.as_str()];
            self.queued.set(&labels, queue.queued as f64);
            self.leased.set(&labels, queue.leased as f64);
            self.oldest.set(&labels, queue.oldest_ms as f64 / 1e3);
        }
        if stats.other_queues.queues > 0 {
            self.queued.set(&["other", "other"], stats.other_queues.queued as f64);
            self.leased.set(&["other", "other"], stats.other_queues.leased as f64);
        }
        self.unfinished.set(&[], stats.unfinished as f64);
        self.finished.set(&[], stats.finished as f64);
        self.body_bytes.set(&[], stats.body_bytes as f64);
    }
}

/// An error's name, without what it is about.
pub(crate) fn name_of(error: &LedgerError) -> &'static str {
    match error {
        LedgerError::NoSuchRun(_) => "no_such_run",
        LedgerError::QueueFull { .. } => "queue_full",
        LedgerError::StorageFull { .. } => "storage_full",
        LedgerError::MemoryFull { .. } => "memory_full",
        LedgerError::KeyReused(_) => "key_reused",
        LedgerError::Invalid(_) => "invalid",
        LedgerError::Unavailable(_) => "unavailable",
        LedgerError::LeaseLost => "lease_lost",
        LedgerError::JournalMoved { .. } => "journal_moved",
        LedgerError::NoSuchBody(_) => "no_such_body",
        LedgerError::BudgetSpent(_) => "budget_spent",
        LedgerError::Unusable(_) => "unusable",
    }
}
