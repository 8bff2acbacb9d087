//! Spans, and their way to a collector.
//!
//! Spans are built here and handed to OpenTelemetry's exporters as they are, without its
//! tracer: that one draws the ids of spans itself, and a run's spans need ids that every
//! process can work out, because they name each other across processes, before they are
//! written, and after the process that began them has died.

mod carrier;
mod environment;
mod export;
mod metrics;
mod origin;
mod place;
mod rpc;
mod span;
mod tracer;

pub use carrier::Carrier;
pub use metrics::METRICS as TRACE_METRICS;
pub use origin::Origin;
pub use place::{Place, SpanKey};
pub use span::{Attribute, Parent, Span, SpanKind};
pub use tracer::{Tracer, Traces};
