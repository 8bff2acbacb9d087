//! The spans of calls that come in, where they belong to a trace.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue},
    middleware::Next,
    response::Response,
};
use baton_proto::{ORIGIN, TRACEPARENT, code_name};
use baton_telemetry::{Span, SpanKind, TraceParent, Tracer};
use http_body_util::BodyExt as _;
use tonic::{Code, Status};

/// Opens a span for a call in a trace, and has the handler's work stand below it; it ends
/// with the call's status.
///
/// Not for one that begins a run: the run outlives it, and whoever dies meanwhile must not
/// leave a span without the one above. What is to be kept with a run stays as it came.
pub(super) async fn told(
    State(tracer): State<Tracer>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(given) = given(request.headers()).filter(|_| tracer.is_on()) else {
        return next.run(request).await;
    };
    let method = request.uri().path().trim_start_matches('/').to_owned();
    let mut span = tracer.request(method.clone(), SpanKind::Server, Some(given));
    span.calls(&method, request.uri().host(), request.uri().port_u16());
    let trace = span.context().map(|trace| HeaderValue::try_from(trace.to_string()));
    if let Some(Ok(trace)) = trace
        && let Some(before) = request.headers_mut().insert(TRACEPARENT, trace)
    {
        request.headers_mut().insert(ORIGIN, before);
    }
    let mut called = Called(Some(span));
    let response = next.run(request).await;
    if called.over(response.headers()) {
        return response;
    }
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            if let Some(trailers) = frame.trailers_ref() {
                called.over(trailers);
            }
            frame
        }))
    })
}

/// The caller's trace, where it has a well-formed one and begins no run.
fn given(headers: &HeaderMap) -> Option<TraceParent> {
    let given = headers.get(TRACEPARENT).filter(|_| !headers.contains_key(ORIGIN))?;
    TraceParent::parse(given.to_str().ok()?).ok()
}

/// A call under way. Where it is dropped, nobody waits for it any more.
struct Called(Option<Span>);

impl Called {
    /// Whether these headers or trailers hold the call's status, which ends it.
    fn over(&mut self, headers: &HeaderMap) -> bool {
        let Some(status) = Status::from_header_map(headers) else { return false };
        self.end(status.code(), status.message());
        true
    }

    fn end(&mut self, code: Code, message: &str) {
        if let Some(span) = self.0.take() {
            span.answered(SpanKind::Server, code_name(code), message);
        }
    }
}

impl Drop for Called {
    fn drop(&mut self) {
        self.end(Code::Cancelled, "");
    }
}
