//! The named strategies: well-known ways to put a team together, as workflows.

mod build;
mod params;

use baton_workflow::{AgentId, Limits, Pool, Workflow};
use serde_json::Value;

/// Samples of `self_consistency` where no number is given: the fewest with a majority.
const SAMPLES_DEFAULT: u16 = 3;
/// Rounds of `reflect` where no number is given.
const ROUNDS_DEFAULT: u16 = 1;

/// A named strategy with its parameters.
///
/// Agents that are not named are chosen by one rule, so that a strategy is the same
/// workflow on every machine: a higher price per token written counts as stronger,
/// and of two agents at one price the one that comes first in the pool.
///
/// | role | agent if none is named |
/// | --- | --- |
/// | the one agent of `direct` and `self_consistency` | the strongest |
/// | proposers of `mixture_of_agents` | the three strongest, over again if there are fewer |
/// | aggregator of `mixture_of_agents` | the strongest |
/// | planner and verifier of `plan_execute_verify` | the strongest |
/// | executor of `plan_execute_verify` | the second strongest, or the only one |
/// | author of `reflect` | the strongest |
/// | critic of `reflect` | the second strongest, or the only one |
///
/// Whoever writes the answer is the strongest: a weak last step spoils a good draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// One agent answers.
    Direct {
        /// Who answers.
        agent: Option<AgentId>,
    },
    /// One agent answers several times; the majority is the answer.
    SelfConsistency {
        /// Who answers.
        agent: Option<AgentId>,
        /// How many times; at least 2.
        samples: u16,
    },
    /// Several agents answer; one more merges their answers.
    MixtureOfAgents {
        /// Who answers first; chosen if empty.
        proposers: Vec<AgentId>,
        /// Who merges.
        aggregator: Option<AgentId>,
    },
    /// One agent plans, one carries the plan out, one checks and answers.
    PlanExecuteVerify {
        /// Who plans.
        planner: Option<AgentId>,
        /// Who carries out the plan.
        executor: Option<AgentId>,
        /// Who checks and answers.
        verifier: Option<AgentId>,
    },
    /// One agent answers, another criticises, the first corrects; and so on.
    Reflect {
        /// Who answers and corrects.
        author: Option<AgentId>,
        /// Who criticises.
        critic: Option<AgentId>,
        /// How many times; at least 1.
        rounds: u16,
    },
}

impl Strategy {
    /// The names of all strategies.
    pub const NAMES: [&'static str; 5] =
        ["direct", "self_consistency", "mixture_of_agents", "plan_execute_verify", "reflect"];

    /// From a name and a JSON object of parameters (`null` stands for none):
    ///
    /// | name | parameters |
    /// | --- | --- |
    /// | `direct` | `agent` |
    /// | `self_consistency` | `agent`, `samples` (3) |
    /// | `mixture_of_agents` | `proposers` (a list), `aggregator` |
    /// | `plan_execute_verify` | `planner`, `executor`, `verifier` |
    /// | `reflect` | `author`, `critic`, `rounds` (1) |
    ///
    /// Fails with everything that is wrong at once.
    pub fn parse(name: &str, params: &Value) -> Result<Self, Vec<String>> {
        params::parse(name, params)
    }

    /// Its name, one of [`Strategy::NAMES`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Direct { .. } => "direct",
            Self::SelfConsistency { .. } => "self_consistency",
            Self::MixtureOfAgents { .. } => "mixture_of_agents",
            Self::PlanExecuteVerify { .. } => "plan_execute_verify",
            Self::Reflect { .. } => "reflect",
        }
    }

    /// The steps that its workflow has at most, whatever the pool.
    pub fn steps(&self) -> usize {
        match self {
            Self::Direct { .. } => 1,
            Self::SelfConsistency { samples, .. } => usize::from(*samples),
            Self::MixtureOfAgents { proposers, .. } if proposers.is_empty() => {
                build::PROPOSERS_DEFAULT + 1
            }
            Self::MixtureOfAgents { proposers, .. } => proposers.len() + 1,
            Self::PlanExecuteVerify { .. } => 3,
            Self::Reflect { rounds, .. } => 1 + 2 * usize::from(*rounds),
        }
    }

    /// The workflow it stands for. Fails with everything that is wrong at once: agents
    /// that the pool does not have (the caller takes denied ones out of it), more steps
    /// than the limit, and with each what to change.
    pub fn workflow(&self, pool: &Pool, limits: &Limits) -> Result<Workflow, Vec<String>> {
        build::workflow(self, pool, limits)
    }
}
