//! Pools for this crate's tests.

use baton_workflow::{AgentCard, AgentId, Pool, Price};
use std::collections::BTreeSet;

/// An agent at that price in dollars per million tokens written; read at a tenth.
pub(crate) fn card(id: &str, dollars: f64) -> AgentCard {
    AgentCard {
        id: AgentId::new(id).unwrap(),
        provider: "sim".into(),
        model: id.into(),
        strengths: format!("good at {id} things"),
        price: Price::from_dollars(dollars / 10.0, dollars).unwrap(),
        context_tokens: 8192,
        output_tokens: 1000,
        concurrency: 1,
        images: false,
        abilities: Default::default(),
        tags: BTreeSet::new(),
    }
}

/// Up to four agents: `small`, `large`, `medium`, `tiny`.
pub(crate) fn pool(agents: usize) -> Pool {
    let all = [("small", 1.0), ("large", 10.0), ("medium", 5.0), ("tiny", 0.5)];
    let cards = all.iter().take(agents).map(|(id, dollars)| card(id, *dollars));
    Pool::new("v1", cards.collect()).unwrap()
}
