//! The configuration in force: `GET /v1/config`.

use crate::{edge::Caller, error::ApiError, gateway::Shared};
use axum::{Extension, Json, extract::State, http::StatusCode};
use baton_codes::ApiCode;
use baton_registry::Configuration;
use serde_json::{Value, json};
use std::sync::Arc;

/// Everything that is in force, and what was refused since. Names of tenants and places of
/// keys are in it, so that a key opens it only if it is an operator's. No secret is in it:
/// settings hold none.
pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Value>, ApiError> {
    if !caller.operator {
        let message = "this key is not an operator's: set `operator = true` at its [[keys]]";
        return Err(ApiError::new(StatusCode::FORBIDDEN, ApiCode::OperatorOnly, message));
    }
    let configuration = shared.registry.configuration();
    Ok(Json(json!({
        "object": "baton.config",
        "version": configuration.version,
        "since_ms": configuration.since_ms,
        "refusal": configuration.refusal,
        "restart": configuration.restart,
        "settings": configuration.settings.document(),
    })))
}

/// What anybody may know.
pub(crate) fn summary(configuration: &Configuration) -> Value {
    json!({
        "version": configuration.version,
        "refused": configuration.refusal.is_some(),
        "restart_needed": !configuration.restart.is_empty(),
    })
}
