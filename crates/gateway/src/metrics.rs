//! What is counted and measured of requests.

use baton_telemetry::{Measure, Metric, MetricKind, Metrics, SLOW_SECONDS};
use std::time::Instant;

/// All of them.
pub const METRICS: &[Metric] = &[REQUESTS, SECONDS, UNDER_WAY];

const REQUESTS: Metric = Metric {
    name: "baton_http_requests",
    kind: MetricKind::Count,
    help: "Requests answered, by route and status; gone: the client left before the answer's \
           end",
    labels: &["route", "status"],
};
const SECONDS: Metric = Metric {
    name: "baton_http_request_seconds",
    kind: MetricKind::Spread(SLOW_SECONDS),
    help: "From a request's arrival to the last byte of its answer, by route",
    labels: &["route"],
};
const UNDER_WAY: Metric = Metric {
    name: "baton_http_requests_under_way",
    kind: MetricKind::Level,
    help: "Requests that are being answered",
    labels: &[],
};

/// Handles of all of them.
#[derive(Clone, Debug)]
pub(crate) struct HttpMetrics {
    requests: Measure,
    seconds: Measure,
    under_way: Measure,
}

impl HttpMetrics {
    pub(crate) fn of(metrics: &Metrics) -> Self {
        Self {
            requests: metrics.of(&REQUESTS),
            seconds: metrics.of(&SECONDS),
            under_way: metrics.of(&UNDER_WAY),
        }
    }

    /// A request has come. Routes are the paths that there are, and one for all others.
    pub(crate) fn begin(&self, route: &str) -> Answering {
        self.under_way.with(&[]).add_amount(1.0);
        let (metrics, route) = (self.clone(), route.to_owned());
        Answering { metrics, route, began: Instant::now(), status: None, whole: false }
    }
}

/// A request that is being answered. Dropped before it is whole, its client has left.
pub(crate) struct Answering {
    metrics: HttpMetrics,
    route: String,
    began: Instant,
    pub(crate) status: Option<u16>,
    pub(crate) whole: bool,
}

impl Drop for Answering {
    fn drop(&mut self) {
        let Self { metrics, route, began, status, whole } = self;
        metrics.under_way.with(&[]).add_amount(-1.0);
        let status = status.filter(|_| *whole).map(|status| status.to_string());
        metrics.requests.count(&[route, status.as_deref().unwrap_or("gone")]);
        metrics.seconds.with(&[route]).took(began.elapsed());
    }
}
