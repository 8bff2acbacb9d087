//! What can be asked for: `GET /v1/models`.

use crate::{
    edge::Id,
    error::ApiError,
    gateway::Shared,
    request::{ALIASES, Offer, STRATEGY_PREFIX},
};
use axum::{Json, extract::State, http::StatusCode};
use baton_codes::ApiCode;
use baton_workflow::AgentCard;
use serde_json::{Value, json};
use std::sync::Arc;

/// Models are as old as their configuration, which has no birthday: 2026-01-01.
const CREATED: u64 = 1_767_225_600;

/// All of them.
pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let settings = shared.registry.settings();
    let offer = Offer { strategies: &shared.strategies, settings: &settings };
    Json(json!({ "object": "list", "data": all(&offer) }))
}

/// One of them.
pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Id(id): Id,
) -> Result<Json<Value>, ApiError> {
    let settings = shared.registry.settings();
    let offer = Offer { strategies: &shared.strategies, settings: &settings };
    let found = all(&offer).into_iter().find(|model| model["id"] == id.as_str());
    found.map(Json).ok_or_else(|| {
        ApiError::new(StatusCode::NOT_FOUND, ApiCode::ModelNotFound, offer.no_model(&id))
            .param("model")
    })
}

fn all(offer: &Offer<'_>) -> Vec<Value> {
    let aliases = ALIASES.iter().map(|id| run(id, "policy"));
    let strategies = offer.strategies.iter();
    let strategies = strategies.map(|name| run(&format!("{STRATEGY_PREFIX}{name}"), "strategy"));
    let agents = offer.settings.pool.agents().iter().map(agent);
    aliases.chain(strategies).chain(agents).collect()
}

fn run(id: &str, planned_by: &str) -> Value {
    let about = json!({ "kind": "run", "planned_by": planned_by });
    json!({
        "id": id, "object": "model", "created": CREATED, "owned_by": "baton", "baton": about,
    })
}

fn agent(card: &AgentCard) -> Value {
    let dollars_per_million = |micro: u64| micro as f64 / 1e6;
    json!({
        "id": card.id,
        "object": "model",
        "created": CREATED,
        "owned_by": card.provider,
        "baton": {
            "kind": "agent",
            "strengths": card.strengths,
            "context_tokens": card.context_tokens,
            "output_tokens": card.output_tokens,
            "images": card.images,
            "usd_per_million_tokens_in": dollars_per_million(card.price.input),
            "usd_per_million_tokens_out": dollars_per_million(card.price.output),
        },
    })
}
