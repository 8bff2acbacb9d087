//! Calls to other services on behalf of a request: in its trace, each with a span below its.

use crate::edge::Caller;
use axum::http::Uri;
use baton_telemetry::{Carrier, Span, SpanKind};
use tonic::{Code, Request, Response, Status, metadata::MetadataValue};

/// Methods, as spans name them.
pub(crate) const SUBMIT: &str = "baton.v1.Conductor/Submit";
pub(crate) const PLAN: &str = "baton.v1.Conductor/Plan";
pub(crate) const CHAT: &str = "baton.v1.WorkerAgent/Chat";

/// The span of a call under way. Given up where it is dropped.
#[derive(Default)]
pub(crate) struct Outgoing(Span);

/// The request for a call, with the trace it belongs to, and its span.
pub(crate) fn outgoing<T>(
    message: T,
    caller: &Caller,
    method: &'static str,
    address: &str,
) -> (Request<T>, Outgoing) {
    let mut span = caller.span.child(method, SpanKind::Client);
    if span.is_open() {
        let uri = address.parse::<Uri>().unwrap_or_default();
        span.calls(method, uri.host(), uri.port_u16());
    }
    let mut request = Request::new(message);
    let trace = span.context().or(caller.origin.as_ref().map(|origin| origin.trace));
    insert(&mut request, baton_proto::TRACEPARENT, trace.map(|trace| trace.to_string()));
    (request, Outgoing(span))
}

/// Says where the run comes from that the call begins.
pub(crate) fn keep_origin<T>(request: &mut Request<T>, caller: &Caller) {
    let origin = caller.origin.as_ref().map(ToString::to_string);
    insert(request, baton_proto::ORIGIN, origin);
}

fn insert<T>(request: &mut Request<T>, key: &'static str, value: Option<String>) {
    let value = Carrier::Metadata.hand_on(value);
    if let Some(Ok(value)) = value.map(MetadataValue::try_from) {
        request.metadata_mut().insert(key, value);
    }
}

impl Outgoing {
    /// The one reply is there.
    pub(crate) fn over<T>(self, reply: Result<Response<T>, Status>) -> Result<Response<T>, Status> {
        self.ended(reply.as_ref().err());
        reply
    }

    /// The call ended, well where there is no status.
    pub(crate) fn ended(self, status: Option<&Status>) {
        let code = baton_proto::code_name(status.map_or(Code::Ok, Status::code));
        self.0.answered(SpanKind::Client, code, status.map_or("", Status::message));
    }
}
