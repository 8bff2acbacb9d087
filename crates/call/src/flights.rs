//! Identical calls under way at the same time, made once.

use crate::{CallFailure, Called, Reply};
use baton_provider::ChatRequest;
use baton_workflow::{AgentCard, Incident, Spend, TenantId};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

/// Calls that others can join; one more is made for itself.
const FLIGHTS_MAX: usize = 1_024;

type Landed = Option<Result<Reply, CallFailure>>;
type Map = HashMap<blake3::Hash, watch::Receiver<Landed>>;

/// Calls that others can join. Clones share them.
#[derive(Clone, Default)]
pub struct Flights {
    under_way: Arc<Mutex<Map>>,
}

/// Takes a call off the list, however it ends.
struct Leader<'a> {
    flights: &'a Flights,
    name: blake3::Hash,
    landed: watch::Sender<Landed>,
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.name);
    }
}

/// What one call is known by: everything that decides about its reply, and the tenant,
/// since no tenant may learn what another asks.
fn name(tenant: &TenantId, card: &AgentCard, request: &ChatRequest) -> blake3::Hash {
    let said = ChatRequest { idempotency_key: None, ..request.clone() };
    blake3::hash(format!("{tenant:?} {:?} {said:?}", card.provider).as_bytes())
}

impl Flights {
    fn lock(&self) -> MutexGuard<'_, Map> {
        // The map is whole between any two of its operations, whoever panicked.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes this call with `make`, or takes the reply of the same one that is under way.
    /// What that spends is on the bill of whoever made it. A caller whose leader was told
    /// to stop, or could not pay, makes the call itself.
    pub async fn share<F: Future<Output = Called>>(
        &self,
        tenant: &TenantId,
        card: &AgentCard,
        request: &ChatRequest,
        deadline: Option<Instant>,
        stop: &CancellationToken,
        make: impl FnOnce() -> F,
    ) -> Called {
        let name = name(tenant, card, request);
        loop {
            let joined = match self.join(name) {
                Joined::Leader(leader) => {
                    let called = make().await;
                    leader.landed.send_replace(Some(called.result.clone()));
                    return called;
                }
                Joined::Full => return make().await,
                Joined::Follower(joined) => joined,
            };
            let landing = stop.run_until_cancelled(landed(joined));
            let result = match deadline {
                Some(deadline) => tokio::time::timeout_at(deadline, landing).await,
                None => Ok(landing.await),
            };
            // Out of time, as far as this one goes: its own call says so in its own words.
            let Ok(result) = result else { return make().await };
            match result {
                None => return shared(Err(CallFailure::Stopped)),
                Some(Some(result @ (Ok(_) | Err(CallFailure::Provider(_))))) => {
                    return shared(result);
                }
                // Its leader's troubles are not this one's.
                Some(Some(Err(_)) | None) => {}
            }
        }
    }

    fn join(&self, name: blake3::Hash) -> Joined<'_> {
        let mut under_way = self.lock();
        if let Some(joined) = under_way.get(&name) {
            return Joined::Follower(joined.clone());
        }
        if under_way.len() >= FLIGHTS_MAX {
            return Joined::Full;
        }
        let (landed, joined) = watch::channel(None);
        under_way.insert(name, joined);
        Joined::Leader(Leader { flights: self, name, landed })
    }
}

enum Joined<'a> {
    Leader(Leader<'a>),
    Follower(watch::Receiver<Landed>),
    Full,
}

/// What came of it; none if its leader was dropped.
async fn landed(mut joined: watch::Receiver<Landed>) -> Landed {
    // An error means that the leader is gone: then what it said last counts.
    let _gone = joined.wait_for(Option::is_some).await.is_err();
    joined.borrow().clone()
}

fn shared(result: Result<Reply, CallFailure>) -> Called {
    let incidents = vec![Incident::Shared];
    Called { result, spend: Spend::ZERO, estimated: false, incidents }
}
