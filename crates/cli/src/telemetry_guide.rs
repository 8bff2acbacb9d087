//! The guide to traces and metrics says what the code says.

use baton_telemetry::{Metric, names};

const GUIDE: &str = include_str!("../../../docs/guides/telemetry.md");

/// Everything that a process can count, crate by crate.
const METRICS: [&[Metric]; 8] = [
    baton_gateway::METRICS,
    baton_conductor::METRICS,
    baton_worker_agent::METRICS,
    baton_verifier::METRICS,
    baton_call::METRICS,
    baton_ledger::METRICS,
    baton_registry_etcd::METRICS,
    baton_telemetry::TRACE_METRICS,
];

fn check(table: &str) {
    assert!(GUIDE.contains(table), "docs/guides/telemetry.md must have this table:\n{table}");
}

#[test]
fn the_guide_has_every_metric_and_no_other() {
    METRICS.iter().for_each(|metrics| check(&Metric::table(metrics)));
    let all: Vec<_> =
        METRICS.concat().iter().map(|metric| format!("| `{}` |", metric.shown())).collect();
    let lines = GUIDE.lines().filter(|line| line.starts_with("| `baton_")).count();
    assert_eq!(lines, all.len(), "a metric stands in the guide that nobody counts");
    let mut names: Vec<_> = METRICS.concat().iter().map(|metric| metric.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len(), "two metrics have one name");
}

#[test]
fn the_guide_has_every_attribute() {
    let mut table = String::from("| attribute | says |\n| --- | --- |\n");
    for (name, says) in names::ALL {
        table.push_str(&format!("| `{name}` | {says} |\n"));
    }
    check(&table);
}

#[test]
fn metrics_are_named_as_prometheus_asks() {
    for metric in METRICS.concat() {
        let name = metric.shown();
        assert!(name.starts_with("baton_") && !name.ends_with("_total_total"), "{name}");
        assert!(!metric.help.ends_with('.'), "{name}: the full stop is added");
        assert!(metric.labels.len() <= 3, "{name} has too many series");
    }
}
