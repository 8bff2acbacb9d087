//! What a model's name stands for.

use baton_registry::Settings;
use baton_workflow::AgentId;

/// What answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Model {
    /// A run: `baton`, `baton-ultra` or `baton/STRATEGY`.
    Run(String),
    /// One agent, called directly.
    Agent(AgentId),
}

/// The names that stand for a run planned as configured.
pub(crate) const ALIASES: [&str; 2] = ["baton", "baton-ultra"];
/// Stands before a strategy's name.
pub(crate) const STRATEGY_PREFIX: &str = "baton/";

/// What can be asked for at the moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer<'a> {
    pub(crate) strategies: &'a [&'static str],
    pub(crate) settings: &'a Settings,
}

impl Offer<'_> {
    /// What the name stands for, if for anything. Names of runs go before agents'.
    pub(crate) fn find(&self, name: &str) -> Option<Model> {
        let strategy = name.strip_prefix(STRATEGY_PREFIX);
        if ALIASES.contains(&name) || strategy.is_some_and(|s| self.strategies.contains(&s)) {
            return Some(Model::Run(name.to_owned()));
        }
        let id = AgentId::new(name).ok()?;
        self.settings.pool.get(&id).map(|card| Model::Agent(card.id.clone()))
    }

    /// Every name, in a stable order: runs, then agents in the order of the pool.
    pub(crate) fn names(&self) -> Vec<String> {
        let aliases = ALIASES.iter().map(|name| (*name).to_owned());
        let strategies = self.strategies.iter().map(|name| format!("{STRATEGY_PREFIX}{name}"));
        let agents = self.settings.pool.agents().iter().map(|card| card.id.to_string());
        aliases.chain(strategies).chain(agents).collect()
    }

    /// What to say of a name that stands for nothing.
    pub(crate) fn no_model(&self, name: &str) -> String {
        format!("the model {name:?} does not exist: there are {}", self.names().join(", "))
    }
}
