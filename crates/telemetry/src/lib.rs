//! What Baton says about itself.
//!
//! The only door to subscribers and exporters: other crates emit `tracing` events, open
//! [`Span`]s, carry a [`TraceParent`], and know nothing about where any of it goes.

mod log;
pub mod names;
mod trace;
mod trace_parent;

pub use log::{Format, Guard, LogOptions, TelemetryError, start};
pub use trace::{Attribute, Flow, Parent, Place, Span, SpanKey, SpanKind, Tracer, Traces};
pub use trace_parent::{TraceParent, TraceParentError};
