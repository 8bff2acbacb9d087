//! Which configuration is in force: a file, the environment, or the simulated pool.

use crate::{args::PoolArgs, exit::Failure};
use baton_registry::{
    PolicySettings, ProviderSettings, Settings, TimeoutSettings, read_settings, settings_for,
    settings_from_env,
};
use baton_workflow::AgentId;
use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path};

/// Largest configuration file, in bytes.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// The simulated models that plan and judge.
const SIM_CONDUCTOR: &str = "sim-conductor";
const SIM_JUDGE: &str = "sim-critic";

/// Where the settings come from; they are complete once the simulated pool, if it is
/// needed, has its address.
pub(crate) enum Source {
    /// As they are.
    Given(Box<Settings>),
    /// The simulated pool, to be started in this process.
    Simulated,
}

/// Reads the configuration, and complains about all of it at once.
pub(crate) fn source(pool: &PoolArgs) -> Result<Source, Failure> {
    let env = |name: &str| std::env::var(name).ok();
    if pool.simulated {
        return Ok(Source::Simulated);
    }
    if let Some(file) = &pool.config {
        let text = read(file)?;
        let settings = read_settings(&text, file, &env);
        let settings = settings.map_err(|faults| Failure::usage(faults.to_string()))?;
        return Ok(Source::Given(Box::new(settings)));
    }
    match settings_from_env(&env) {
        Some(Ok(settings)) => Ok(Source::Given(Box::new(settings))),
        Some(Err(faults)) => Err(Failure::usage(faults.to_string())),
        None => Ok(Source::Simulated),
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    let cannot = |reason: String| {
        Failure::usage(format!("cannot read the configuration {}: {reason}", file.display()))
    };
    let length = fs::metadata(file).map_err(|error| cannot(error.to_string()))?.len();
    if length > CONFIG_BYTES_MAX {
        return Err(cannot(format!("it has {length} bytes, at most {CONFIG_BYTES_MAX} are read")));
    }
    fs::read_to_string(file).map_err(|error| cannot(error.to_string()))
}

/// The simulated pool behind this address: its workers are the agents, its Conductor
/// plans, its critic judges.
pub(crate) fn simulated(address: SocketAddr) -> Result<Settings, Failure> {
    let provider = ProviderSettings {
        base_url: format!("http://{address}/v1"),
        key: None,
        timeouts: TimeoutSettings::default(),
        stream: true,
    };
    let all = baton_sim::cards_all();
    let conductor = all.into_iter().find(|card| card.id.as_str() == SIM_CONDUCTOR);
    let conductor =
        conductor.ok_or_else(|| Failure::other("the simulated pool has no Conductor"))?;
    let providers = BTreeMap::from([("sim".to_owned(), provider)]);
    let settings = settings_for(baton_sim::cards(), providers, PolicySettings::Model(conductor));
    let mut settings = settings.map_err(|error| Failure::other(error.to_string()))?;
    settings.judge =
        AgentId::new(SIM_JUDGE).ok().filter(|judge| settings.pool.get(judge).is_some());
    Ok(settings)
}
