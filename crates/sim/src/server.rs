//! The HTTP surface of the simulated models.

use crate::{
    parameters::Model,
    simulator::{Ask, AskError, SimOptions, Simulator, Told},
    tokens,
    wire::{Header, Refusal, Request, choice, finish, usage},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, Sse},
    },
    routing::{get, post},
};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    future::Future,
    io,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep_until},
};

/// Longest body read, in bytes.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Tokens in one chunk when nothing is waited for.
const BURST_TOKENS: usize = 8;

/// Serves the simulated models on `listener` until `shutdown` is done; calls that have
/// begun are answered to their end.
pub async fn serve(
    listener: TcpListener,
    options: SimOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(options)).with_graceful_shutdown(shutdown).await
}

fn router(options: SimOptions) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/v1/models", get(models))
        .route("/health", get(|| async { "ok" }))
        .fallback(nowhere)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(Simulator::new(options)))
}

async fn nowhere() -> Refusal {
    let message = "there is nothing here: POST /v1/chat/completions or GET /v1/models".into();
    Refusal { status: StatusCode::NOT_FOUND, ..Refusal::bad(message, None) }
}

async fn models(State(simulator): State<Arc<Simulator>>) -> Json<Value> {
    let models = simulator.parameters().models().iter().map(
        |model| json!({"id": model.name, "object": "model", "created": 0, "owned_by": "baton-sim"}),
    );
    Json(json!({"object": "list", "data": models.collect::<Vec<_>>()}))
}

async fn complete(
    State(simulator): State<Arc<Simulator>>,
    body: Bytes,
) -> Result<Response, Refusal> {
    let started = Instant::now();
    let request = Request::read(&body)?;
    let (stream, wants_usage) = (request.stream, request.wants_usage());
    let ask = request.ask();
    let (header, teller) = (header(&simulator, &body, &ask.model), simulator.clone());
    // Solvers search: that does not belong on the threads that serve.
    let told = tokio::task::spawn_blocking(move || tell(&teller, &ask)).await;
    let (told, pace) = told.map_err(|error| broken(&error.to_string()))??;
    let id = [("x-request-id", header.id.replace("chatcmpl", "req"))];
    if stream {
        let events = events(header, told, pace, started, wants_usage);
        return Ok((id, Sse::new(events)).into_response());
    }
    sleep_until(pace.at(started, told.tokens_out)).await;
    Ok((id, Json(header.whole(&told))).into_response())
}

fn tell(simulator: &Simulator, ask: &Ask) -> Result<(Told, Pace), Refusal> {
    let told = simulator.tell(ask).map_err(refusal)?;
    let pace = simulator.parameters().model(&ask.model);
    let pace = pace.map(|model| Pace::of(model, simulator.time_scale())).unwrap_or_default();
    Ok((told, pace))
}

fn refusal(error: AskError) -> Refusal {
    let message = error.to_string();
    match error {
        AskError::UnknownModel(_) => Refusal {
            status: StatusCode::NOT_FOUND,
            code: Some("model_not_found"),
            ..Refusal::bad(message, Some("model"))
        },
        AskError::Nothing => Refusal::bad(message, Some("messages")),
        AskError::TooLong { .. } => Refusal {
            code: Some("context_length_exceeded"),
            ..Refusal::bad(message, Some("messages"))
        },
    }
}

fn broken(reason: &str) -> Refusal {
    Refusal {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        kind: "server_error",
        ..Refusal::bad(format!("the simulation broke: {reason}"), None)
    }
}

fn header(simulator: &Simulator, body: &[u8], model: &str) -> Header {
    let id = blake3::hash(body).to_hex();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Header {
        id: format!("chatcmpl-{}", &id[..24]),
        created: now.as_secs(),
        model: model.to_owned(),
        fingerprint: format!("sim_{}", &simulator.parameters().hash()[..12]),
    }
}

/// When tokens come.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    first: Duration,
    token: Duration,
}

impl Pace {
    fn of(model: &Model, time_scale: f64) -> Self {
        let scaled =
            |seconds: f64| Duration::try_from_secs_f64(seconds * time_scale).unwrap_or_default();
        let rate = f64::from(model.tokens_per_second);
        Self {
            first: scaled(model.first_token_ms as f64 / 1000.0),
            token: if rate > 0.0 { scaled(1.0 / rate) } else { Duration::ZERO },
        }
    }

    /// When so many tokens have been written.
    fn at(self, started: Instant, tokens: u64) -> Instant {
        let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
        started + self.first + self.token.saturating_mul(tokens)
    }

    fn is_none(self) -> bool {
        self.first.is_zero() && self.token.is_zero()
    }
}

fn events(
    header: Header,
    told: Told,
    pace: Pace,
    started: Instant,
    wants_usage: bool,
) -> impl futures::Stream<Item = Result<Event, Infallible>> + Send {
    let event = |chunk: Value| Ok(Event::default().data(chunk.to_string()));
    let no_usage = wants_usage.then_some(Value::Null);
    async_stream::stream! {
        let role = choice(json!({"role": "assistant", "content": ""}), None);
        yield event(header.chunk(role, no_usage.clone()));
        let burst = if pace.is_none() { BURST_TOKENS } else { 1 };
        let tokens: Vec<&str> = tokens::split(&told.text).collect();
        for (at, some) in tokens.chunks(burst).enumerate() {
            if !pace.is_none() {
                sleep_until(pace.at(started, at as u64)).await;
            }
            let text = choice(json!({"content": some.concat()}), None);
            yield event(header.chunk(text, no_usage.clone()));
        }
        yield event(header.chunk(choice(json!({}), Some(finish(told.stop))), no_usage));
        if wants_usage {
            yield event(header.chunk(json!([]), Some(usage(&told))));
        }
        yield Ok(Event::default().data("[DONE]"));
    }
}
