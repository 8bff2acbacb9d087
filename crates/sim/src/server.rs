//! The HTTP server of the simulated models, and what it tells about the simulation itself.

use crate::{
    anthropic,
    call::Service,
    calls::Record,
    openai,
    simulator::{SimOptions, Simulator},
};
use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Query, State},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    future::{Future, IntoFuture},
    io,
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpListener, sync::oneshot, time::sleep};

/// Longest body read, in bytes.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest time that calls have to end when the server stops, in milliseconds.
const DRAIN_MS: u64 = 5_000;
/// Calls that are copied from the record at once.
const PAGE_CALLS: usize = 1_024;

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

fn router(options: SimOptions) -> Router {
    let service = Service::new(Simulator::new(options));
    openai::routes()
        .merge(anthropic::routes())
        .route("/sim", get(about))
        .route("/sim/calls", get(calls))
        .route("/health", get(|| async { "ok" }))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(service))
}

/// What a report on this simulation has to say.
async fn about(State(service): State<Arc<Service>>) -> Json<Value> {
    let options = service.simulator.options();
    let (calls, kept) = service.calls.count();
    Json(json!({
        "simulation": true,
        "parameters": options.parameters.short_hash(),
        "seed": options.seed,
        "control": options.control.name(),
        "time_scale": options.time_scale,
        "malformed_rate": options.malformed_rate,
        "faults": options.faults.to_string(),
        "calls": calls,
        "calls_kept": kept,
    }))
}

#[derive(Debug, Deserialize)]
struct Wanted {
    /// Calls with higher numbers only.
    #[serde(default)]
    after: u64,
}

/// One JSON object a line, in the order of arrival.
async fn calls(State(service): State<Arc<Service>>, Query(wanted): Query<Wanted>) -> Response {
    let lines = async_stream::stream! {
        let mut after = wanted.after;
        // What comes while this is read is left to the next reader.
        let (until, _) = service.calls.count();
        while after < until {
            let page = service.calls.page(after, PAGE_CALLS);
            let Some(last) = page.last() else { break };
            after = last.seq;
            let text: Result<String, serde_json::Error> = page.iter().map(line).collect();
            yield text.map(Bytes::from);
        }
    };
    ([("content-type", "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

fn line(record: &Record) -> Result<String, serde_json::Error> {
    Ok(serde_json::to_string(record)? + "\n")
}
