//! Trace context across the wire: the `traceparent` of W3C Trace Context, as metadata.

use tonic::Request;

/// The metadata's key.
pub const TRACEPARENT: &str = "traceparent";

/// The trace that a request belongs to, as whoever asks says it.
pub fn traceparent_of<T>(request: &Request<T>) -> Option<&str> {
    request.metadata().get(TRACEPARENT)?.to_str().ok()
}
