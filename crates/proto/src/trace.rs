//! Trace context across the wire: the `traceparent` of W3C Trace Context, as metadata.

use tonic::{Code, Request};

/// The metadata's key.
pub const TRACEPARENT: &str = "traceparent";

/// The key of what is to be kept with a run in its place: the same with more behind it.
pub const ORIGIN: &str = "baton-origin";

/// Where a run comes from, as whoever submits it says.
pub fn origin_of<T>(request: &Request<T>) -> Option<&str> {
    let origin = request.metadata().get(ORIGIN).and_then(|value| value.to_str().ok());
    origin.or_else(|| traceparent_of(request))
}

/// The trace that a request belongs to, as whoever asks says it.
pub fn traceparent_of<T>(request: &Request<T>) -> Option<&str> {
    request.metadata().get(TRACEPARENT)?.to_str().ok()
}

/// A status code, as gRPC's specification and traces name it.
pub fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
