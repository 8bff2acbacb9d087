//! Puts the gateway together: what is shared, and which path leads where.

use crate::{
    agent,
    auth::{Doorkeeper, KeyError},
    configuration,
    edge::{Caller, admitted, named, no_method, no_route, panicked, read_body},
    error::ApiError,
    limits::{DRAIN, NOTICE, PLAN_TIMEOUT, REQUESTS_MAX},
    metrics::HttpMetrics,
    models,
    outgoing::{PLAN, outgoing},
    peers::{Conductor, Peers},
    request::{self, ChatCall, Model, Offer},
    run::{self, Attendance, Full},
    runs::{self, json_response},
    span::{Telemetry, told},
    status,
};
use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header::CONNECTION},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use baton_proto::Dialer;
use baton_registry::Registry;
use baton_telemetry::{Metrics, Tracer};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_http::catch_panic::CatchPanicLayer;

/// The HTTP surface of a cluster.
pub struct Gateway {
    pub(crate) shared: Arc<Shared>,
    pub(crate) notice: Duration,
    pub(crate) drain: Duration,
    pub(crate) telemetry: Telemetry,
}

/// What every handler has.
pub(crate) struct Shared {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) strategies: Vec<&'static str>,
    pub(crate) doors: Doorkeeper,
    pub(crate) peers: Arc<Peers>,
    pub(crate) attendance: Arc<Attendance>,
    pub(crate) full: Full,
    pub(crate) room: Arc<Semaphore>,
    /// Work that outlives its request.
    pub(crate) tasks: TaskTracker,
    /// No new requests are to be sent here; those that come are served.
    pub(crate) unready: CancellationToken,
    /// No new requests.
    pub(crate) stopping: CancellationToken,
    /// No old ones either.
    pub(crate) closing: CancellationToken,
}

impl Gateway {
    /// For the services that the registry knows of. `strategies` are the names behind
    /// `baton/`. Keys are read here, and again with every other
    /// configuration.
    pub fn new(
        registry: Arc<dyn Registry>,
        strategies: &[&'static str],
    ) -> Result<Self, Vec<KeyError>> {
        Self::dialing(registry, strategies, Dialer::default())
    }

    /// The same, where the other services are reached in this way.
    pub fn dialing(
        registry: Arc<dyn Registry>,
        strategies: &[&'static str],
        dialer: Dialer,
    ) -> Result<Self, Vec<KeyError>> {
        let doors = Doorkeeper::new(&registry.configuration())?;
        let peers = Arc::new(Peers::new(registry.clone(), dialer));
        let tasks = TaskTracker::new();
        let shared = Shared {
            registry,
            strategies: strategies.to_vec(),
            doors,
            attendance: Attendance::new(peers.clone(), tasks.clone()),
            peers,
            full: Full::default(),
            room: Arc::new(Semaphore::new(REQUESTS_MAX)),
            tasks,
            unready: CancellationToken::new(),
            stopping: CancellationToken::new(),
            closing: CancellationToken::new(),
        };
        let telemetry = Telemetry::default();
        Ok(Self { shared: Arc::new(shared), notice: NOTICE, drain: DRAIN, telemetry })
    }

    /// The same, with a span of every request that asks for work.
    pub fn traced(mut self, tracer: Tracer) -> Self {
        self.telemetry.tracer = tracer;
        self
    }

    /// The same, counting among the metrics of the process.
    pub fn measured(mut self, metrics: &Metrics) -> Self {
        self.telemetry.metrics = HttpMetrics::of(metrics);
        self
    }

    /// How long it goes on serving once it is told to stop and `/readyz` says so, so that
    /// load balancers notice before a connection is refused; not at all if not set.
    pub fn notice(mut self, notice: Duration) -> Self {
        self.notice = notice;
        self
    }

    /// How long requests under way get to end once the gateway is told to stop; 20 s if
    /// not set.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// All paths.
    pub fn router(&self) -> Router {
        let shared = &self.shared;
        Router::new()
            .route("/v1/chat/completions", post(chat))
            .route("/v1/plan", post(plan))
            .route("/v1/models", get(models::list))
            // Names of models have slashes.
            .route("/v1/models/{*id}", get(models::get))
            .route("/v1/config", get(configuration::get))
            .route("/v1/runs", get(runs::list))
            .route("/v1/runs/{id}", get(runs::get))
            .route("/v1/runs/{id}/events", get(runs::events))
            .route("/v1/runs/{id}/cancel", post(runs::cancel))
            .route("/v1/status", get(status::get))
            .route_layer(from_fn_with_state(shared.clone(), admitted))
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .fallback(no_route)
            .method_not_allowed_fallback(no_method)
            .layer(CatchPanicLayer::custom(panicked))
            .layer(from_fn_with_state(self.telemetry.clone(), told))
            .layer(from_fn_with_state(shared.clone(), leaving))
            .layer(from_fn(named))
            .with_state(shared.clone())
    }
}

impl Shared {
    async fn read(&self, body: Body) -> Result<(bytes::Bytes, ChatCall), ApiError> {
        let body = read_body(body).await?;
        let settings = self.registry.settings();
        let offer = Offer { strategies: &self.strategies, settings: &settings };
        let call = request::read(&body, &offer)?;
        tracing::Span::current().record("model", call.model_name.as_str());
        Ok((body, call))
    }
}

async fn chat(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let (body, call) = shared.read(body).await?;
    match &call.model {
        Model::Run(_) => run::chat(shared, caller, &headers, &body, call).await,
        Model::Agent(agent) => agent::chat(shared, &caller, &agent.clone(), call).await,
    }
}

/// `POST /v1/plan`: what a run would do and may cost. Nothing is carried out.
async fn plan(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Response, ApiError> {
    let (_, call) = shared.read(body).await?;
    if let Model::Agent(agent) = &call.model {
        let message = format!("{agent} is called directly: only runs have a plan");
        return Err(ApiError::invalid(message).param("model"));
    }
    let request = run::request_of(&caller, None, &call);
    let plan = |mut conductor: Conductor, address: &str| {
        let (request, call) = outgoing(request.clone(), &caller, PLAN, address);
        async move { call.over(conductor.plan(request).await) }
    };
    Ok(json_response(shared.peers.ask_at(PLAN_TIMEOUT, plan).await?.plan_json))
}

/// The process is there; by which configuration, and whether a later one was refused.
async fn healthz(State(shared): State<Arc<Shared>>) -> Response {
    let configuration = configuration::summary(&shared.registry.configuration());
    Json(json!({ "status": "ok", "configuration": configuration })).into_response()
}

/// A connection that is kept open would break under its next request once this stops.
async fn leaving(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if shared.unready.is_cancelled() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Requests can be taken.
async fn readyz(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    if shared.unready.is_cancelled() {
        return Err(ApiError::stopping());
    }
    if !shared.peers.has_conductor() {
        return Err(ApiError::unavailable("no Conductor is running"));
    }
    Ok(Json(json!({ "status": "ready" })).into_response())
}
