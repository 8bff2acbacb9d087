//! Which agents' tasks are taken, as the configuration changes.

use crate::WorkerAgent;
use baton_ledger::{Class, Lessee, Room};
use baton_registry::Kind;
use baton_workflow::{AgentId, Pool};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Tasks of a removed agent that are held at the same time: more than any agent's card can
/// say, so that its last calls keep nobody waiting.
const REMOVED_MAX: usize = 16 * 1024;

/// The agents whose tasks are taken, with room for as many as each takes at a time. One
/// that is removed from the configuration stays: what still waits for it must be told so,
/// or its runs would wait for nobody.
pub(crate) struct Hosts<'a> {
    worker: &'a WorkerAgent,
    rooms: Rooms,
    lessees: TaskTracker,
    stop: CancellationToken,
}

/// The room of each agent whose tasks are taken. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rooms(Arc<Mutex<BTreeMap<AgentId, Room>>>);

impl Rooms {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AgentId, Room>> {
        // A map is whole between any two of its operations, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tasks that are held, and at most; agents that were removed count with what is held.
    pub(crate) fn load(&self) -> (usize, usize) {
        let rooms = self.lock();
        let held = rooms.values().map(Room::held).sum();
        let most = rooms.values().map(Room::held_max).filter(|most| *most < REMOVED_MAX).sum();
        (held, most)
    }
}

impl<'a> Hosts<'a> {
    /// None yet.
    pub(crate) fn new(worker: &'a WorkerAgent, stop: CancellationToken) -> Self {
        Self { worker, rooms: worker.rooms.clone(), lessees: TaskTracker::new(), stop }
    }

    /// Takes the tasks of these agents, of each as many at a time as its card says.
    pub(crate) fn host(&mut self, pool: &Pool) {
        for card in pool.agents() {
            self.take(&card.id, card.concurrency as usize);
        }
        // Calls under way go on; whoever waits behind them is told at once.
        let rooms = self.rooms.lock();
        let gone = rooms.iter().filter(|(agent, _)| pool.get(agent).is_none());
        gone.for_each(|(_, room)| room.resize(REMOVED_MAX));
    }

    /// Takes the tasks of agents that nobody configures any more: an earlier process left
    /// them, and each is told so, one after the other.
    pub(crate) async fn adopt(&mut self, pool: &Pool) {
        let inventory = self.worker.ledger.inventory().await;
        let inventory = inventory.inspect_err(|error| tracing::warn!(%error, "cannot sweep"));
        for class in inventory.unwrap_or_default().waiting {
            let agent = class.agent().filter(|agent| pool.get(agent).is_none());
            if let Some(agent) = agent.filter(|agent| !self.rooms.lock().contains_key(agent)) {
                tracing::info!(%agent, "steps wait for an agent that is not configured");
                self.take(&agent, REMOVED_MAX);
            }
        }
    }

    /// Takes the tasks of an agent, at most so many at a time.
    fn take(&mut self, agent: &AgentId, held_max: usize) {
        if let Some(room) = self.rooms.lock().get(agent) {
            return room.resize(held_max);
        }
        let room = Room::new(held_max);
        let lessee = Lessee {
            holder: self.worker.holder.clone(),
            classes: vec![Class::work(agent)],
            room: room.clone(),
        };
        let (ledger, handler) = (self.worker.ledger.clone(), Arc::new(self.worker.clone()));
        let workshop = self.worker.workshop.clone();
        self.lessees.spawn(lessee.run_in(workshop, ledger, handler, self.stop.clone()));
        self.rooms.lock().insert(agent.clone(), room);
    }

    /// Makes known whom calls can be sent to here, if this process has been announced.
    pub(crate) async fn announce(&self, pool: &Pool) {
        let registry = &self.worker.registry;
        let members = registry.members(Kind::WorkerAgent);
        let Some(mut member) = members.into_iter().find(|m| m.holder == self.worker.holder) else {
            return;
        };
        let agents: Vec<_> = pool.agents().iter().map(|card| card.id.clone()).collect();
        let capacity = u32::try_from(self.rooms.load().1).unwrap_or(u32::MAX);
        if member.agents == agents && member.capacity == capacity {
            return;
        }
        (member.agents, member.capacity) = (agents, capacity);
        if let Err(error) = registry.announce(member).await {
            tracing::warn!(%error, "the agents hosted here are not made known");
        }
    }

    /// Waits until what is held has ended; `stop` has been cancelled.
    pub(crate) async fn finished(self) {
        self.lessees.close();
        self.lessees.wait().await;
    }
}
