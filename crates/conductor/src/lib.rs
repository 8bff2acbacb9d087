//! The service that plans teams and decides what their runs do next.
//!
//! It owns no run: it leases `decide` and `plan` tasks like any other, folds the run's
//! journal, decides, and commits. Killed at any point, another process does the same.

mod ask;
mod call_ids;
mod children;
mod deaths;
mod decide;
mod effort;
mod housekeeping;
mod known;
mod metrics;
mod plan;
mod planning;
mod report;
mod results;
mod service;
mod span;
mod status;
mod verifying;

use baton_call::{Caller, Flights};
use baton_ledger::{Class, Clock, Ledger, Lessee, Room, hand_back};
use baton_proto::{Dialer, v1::conductor_server::ConductorServer};
use baton_registry::Registry;
use baton_telemetry::{Metrics, Tracer};
use known::Known;
use metrics::ConductorMetrics;
pub use metrics::METRICS;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Decisions under way at the same time: each is a read and a write of the ledger.
const DECISIONS_MAX: usize = 64;
/// Plans asked for at the same time, unless the policy's card says otherwise.
const PLANS_MAX: usize = 64;

/// The service. Clones share their state.
#[derive(Clone)]
pub struct Conductor {
    holder: String,
    ledger: Arc<dyn Ledger>,
    registry: Arc<dyn Registry>,
    caller: Caller,
    known: Arc<Known>,
    flights: Flights,
    /// For decisions and for plans.
    rooms: [Room; 2],
    /// Cancelled when it stops: whoever watches here goes on watching elsewhere.
    stopping: CancellationToken,
    tracer: Tracer,
    metrics: ConductorMetrics,
    clock: Clock,
    /// Gives each run a name that no other has.
    name: Arc<dyn Fn() -> String + Send + Sync>,
    dialer: Dialer,
    workshop: Option<Handle>,
}

impl Conductor {
    /// Plans and decides under the name `holder`.
    pub fn new(
        holder: String,
        ledger: Arc<dyn Ledger>,
        registry: Arc<dyn Registry>,
        caller: Caller,
    ) -> Self {
        Self {
            holder,
            ledger,
            registry,
            caller,
            known: Arc::default(),
            flights: Flights::default(),
            rooms: [Room::new(DECISIONS_MAX), Room::new(PLANS_MAX)],
            stopping: CancellationToken::new(),
            tracer: Tracer::off(),
            metrics: ConductorMetrics::of(&Metrics::default()),
            clock: Clock::default(),
            name: Arc::new(|| format!("run_{}", uuid::Uuid::now_v7().simple())),
            dialer: Dialer::default(),
            workshop: None,
        }
    }

    /// The same, counting among the metrics of the process.
    #[must_use]
    pub fn measured(self, metrics: &Metrics) -> Self {
        Self { metrics: ConductorMetrics::of(metrics), ..self }
    }

    /// The same, with spans of runs that end here, of plans, and of calls to the policy.
    #[must_use]
    pub fn traced(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// The same, planning on other threads than those that keep leases alive.
    #[must_use]
    pub fn working_in(self, workshop: Handle) -> Self {
        Self { workshop: Some(workshop), ..self }
    }

    /// The same, going by this clock and naming runs so: for simulations, which repeat.
    #[must_use]
    pub fn determined(
        self,
        clock: Clock,
        name: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        Self { clock, name: Arc::new(name), ..self }
    }

    /// The same, where the other services are reached in this way.
    #[must_use]
    pub fn dialing(self, dialer: Dialer) -> Self {
        Self { dialer, ..self }
    }

    /// Decides, plans and looks after what is due, until `stop` is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        let actors = TaskTracker::new();
        let (told, stopping) = (stop.clone(), self.stopping.clone());
        actors.spawn(async move {
            told.cancelled().await;
            stopping.cancel();
        });
        let [decisions, plans] = self.rooms.clone();
        let lessee = |classes, room| Lessee { holder: self.holder.clone(), classes, room };
        let decider = Arc::new(decide::Decider(self.clone()));
        let decides = lessee(vec![Class::decide()], decisions);
        actors.spawn(decides.run(self.ledger.clone(), decider, stop.clone()));
        let planner = Arc::new(plan::Planner(self.clone()));
        let plans = lessee(vec![Class::plan()], plans);
        let workshop = self.workshop.clone();
        actors.spawn(plans.run_in(workshop, self.ledger.clone(), planner, stop.clone()));
        actors.spawn(housekeeping::tick(self.ledger.clone(), stop.clone()));
        actors.spawn(housekeeping::reconcile(self.ledger.clone(), stop.clone()));
        let registry = self.registry.clone();
        actors.spawn(housekeeping::retain(self.ledger.clone(), registry.clone(), stop.clone()));
        let dialer = self.dialer.clone();
        let own = self.holder.clone();
        actors.spawn(deaths::take_over(self.ledger.clone(), registry, dialer, own, stop));
        actors.close();
        actors.wait().await;
        hand_back(self.ledger.as_ref(), &self.holder).await;
    }

    /// Tasks that it holds, and at most.
    pub fn load(&self) -> (usize, usize) {
        let sum = |of: fn(&Room) -> usize| self.rooms.iter().map(of).sum();
        (sum(Room::held), sum(Room::held_max))
    }

    /// The gRPC service over the same state.
    pub fn service(&self) -> ConductorServer<Self> {
        ConductorServer::new(self.clone())
            .max_decoding_message_size(baton_proto::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(baton_proto::MESSAGE_BYTES_MAX)
    }
}
