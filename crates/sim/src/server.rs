//! The HTTP surface of the simulated models.

use crate::{
    faults::Fault,
    reply::{Pace, Reply},
    simulator::{Ask, AskError, SimOptions, Simulator, Told},
    wire::{Header, Refusal, Request},
};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use std::{
    future::{Future, IntoFuture},
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    time::{Instant, sleep},
};

/// Longest body read, in bytes.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest time that calls have to end when the server stops, in milliseconds.
const DRAIN_MS: u64 = 5_000;
/// When to come again after a simulated 429, in milliseconds.
const RETRY_AFTER_MS: u64 = 50;

/// Serves the simulated models on `listener` until `shutdown` is done. Calls that have
/// begun are answered to their end if that comes soon.
pub async fn serve(
    listener: TcpListener,
    options: SimOptions,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (told, stopping) = oneshot::channel::<()>();
    let server = axum::serve(listener, router(options)).with_graceful_shutdown(async move {
        shutdown.await;
        drop(told);
    });
    let late = async {
        // Closed is what it waits for: nothing is ever sent.
        let _ = stopping.await;
        sleep(Duration::from_millis(DRAIN_MS)).await;
    };
    tokio::select! {
        served = server.into_future() => served,
        () = late => Ok(()),
    }
}

/// The models and the number of the next call.
struct Served {
    simulator: Simulator,
    calls: AtomicU64,
}

fn router(options: SimOptions) -> Router {
    let simulator = Simulator::new(options);
    Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/v1/models", get(models))
        .route("/health", get(|| async { "ok" }))
        .fallback(nowhere)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(Served { simulator, calls: AtomicU64::new(0) }))
}

async fn nowhere() -> Refusal {
    let message = "there is nothing here: POST /v1/chat/completions or GET /v1/models".into();
    Refusal { status: StatusCode::NOT_FOUND, ..Refusal::bad(message, None) }
}

async fn models(State(served): State<Arc<Served>>) -> Json<Value> {
    let models = served.simulator.parameters().models().iter().map(
        |model| json!({"id": model.name, "object": "model", "created": 0, "owned_by": "baton-sim"}),
    );
    Json(json!({"object": "list", "data": models.collect::<Vec<_>>()}))
}

async fn complete(State(served): State<Arc<Served>>, body: Bytes) -> Result<Response, Refusal> {
    let started = Instant::now();
    let request = Request::read(&body)?;
    let fault = served.simulator.fault(served.calls.fetch_add(1, Ordering::Relaxed));
    if let Some(refusal) = fault.and_then(refused) {
        return Err(refusal);
    }
    let (stream, wants_usage) = (request.stream, request.wants_usage());
    let ask = request.ask();
    let header = header(&served.simulator, &body, &ask.model);
    let id = [("x-request-id", header.id.replace("chatcmpl", "req"))];
    // Solvers search: that does not belong on the threads that serve.
    let told = tokio::task::spawn_blocking(move || tell(&served.simulator, &ask)).await;
    let (told, pace) = told.map_err(|error| broken(&error.to_string()))??;
    let reply = Reply { header, told, pace, started, wants_usage };
    let response = if stream { reply.streamed(fault) } else { reply.whole(fault).await };
    Ok((id, response).into_response())
}

/// Faults that are refusals.
fn refused(fault: Fault) -> Option<Refusal> {
    match fault {
        Fault::RateLimited => Some(Refusal {
            status: StatusCode::TOO_MANY_REQUESTS,
            kind: "rate_limit_exceeded",
            code: Some("rate_limit_exceeded"),
            retry_after_ms: Some(RETRY_AFTER_MS),
            ..Refusal::bad("too many calls (simulated)".into(), None)
        }),
        Fault::ServerError => Some(Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: "server_error",
            ..Refusal::bad("the model is not available (simulated)".into(), None)
        }),
        Fault::Stall | Fault::Cut | Fault::Garbage => None,
    }
}

fn tell(simulator: &Simulator, ask: &Ask) -> Result<(Told, Pace), Refusal> {
    let told = simulator.tell(ask).map_err(refusal)?;
    let model = simulator.parameters().model(&ask.model);
    let pace = model.map(|model| Pace::of(model, simulator.time_scale())).unwrap_or_default();
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
