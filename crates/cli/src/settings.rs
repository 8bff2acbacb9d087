//! Which configuration is in force: a file, the environment, or the simulated pool.

use crate::{args::PoolArgs, exit::Failure};
use baton_registry::{
    AccountSettings, Document, PolicySettings, ProviderKind, ProviderSettings, Settings,
    SettingsFaults, TimeoutSettings, read_settings, read_settings_over, read_shared, settings_for,
    settings_from_env,
};
use baton_workflow::AgentId;
use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path};

/// Largest configuration file, in bytes.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// The simulated models that plan and judge.
const SIM_CONDUCTOR: &str = "sim-conductor";
const SIM_JUDGE: &str = "sim-critic";

/// The name of the simulated pool's provider.
pub(crate) const SIM_PROVIDER: &str = "sim";

/// A configuration as it was read.
#[derive(Debug, Clone)]
pub(crate) struct InForce {
    pub(crate) settings: Settings,
    /// Whether it uses the simulated pool, which has to be started and given an address.
    pub(crate) simulated: bool,
    /// The file, if there is one.
    pub(crate) text: Option<String>,
    /// What the file was laid over.
    pub(crate) base: Base,
}

/// Where providers and agents come from if the file has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// Nowhere: it has to name them itself.
    Nothing,
    Environment,
    Simulated,
}

impl InForce {
    /// Reads the configuration, and complains about all of it at once: a file over the
    /// environment over the simulated pool.
    pub(crate) fn read(pool: &PoolArgs) -> Result<Self, SettingsFaults> {
        let env = |name: &str| std::env::var(name).ok();
        let from_env = if pool.simulated { None } else { settings_from_env(&env) };
        let (base_settings, base) = match from_env {
            Some(settings) => (settings?, Base::Environment),
            None => {
                let settings = simulated();
                let about = |error: Failure| SettingsFaults::about("sim", error.to_string());
                (settings.map_err(about)?, Base::Simulated)
            }
        };
        let (settings, text) = match &pool.config {
            None => (base_settings, None),
            Some(file) => {
                let text = read(file)?;
                (read_settings_over(&base_settings, &text, file, &env)?, Some(text))
            }
        };
        let simulated = is_simulated(&settings);
        Ok(Self { settings, simulated, text, base })
    }

    /// Reads the configuration that the cluster shares, for a process that goes by it: its
    /// keys have to be here. Nothing is laid under it, so that it means the same everywhere.
    pub(crate) fn of(document: &Document) -> Result<Self, SettingsFaults> {
        let env = |name: &str| std::env::var(name).ok();
        let settings = read_settings(&document.text, Path::new(&document.source()), &env)?;
        Ok(Self::nothing_under(settings, document))
    }

    /// The same for somebody who looks at it, wherever its keys are.
    pub(crate) fn of_elsewhere(document: &Document) -> Result<Self, SettingsFaults> {
        let settings = read_shared(&document.text, &document.source())?;
        Ok(Self::nothing_under(settings, document))
    }

    fn nothing_under(settings: Settings, document: &Document) -> Self {
        let text = Some(document.text.clone());
        Self { settings, simulated: false, text, base: Base::Nothing }
    }

    /// Says where the simulated pool listens, if it is used.
    pub(crate) fn simulated_at(&mut self, url: String) {
        if let Some(sim) = self.settings.providers.get_mut(SIM_PROVIDER).filter(|_| self.simulated)
        {
            sim.base_url = url;
        }
    }
}

/// Where the simulated pool listens, as settings say it.
pub(crate) fn simulated_url(address: SocketAddr) -> String {
    format!("http://{address}/v1")
}

/// Whether the simulated pool is used, and not started yet.
pub(crate) fn is_simulated(settings: &Settings) -> bool {
    let url = settings.providers.get(SIM_PROVIDER).map(|sim| sim.base_url.as_str());
    url == Some(NOWHERE)
}

/// The text of a configuration's file.
pub(crate) fn read(file: &Path) -> Result<String, SettingsFaults> {
    let cannot = |reason: String| {
        let file = file.display().to_string();
        SettingsFaults::about(file, format!("cannot read the configuration: {reason}"))
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
        kind: ProviderKind::OpenAi,
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
