//! What is told of a request, from its arrival to the last byte of the answer.
//!
//! Requests that ask for work have a span. Those that only look have one where they come in
//! a trace of their caller's: `baton top`, which has none, looks every second.

use crate::{
    edge::{RequestId, is_event_stream},
    metrics::HttpMetrics,
};
use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method, StatusCode},
    middleware::Next,
    response::Response,
};
use baton_telemetry::{Metrics, Origin, Span, SpanKind, TraceParent, Tracer, names};
use baton_workflow::TenantId;
use futures::StreamExt as _;

/// What paths that do not exist are counted as.
const NO_ROUTE: &str = "none";

/// The run that a response tells of.
#[derive(Debug, Clone)]
pub(crate) struct RunOf(pub(crate) String);

/// Where requests are told of.
#[derive(Clone)]
pub(crate) struct Telemetry {
    pub(crate) tracer: Tracer,
    pub(crate) metrics: HttpMetrics,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { tracer: Tracer::off(), metrics: HttpMetrics::of(&Metrics::default()) }
    }
}

/// Counts every request, and opens the span of one that asks for work or is part of a trace;
/// both end with the last byte of the response.
pub(crate) async fn told(
    State(Telemetry { tracer, metrics }): State<Telemetry>,
    mut request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let mut answering = metrics.begin(route.unwrap_or(NO_ROUTE));
    let is_wanted = request.method() == Method::POST || given(request.headers()).is_some();
    let traced = tracer.is_on() && is_wanted;
    let mut span = if traced { open(&tracer, &request) } else { Span::default() };
    if let Some(trace) = span.context() {
        let above = given(request.headers()).map(TraceParent::span_id);
        let edge = tracer.instance().map(str::to_owned);
        request.extensions_mut().insert(Origin { trace, above, edge });
        request.extensions_mut().insert(span.as_parent());
    }
    let response = next.run(request).await;
    answering.status = Some(response.status().as_u16());
    answered(&mut span, &response);
    if !is_event_stream(&response) {
        answering.whole = true;
        span.finish();
        return response;
    }
    // Dropped in the middle where the client leaves: then both end as broken off.
    let mut held = Some((span, answering));
    response.map(|body| {
        let rest = body.into_data_stream().map(Some).chain(futures::stream::iter([None]));
        Body::from_stream(rest.filter_map(move |part| {
            if part.is_none()
                && let Some((span, mut answering)) = held.take()
            {
                answering.whole = true;
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
    if !span.is_open() {
        return;
    }
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
pub(crate) fn origin_of(request: &Request) -> Option<Origin> {
    let own = request.extensions().get::<Origin>().cloned();
    let caller = || given(request.headers());
    own.or_else(|| caller().map(|trace| Origin { trace, above: None, edge: None }))
}
