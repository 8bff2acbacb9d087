//! The configuration file: TOML in, settings or every complaint out.
//!
//! `docs/guides/configuration.md` describes the format.

mod account;
mod agent;
mod bounds;
mod faults;
mod judging;
mod keys;
mod policy;
mod provider;
mod retention;
mod sandbox;
mod secret;
mod server;
mod strategy;
mod table;
mod tenants;

pub use faults::{Complaint, SettingsFaults};

pub(crate) use agent::{CONCURRENCY, POLICY_AGENT};
pub(crate) use faults::Faults;
pub(crate) use provider::{ANTHROPIC_KEY, ANTHROPIC_URL, check_base_url};

use crate::{PolicySettings, Settings, StrategySettings};
use agent::Agents;
use policy::Policy;
use std::path::Path;
use table::{Shape, Table};
use toml::de::DeTable;

/// Largest configuration read, in bytes: thousands of agents.
const SETTINGS_BYTES_MAX: usize = 4 * 1024 * 1024;

const ROOT: Shape = Shape {
    required: &[],
    optional: &[
        "server",
        "providers",
        "agents",
        "policy",
        "limits",
        "budget",
        "retention",
        "tenants",
        "judging",
        "keys",
        "sandbox",
    ],
};

/// What reading needs from outside the text.
struct Context<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    folder: &'a Path,
    /// Whether it is read for other machines, where the keys are.
    elsewhere: bool,
}

/// Reads a configuration.
///
/// `file` is its name, for complaints, and the place that key files are relative to.
/// `env` looks up environment variables. Keys are looked for, so that a missing one is
/// found now and not by the first request, but they are not kept.
///
/// # Errors
/// Everything that is wrong, each with its line. While the text is not TOML, only that
/// is said: what it would mean is guesswork.
pub fn read_settings(
    text: &str,
    file: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, SettingsFaults> {
    read(None, text, file, env, false)
}

/// Reads a configuration that all processes of a cluster share, without looking for its
/// keys: they are where the processes are. Relative names of key files mean something else
/// to each of them, and are complained about. `source` is what it is called.
///
/// # Errors
/// As [`read_settings`].
pub fn read_shared(text: &str, source: &str) -> Result<Settings, SettingsFaults> {
    read(None, text, Path::new(source), &|_| None, true)
}

/// Reads a configuration that may leave out both providers and agents: then those of
/// `base` serve, and its policy unless the configuration names one. The rest of `base` is not used.
///
/// # Errors
/// As [`read_settings`].
pub fn read_settings_over(
    base: &Settings,
    text: &str,
    file: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, SettingsFaults> {
    read(Some(base), text, file, env, false)
}

fn read(
    base: Option<&Settings>,
    text: &str,
    file: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    elsewhere: bool,
) -> Result<Settings, SettingsFaults> {
    let mut faults = Faults::new(text);
    let context = Context { env, folder: file.parent().unwrap_or(Path::new("")), elsewhere };
    let settings = read_text(base, text, &context, &mut faults);
    match settings {
        Some(settings) if !faults.any() => Ok(settings),
        Some(_) | None => Err(faults.into_settings_faults(file.display().to_string())),
    }
}

/// Nothing only after a complaint.
fn read_text(
    base: Option<&Settings>,
    text: &str,
    context: &Context<'_>,
    faults: &mut Faults<'_>,
) -> Option<Settings> {
    if text.len() > SETTINGS_BYTES_MAX {
        let bytes = text.len();
        faults.at(0, format!("the file has {bytes} bytes: expected at most {SETTINGS_BYTES_MAX}"));
        return None;
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        faults.at(at, format!("not TOML: {}", error.message().replace('\n', ", ")));
    }
    if faults.any() {
        return None;
    }
    let root = Table::open("", 0, document.get_ref(), &ROOT, faults);
    let base = base.filter(|_| !root.has("providers") && !root.has("agents"));
    let (providers, agents) = match base {
        Some(base) => {
            let ids = base.pool.agents().iter().map(|agent| agent.id.clone()).collect();
            (base.providers.clone(), Agents { ids, pool: Some(base.pool.clone()) })
        }
        None => {
            let providers = provider::providers(root, context, faults);
            let agents = agent::agents(root, &providers, faults);
            (providers, agents)
        }
    };
    let limits = bounds::limits(root, faults);
    let budget = bounds::budget(root, faults);
    let server = server::server(root, context, faults);
    let tenants = tenants::tenants(root, faults);
    let judging = judging::judging(root, &agents, faults);
    let retention = retention::retention(root, faults);
    let sandbox = sandbox::sandbox(root, faults);
    let auth = keys::auth(root, context, faults);
    let Policy { policy, fallback, judge, hedge, single_flight, recursion, review, verifier } =
        policy::policy(root, &agents, &providers, &limits, faults);
    let policy = policy.or_else(|| base.map(|base| base.policy.clone()));
    let policy = policy.unwrap_or_else(|| PolicySettings::Strategy(StrategySettings::direct()));
    let pool = agents.pool?;
    Some(Settings {
        server,
        providers,
        pool,
        policy,
        fallback,
        judge,
        hedge,
        single_flight,
        recursion,
        review,
        verifier,
        limits,
        budget,
        retention,
        tenants,
        judging,
        sandbox,
        auth,
    })
}

#[cfg(test)]
mod tests;
