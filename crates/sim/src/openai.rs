//! The surface in OpenAI's form: Chat Completions, whole or streamed.

use crate::{
    answering::{Answering, Event, Whole, broken_off},
    call::{Call, Service},
    refused::{Reason, Refused},
    simulator::Stop,
    wire::{Header, Refusal, Request, choice, finish, usage},
    wire_tools::call_deltas,
};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::HeaderMap,
    response::{
        Html, IntoResponse, Response,
        sse::{Event as Line, Sse},
    },
    routing::{get, post},
};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use std::{
    io,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Its name in the record of calls.
const SURFACE: &str = "openai";

/// What it serves.
pub(crate) fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/v1/models", get(models))
        .fallback(nowhere)
}

async fn nowhere() -> Refusal {
    let there =
        "POST /v1/chat/completions, POST /v1/messages, GET /v1/models, GET /sim or GET /sim/calls";
    Refusal(Refused::new(Reason::Nowhere, format!("there is nothing here: {there}")))
}

/// The models, with dollars a token as other providers list them.
async fn models(State(service): State<Arc<Service>>) -> Json<Value> {
    let models = service.simulator.parameters().models().iter().map(|model| {
        let dollars = |per_million: f64| {
            let written = format!("{:.12}", per_million / 1e6);
            written.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        json!({
            "id": model.name,
            "object": "model",
            "created": 0,
            "owned_by": "baton-sim",
            "pricing": {
                "prompt": dollars(model.usd_in),
                "input_cache_read": dollars(model.usd_cached),
                "completion": dollars(model.usd_out),
            },
        })
    });
    Json(json!({"object": "list", "data": models.collect::<Vec<_>>()}))
}

async fn complete(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let request = Request::read(&body)
        .map_err(|refused| Refusal(service.unread(SURFACE, &headers, refused)))?;
    let (stream, wants_usage) = (request.stream, request.wants_usage());
    let wants = request.wants();
    let call = Call { surface: SURFACE, ask: request.ask(), stream, wants };
    let header = header(&service, &body, &call.ask.model);
    let id = [("x-request-id", header.id.replace("chatcmpl", "req"))];
    let answering = service.take(call, &headers).await.map_err(Refusal)?;
    let response = if stream {
        streamed(header, answering, wants_usage)
    } else {
        whole(&header, answering).await
    };
    Ok((id, response).into_response())
}

async fn whole(header: &Header, answering: Answering) -> Response {
    match answering.whole().await {
        Whole::Done(text, end) => Json(header.whole(&text, end)).into_response(),
        Whole::Garbage(text) => Html(text).into_response(),
        Whole::Cut(text, end) => {
            let mut half = header.whole(&text, end).to_string().into_bytes();
            half.truncate(half.len() / 2);
            let parts = [Ok(Bytes::from(half)), Err(broken_off())];
            let body = Body::from_stream(stream::iter(parts));
            ([("content-type", "application/json")], body).into_response()
        }
    }
}

fn streamed(header: Header, answering: Answering, wants_usage: bool) -> Response {
    let no_usage = wants_usage.then_some(Value::Null);
    let line = |chunk: Value| Line::default().data(chunk.to_string());
    let lines = async_stream::stream! {
        let said = match answering.told.stop {
            Stop::Refused => "refusal",
            Stop::Done | Stop::Length | Stop::Filtered => "content",
        };
        let mut events = std::pin::pin!(answering.events());
        let mut begun = false;
        while let Some(event) = events.next().await {
            let garbage = matches!(event, Ok(Event::Garbage(_)));
            if !begun && !garbage {
                begun = true;
                let role = choice(json!({"role": "assistant", "content": ""}), None);
                yield Ok(line(header.chunk(role, no_usage.clone())));
            }
            match event {
                Err(error) => yield Err(error),
                Ok(Event::Garbage(text)) => yield Ok(Line::default().data(text)),
                Ok(Event::Text(text)) => {
                    let text = choice(json!({said: text}), None);
                    yield Ok(line(header.chunk(text, no_usage.clone())));
                }
                Ok(Event::End(end)) => {
                    for delta in call_deltas(&end.calls) {
                        yield Ok(line(header.chunk(choice(delta, None), no_usage.clone())));
                    }
                    let last = choice(json!({}), Some(finish(&end)));
                    yield Ok(line(header.chunk(last, no_usage.clone())));
                    if let Some(found) = end.usage.filter(|_| wants_usage) {
                        yield Ok(line(header.chunk(json!([]), Some(usage(&found)))));
                    }
                    yield Ok(Line::default().data("[DONE]"));
                }
            }
        }
    };
    let lines: std::pin::Pin<Box<dyn stream::Stream<Item = io::Result<Line>> + Send>> =
        Box::pin(lines);
    Sse::new(lines).into_response()
}

fn header(service: &Service, body: &[u8], model: &str) -> Header {
    let id = blake3::hash(body).to_hex();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Header {
        id: format!("chatcmpl-{}", &id[..24]),
        created: now.as_secs(),
        model: model.to_owned(),
        fingerprint: format!("sim_{}", service.simulator.parameters().short_hash()),
    }
}
