//! What is counted of steps.

use baton_engine::Outcome;
use baton_telemetry::{Measure, Metric, MetricKind, Metrics};

/// All of them.
pub const METRICS: &[Metric] = &[STEPS];

const STEPS: Metric = Metric {
    name: "baton_steps",
    kind: MetricKind::Count,
    help: "Steps worked on here, by agent and outcome: worked, truncated, or the name of what \
           went wrong",
    labels: &["agent", "outcome"],
};

/// Handles of all of them.
#[derive(Clone, Debug)]
pub(crate) struct WorkerMetrics {
    steps: Measure,
}

impl WorkerMetrics {
    pub(crate) fn of(metrics: &Metrics) -> Self {
        Self { steps: metrics.of(&STEPS) }
    }

    /// What came of a step.
    pub(crate) fn worked(&self, agent: &str, outcome: &Outcome) {
        let name = match outcome {
            Outcome::Worked { truncated: true, .. } => "truncated",
            Outcome::Worked { truncated: false, .. } => "worked",
            Outcome::Failed { code, .. } => code,
            Outcome::FellShort { shortfall, .. } => shortfall.code(),
            Outcome::BudgetSpent { .. } => "budget_spent",
            Outcome::Abandoned => "abandoned",
            // None of these comes of a step.
            Outcome::Planned { .. }
            | Outcome::Stands
            | Outcome::Unreadable { .. }
            | Outcome::Verified { .. } => "protocol",
        };
        self.steps.count(&[agent, name]);
    }
}
