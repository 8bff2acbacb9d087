//! `baton config diff`.

use super::name;
use crate::{
    args::{EndpointArgs, PoolArgs},
    client,
    exit::Failure,
    output::{BAD, DIM, GOOD, PLAIN},
    settings::{InForce, SIM_PROVIDER},
};
use baton_registry::{Difference, Origins, differences};
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode};

/// What only a restart changes begins so.
const RESTART: &str = "server.";

/// Compares a file with another one, or with what is in force at an endpoint.
pub(super) async fn diff(
    pool: &PoolArgs,
    other: Option<PathBuf>,
    endpoint: &EndpointArgs,
    json: bool,
) -> Result<ExitCode, Failure> {
    let (from, to, changes) = match other {
        Some(other) => {
            let second = PoolArgs { config: Some(other), ..pool.clone() };
            let (from, to) = (read(pool)?.settings.document(), read(&second)?.settings.document());
            (name(pool), name(&second), differences(&from, &to))
        }
        None => {
            let (api, _) = client::remote(endpoint)?;
            let running = api.get("/v1/config").await.map_err(client::failure)?;
            let changes = against(&running["settings"], read(pool)?);
            let url = endpoint.endpoint.clone().unwrap_or_else(|| "the running cluster".into());
            (format!("{url} (version {})", running["version"]), name(pool), changes)
        }
    };
    if json {
        let changes: Vec<_> = changes.iter().map(described).collect();
        let document = json!({
            "object": "baton.config.diff", "from": from, "to": to, "differences": changes,
        });
        anstream::println!("{document:#}");
        return Ok(ExitCode::SUCCESS);
    }
    anstream::println!("{DIM}from {from} to {to}{PLAIN}");
    if changes.is_empty() {
        anstream::println!("nothing differs");
    }
    changes.iter().for_each(print);
    Ok(ExitCode::SUCCESS)
}

fn read(pool: &PoolArgs) -> Result<InForce, Failure> {
    InForce::read(pool).map_err(|faults| Failure::settings(&faults))
}

/// What would change where these are in force.
fn against(running: &Value, mut file: InForce) -> Vec<Difference> {
    // The simulated pool is where it is.
    if let Some(url) = running["providers"][SIM_PROVIDER]["base_url"].as_str() {
        file.simulated_at(url.to_owned());
    }
    let origins = file.text.as_deref().map(Origins::of).unwrap_or_default();
    let mut changes = differences(running, &file.settings.document());
    // What the file does not say of the server may come from the command line there.
    changes
        .retain(|change| !change.path.starts_with(RESTART) || origins.line(&change.path).is_some());
    changes
}

fn described(change: &Difference) -> Value {
    let needs_restart = change.path.starts_with(RESTART);
    json!({
        "path": change.path, "from": change.from, "to": change.to, "needs_restart": needs_restart,
    })
}

fn print(change: &Difference) {
    let restart = if change.path.starts_with(RESTART) { " (needs a restart)" } else { "" };
    let (sign, style) = match (&change.from, &change.to) {
        (None, _) => ('+', GOOD),
        (Some(_), None) => ('-', BAD),
        (Some(_), Some(_)) => ('~', DIM),
    };
    anstream::println!("{style}{sign}{PLAIN} {change}{restart}");
}
