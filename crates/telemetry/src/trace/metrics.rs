//! What is counted of the export of spans.

use crate::{Metric, MetricKind};

/// All of them.
pub const METRICS: &[Metric] = &[SPANS];

pub(super) const SPANS: Metric = Metric {
    name: "baton_spans",
    kind: MetricKind::Count,
    help: "Spans by what became of them: exported, failed (not taken by the collector), or \
           dropped (too many waited)",
    labels: &["outcome"],
};
