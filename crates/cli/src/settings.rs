//! Which configuration is in force: a file, the environment, or the simulated pool.

use crate::{args::PoolArgs, exit::Failure};
use baton_registry::{
    AccountSettings, PolicySettings, ProviderSettings, Settings, TimeoutSettings,
    read_settings_over, settings_for, settings_from_env,
};
use baton_workflow::AgentId;
use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path};

/// Largest configuration file, in bytes.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// The simulated models that plan and judge.
const SIM_CONDUCTOR: &str = "sim-conductor";
const SIM_JUDGE: &str = "sim-critic";

/// The name of the simulated pool's provider.
const SIM_PROVIDER: &str = "sim";

/// The configuration in force.
pub(crate) struct InForce {
    pub(crate) settings: Settings,
    /// Whether it uses the simulated pool, which has to be started and given an address.
    pub(crate) simulated: bool,
}

impl InForce {
    /// Reads the configuration, and complains about all of it at once: a file over the
    /// environment over the simulated pool.
    pub(crate) fn read(pool: &PoolArgs) -> Result<Self, Failure> {
        let env = |name: &str| std::env::var(name).ok();
        let from_env = if pool.simulated { None } else { settings_from_env(&env) };
        let base = match from_env {
            Some(settings) => settings.map_err(|faults| Failure::usage(faults.to_string()))?,
            None => simulated()?,
        };
        let settings = match &pool.config {
            None => base,
            Some(file) => {
                let text = read(file)?;
                let settings = read_settings_over(&base, &text, file, &env);
                settings.map_err(|faults| Failure::usage(faults.to_string()))?
            }
        };
        let url = settings.providers.get(SIM_PROVIDER).map(|sim| sim.base_url.as_str());
        let simulated = url == Some(NOWHERE);
        Ok(Self { settings, simulated })
    }

    /// Says where the simulated pool listens.
    pub(crate) fn simulated_at(&mut self, address: SocketAddr) {
        if let Some(sim) = self.settings.providers.get_mut(SIM_PROVIDER) {
            sim.base_url = format!("http://{address}/v1");
        }
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

/// Where the simulated pool is before it is started.
const NOWHERE: &str = "http://simulated.invalid/v1";

/// The simulated pool: its workers are the agents, its Conductor plans, its critic judges.
fn simulated() -> Result<Settings, Failure> {
    let provider = ProviderSettings {
        base_url: NOWHERE.into(),
        key: None,
        timeouts: TimeoutSettings::default(),
        stream: true,
        account: AccountSettings::default(),
    };
    let all = baton_sim::cards_all();
    let conductor = all.into_iter().find(|card| card.id.as_str() == SIM_CONDUCTOR);
    let conductor =
        conductor.ok_or_else(|| Failure::other("the simulated pool has no Conductor"))?;
    let providers = BTreeMap::from([(SIM_PROVIDER.to_owned(), provider)]);
    let settings = settings_for(baton_sim::cards(), providers, PolicySettings::Model(conductor));
    let mut settings = settings.map_err(|error| Failure::other(error.to_string()))?;
    settings.judge =
        AgentId::new(SIM_JUDGE).ok().filter(|judge| settings.pool.get(judge).is_some());
    Ok(settings)
}
