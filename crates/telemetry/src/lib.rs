//! What Baton says about itself.
//!
//! The only door to subscribers and exporters: other crates emit `tracing` events, open
//! [`Span`]s, carry a [`TraceParent`], and know nothing about where any of it goes.

mod log;
mod metrics;
pub mod names;
mod trace;
mod trace_parent;

pub use log::{Format, Guard, LogOptions, TelemetryError, start};
pub use metrics::{
    Measure, Metric, MetricKind, Metrics, One, QUICK_SECONDS, SLOW_SECONDS, SMALL, serve_metrics,
};
pub use trace::{
    Attribute, Carrier, Origin, Parent, Place, Span, SpanKey, SpanKind, TRACE_METRICS, Tracer,
    Traces,
};
pub use trace_parent::{TraceParent, TraceParentError};
