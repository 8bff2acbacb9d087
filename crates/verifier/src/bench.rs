//! Who judges: nobody judges the work of its own family, unless it is asked for by name.

use crate::verify::Means;
use baton_registry::Settings;
use baton_workflow::{AgentCard, AgentId};
use std::{cmp::Reverse, collections::BTreeSet};

/// A tag that names an agent's family, such as `family:llama`.
const TAG: &str = "family:";

/// An agent that is to judge.
#[derive(Debug)]
pub(crate) struct Seat<'a> {
    pub(crate) card: &'a AgentCard,
    /// What a reader should know of its independence, if anything.
    pub(crate) caveat: Option<String>,
}

/// Why nobody judges.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Vacant {
    /// The agent that was named is not configured here.
    Unknown(AgentId),
    /// All who may be asked are of a family whose work is to be judged.
    Kin(BTreeSet<String>),
}

/// What agents of one maker and line have in common: what their card's tag says, else the
/// letters that the model's name begins with: `gpt` of `openai/gpt-5-mini`.
pub(crate) fn family(card: &AgentCard) -> String {
    if let Some(named) = card.tags.iter().find_map(|tag| tag.strip_prefix(TAG)) {
        return named.to_owned();
    }
    let name = card.model.rsplit('/').next().unwrap_or_default().to_lowercase();
    let letters: String = name.chars().take_while(|c| c.is_alphabetic()).collect();
    if letters.is_empty() { name } else { letters }
}

/// Who judges what these wrote: the agent that is named; else, of those that may be asked
/// and belong to none of the authors' families, the configured judge, or the dearest, since
/// price is the best-known proxy of strength.
pub(crate) fn seat<'a>(
    settings: &'a Settings,
    named: Option<&AgentId>,
    authors: &[Option<&AgentId>],
    means: &Means<'_>,
) -> Result<Seat<'a>, Vacant> {
    let known = |author: &Option<&AgentId>| author.and_then(|id| settings.pool.get(id));
    let families: BTreeSet<_> = authors.iter().filter_map(known).map(family).collect();
    if let Some(id) = named {
        let card = settings.pool.get(id).ok_or_else(|| Vacant::Unknown(id.clone()))?;
        let own = family(card);
        let caveat = families.contains(&own).then(|| format!("judged by its own family, {own}"));
        return Ok(Seat { card, caveat });
    }
    let may = |card: &&AgentCard| means.judges.is_none_or(|judges| judges.contains(&card.id));
    let others = settings.pool.agents().iter().filter(may);
    let others = others.filter(|card| !families.contains(&family(card)));
    let rank = |card: &&AgentCard| (settings.judge.as_ref() == Some(&card.id), card.price.output);
    let card = others.min_by_key(|card| Reverse(rank(card)));
    let unknown = authors.iter().any(|author| known(author).is_none());
    let caveat = unknown.then(|| "the author's family is not known".to_owned());
    card.map(|card| Seat { card, caveat }).ok_or(Vacant::Kin(families))
}
