//! What is measured of the way to etcd.

use baton_telemetry::{Metric, MetricKind};

/// All of them.
pub const METRICS: &[Metric] = &[CONNECTED];

pub(crate) const CONNECTED: Metric = Metric {
    name: "baton_registry_connected",
    kind: MetricKind::Level,
    help: "1 while this process can reach etcd, 0 while etcd is away and what was known stays \
           in force",
    labels: &[],
};
