//! Reads the `baton` object of a request.

use super::{fields::Fields, model::Offer};
use crate::limits::AGENTS_NAMED_MAX;
use baton_checks::Check;
use baton_codes::ApiCode;
use baton_proto::v1::{RunOptions, run_options};
use baton_workflow::{AgentId, Budget, Resource, Usd};
use serde_json::{Map, Value};

const FIELDS: [&str; 13] = [
    "budget",
    "deadline",
    "strategy",
    "strategy_parameters",
    "allow",
    "deny",
    "seed",
    "verify",
    "rounds",
    "review",
    "worth_usd",
    "background",
    "progress",
];
const BUDGET_FIELDS: [&str; 5] = ["usd", "tokens", "calls", "seconds", "depth"];
const VERIFY_FIELDS: [&str; 3] = ["type", "expected", "judge"];

/// What the `baton` object says beside the options that travel with the run.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Extras {
    pub(super) options: RunOptions,
    pub(super) seed: Option<i64>,
    pub(super) progress: bool,
}

/// Reads it. `model` is the request's, whose strategy must not be contradicted.
pub(super) fn read(mut fields: Fields<'_>, offer: &Offer<'_>, model: &str) -> Extras {
    let mut options = RunOptions::default();
    budget(&mut fields, offer, &mut options);
    strategy(&mut fields, offer, model, &mut options);
    options.allow = agents(&mut fields, "allow", offer);
    options.deny = agents(&mut fields, "deny", offer);
    options.check = check(&mut fields, offer);
    options.rounds = fields.count("rounds", 1);
    options.review = fields.flag("review");
    options.worth_usd = fields.read("worth_usd", "dollars, a number above 0", |value| {
        value.as_f64().filter(|usd| *usd > 0.0 && Usd::from_dollars(*usd).is_ok())
    });
    options.background = fields.flag("background").unwrap_or(false);
    let seed = fields.read("seed", "a whole number", Value::as_i64);
    let progress = fields.flag("progress").unwrap_or(false);
    fields.refuse_rest(&FIELDS);
    Extras { options, seed, progress }
}

/// Efforts that OpenAI's clients know, from the least to the most.
const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// How much is tried.
pub(super) fn effort(fields: &mut Fields<'_>) -> Option<String> {
    let effort = fields.text("reasoning_effort")?;
    if !EFFORTS.contains(&effort.as_str()) {
        let message =
            format!("reasoning_effort is {effort:?}: expected one of {}", EFFORTS.join(", "));
        fields.faults.invalid("reasoning_effort", message);
        return None;
    }
    Some(effort)
}

fn budget(fields: &mut Fields<'_>, offer: &Offer<'_>, options: &mut RunOptions) {
    let deadline: Option<u32> = fields.count("deadline", 1);
    let path = fields.name("budget.");
    if let Some(map) = fields.object("budget") {
        let mut part = Fields::new(map, &path, fields.faults);
        options.usd =
            part.read("usd", "a number above 0", |value| value.as_f64().filter(|usd| *usd > 0.0));
        options.tokens = part.count("tokens", 1);
        options.calls = part.count("calls", 1);
        options.seconds = part.count("seconds", 1);
        // No level below the first is a sensible thing to ask for.
        options.depth = part.count("depth", 0);
        part.refuse_rest(&BUDGET_FIELDS);
    }
    if deadline.is_some() && options.seconds.is_some() {
        let name = fields.name("deadline");
        let message = format!("{name} and {path}seconds mean the same: give one of them");
        fields.faults.invalid(&name, message);
    }
    options.seconds = options.seconds.or(deadline);
    for (name, message) in beyond_all_budgets(options, &offer.settings.budget) {
        let name = format!("{path}{name}");
        fields.faults.invalid(&name, format!("{name}: {message}"));
    }
}

/// The amounts that no budget can have, whatever the operator allows.
fn beyond_all_budgets(options: &RunOptions, given: &Budget) -> Vec<(&'static str, String)> {
    let mut wrong = Vec::new();
    let usd = match options.usd.map(Usd::from_dollars).transpose() {
        // Less than a picodollar is nothing at all.
        Ok(Some(usd)) if usd == Usd::ZERO => Some(Usd::from_pico(1)),
        Ok(usd) => usd,
        Err(error) => {
            wrong.push(("usd", error.to_string()));
            None
        }
    };
    let asked = Budget {
        usd: usd.unwrap_or(given.usd),
        tokens: options.tokens.unwrap_or(given.tokens),
        calls: options.calls.unwrap_or(given.calls),
        seconds: options.seconds.unwrap_or(given.seconds),
        depth: options.depth.map_or(given.depth, |depth| u8::try_from(depth).unwrap_or(u8::MAX)),
    };
    let errors = asked.check().err().unwrap_or_default();
    wrong.extend(errors.into_iter().map(|error| {
        let name = match error.resource {
            Resource::Usd => "usd",
            Resource::Tokens => "tokens",
            Resource::Calls => "calls",
            Resource::Seconds => "seconds",
            Resource::Depth => "depth",
        };
        (name, error.to_string())
    }));
    wrong
}

fn strategy(fields: &mut Fields<'_>, offer: &Offer<'_>, model: &str, options: &mut RunOptions) {
    let by_model = model.strip_prefix(super::model::STRATEGY_PREFIX);
    let name = fields.name("strategy");
    options.strategy = fields.text("strategy");
    if let Some(strategy) = options.strategy.as_deref() {
        if !offer.strategies.contains(&strategy) {
            let there = offer.strategies.join(", ");
            fields.faults.invalid(&name, format!("{name} is {strategy:?}: there are {there}"));
        } else if by_model.is_some_and(|other| other != strategy) {
            let message = format!("{name} is {strategy:?}, but the model is {model:?}: give one");
            fields.faults.invalid(&name, message);
        }
    }
    let parameters = fields.object("strategy_parameters");
    if parameters.is_some() && options.strategy.is_none() && by_model.is_none() {
        let of = fields.name("strategy_parameters");
        fields.faults.invalid(&of, format!("{of} without {name}: say which strategy they are for"));
    }
    options.strategy_parameters_json =
        parameters.map(|map: Map<String, Value>| Value::Object(map).to_string());
}

fn agents(fields: &mut Fields<'_>, field: &str, offer: &Offer<'_>) -> Vec<String> {
    let named = fields.texts(field, AGENTS_NAMED_MAX).unwrap_or_default();
    let name = fields.name(field);
    // Whether the Conductor itself may be an agent can be said as well.
    for agent in named.iter().filter(|agent| *agent != AgentId::ITSELF) {
        unless_in_pool(&name, agent, offer, fields);
    }
    named
}

fn unless_in_pool(name: &str, agent: &str, offer: &Offer<'_>, fields: &mut Fields<'_>) {
    let known = AgentId::new(agent).is_ok_and(|id| offer.settings.pool.get(&id).is_some());
    if !known {
        let there: Vec<_> = offer.settings.pool.agents().iter().map(|a| a.id.as_str()).collect();
        let message = format!("{name} names agent {agent:?}: there are {}", there.join(", "));
        fields.faults.add(ApiCode::UnknownAgent, name, message);
    }
}

fn check(fields: &mut Fields<'_>, offer: &Offer<'_>) -> Option<run_options::Check> {
    let path = fields.name("verify.");
    let map = fields.object("verify")?;
    if map.contains_key("type") {
        return stated(fields, offer, map);
    }
    let mut part = Fields::new(map, &path, fields.faults);
    let expected = part.text("expected");
    let judge = match part.take("judge") {
        // No name stands for the configured judge.
        Some(Value::Bool(true)) => Some(String::new()),
        Some(Value::Bool(false)) | None => None,
        Some(Value::String(agent)) => {
            let name = part.name("judge");
            unless_in_pool(&name, &agent, offer, &mut part);
            Some(agent)
        }
        Some(other) => {
            let name = part.name("judge");
            part.faults.wrong(&name, &other, "true, false or an agent's id");
            None
        }
    };
    if judge.as_deref() == Some("") && offer.settings.judge.is_none() {
        let name = part.name("judge");
        let message = format!("{name} is true, but no judge is configured: name an agent");
        part.faults.invalid(&name, message);
    }
    let chosen = match (expected, judge) {
        (Some(_), Some(_)) => {
            let name = part.name("expected");
            let message = format!("{name} and {path}judge: give one of them");
            part.faults.invalid(&name, message);
            None
        }
        (Some(expected), None) => Some(run_options::Check::Expected(expected)),
        (None, Some(judge)) => Some(run_options::Check::Judge(judge)),
        (None, None) => None,
    };
    part.refuse_rest(&VERIFY_FIELDS);
    chosen
}

/// A check that says its type. It is made ready here, so that what is wrong with it is told
/// before anybody is asked anything.
fn stated(
    fields: &mut Fields<'_>,
    offer: &Offer<'_>,
    map: Map<String, Value>,
) -> Option<run_options::Check> {
    let json = Value::Object(map).to_string();
    match Check::read(&json).and_then(Check::usable) {
        Ok(check) => {
            let name = fields.name("verify.model");
            for model in check.judges().filter_map(|judge| judge.model.as_ref()) {
                unless_in_pool(&name, model.as_str(), offer, fields);
            }
            Some(run_options::Check::CheckJson(json))
        }
        Err(error) => {
            let verify = fields.name("verify");
            let name = match error.field {
                "" => verify,
                field => format!("{verify}.{field}"),
            };
            fields.faults.invalid(&name, format!("{name}: {error}"));
            None
        }
    }
}
