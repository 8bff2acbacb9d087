//! The span of a request: from its arrival to the last byte of the answer.
//!
//! Requests that ask for work have one, and those that only look have none: `baton top`
//! looks every second.

use crate::edge::{RequestId, is_event_stream};
use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, StatusCode},
    middleware::Next,
    response::Response,
};
use baton_telemetry::{Span, SpanKind, TraceParent, Tracer, names};
use baton_workflow::TenantId;
use futures::StreamExt as _;

/// The run that a response tells of.
#[derive(Debug, Clone)]
pub(crate) struct RunOf(pub(crate) String);

/// Opens the span of a request, and ends it with the response's last byte.
pub(crate) async fn spanned(
    State(tracer): State<Tracer>,
    mut request: Request,
    next: Next,
) -> Response {
    if !tracer.is_on() || request.method() != Method::POST {
        return next.run(request).await;
    }
    let mut span = open(&tracer, &request);
    if let Some(context) = span.context() {
        request.extensions_mut().insert(context);
    }
    let response = next.run(request).await;
    if !span.is_open() {
        return response;
    }
    answered(&mut span, &response);
    if !is_event_stream(&response) {
        span.finish();
        return response;
    }
    // Dropped in the middle where the client leaves: then it ends as abandoned.
    let mut span = Some(span);
    response.map(|body| {
        let rest = body.into_data_stream().map(Some).chain(futures::stream::iter([None]));
        Body::from_stream(rest.filter_map(move |part| {
            if part.is_none()
                && let Some(span) = span.take()
            {
                span.finish();
            }
            std::future::ready(part)
        }))
    })
}

fn open(tracer: &Tracer, request: &Request) -> Span {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let name = match route {
        Some(route) => format!("{} {route}", request.method()),
        None => request.method().to_string(),
    };
    let mut span = tracer.request(name, SpanKind::Server, given(request.headers()));
    span.set(names::HTTP_METHOD, request.method().as_str());
    span.set_some(names::HTTP_ROUTE, route);
    span.set(names::URL_PATH, request.uri().path());
    span.set(names::URL_SCHEME, "http");
    let id = request.extensions().get::<RequestId>().map(|RequestId(id)| id.as_str());
    span.set_some(names::REQUEST, id);
    span
}

fn answered(span: &mut Span, response: &Response) {
    let status = response.status();
    span.set(names::HTTP_STATUS, status.as_u16());
    let tenant = response.extensions().get::<TenantId>().map(TenantId::as_str);
    span.set_some(names::TENANT, tenant);
    let run = response.extensions().get::<RunOf>().map(|RunOf(run)| run.as_str());
    span.set_some(names::RUN, run);
    if status >= StatusCode::INTERNAL_SERVER_ERROR {
        span.fail(status.as_str(), "");
    }
}

/// The caller's trace, if it has a well-formed one.
fn given(headers: &HeaderMap) -> Option<TraceParent> {
    TraceParent::parse(headers.get("traceparent")?.to_str().ok()?).ok()
}

/// What a request hands on: its own span, or the caller's where it has none.
pub(crate) fn context_of(request: &Request) -> Option<String> {
    let own = request.extensions().get::<TraceParent>().copied();
    own.or_else(|| given(request.headers())).map(|context| context.to_string())
}
