//! `baton config status`.

use crate::{
    args::EndpointArgs,
    client,
    exit::Failure,
    output::{BAD, PLAIN, STRONG},
};
use serde_json::Value;
use std::process::ExitCode;

/// Shows which version is in force at an endpoint, and what it refused.
pub(super) async fn status(endpoint: &EndpointArgs, json: bool) -> Result<ExitCode, Failure> {
    let (api, _) = client::remote(endpoint)?;
    let mut running = api.get("/v1/config").await.map_err(client::failure)?;
    if json {
        if let Some(document) = running.as_object_mut() {
            document.remove("settings");
        }
        anstream::println!("{running:#}");
        return Ok(ExitCode::SUCCESS);
    }
    anstream::println!("{STRONG}version {}{PLAIN} is in force", running["version"]);
    for name in running["restart"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        anstream::println!("{name} was changed and needs a restart");
    }
    let refusal = &running["refusal"];
    let source = refusal["source"].as_str().unwrap_or_default();
    for complaint in refusal["complaints"].as_array().into_iter().flatten() {
        let line = complaint["line"].as_u64().map(|line| format!(":{line}")).unwrap_or_default();
        let reason = complaint["reason"].as_str().unwrap_or_default();
        anstream::println!("{BAD}refused{PLAIN} {source}{line}: {reason}");
    }
    Ok(ExitCode::SUCCESS)
}
