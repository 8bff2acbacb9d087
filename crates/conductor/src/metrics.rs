//! What is counted and measured of runs and plans.

use baton_engine::{Assignment, Decision, End, Outcome, Status};
use baton_ledger::RunView;
use baton_telemetry::{Measure, Metric, MetricKind, Metrics, SLOW_SECONDS, SMALL};
use baton_workflow::RunId;

/// All of them.
pub const METRICS: &[Metric] =
    &[SUBMITTED, ENDED, SECONDS, ROUNDS, DEPTH, PLANS, REPAIRS, UNREADABLE, FAILOVERS];

const SUBMITTED: Metric = Metric {
    name: "baton_runs_submitted",
    kind: MetricKind::Count,
    help: "Submissions taken, by tenant; known: yes where the run was there before",
    labels: &["tenant", "known"],
};
const ENDED: Metric = Metric {
    name: "baton_runs_ended",
    kind: MetricKind::Count,
    help: "Runs that ended here, by tenant, status and reason",
    labels: &["tenant", "status", "reason"],
};
const SECONDS: Metric = Metric {
    name: "baton_run_seconds",
    kind: MetricKind::Spread(SLOW_SECONDS),
    help: "From a run's submission to its end, by status",
    labels: &["status"],
};
const ROUNDS: Metric = Metric {
    name: "baton_run_rounds",
    kind: MetricKind::Spread(SMALL),
    help: "Workflows that a run began",
    labels: &[],
};
const DEPTH: Metric = Metric {
    name: "baton_run_depth",
    kind: MetricKind::Spread(SMALL),
    help: "How deep in its tree a run was: 0 at the top",
    labels: &[],
};
const PLANS: Metric = Metric {
    name: "baton_plans",
    kind: MetricKind::Count,
    help: "Plans asked for, by outcome: planned, stands, unreadable (after all repairs), \
           failed, budget_spent or abandoned",
    labels: &["outcome"],
};
const REPAIRS: Metric = Metric {
    name: "baton_plan_repairs",
    kind: MetricKind::Count,
    help: "Plans sent back to the policy for repair",
    labels: &[],
};
const UNREADABLE: Metric = Metric {
    name: "baton_plan_replies_unreadable",
    kind: MetricKind::Count,
    help: "Replies of the policy that are no workflow",
    labels: &[],
};
const FAILOVERS: Metric = Metric {
    name: "baton_failovers",
    kind: MetricKind::Count,
    help: "Steps given to another agent because one failed at them, by who takes over",
    labels: &["agent"],
};

/// Handles of all of them.
#[derive(Clone, Debug)]
pub(crate) struct ConductorMetrics {
    submitted: Measure,
    ended: Measure,
    seconds: Measure,
    rounds: Measure,
    depth: Measure,
    plans: Measure,
    repairs: Measure,
    unreadable: Measure,
    failovers: Measure,
}

impl ConductorMetrics {
    pub(crate) fn of(metrics: &Metrics) -> Self {
        Self {
            submitted: metrics.of(&SUBMITTED),
            ended: metrics.of(&ENDED),
            seconds: metrics.of(&SECONDS),
            rounds: metrics.of(&ROUNDS),
            depth: metrics.of(&DEPTH),
            plans: metrics.of(&PLANS),
            repairs: metrics.of(&REPAIRS),
            unreadable: metrics.of(&UNREADABLE),
            failovers: metrics.of(&FAILOVERS),
        }
    }

    pub(crate) fn submitted(&self, tenant: &str, known: bool) {
        self.submitted.count(&[tenant, if known { "yes" } else { "no" }]);
    }

    /// A decision is committed.
    pub(crate) fn decided(&self, failovers: &[String]) {
        failovers.iter().for_each(|agent| self.failovers.count(&[agent]));
    }

    /// A run has ended.
    pub(crate) fn ended(&self, run: &RunId, view: &RunView, end: &End) {
        let status = status(end.status);
        self.ended.count(&[view.tenant.as_str(), status, end.reason.code().as_str()]);
        let ms = view.now.since_ms(view.submitted_at);
        self.seconds.observe(&[status], ms as f64 / 1e3);
        self.rounds.observe(&[], end.rounds.into());
        let below = run.as_str().strip_prefix(view.root.as_str()).unwrap_or_default();
        self.depth.observe(&[], below.matches('-').count() as f64);
    }

    /// A reply of the policy is no workflow; whether it is sent back.
    pub(crate) fn unreadable(&self, repair: bool) {
        self.unreadable.count(&[]);
        self.repairs.add(&[], repair.into());
    }

    /// What came of planning.
    pub(crate) fn planned(&self, outcome: &Outcome) {
        self.plans.count(&[match outcome {
            Outcome::Planned { .. } => "planned",
            Outcome::Stands => "stands",
            Outcome::Unreadable { .. } => "unreadable",
            Outcome::Failed { .. }
            | Outcome::Worked { .. }
            | Outcome::FellShort { .. }
            | Outcome::Verified { .. } => "failed",
            Outcome::BudgetSpent { .. } => "budget_spent",
            Outcome::Abandoned => "abandoned",
        }]);
    }
}

/// A status by its name.
pub(crate) fn status(status: Status) -> &'static str {
    match status {
        Status::Completed => "completed",
        Status::Incomplete => "incomplete",
        Status::Failed => "failed",
        Status::Cancelled => "cancelled",
    }
}

/// Who takes over from an agent that failed.
pub(crate) fn failovers(decision: &Decision) -> Vec<String> {
    let taken_over = decision.tasks.iter().filter_map(|(_, assignment)| match assignment {
        Assignment::Work(work) if work.before > 0 => Some(work.agent.to_string()),
        Assignment::Work(_) | Assignment::Plan(_) | Assignment::Verify(_) => None,
    });
    taken_over.collect()
}
