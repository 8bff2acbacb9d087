//! `[policy]`: who plans, who stands in, who judges.

use super::{
    account,
    agent::{Agents, POLICY_AGENT, card},
    faults::Faults,
    strategy,
    table::{Shape, Table, nearest},
};
use crate::{PolicySettings, ProviderSettings, StrategySettings};
use baton_workflow::{AgentId, HedgeTerms, Limits};
use std::collections::BTreeMap;

const MODEL_REQUIRED: [&str; 5] = ["provider", "model", "price", "context_tokens", "output_tokens"];
const MODEL_OPTIONAL: [&str; 1] = ["concurrency"];

const POLICY: Shape = Shape {
    required: &[],
    optional: &[
        "strategy",
        "parameters",
        "provider",
        "model",
        "price",
        "context_tokens",
        "output_tokens",
        "concurrency",
        "fallback",
        "fallback_parameters",
        "judge",
        "hedge",
        "single_flight",
        "recursion",
        "review",
        "verifier",
    ],
};

/// The decisions of `[policy]`.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) policy: Option<PolicySettings>,
    pub(super) fallback: StrategySettings,
    pub(super) judge: Option<AgentId>,
    pub(super) hedge: Option<HedgeTerms>,
    pub(super) single_flight: bool,
    pub(super) recursion: bool,
    pub(super) review: bool,
    pub(super) verifier: bool,
}

/// What `[policy]` says; without it, or where it is wrong, the defaults.
pub(super) fn policy(
    root: Table<'_>,
    agents: &Agents,
    providers: &BTreeMap<String, ProviderSettings>,
    limits: &Limits,
    faults: &mut Faults<'_>,
) -> Policy {
    let direct = StrategySettings::direct;
    let Some((at, entries)) = root.table("policy", faults) else {
        let (policy, judge, hedge) = (None, None, None);
        return Policy {
            policy,
            fallback: direct(),
            judge,
            hedge,
            single_flight: false,
            recursion: true,
            review: false,
            verifier: true,
        };
    };
    let table = Table::open("policy", at, entries, &POLICY, faults);
    let pool = agents.pool.as_ref();
    let mut strategy =
        |name, parameters| strategy::strategy(table, [name, parameters], pool, limits, faults);
    let planner = strategy("strategy", "parameters");
    let fallback = strategy("fallback", "fallback_parameters").unwrap_or_else(direct);
    let policy = match planner {
        Some(strategy) => {
            refuse_both(table, faults);
            Some(PolicySettings::Strategy(strategy))
        }
        None => model(table, providers, faults),
    };
    let judge = judge(table, agents, faults);
    let hedge = account::hedge(table, faults);
    let single_flight = table.flag("single_flight", faults).unwrap_or(false);
    let recursion = table.flag("recursion", faults).unwrap_or(true);
    let review = table.flag("review", faults).unwrap_or(false);
    let verifier = table.flag("verifier", faults).unwrap_or(true);
    Policy { policy, fallback, judge, hedge, single_flight, recursion, review, verifier }
}

fn refuse_both(table: Table<'_>, faults: &mut Faults<'_>) {
    for key in MODEL_REQUIRED.iter().chain(&MODEL_OPTIONAL).filter(|key| table.has(key)) {
        let (strategy, key_name) = (table.name("strategy"), table.name(key));
        let reason = format!(
            "{strategy} and {key_name} are both given: a strategy plans without a model, remove one"
        );
        faults.at(table.at(key), reason);
    }
}

/// The model that plans, if the table names any part of one.
fn model(
    table: Table<'_>,
    providers: &BTreeMap<String, ProviderSettings>,
    faults: &mut Faults<'_>,
) -> Option<PolicySettings> {
    if table.has("strategy")
        || !MODEL_REQUIRED.iter().chain(&MODEL_OPTIONAL).any(|key| table.has(key))
    {
        return None;
    }
    for key in MODEL_REQUIRED {
        table.require(key, faults);
    }
    let id = AgentId::new(POLICY_AGENT).ok();
    card(table, id, providers, faults).map(PolicySettings::Model)
}

fn judge(table: Table<'_>, agents: &Agents, faults: &mut Faults<'_>) -> Option<AgentId> {
    let name = table.text("judge", faults)?;
    let found = agents.ids.iter().find(|id| id.as_str() == name);
    if found.is_none() {
        let near = nearest(name, agents.ids.iter().map(AgentId::as_str));
        let expected = near.map_or("the id of an agent".to_owned(), |near| {
            format!("an agent's id, {near} perhaps")
        });
        table.wrong("judge", &expected, faults);
    }
    found.cloned()
}
