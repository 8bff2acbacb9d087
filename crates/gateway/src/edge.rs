//! What happens to every request before and after its handler.

use crate::{
    auth::Visitor,
    error::{ApiError, Retry},
    gateway::Shared,
    limits::{
        BODY_BYTES_DISCARDED_MAX, BODY_BYTES_MAX, BODY_TIMEOUT, REQUESTS_MAX, REQUESTS_RETRY,
    },
    span,
};
use axum::{
    body::{Body, BodyDataStream},
    extract::{FromRequestParts, Path, Request, State},
    http::{HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use baton_codes::ApiCode;
use baton_telemetry::{Origin, Parent};
use baton_workflow::TenantId;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use std::{any::Any, convert::Infallible, sync::Arc, time::Instant};
use tokio::sync::OwnedSemaphorePermit;
use tracing::{Instrument, field::Empty};

/// Who asks, and under which name the request goes.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) tenant: TenantId,
    /// Whether what concerns all tenants is open to them.
    pub(crate) operator: bool,
    /// `req_…`, unique.
    pub(crate) request: String,
    /// The trace that the request is part of, if any.
    pub(crate) origin: Option<Origin>,
    /// The request's own span.
    pub(crate) span: Parent,
}

/// The name of a request, for handlers.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// Gives every request a name and a span, and every response its name.
pub(crate) async fn named(mut request: Request, next: Next) -> Response {
    let id = format!("req_{}", uuid::Uuid::now_v7().simple());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let span = tracing::info_span!(
        "request", id, %method, path, tenant = Empty, model = Empty, run = Empty,
    );
    request.extensions_mut().insert(RequestId(id.clone()));
    let begun = Instant::now();
    async move {
        let mut response = next.run(request).await;
        let headers = response.headers_mut();
        if !headers.contains_key("x-request-id")
            && let Ok(id) = HeaderValue::try_from(id)
        {
            headers.insert("x-request-id", id);
        }
        let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Of a stream this is its beginning.
        tracing::info!(status = response.status().as_u16(), ms, "request answered");
        response
    }
    .instrument(span)
    .await
}

/// Lets in whoever has a key, as far as there is room.
pub(crate) async fn admitted(
    State(shared): State<Arc<Shared>>,
    mut request: Request,
    next: Next,
) -> Response {
    match admit(&shared, &mut request) {
        Ok(room) => {
            let tenant = request.extensions().get::<Caller>().map(|c| c.tenant.clone());
            let mut response = until_the_end(room, next.run(request).await);
            if let Some(tenant) = tenant {
                response.extensions_mut().insert(tenant);
            }
            response
        }
        Err(error) => {
            discard(request.into_body()).await;
            error.into_response()
        }
    }
}

fn admit(shared: &Shared, request: &mut Request) -> Result<OwnedSemaphorePermit, ApiError> {
    let doors = shared.doors.doors(&shared.registry.configuration());
    let Visitor { tenant, operator } = doors.visitor(request.headers())?;
    if shared.stopping.is_cancelled() {
        return Err(ApiError::stopping());
    }
    let room = shared.room.clone().try_acquire_owned().map_err(|_| {
        let message = format!("{REQUESTS_MAX} requests are under way here: try again");
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, ApiCode::GatewayFull, message)
            .retry(Retry::After(REQUESTS_RETRY))
    })?;
    tracing::Span::current().record("tenant", tenant.as_str());
    let id = request.extensions().get::<RequestId>().map(|RequestId(id)| id.clone());
    let caller = Caller {
        tenant,
        operator,
        request: id.unwrap_or_default(),
        origin: span::origin_of(request),
        span: request.extensions().get().cloned().unwrap_or_default(),
    };
    request.extensions_mut().insert(caller);
    Ok(room)
}

/// Whether the body is written while something happens.
pub(crate) fn is_event_stream(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind == EVENT_STREAM)
}

/// A stream takes its room until it ends; everything else is as good as sent.
fn until_the_end(room: OwnedSemaphorePermit, response: Response) -> Response {
    if !is_event_stream(&response) {
        return response;
    }
    response.map(|body| {
        Body::from_stream(body.into_data_stream().map(move |bytes| {
            let _held = &room;
            bytes
        }))
    })
}

/// The variable part of a path, such as a run's id.
pub(crate) struct Id(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(text)) => Ok(Self(text)),
            Err(_) => Err(ApiError::invalid("the path's id is not UTF-8").param("id")),
        }
    }
}

/// Reads a body of bounded size in bounded time.
pub(crate) async fn read_body(body: Body) -> Result<Bytes, ApiError> {
    let read = tokio::time::timeout(BODY_TIMEOUT, collect(body.into_data_stream())).await;
    read.unwrap_or_else(|_elapsed| {
        let seconds = BODY_TIMEOUT.as_secs();
        let message = format!("the body did not arrive within {seconds} s");
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, ApiCode::BodyTimeout, message))
    })
}

/// Reads a body away that nobody wants. A connection with unread bytes would be closed,
/// and whoever still sends would see that in place of the refusal.
async fn discard(body: Body) {
    let read = async {
        let (mut body, mut len) = (body.into_data_stream(), 0_usize);
        while let Some(Ok(part)) = body.next().await {
            len = len.saturating_add(part.len());
            if len > BODY_BYTES_DISCARDED_MAX {
                return;
            }
        }
    };
    // Who takes longer than this does not wait for an answer.
    let _in_time = tokio::time::timeout(BODY_TIMEOUT, read).await;
}

async fn collect(mut body: BodyDataStream) -> Result<Bytes, ApiError> {
    let mut whole = BytesMut::new();
    let mut len = 0_usize;
    while let Some(part) = body.next().await {
        let Ok(part) = part else {
            return Err(ApiError::invalid("the body broke off: send it whole"));
        };
        len = len.saturating_add(part.len());
        if len <= BODY_BYTES_MAX {
            whole.extend_from_slice(&part);
        } else if len > BODY_BYTES_DISCARDED_MAX {
            break;
        }
    }
    if len <= BODY_BYTES_MAX {
        return Ok(whole.freeze());
    }
    let message = format!("the body has more than {BODY_BYTES_MAX} bytes: send less");
    Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, ApiCode::BodyTooLarge, message))
}

const EVENT_STREAM: &str = "text/event-stream";

/// A response that is written while it happens.
pub(crate) fn event_stream(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let headers = [
        (header::CONTENT_TYPE, EVENT_STREAM),
        (header::CACHE_CONTROL, "no-cache"),
        // nginx would keep tokens back otherwise.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let events = events.map(Ok::<_, Infallible>);
    (headers, Body::from_stream(events)).into_response()
}

/// The answer where a handler panicked.
pub(crate) fn panicked(_what: Box<dyn Any + Send + 'static>) -> Response {
    // The panic hook has said what and where.
    tracing::error!("a handler panicked");
    ApiError::internal().into_response()
}

/// The answer where there is nothing.
pub(crate) async fn no_route(request: Request) -> ApiError {
    let message = format!("there is no {} here", request.uri().path());
    discard(request.into_body()).await;
    ApiError::new(StatusCode::NOT_FOUND, ApiCode::UnknownUrl, message)
}

/// The answer where there is something else to be done.
pub(crate) async fn no_method(request: Request) -> ApiError {
    let message = format!("{} does not take {}", request.uri().path(), request.method());
    discard(request.into_body()).await;
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, ApiCode::MethodNotAllowed, message)
}
