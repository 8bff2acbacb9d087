//! The service that carries out steps: it leases `work` tasks of the agents it hosts,
//! asks the agent's model, and hands out the tokens while they come in.

mod form;
mod messages;
mod service;
mod streams;
mod work;

use baton_call::Caller;
use baton_ledger::{Class, Ledger, Lessee};
use baton_proto::v1::worker_agent_server::WorkerAgentServer;
use baton_registry::Registry;
use std::sync::Arc;
use streams::Streams;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The service. Clones share their state.
#[derive(Clone)]
pub struct WorkerAgent {
    holder: String,
    ledger: Arc<dyn Ledger>,
    registry: Arc<dyn Registry>,
    caller: Caller,
    streams: Arc<Streams>,
}

impl WorkerAgent {
    /// Hosts every agent of the configured pool, under the name `holder`.
    pub fn new(
        holder: String,
        ledger: Arc<dyn Ledger>,
        registry: Arc<dyn Registry>,
        caller: Caller,
    ) -> Self {
        Self { holder, ledger, registry, caller, streams: Arc::default() }
    }

    /// Leases and carries out steps until `stop` is cancelled: for each agent at most as
    /// many at a time as its card allows.
    pub async fn run(&self, stop: CancellationToken) {
        let agents = TaskTracker::new();
        for card in self.registry.settings().pool.agents() {
            let lessee = Lessee {
                holder: self.holder.clone(),
                classes: vec![Class::work(&card.id)],
                held_max: card.concurrency as usize,
            };
            let handler = Arc::new(self.clone());
            agents.spawn(lessee.run(self.ledger.clone(), handler, stop.clone()));
        }
        agents.close();
        agents.wait().await;
    }

    /// The gRPC service over the same state.
    pub fn service(&self) -> WorkerAgentServer<Self> {
        WorkerAgentServer::new(self.clone())
            .max_decoding_message_size(baton_proto::MESSAGE_BYTES_MAX)
            .max_encoding_message_size(baton_proto::MESSAGE_BYTES_MAX)
    }
}
