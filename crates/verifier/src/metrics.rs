//! What is counted of checks.

use baton_telemetry::{Measure, Metric, MetricKind, Metrics};
use baton_workflow::{Verdict, VerdictKind};

/// All of them.
pub const METRICS: &[Metric] = &[VERDICTS, REPORTS];

const VERDICTS: Metric = Metric {
    name: "baton_verdicts",
    kind: MetricKind::Count,
    help: "Votes and checks, by verifier and verdict: pass, fail, abstain or unavailable",
    labels: &["verifier", "verdict"],
};

const REPORTS: Metric = Metric {
    name: "baton_verifier_reports",
    kind: MetricKind::Count,
    help: "Checks whose report was looked up by their content: hit, it had been given before and cost nothing, or miss",
    labels: &["outcome"],
};

/// Handles of all of them.
#[derive(Clone, Debug)]
pub(crate) struct VerifierMetrics {
    verdicts: Measure,
    reports: Measure,
}

impl VerifierMetrics {
    pub(crate) fn of(metrics: &Metrics) -> Self {
        Self { verdicts: metrics.of(&VERDICTS), reports: metrics.of(&REPORTS) }
    }

    pub(crate) fn looked_up(&self, outcome: &str) {
        self.reports.count(&[outcome]);
    }

    pub(crate) fn judged(&self, verdict: &Verdict) {
        self.verdicts.count(&[method(verdict), label(verdict.kind)]);
    }
}

/// How was verified, without by whom.
pub(crate) fn method(verdict: &Verdict) -> &str {
    verdict.verifier.split(' ').next().unwrap_or_default()
}

/// A kind of verdict by its name.
pub(crate) fn label(kind: VerdictKind) -> &'static str {
    match kind {
        VerdictKind::Pass => "pass",
        VerdictKind::Fail => "fail",
        VerdictKind::Abstain => "abstain",
        VerdictKind::Unavailable => "unavailable",
    }
}
