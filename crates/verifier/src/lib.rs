//! The service that checks answers: by what the crate `checks` can tell, or by a judge.
//!
//! Trouble with the infrastructure is `Unavailable`, never a pass or a fail.

mod bench;
mod cage;
mod code;
mod composite;
mod judge;
mod lease;
mod metrics;
#[cfg(debug_assertions)]
mod noise;
mod pairs;
mod remainder;
mod reports;
mod service;
mod span;
mod stated;
mod task;
#[cfg(test)]
mod tests;
mod verify;
mod vote;

use baton_call::Caller;
use baton_ledger::{Ledger, Room};
use baton_proto::v1::verifier_server::VerifierServer;
use baton_registry::Registry;
use baton_sandbox::Sandbox;
use baton_telemetry::{Metrics, Tracer};
use cage::Cage;
pub use cage::{NoSandbox, try_sandbox};
pub use metrics::METRICS;
use metrics::VerifierMetrics;
#[cfg(debug_assertions)]
pub use noise::Noise;
use reports::Reports;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Checks under way at the same time; a judge's own limits hold at its provider.
const CHECKS_MAX: usize = 64;
/// Checks that run programs, for each program that is run at the same time: one more, so that
/// no processor waits for the ledger.
const CHECKS_PER_SLOT: usize = 2;

/// The service. Clones share their state.
#[derive(Clone)]
pub struct Verifier {
    holder: String,
    ledger: Arc<dyn Ledger>,
    registry: Arc<dyn Registry>,
    caller: Caller,
    room: Room,
    /// For checks that run programs.
    programs_room: Room,
    cage: Cage,
    /// Whether there is no other verifier.
    alone: bool,
    tracer: Tracer,
    workshop: Option<Handle>,
    metrics: VerifierMetrics,
    reports: Reports,
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
        let cage = Cage::of(&registry.settings().sandbox);
        Self {
            holder,
            ledger,
            registry,
            caller,
            room: Room::new(CHECKS_MAX),
            programs_room: Room::new(CHECKS_PER_SLOT * cage.slots()),
            cage,
            alone: false,
            tracer: Tracer::off(),
            workshop: None,
            metrics: VerifierMetrics::of(&Metrics::default()),
            reports: Reports::default(),
            #[cfg(debug_assertions)]
            noise: None,
        }
    }

    /// The same, where there is no other verifier: nobody else is waited for.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { alone: true, ..self }
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

    /// Where programs are run, once that is known.
    ///
    /// # Errors
    /// Why they are not.
    pub async fn sandbox(&self) -> Result<Sandbox, NoSandbox> {
        self.cage.sandbox().await
    }

    /// Checks that it holds, and at most.
    pub fn load(&self) -> (usize, usize) {
        let rooms = [&self.room, &self.programs_room];
        let sum = |of: fn(&Room) -> usize| rooms.into_iter().map(of).sum();
        (sum(Room::held), sum(Room::held_max))
    }

    /// The gRPC service over the same state.
    pub fn service(&self) -> VerifierServer<Self> {
        VerifierServer::new(self.clone())
            .max_decoding_message_size(baton_proto::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(baton_proto::MESSAGE_BYTES_MAX)
    }
}
