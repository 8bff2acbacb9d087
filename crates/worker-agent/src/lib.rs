//! The service that carries out steps: it leases `work` tasks of the agents it hosts,
//! asks the agent's model, and hands out the tokens while they come in.

mod form;
mod hosts;
mod metrics;
mod service;
mod span;
mod streams;
mod work;

use baton_call::Caller;
use baton_ledger::{Clock, Ledger, hand_back};
use baton_proto::v1::worker_agent_server::WorkerAgentServer;
use baton_registry::Registry;
use baton_telemetry::{Metrics, Tracer};
use hosts::{Hosts, Rooms};
pub use metrics::METRICS;
use metrics::WorkerMetrics;
use std::{sync::Arc, time::Duration};
use streams::Streams;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Between two looks for steps that wait for agents which nobody configures any more. They
/// are rare: left by an earlier process, or given out in the moment of a change.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The service. Clones share their state.
#[derive(Clone)]
pub struct WorkerAgent {
    holder: String,
    ledger: Arc<dyn Ledger>,
    registry: Arc<dyn Registry>,
    caller: Caller,
    streams: Arc<Streams>,
    rooms: Rooms,
    tracer: Tracer,
    workshop: Option<Handle>,
    metrics: WorkerMetrics,
    clock: Clock,
}

impl WorkerAgent {
    /// Hosts every agent of the configured pool, under the name `holder`.
    pub fn new(
        holder: String,
        ledger: Arc<dyn Ledger>,
        registry: Arc<dyn Registry>,
        caller: Caller,
    ) -> Self {
        let (streams, rooms, tracer) = (Arc::default(), Rooms::default(), Tracer::off());
        let metrics = WorkerMetrics::of(&Metrics::default());
        let clock = Clock::default();
        let workshop = None;
        Self { holder, ledger, registry, caller, streams, rooms, tracer, metrics, clock, workshop }
    }

    /// The same, counting among the metrics of the process.
    #[must_use]
    pub fn measured(self, metrics: &Metrics) -> Self {
        Self { metrics: WorkerMetrics::of(metrics), ..self }
    }

    /// The same, with spans of its steps and of calls to its agents.
    #[must_use]
    pub fn traced(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// The same, carrying out steps on other threads than those that keep leases alive.
    #[must_use]
    pub fn working_in(self, workshop: Handle) -> Self {
        Self { workshop: Some(workshop), ..self }
    }

    /// The same, going by this clock: for simulations, which repeat.
    #[must_use]
    pub fn on_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Leases and carries out steps until `stop` is cancelled: for each agent at most as
    /// many at a time as its card allows. Follows the configuration.
    pub async fn run(&self, stop: CancellationToken) {
        let mut hosts = Hosts::new(self, stop.clone());
        let mut configurations = self.registry.watch();
        loop {
            let settings = configurations.borrow_and_update().settings.clone();
            hosts.host(&settings.pool);
            hosts.announce(&settings.pool).await;
            hosts.adopt(&settings.pool).await;
            let waiting = tokio::time::timeout(SWEEP_EVERY, configurations.changed());
            match stop.run_until_cancelled(waiting).await {
                // Time for a sweep, or another configuration.
                Some(Err(_) | Ok(Ok(()))) => {}
                // It changes no more.
                Some(Ok(Err(_))) => stop.cancelled().await,
                None => break,
            }
        }
        hosts.finished().await;
        hand_back(self.ledger.as_ref(), &self.holder).await;
    }

    /// Steps that it holds, and at most: over all agents that it hosts.
    pub fn load(&self) -> (usize, usize) {
        self.rooms.load()
    }

    /// The gRPC service over the same state.
    pub fn service(&self) -> WorkerAgentServer<Self> {
        WorkerAgentServer::new(self.clone())
            .max_decoding_message_size(baton_proto::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(baton_proto::MESSAGE_BYTES_MAX)
    }
}
