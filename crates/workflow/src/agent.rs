//! The agents that can be given a step, as the Conductor knows them.

use crate::{Abilities, AgentId, Price, Spend};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One agent: who it is, what it is good at, what it costs, what it can take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentCard {
    /// Unique within the pool.
    pub id: AgentId,
    /// Name of the provider that serves it, from the configuration.
    pub provider: String,
    /// The model's name at that provider.
    pub model: String,
    /// What it is good at, in words; shown to the Conductor.
    pub strengths: String,
    /// List price.
    pub price: Price,
    /// Tokens it can read and write in one call.
    pub context_tokens: u32,
    /// Tokens it can write in one call.
    pub output_tokens: u32,
    /// Calls it takes at the same time.
    pub concurrency: u32,
    /// Whether it can be shown images.
    pub images: bool,
    /// What else it can do.
    #[serde(default, skip_serializing_if = "Abilities::is_everything")]
    pub abilities: Abilities,
    /// Free labels, such as `region:eu` or `data:no-training`.
    pub tags: BTreeSet<String>,
}

impl AgentCard {
    /// The most that one call can consume: `tokens_in` read and `tokens_out_max`
    /// written, the latter bounded by what the agent can write at all.
    pub fn upper_bound(&self, tokens_in: u64, tokens_out_max: u32) -> Spend {
        let tokens_out = u64::from(tokens_out_max.min(self.output_tokens));
        let usd = self.price.cost(tokens_in, tokens_out);
        Spend { usd, tokens_in, tokens_out, calls: 1 }
    }
}

/// The agents that a run may use, in the order the Conductor is shown them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PoolForm", into = "PoolForm")]
pub struct Pool {
    version: String,
    agents: Vec<AgentCard>,
    places: BTreeMap<AgentId, usize>,
}

#[derive(Serialize, Deserialize)]
struct PoolForm {
    version: String,
    agents: Vec<AgentCard>,
}

impl TryFrom<PoolForm> for Pool {
    type Error = PoolError;
    fn try_from(form: PoolForm) -> Result<Self, PoolError> {
        Self::new(form.version, form.agents)
    }
}

impl From<Pool> for PoolForm {
    fn from(pool: Pool) -> Self {
        Self { version: pool.version, agents: pool.agents }
    }
}

/// Why agents do not make a pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// A plan must have somebody to name.
    #[error("the pool has no agent: expected at least one")]
    Empty,
    /// Two agents answer to one name.
    #[error("agent {0} is in the pool twice: expected every id once")]
    Duplicate(AgentId),
}

impl Pool {
    /// At least one agent, no id twice. `version` names this state of the pool in plans.
    pub fn new(version: impl Into<String>, agents: Vec<AgentCard>) -> Result<Self, PoolError> {
        if agents.is_empty() {
            return Err(PoolError::Empty);
        }
        let mut places = BTreeMap::new();
        for (place, agent) in agents.iter().enumerate() {
            if places.insert(agent.id.clone(), place).is_some() {
                return Err(PoolError::Duplicate(agent.id.clone()));
            }
        }
        Ok(Self { version: version.into(), agents, places })
    }

    /// The name of this state of the pool.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// All agents, in the order of their ordinals.
    pub fn agents(&self) -> &[AgentCard] {
        &self.agents
    }

    /// The agent of that id.
    pub fn get(&self, id: &AgentId) -> Option<&AgentCard> {
        self.places.get(id).and_then(|place| self.agents.get(*place))
    }

    /// The ordinal under which the Conductor is shown this agent.
    pub fn ordinal(&self, id: &AgentId) -> Option<usize> {
        self.places.get(id).copied()
    }

    /// The same pool with only the agents that `keep` says yes to.
    pub fn filtered(&self, keep: impl Fn(&AgentCard) -> bool) -> Result<Self, PoolError> {
        let kept = self.agents.iter().filter(|a| keep(a)).cloned().collect();
        Self::new(self.version.clone(), kept)
    }
}
