//! Numbers about a process, for Prometheus.
//!
//! Every crate lists its metrics in one place as [`Metric`]s, and asks the process's
//! [`Metrics`] for a handle of each when it starts. There is no registry but the one that
//! is handed around. How many series a metric can have is bounded, whatever its labels say.

mod serve;

pub use serve::serve_metrics;

use prometheus_client::{
    encoding::text,
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::Registry,
};
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Series of one metric: every pair of 50 agents and 20 tenants. What comes after them is
/// counted together, under this name.
const SERIES_MAX: usize = 1_000;
const OTHERS: &str = "other";

/// Seconds, for calls within a cluster.
pub const QUICK_SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];
/// Seconds, for what models and runs take: 0.01 × 2ⁿ, as OpenTelemetry has them, and
/// beyond, because runs take longer than calls.
pub const SLOW_SECONDS: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84,
    327.68, 655.36, 1310.72,
];
/// Small numbers, such as of rounds.
pub const SMALL: &[f64] = &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0];

/// What is counted or measured. Names end with the unit; a count's name gets `_total`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Its name, as Prometheus has it, but for the `_total` of a count.
    pub name: &'static str,
    /// How it behaves.
    pub kind: MetricKind,
    /// What it says, in a sentence without its full stop.
    pub help: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
}

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricKind {
    /// Only rises, by whole numbers.
    Count,
    /// Only rises.
    Amount,
    /// Goes up and down.
    Level,
    /// Observations, counted by these upper bounds.
    Spread(&'static [f64]),
}

impl Metric {
    /// The name that Prometheus shows.
    pub fn shown(&self) -> String {
        match self.kind {
            MetricKind::Count | MetricKind::Amount => format!("{}_total", self.name),
            MetricKind::Level | MetricKind::Spread(_) => self.name.to_owned(),
        }
    }

    /// A table of metrics, in Markdown.
    pub fn table(metrics: &[Self]) -> String {
        let mut table = String::from("| metric | labels | says |\n| --- | --- | --- |\n");
        for metric in metrics {
            let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let (name, labels) = (metric.shown(), labels.join(", "));
            table.push_str(&format!("| `{name}` | {labels} | {} |\n", metric.help));
        }
        table
    }
}

type Labels = Vec<(&'static str, String)>;

/// Makes histograms.
#[derive(Clone)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

#[derive(Clone)]
enum Series {
    Counts(Family<Labels, Counter>),
    Amounts(Family<Labels, Counter<f64, AtomicU64>>),
    Levels(Family<Labels, Gauge<f64, AtomicU64>>),
    Spreads(Family<Labels, Histogram, Buckets>),
}

/// The metrics of a process. Clones are the same.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Mutex<Registered>>);

#[derive(Default)]
struct Registered {
    registry: Registry,
    series: HashMap<&'static str, (Series, Arc<AtomicUsize>)>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// A handle of a metric: the same for all who ask for it.
    pub fn of(&self, metric: &'static Metric) -> Measure {
        // Only ever added to, whoever panicked.
        let mut registered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Registered { registry, series } = &mut *registered;
        let (series, count) = series.entry(metric.name).or_insert_with(|| {
            let (name, help) = (metric.name, metric.help);
            let series = match metric.kind {
                MetricKind::Count => {
                    let family = Family::default();
                    registry.register(name, help, family.clone());
                    Series::Counts(family)
                }
                MetricKind::Amount => {
                    let family = Family::default();
                    registry.register(name, help, family.clone());
                    Series::Amounts(family)
                }
                MetricKind::Level => {
                    let family = Family::default();
                    registry.register(name, help, family.clone());
                    Series::Levels(family)
                }
                MetricKind::Spread(bounds) => {
                    let family = Family::new_with_constructor(Buckets(bounds));
                    registry.register(name, help, family.clone());
                    Series::Spreads(family)
                }
            };
            (series, Arc::default())
        });
        Measure { metric, series: series.clone(), count: count.clone() }
    }

    /// All of them, as OpenMetrics has it.
    pub fn render(&self) -> String {
        let registered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut page = String::new();
        if text::encode(&mut page, &registered.registry).is_err() {
            // A text takes whatever is written to it.
            tracing::error!("metrics cannot be written");
        }
        page
    }
}

/// A metric that is counted or measured. Clones are the same.
#[derive(Clone)]
pub struct Measure {
    metric: &'static Metric,
    series: Series,
    /// How many series there are.
    count: Arc<AtomicUsize>,
}

impl fmt::Debug for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metric.name)
    }
}

impl Measure {
    /// One series: for what is counted often. Without as many values as the metric has
    /// labels, those that are missing are empty.
    pub fn with(&self, values: &[&str]) -> One {
        let labels = self.labels(values);
        match &self.series {
            Series::Counts(family) => One::Count(family.get_or_create_owned(&labels)),
            Series::Amounts(family) => One::Amount(family.get_or_create_owned(&labels)),
            Series::Levels(family) => One::Level(family.get_or_create_owned(&labels)),
            Series::Spreads(family) => One::Spread(family.get_or_create_owned(&labels)),
        }
    }

    /// Adds one.
    pub fn count(&self, values: &[&str]) {
        self.with(values).add(1);
    }

    /// Adds.
    pub fn add(&self, values: &[&str], number: u64) {
        if number > 0 {
            self.with(values).add(number);
        }
    }

    /// Adds a part.
    pub fn add_amount(&self, values: &[&str], amount: f64) {
        if amount > 0.0 {
            self.with(values).add_amount(amount);
        }
    }

    /// How much it is now.
    pub fn set(&self, values: &[&str], level: f64) {
        self.with(values).set(level);
    }

    /// One observation.
    pub fn observe(&self, values: &[&str], value: f64) {
        self.with(values).observe(value);
    }

    /// Forgets all series: for levels that are read anew each time.
    pub fn clear(&self) {
        match &self.series {
            Series::Counts(family) => family.clear(),
            Series::Amounts(family) => family.clear(),
            Series::Levels(family) => family.clear(),
            Series::Spreads(family) => family.clear(),
        }
        self.count.store(0, Ordering::Relaxed);
    }

    fn labels(&self, values: &[&str]) -> Labels {
        let values = values.iter().copied().chain(std::iter::repeat(""));
        let labels: Labels =
            self.metric.labels.iter().copied().zip(values.map(str::to_owned)).collect();
        let known = match &self.series {
            Series::Counts(family) => family.get(&labels).is_some(),
            Series::Amounts(family) => family.get(&labels).is_some(),
            Series::Levels(family) => family.get(&labels).is_some(),
            Series::Spreads(family) => family.get(&labels).is_some(),
        };
        if known || self.count.fetch_add(1, Ordering::Relaxed) < SERIES_MAX {
            return labels;
        }
        labels.into_iter().map(|(name, _)| (name, OTHERS.to_owned())).collect()
    }
}

/// One series of a metric.
#[derive(Clone)]
pub enum One {
    /// Of a count.
    Count(Counter),
    /// Of an amount.
    Amount(Counter<f64, AtomicU64>),
    /// Of a level.
    Level(Gauge<f64, AtomicU64>),
    /// Of a spread.
    Spread(Histogram),
}

impl One {
    /// Adds to a count, or to an amount.
    pub fn add(&self, number: u64) {
        match self {
            Self::Count(counter) => {
                counter.inc_by(number);
            }
            Self::Amount(_) | Self::Level(_) | Self::Spread(_) => self.add_amount(number as f64),
        }
    }

    /// Adds to an amount or a level.
    pub fn add_amount(&self, amount: f64) {
        match self {
            Self::Amount(counter) => {
                counter.inc_by(amount);
            }
            Self::Level(gauge) => {
                gauge.inc_by(amount);
            }
            // Neither has parts.
            Self::Count(_) | Self::Spread(_) => {}
        }
    }

    /// How much a level is now.
    pub fn set(&self, level: f64) {
        if let Self::Level(gauge) = self {
            gauge.set(level);
        }
    }

    /// An observation for a spread.
    pub fn observe(&self, value: f64) {
        if let Self::Spread(histogram) = self {
            histogram.observe(value);
        }
    }

    /// As [`Self::observe`], in seconds.
    pub fn took(&self, time: Duration) {
        self.observe(time.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLS: Metric = Metric {
        name: "baton_test_calls",
        kind: MetricKind::Count,
        help: "Calls",
        labels: &["agent", "outcome"],
    };
    const COST: Metric =
        Metric { name: "baton_test_usd", kind: MetricKind::Amount, help: "Dollars", labels: &[] };
    const DEPTH: Metric =
        Metric { name: "baton_test_depth", kind: MetricKind::Level, help: "Depth", labels: &["t"] };
    const TOOK: Metric = Metric {
        name: "baton_test_seconds",
        kind: MetricKind::Spread(SMALL),
        help: "Time",
        labels: &[],
    };

    #[test]
    fn whoever_asks_for_a_metric_has_the_same() {
        let metrics = Metrics::default();
        metrics.of(&CALLS).count(&["a", "ok"]);
        metrics.of(&CALLS).add(&["a", "ok"], 2);
        metrics.of(&COST).add_amount(&[], 0.5);
        metrics.of(&DEPTH).set(&["x\"y"], 3.0);
        metrics.of(&TOOK).observe(&[], 1.5);
        let page = metrics.render();
        for line in [
            "baton_test_calls_total{agent=\"a\",outcome=\"ok\"} 3",
            "baton_test_usd_total{} 0.5",
            "baton_test_depth{t=\"x\\\"y\"} 3.0",
            "baton_test_seconds_bucket{le=\"2.0\"} 1",
            "baton_test_seconds_count{} 1",
            "# HELP baton_test_calls Calls.",
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
        metrics.of(&DEPTH).clear();
        assert!(!metrics.render().contains("baton_test_depth{"));
    }

    #[test]
    fn series_are_bounded_whatever_the_labels_say() {
        let metrics = Metrics::default();
        let calls = metrics.of(&CALLS);
        for number in 0..SERIES_MAX + 10 {
            calls.count(&[&number.to_string(), "ok"]);
        }
        let page = metrics.render();
        assert!(page.contains("baton_test_calls_total{agent=\"other\",outcome=\"other\"} 10"));
        assert_eq!(page.matches("baton_test_calls_total{").count(), SERIES_MAX + 1);
    }

    #[test]
    fn a_table_shows_what_prometheus_shows() {
        let table = Metric::table(&[CALLS, TOOK]);
        assert!(table.ends_with(
            "| `baton_test_calls_total` | `agent`, `outcome` | Calls |\n\
             | `baton_test_seconds` |  | Time |\n"
        ));
    }
}
