//! The service that plans teams and decides what their runs do next.
//!
//! It owns no run: it leases `decide` and `plan` tasks like any other, folds the run's
//! journal, decides, and commits. Killed at any point, another process does the same.

mod ask;
mod children;
mod decide;
mod housekeeping;
mod known;
mod plan;
mod planning;
mod report;
mod service;
mod status;

use baton_call::{Caller, Flights};
use baton_ledger::{Class, Ledger, Lessee, Room};
use baton_proto::v1::conductor_server::ConductorServer;
use baton_registry::Registry;
use known::Known;
use std::sync::Arc;
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
        }
    }

    /// Decides, plans and looks after what is due, until `stop` is cancelled.
    pub async fn run(&self, stop: CancellationToken) {
        let actors = TaskTracker::new();
        let lessee = |classes, held_max| Lessee {
            holder: self.holder.clone(),
            classes,
            room: Room::new(held_max),
        };
        let decider = Arc::new(decide::Decider(self.clone()));
        let decides = lessee(vec![Class::decide()], DECISIONS_MAX);
        actors.spawn(decides.run(self.ledger.clone(), decider, stop.clone()));
        let planner = Arc::new(plan::Planner(self.clone()));
        let plans = lessee(vec![Class::plan()], PLANS_MAX);
        actors.spawn(plans.run(self.ledger.clone(), planner, stop.clone()));
        actors.spawn(housekeeping::tick(self.ledger.clone(), stop.clone()));
        actors.spawn(housekeeping::reconcile(self.ledger.clone(), stop.clone()));
        let registry = self.registry.clone();
        actors.spawn(housekeeping::retain(self.ledger.clone(), registry, stop));
        actors.close();
        actors.wait().await;
    }

    /// The gRPC service over the same state.
    pub fn service(&self) -> ConductorServer<Self> {
        ConductorServer::new(self.clone())
            .max_decoding_message_size(baton_proto::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(baton_proto::MESSAGE_BYTES_MAX)
    }
}
