//! What Baton says about itself.
//!
//! The only door to subscribers and exporters: other crates emit `tracing` events and
//! carry a [`TraceParent`], and know nothing about where either goes.

mod log;
mod trace_parent;

pub use log::{Format, Guard, LogOptions, TelemetryError, start};
pub use trace_parent::{TraceParent, TraceParentError};
