//! What is counted and measured of calls to models.

use crate::{Called, Reply};
use baton_telemetry::{Measure, Metric, MetricKind, Metrics, SLOW_SECONDS};
use baton_workflow::{AgentId, Incident, TenantId};
use std::time::Duration;

/// All of them.
pub const METRICS: &[Metric] =
    &[CALLS, SECONDS, TOKENS, USD, RETRIES, HEDGES, WAITED_SECONDS, REFUSED, SHARED];

const CALLS: Metric = Metric {
    name: "baton_calls",
    kind: MetricKind::Count,
    help: "Askings of an agent, retries included, by outcome: ok, or the failure's name",
    labels: &["agent", "outcome"],
};
const SECONDS: Metric = Metric {
    name: "baton_call_seconds",
    kind: MetricKind::Spread(SLOW_SECONDS),
    help: "How long an asking took, retries and waiting for room included",
    labels: &["agent"],
};
const TOKENS: Metric = Metric {
    name: "baton_call_tokens",
    kind: MetricKind::Count,
    help: "Tokens by tenant, agent and direction: in (read) or out (written)",
    labels: &["tenant", "agent", "direction"],
};
const USD: Metric = Metric {
    name: "baton_call_usd",
    kind: MetricKind::Amount,
    help: "Dollars by tenant and agent",
    labels: &["tenant", "agent"],
};
const RETRIES: Metric = Metric {
    name: "baton_call_retries",
    kind: MetricKind::Count,
    help: "Calls that failed and were made again, by the failure's name",
    labels: &["agent", "failure"],
};
const HEDGES: Metric = Metric {
    name: "baton_call_hedges",
    kind: MetricKind::Count,
    help: "Second calls beside slow ones, by whether theirs was the reply: yes or no",
    labels: &["agent", "won"],
};
const WAITED_SECONDS: Metric = Metric {
    name: "baton_call_waited_seconds",
    kind: MetricKind::Amount,
    help: "Seconds that calls waited for room on their provider's account, by what there was \
           no room in",
    labels: &["cause"],
};
const REFUSED: Metric = Metric {
    name: "baton_call_refused",
    kind: MetricKind::Count,
    help: "Calls not made, because their provider's account had no room for long, by what \
           there was no room in",
    labels: &["cause"],
};
const SHARED: Metric = Metric {
    name: "baton_call_shared",
    kind: MetricKind::Count,
    help: "Askings answered by the same call of another task",
    labels: &[],
};

/// Handles of all of them.
#[derive(Clone, Debug)]
pub(crate) struct CallMetrics {
    calls: Measure,
    seconds: Measure,
    tokens: Measure,
    usd: Measure,
    retries: Measure,
    hedges: Measure,
    waited: Measure,
    refused: Measure,
    shared: Measure,
}

impl CallMetrics {
    pub(crate) fn of(metrics: &Metrics) -> Self {
        Self {
            calls: metrics.of(&CALLS),
            seconds: metrics.of(&SECONDS),
            tokens: metrics.of(&TOKENS),
            usd: metrics.of(&USD),
            retries: metrics.of(&RETRIES),
            hedges: metrics.of(&HEDGES),
            waited: metrics.of(&WAITED_SECONDS),
            refused: metrics.of(&REFUSED),
            shared: metrics.of(&SHARED),
        }
    }

    /// What came of an asking.
    pub(crate) fn called(
        &self,
        agent: &AgentId,
        tenant: Option<&TenantId>,
        called: &Called,
        took: Duration,
    ) {
        let (agent, tenant) = (agent.as_str(), tenant.map_or("", TenantId::as_str));
        let outcome = match &called.result {
            Ok(Reply { .. }) => "ok",
            Err(failure) => failure.code(),
        };
        self.calls.count(&[agent, outcome]);
        self.seconds.observe(&[agent], took.as_secs_f64());
        let spend = &called.spend;
        self.tokens.add(&[tenant, agent, "in"], spend.tokens_in);
        self.tokens.add(&[tenant, agent, "out"], spend.tokens_out);
        self.usd.add_amount(&[tenant, agent], spend.usd.pico() as f64 / 1e12);
        for incident in &called.incidents {
            match incident {
                Incident::Failed { code, retry_ms: Some(_), .. } => {
                    self.retries.count(&[agent, code]);
                }
                // The outcome says so.
                Incident::Failed { retry_ms: None, .. } => {}
                Incident::Hedged { won, .. } => {
                    self.hedges.count(&[agent, if *won { "yes" } else { "no" }]);
                }
                Incident::Waited { cause, ms, .. } => {
                    self.waited.add_amount(&[cause], *ms as f64 / 1e3);
                }
                Incident::Refused { cause, .. } => self.refused.count(&[cause]),
                Incident::Shared => self.shared(),
            }
        }
    }

    /// An asking was answered by another task's call.
    pub(crate) fn shared(&self) {
        self.shared.count(&[]);
    }
}
