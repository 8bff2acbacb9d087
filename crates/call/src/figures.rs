//! What the calls of this process came to, agent by agent: for operators' views.
//!
//! Bounded, and lost when the process ends: what was spent is in the ledger.

use crate::{CallFailure, Called};
use baton_workflow::{AgentId, TenantId};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Pairs of tenant and agent that are counted; calls of further ones are not.
const PAIRS_MAX: usize = 4096;
/// Ended calls of a pair that rate and latency are reckoned from.
const RECENT_MAX: usize = 256;
/// How far back they may lie.
const RECENT: Duration = Duration::from_secs(60);

/// One agent, as seen from one process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AgentFigures {
    /// Calls under way.
    pub in_flight: u32,
    /// Calls that have ended, retries of one not counted.
    pub calls: u64,
    /// Of these, such as failed after all retries.
    pub errors: u64,
    /// Tokens read.
    pub tokens_in: u64,
    /// Tokens written.
    pub tokens_out: u64,
    /// Picodollars spent.
    pub usd_pico: u64,
    /// Tokens written a second, over the last minute or the last 256 calls of a tenant.
    pub tokens_a_second: f64,
    /// How long each of these calls took, in milliseconds, the oldest first.
    pub latencies_ms: Vec<u32>,
}

/// Counts calls. Clones share their counts.
#[derive(Clone, Default)]
pub(crate) struct Figures(Arc<Mutex<Meters>>);

type Meters = BTreeMap<(AgentId, Option<TenantId>), Meter>;

#[derive(Default)]
struct Meter {
    in_flight: u32,
    calls: u64,
    errors: u64,
    tokens_in: u64,
    tokens_out: u64,
    usd_pico: u64,
    recent: VecDeque<Ended>,
}

struct Ended {
    at: Instant,
    took_ms: u32,
    tokens_out: u64,
}

/// A call under way. Dropped without an end it is no longer under way, and not counted.
pub(crate) struct Begun {
    figures: Figures,
    pair: (AgentId, Option<TenantId>),
    at: Instant,
}

impl Figures {
    pub(crate) fn begin(&self, agent: &AgentId, tenant: Option<&TenantId>) -> Begun {
        let pair = (agent.clone(), tenant.cloned());
        let mut meters = self.lock();
        if meters.len() < PAIRS_MAX || meters.contains_key(&pair) {
            meters.entry(pair.clone()).or_default().in_flight += 1;
        }
        drop(meters);
        Begun { figures: self.clone(), pair, at: Instant::now() }
    }

    /// Every agent that was called for this tenant, or for anybody.
    pub(crate) fn read(&self, tenant: Option<&TenantId>) -> BTreeMap<AgentId, AgentFigures> {
        let now = Instant::now();
        let mut agents: BTreeMap<AgentId, AgentFigures> = BTreeMap::new();
        for ((agent, whose), meter) in self.lock().iter() {
            if tenant.is_none() || whose.as_ref() == tenant {
                meter.add_to(agents.entry(agent.clone()).or_default(), now);
            }
        }
        agents
    }

    fn lock(&self) -> MutexGuard<'_, Meters> {
        // Counts are whole between any two operations, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Begun {
    /// What came of it.
    pub(crate) fn end(self, called: &Called) {
        let took_ms = u32::try_from(self.at.elapsed().as_millis()).unwrap_or(u32::MAX);
        let mut meters = self.figures.lock();
        let Some(meter) = meters.get_mut(&self.pair) else { return };
        meter.tokens_in += called.spend.tokens_in;
        meter.tokens_out += called.spend.tokens_out;
        meter.usd_pico = meter.usd_pico.saturating_add(called.spend.usd.pico());
        match &called.result {
            // Nothing was asked, or nobody waited for the end: no call of the agent's.
            Err(
                CallFailure::Stopped
                | CallFailure::BudgetSpent(_)
                | CallFailure::NoRoom { .. }
                | CallFailure::UnknownProvider(_),
            ) => return,
            Err(CallFailure::Provider(_) | CallFailure::NotSaid(_)) => meter.errors += 1,
            Ok(_) => {}
        }
        meter.calls += 1;
        if meter.recent.len() == RECENT_MAX {
            meter.recent.pop_front();
        }
        let tokens_out = called.spend.tokens_out;
        meter.recent.push_back(Ended { at: Instant::now(), took_ms, tokens_out });
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(meter) = self.figures.lock().get_mut(&self.pair) {
            meter.in_flight = meter.in_flight.saturating_sub(1);
        }
    }
}

impl Meter {
    fn add_to(&self, figures: &mut AgentFigures, now: Instant) {
        figures.in_flight += self.in_flight;
        figures.calls += self.calls;
        figures.errors += self.errors;
        figures.tokens_in += self.tokens_in;
        figures.tokens_out += self.tokens_out;
        figures.usd_pico = figures.usd_pico.saturating_add(self.usd_pico);
        let age = |ended: &Ended| now.saturating_duration_since(ended.at);
        // Where more calls ended than are kept, those kept do not fill the whole minute.
        let full = self.recent.len() == RECENT_MAX;
        let oldest = self.recent.front().map(age).filter(|age| full && *age < RECENT);
        let window = oldest.unwrap_or(RECENT).as_secs_f64().max(1.0);
        let recent = self.recent.iter().filter(|ended| age(ended) <= RECENT);
        let tokens: u64 = recent.clone().map(|ended| ended.tokens_out).sum();
        figures.tokens_a_second += tokens as f64 / window;
        figures.latencies_ms.extend(recent.map(|ended| ended.took_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reply;
    use baton_provider::{Finish, ProviderError, Usage};
    use baton_workflow::Spend;

    fn called(result: Result<Reply, CallFailure>) -> Called {
        let spend = Spend { tokens_in: 3, tokens_out: 60, calls: 1, ..Spend::ZERO };
        Called { result, spend, estimated: false, incidents: Vec::new() }
    }

    fn good() -> Called {
        let reply = Reply {
            text: "4".into(),
            refusal: String::new(),
            tool_calls: Vec::new(),
            finish: Finish::Stop,
            usage: Usage::default(),
        };
        called(Ok(reply))
    }

    #[test]
    fn calls_are_counted_for_their_tenant_alone() {
        let figures = Figures::default();
        let (ann, bob) = (TenantId::new("ann").unwrap(), TenantId::new("bob").unwrap());
        let agent = AgentId::new("fast").unwrap();
        figures.begin(&agent, Some(&ann)).end(&good());
        let failed = called(Err(CallFailure::Provider(ProviderError::Empty)));
        figures.begin(&agent, Some(&bob)).end(&failed);
        figures.begin(&agent, None).end(&called(Err(CallFailure::Stopped)));
        let under_way = figures.begin(&agent, Some(&bob));

        let of_ann = &figures.read(Some(&ann))[&agent];
        assert_eq!((of_ann.calls, of_ann.errors, of_ann.in_flight), (1, 0, 0));
        assert_eq!((of_ann.tokens_out, of_ann.latencies_ms.len()), (60, 1));
        assert_eq!(of_ann.tokens_a_second, 1.0);
        let of_bob = &figures.read(Some(&bob))[&agent];
        assert_eq!((of_bob.calls, of_bob.errors, of_bob.in_flight), (1, 1, 1));
        let of_all = &figures.read(None)[&agent];
        assert_eq!((of_all.calls, of_all.errors, of_all.tokens_in), (2, 1, 9));
        drop(under_way);
        assert_eq!(figures.read(Some(&bob))[&agent].in_flight, 0);
    }

    #[test]
    fn memory_is_bounded() {
        let figures = Figures::default();
        let agent = AgentId::new("fast").unwrap();
        for _ in 0..RECENT_MAX + 9 {
            figures.begin(&agent, None).end(&good());
        }
        let all = &figures.read(None)[&agent];
        assert_eq!((all.calls, all.latencies_ms.len()), (RECENT_MAX as u64 + 9, RECENT_MAX));
        for n in 0..PAIRS_MAX + 9 {
            let tenant = TenantId::new(format!("t{n}")).unwrap();
            figures.begin(&agent, Some(&tenant)).end(&good());
        }
        assert_eq!(figures.lock().len(), PAIRS_MAX);
    }
}
