//! `[[agents]]`: whom steps can be given to.

use super::{
    faults::Faults,
    table::{Shape, Table, nearest},
};
use crate::{ProviderSettings, settings::pool_version};
use baton_workflow::{Abilities, AgentCard, AgentId, Pool, Price};
use std::collections::{BTreeMap, BTreeSet};

/// Most tokens a card may name: past any model's window, well within arithmetic.
const CARD_TOKENS_MAX: u32 = 100_000_000;
/// Most calls at a time a card may name.
const CONCURRENCY_MAX: u32 = 10_000;
/// Longest description of an agent, in bytes: every plan's prompt repeats all of them.
const STRENGTHS_BYTES_MAX: usize = 2_000;
/// Calls at a time where the card says nothing.
pub(crate) const CONCURRENCY: u32 = 8;
/// The model that plans goes by this name in bills and traces.
pub(crate) const POLICY_AGENT: &str = "policy";

const AGENT: Shape = Shape {
    required: &["id", "provider", "model", "price", "context_tokens", "output_tokens"],
    optional: &["strengths", "concurrency", "images", "tools", "structured_output", "tags"],
};
const PRICE: Shape =
    Shape { required: &["input", "output"], optional: &["cached_input", "cache_write"] };

/// The agents that were read.
#[derive(Debug)]
pub(super) struct Agents {
    /// Every id that could be read, even if the rest of its card could not.
    pub(super) ids: BTreeSet<AgentId>,
    /// Nothing if anything was wrong.
    pub(super) pool: Option<Pool>,
}

/// All agents.
pub(super) fn agents(
    root: Table<'_>,
    providers: &BTreeMap<String, ProviderSettings>,
    faults: &mut Faults<'_>,
) -> Agents {
    let mut cards = Vec::new();
    let mut seen = BTreeMap::new();
    let tables = root.tables("agents", faults).unwrap_or_default();
    let given = tables.len();
    if !root.has("agents") {
        faults.at(0, "there is no agent: add one with [[agents]], and [providers.NAME] for it");
    }
    for (number, (at, entries)) in tables.into_iter().enumerate() {
        let path = path(number, entries);
        let table = Table::open(&path, at, entries, &AGENT, faults);
        let id = agent_id(table, faults);
        if let Some(id) = &id
            && let Some(first) = seen.insert(id.clone(), faults.line(table.at("id")))
        {
            let reason =
                format!("agent {id} is on line {first} already: give each agent its own id");
            faults.at(table.at("id"), reason);
        }
        cards.extend(card(table, id, providers, faults));
    }
    let ids = seen.into_keys().collect();
    let whole = cards.len() == given;
    let pool = whole.then(|| Pool::new(pool_version(&cards), cards).ok()).flatten();
    Agents { ids, pool }
}

/// By its id where it has one, else by its place.
fn path(number: usize, entries: &toml::de::DeTable<'_>) -> String {
    let id = entries.iter().find(|(key, _)| key.get_ref() == "id");
    match id.and_then(|(_, id)| id.get_ref().as_str()).filter(|id| AgentId::new(id).is_ok()) {
        Some(id) => format!("agents.{id}"),
        None => format!("agents[{number}]"),
    }
}

fn agent_id(table: Table<'_>, faults: &mut Faults<'_>) -> Option<AgentId> {
    let id = table.text("id", faults)?;
    if id == POLICY_AGENT {
        let reason = format!("agent id {id:?} means the model that plans: choose another id");
        faults.at(table.at("id"), reason);
    }
    if id == AgentId::ITSELF {
        let reason = format!("agent id {id:?} means the Conductor itself: choose another id");
        faults.at(table.at("id"), reason);
    }
    if id == AgentId::VERIFIER {
        let reason = format!("agent id {id:?} means the verifier: choose another id");
        faults.at(table.at("id"), reason);
    }
    let wrong = |error| faults.at(table.at("id"), format!("{}: {error}", table.name("id")));
    AgentId::new(id).map_err(wrong).ok()
}

/// One card, if everything that both agents and a planning model need is right.
pub(super) fn card(
    table: Table<'_>,
    id: Option<AgentId>,
    providers: &BTreeMap<String, ProviderSettings>,
    faults: &mut Faults<'_>,
) -> Option<AgentCard> {
    // Read everything before giving up on anything, so that every fault is found.
    let provider = provider(table, providers, faults);
    let model = table.text("model", faults);
    let price = price(table, faults);
    let context_tokens = table.whole("context_tokens", 1..=CARD_TOKENS_MAX, faults);
    let output_tokens = table.whole("output_tokens", 1..=CARD_TOKENS_MAX, faults);
    if let (Some(context), Some(output)) = (context_tokens, output_tokens)
        && output > context
    {
        let expected = format!("at most its context_tokens, {context}");
        table.wrong("output_tokens", &expected, faults);
    }
    let strengths = table.text("strengths", faults).unwrap_or_default();
    if strengths.len() > STRENGTHS_BYTES_MAX {
        table.wrong("strengths", &format!("at most {STRENGTHS_BYTES_MAX} bytes"), faults);
    }
    let concurrency = table.whole("concurrency", 1..=CONCURRENCY_MAX, faults);
    let images = table.flag("images", faults);
    let abilities = Abilities {
        tools: table.flag("tools", faults).unwrap_or(true),
        structured_output: table.flag("structured_output", faults).unwrap_or(true),
    };
    let tags = table.texts("tags", faults);
    Some(AgentCard {
        id: id?,
        provider: provider?.to_owned(),
        model: model?.to_owned(),
        strengths: strengths.to_owned(),
        price: price?,
        context_tokens: context_tokens?,
        output_tokens: output_tokens?,
        concurrency: concurrency.unwrap_or(CONCURRENCY),
        images: images.unwrap_or(false),
        abilities,
        tags: tags.into_iter().map(str::to_owned).collect(),
    })
}

fn provider<'a>(
    table: Table<'a>,
    providers: &BTreeMap<String, ProviderSettings>,
    faults: &mut Faults<'_>,
) -> Option<&'a str> {
    let name = table.text("provider", faults)?;
    if !providers.contains_key(name) {
        let known: Vec<_> = providers.keys().map(String::as_str).collect();
        let expected = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None if known.is_empty() => format!("add [providers.{name}]"),
            None => format!("add [providers.{name}], or name one of {}", known.join(", ")),
        };
        let key = table.name("provider");
        faults.at(
            table.at("provider"),
            format!("{key} is {name:?}, which is not configured: {expected}"),
        );
    }
    Some(name)
}

fn price(table: Table<'_>, faults: &mut Faults<'_>) -> Option<Price> {
    let (at, entries) = table.table("price", faults)?;
    let path = table.name("price");
    let table = Table::open(&path, at, entries, &PRICE, faults);
    let mut dollars = |key| {
        let dollars = table.number(key, faults)?;
        if Price::from_dollars(dollars, 0.0).is_err() {
            table.wrong(key, "dollars per million tokens, from 0 to 1000000", faults);
            return None;
        }
        Some(dollars)
    };
    let (input, output) = (dollars("input"), dollars("output"));
    let (cached, written) = (dollars("cached_input"), dollars("cache_write"));
    Price::from_dollars(input?, output?).and_then(|price| price.with_cache(cached, written)).ok()
}
