//! What goes on at the moment: `GET /v1/status`.

use crate::{
    edge::Caller,
    error::ApiError,
    gateway::Shared,
    limits::{CALL_TIMEOUT, STATUS_RUNS, STATUS_RUNS_MAX, STATUS_WORKER_TIMEOUT},
    peers::{Conductor, WorkerAgent},
    reply::Report,
    runs::Query,
};
use axum::{
    Extension, Json,
    extract::{RawQuery, State},
};
use baton_proto::v1::{AgentFigures, DescribeRequest, StatusRequest};
use baton_registry::{Member, Programs, Settings};
use baton_workflow::{AgentId, TenantId, Usd};
use futures::future::join_all;
use serde::Serialize;
use std::{collections::BTreeMap, sync::Arc};

#[derive(Serialize)]
pub(crate) struct Status {
    object: &'static str,
    version: &'static str,
    /// Whether everything is shown, or what is the tenant's own.
    everything: bool,
    tenant: TenantId,
    /// The conductor's part.
    #[serde(flatten)]
    work: BTreeMap<String, Report>,
    agents: Vec<Agent>,
    /// Worker-agents that answered, of those there are.
    workers: Workers,
    /// The processes that are alive; only for whoever is shown everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    members: Option<Vec<MemberLine>>,
}

#[derive(Serialize)]
struct MemberLine {
    kind: &'static str,
    holder: String,
    address: String,
    version: String,
    /// Tasks held when it last said so, and at most; 0 of 0 where it takes none.
    load: u32,
    capacity: u32,
    agents: Vec<AgentId>,
    /// Of a verifier: whether it runs programs, once it knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    programs: Option<Programs>,
}

impl From<&Member> for MemberLine {
    fn from(member: &Member) -> Self {
        let Member { holder, kind, address, agents, capacity, load, version, programs } =
            member.clone();
        Self { kind: kind.name(), holder, address, version, load, capacity, agents, programs }
    }
}

#[derive(Serialize)]
struct Workers {
    answered: usize,
    known: usize,
}

#[derive(Default, Serialize)]
struct Agent {
    id: String,
    /// Calls at a time that its card allows in one process; none for a model that only
    /// plans.
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<u32>,
    in_flight: u32,
    calls: u64,
    errors: u64,
    tokens_in: u64,
    tokens_out: u64,
    tokens_a_second: f64,
    usd: f64,
    /// Of the latest calls; none where there were none.
    p50_ms: Option<u32>,
    p99_ms: Option<u32>,
}

/// `GET /v1/status?runs=`. An operator is shown everything, others their own.
pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Json<Status>, ApiError> {
    let query = Query::of(query.as_deref(), &["runs"])?;
    let runs = query.number::<u32>("runs")?.unwrap_or(STATUS_RUNS);
    if runs > STATUS_RUNS_MAX {
        let message = format!("runs is {runs}: expected 0 to {STATUS_RUNS_MAX}");
        return Err(ApiError::invalid(message).param("runs"));
    }
    let everything = caller.operator;
    let tenant = caller.tenant;
    let request = StatusRequest { tenant: tenant.to_string(), everything, runs };
    let ask = |mut conductor: Conductor| {
        let request = request.clone();
        async move { conductor.status(request).await }
    };
    let workers = shared.peers.workers();
    let known = workers.len();
    let whose = (!everything).then(|| tenant.to_string());
    let describing = workers.into_iter().map(|worker| describe(worker, whose.clone()));
    let (reply, described) =
        tokio::join!(shared.peers.ask(CALL_TIMEOUT, ask), join_all(describing));
    let work = serde_json::from_slice(&reply?.status_json).map_err(|error| {
        tracing::error!(%error, "a conductor's status is no JSON object");
        ApiError::internal()
    })?;
    let answered: Vec<_> = described.into_iter().flatten().collect();
    let workers = Workers { answered: answered.len(), known };
    let agents = agents(&shared.registry.settings(), answered.into_iter().flatten());
    let (object, version) = ("baton.status", env!("CARGO_PKG_VERSION"));
    let members = shared.registry.watch_members().borrow().clone();
    let members = everything.then(|| members.all().map(MemberLine::from).collect());
    Ok(Json(Status { object, version, everything, tenant, work, agents, workers, members }))
}

/// One that does not answer is left out: the others are still worth seeing.
async fn describe(mut worker: WorkerAgent, tenant: Option<String>) -> Option<Vec<AgentFigures>> {
    let asked = worker.describe(DescribeRequest { tenant });
    match tokio::time::timeout(STATUS_WORKER_TIMEOUT, asked).await {
        Ok(Ok(reply)) => Some(reply.into_inner().figures),
        Ok(Err(status)) => {
            tracing::debug!(%status, "a worker-agent does not describe itself");
            None
        }
        Err(_elapsed) => None,
    }
}

/// The agents of the pool, and whoever else was called, with the figures of all processes
/// together.
fn agents(settings: &Settings, figures: impl Iterator<Item = AgentFigures>) -> Vec<Agent> {
    let mut agents: Vec<Agent> = Vec::new();
    let mut latencies: Vec<Vec<u32>> = Vec::new();
    for card in settings.pool.agents() {
        let concurrency = Some(card.concurrency);
        agents.push(Agent { id: card.id.to_string(), concurrency, ..Agent::default() });
        latencies.push(Vec::new());
    }
    for part in figures {
        let place = agents.iter().position(|agent| agent.id == part.agent).unwrap_or_else(|| {
            agents.push(Agent { id: part.agent.clone(), ..Agent::default() });
            latencies.push(Vec::new());
            agents.len() - 1
        });
        let agent = &mut agents[place];
        agent.in_flight += part.in_flight;
        agent.calls += part.calls;
        agent.errors += part.errors;
        agent.tokens_in += part.tokens_in;
        agent.tokens_out += part.tokens_out;
        agent.tokens_a_second += part.tokens_a_second;
        agent.usd += Usd::from_pico(part.usd_pico).dollars();
        latencies[place].extend(part.latencies_ms);
    }
    for (agent, mut took) in agents.iter_mut().zip(latencies) {
        took.sort_unstable();
        agent.p50_ms = quantile(&took, 50);
        agent.p99_ms = quantile(&took, 99);
    }
    agents
}

/// The smallest value that at least this share of the sorted values does not exceed.
fn quantile(sorted: &[u32], percent: usize) -> Option<u32> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn part(agent: &str, latencies_ms: Vec<u32>) -> AgentFigures {
        let calls = latencies_ms.len() as u64;
        AgentFigures {
            agent: agent.into(),
            in_flight: 1,
            calls,
            latencies_ms,
            ..AgentFigures::default()
        }
    }

    #[test]
    fn processes_are_added_up_and_quantiles_are_of_all_their_calls() {
        let settings = sample::settings(&["small", "large"]);
        let known = settings.pool.agents().len();
        let id = settings.pool.agents()[0].id.to_string();
        let parts = [
            part(&id, (1..=50).collect()),
            part("planner", vec![7]),
            part(&id, (51..=100).collect()),
        ];
        let agents = agents(&settings, parts.into_iter());
        assert_eq!(agents.len(), known + 1);
        let (first, planner) = (&agents[0], &agents[known]);
        assert_eq!((first.calls, first.in_flight), (100, 2));
        assert_eq!((first.p50_ms, first.p99_ms), (Some(50), Some(99)));
        assert_eq!((planner.concurrency, planner.p99_ms), (None, Some(7)));
        assert_eq!(quantile(&[], 99), None);
    }
}
