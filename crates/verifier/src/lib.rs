//! The service that checks answers: by what the crate `checks` can tell, or by a judge.
//!
//! Trouble with the infrastructure is `Unavailable`, never a pass or a fail.

mod judge;
mod metrics;
#[cfg(debug_assertions)]
mod noise;
mod service;
mod span;
mod stated;
mod verify;
mod vote;

use baton_call::Caller;
use baton_ledger::{Class, Ledger, Lessee, Room, hand_back};
use baton_proto::v1::verifier_server::VerifierServer;
use baton_registry::Registry;
use baton_telemetry::{Metrics, Tracer};
pub use metrics::METRICS;
use metrics::VerifierMetrics;
#[cfg(debug_assertions)]
pub use noise::Noise;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Checks under way at the same time; a judge's own limits hold at its provider.
const CHECKS_MAX: usize = 64;

/// The service. Clones share their state.
#[derive(Clone)]
pub struct Verifier {
    holder: String,
    ledger: Arc<dyn Ledger>,
    registry: Arc<dyn Registry>,
    caller: Caller,
    room: Room,
    tracer: Tracer,
    workshop: Option<Handle>,
    metrics: VerifierMetrics,
    #[cfg(debug_assertions)]
    noise: Option<Noise>,
}

impl Verifier {
    /// Checks under the name `holder`.
    pub fn new(
        holder: String,
        ledger: Arc<dyn Ledger>,
        registry: Arc<dyn Registry>,
        caller: Caller,
    ) -> Self {
        let (room, tracer) = (Room::new(CHECKS_MAX), Tracer::off());
        let metrics = VerifierMetrics::of(&Metrics::default());
        Self {
            holder,
            ledger,
            registry,
            caller,
            room,
            tracer,
            metrics,
            workshop: None,
            #[cfg(debug_assertions)]
            noise: None,
        }
    }

    /// The same, counting among the metrics of the process.
    #[must_use]
    pub fn measured(self, metrics: &Metrics) -> Self {
        Self { metrics: VerifierMetrics::of(metrics), ..self }
    }

    /// The same, with spans of its checks and of calls to judges.
    #[must_use]
    pub fn traced(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// The same, carrying out checks on other threads than those that keep leases alive.
    #[must_use]
    pub fn working_in(self, workshop: Handle) -> Self {
        Self { workshop: Some(workshop), ..self }
    }

    /// The same, with lots in place of what it finds.
    #[cfg(debug_assertions)]
    #[must_use]
    pub fn guessing(self, noise: Option<Noise>) -> Self {
        Self { noise, ..self }
    }

    /// Leases and carries out checks until `stop` is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        let lessee = Lessee {
            holder: self.holder.clone(),
            classes: vec![Class::verify()],
            room: self.room.clone(),
        };
        let (workshop, ledger) = (self.workshop.clone(), self.ledger.clone());
        lessee.run_in(workshop, ledger, Arc::new(self.clone()), stop).await;
        hand_back(self.ledger.as_ref(), &self.holder).await;
    }

    /// Checks that it holds, and at most.
    pub fn load(&self) -> (usize, usize) {
        (self.room.held(), self.room.held_max())
    }

    /// The gRPC service over the same state.
    pub fn service(&self) -> VerifierServer<Self> {
        VerifierServer::new(self.clone())
            .max_decoding_message_size(baton_proto::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(baton_proto::MESSAGE_BYTES_MAX)
    }
}
