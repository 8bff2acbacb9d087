//! What a run is asked to do, fixed at its submission.

use baton_workflow::{
    Abilities, Access, AgentCard, AgentId, BodyRef, Budget, Limits, Price, Selection, StepId, Usd,
    Workflow,
};
use serde::{Deserialize, Serialize};

/// Everything that the state machine needs to know of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    /// The conversation to be answered, as a body.
    pub request: BodyRef,
    /// The most that may be consumed.
    pub budget: Budget,
    /// Bounds on plans and repetitions.
    pub limits: Limits,
    /// The agents that may be used, in the order of the pool.
    pub agents: Vec<AgentTerms>,
    /// Where workflows come from.
    pub planning: Planning,
    /// How the answer is checked, if it is.
    pub check: Option<Check>,
    /// Whether agents must take images.
    pub images: bool,
    /// What whoever writes the answer must be able to do.
    #[serde(default = "text_alone", skip_serializing_if = "Abilities::is_nothing")]
    pub needs: Abilities,
    /// Whether plans may name the Conductor itself, as long as the budget has depth.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recursion: bool,
    /// Whether the answer's calls of tools are awaited, instead of ending the run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits: bool,
    /// Whether the policy looks at an answer that nothing decides on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub review: bool,
    /// What a right answer is worth, where somebody said so: then a round that costs more
    /// than it may bring is not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worth: Option<Usd>,
}

impl RunSpec {
    /// Whether a step of this run may be a workflow of its own.
    pub fn recurses(&self) -> bool {
        self.recursion && self.budget.depth > 0
    }
}

fn text_alone() -> Abilities {
    Abilities::NONE
}

/// What the state machine knows of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentTerms {
    /// Who.
    pub id: AgentId,
    /// List price.
    pub price: Price,
    /// Tokens it can read and write in one call.
    pub context_tokens: u32,
    /// Tokens it can write in one call.
    pub output_tokens: u32,
    /// Whether it can be shown images.
    pub images: bool,
    /// What else it can do.
    #[serde(default, skip_serializing_if = "Abilities::is_everything")]
    pub abilities: Abilities,
}

impl From<&AgentCard> for AgentTerms {
    fn from(card: &AgentCard) -> Self {
        Self {
            id: card.id.clone(),
            price: card.price,
            context_tokens: card.context_tokens,
            output_tokens: card.output_tokens,
            images: card.images,
            abilities: card.abilities,
        }
    }
}

/// Where workflows come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Planning {
    /// A named strategy, made into a workflow at submission.
    Strategy {
        /// Its name.
        name: String,
        /// The workflow.
        plan: Plan,
    },
    /// The policy: a language model that writes workflows.
    Policy {
        /// Its terms; for the bill and the budget.
        model: AgentTerms,
        /// Taken instead when the policy cannot be read or reached.
        fallback: Plan,
        /// The fallback's name.
        fallback_name: String,
    },
}

/// A workflow without its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The workflow with its words, as a body of JSON.
    pub workflow: BodyRef,
    /// The state of the pool it was made for.
    pub pool_version: String,
    /// Its steps.
    pub steps: Vec<StepShape>,
    /// Where the answer comes from.
    pub selection: Selection,
}

/// A step without its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepShape {
    /// Who does it.
    pub agent: AgentId,
    /// Which earlier steps it sees.
    pub sees: Vec<StepId>,
    /// Whether it sees what became of earlier rounds: as every step does that may see
    /// anything.
    #[serde(default)]
    pub sees_rounds: bool,
    /// The step of the round before that it is, with its output: then nobody does it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<StepId>,
}

impl Plan {
    /// The shape of a valid workflow whose words are stored as `workflow`.
    pub fn of(flow: &Workflow, workflow: BodyRef) -> Self {
        let shape = |(place, step): (usize, &baton_workflow::Step)| StepShape {
            agent: step.agent.clone(),
            sees: step.access.visible(StepId(place as u16)),
            sees_rounds: step.access != Access::None,
            kept: flow.kept(StepId(place as u16)),
        };
        Self {
            workflow,
            pool_version: flow.pool_version().to_owned(),
            steps: flow.steps().iter().enumerate().map(shape).collect(),
            selection: flow.selection(),
        }
    }

    /// Whether a step's output may be the answer.
    pub fn may_answer(&self, step: StepId) -> bool {
        match self.selection {
            Selection::Last => step.index() + 1 == self.steps.len(),
            Selection::Majority => self.leaves().any(|leaf| leaf == step),
        }
    }

    /// Steps whose output no other step sees.
    pub fn leaves(&self) -> impl Iterator<Item = StepId> + '_ {
        (0..self.steps.len() as u16)
            .map(StepId)
            .filter(|leaf| !self.steps.iter().any(|step| step.sees.contains(leaf)))
    }
}

/// How an answer is checked before it is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Check {
    /// Equal, as text or as a number, to what the request says is right.
    Answer {
        /// What is right.
        expected: String,
    },
    /// What a verifier can tell without asking a model.
    Stated {
        /// The check, as the crate `checks` reads it from JSON.
        check: String,
    },
    /// A model judges the answer.
    Judge {
        /// The judge's terms.
        model: AgentTerms,
    },
    /// Models judge the answer, alone or beside what can be told without them.
    Judged {
        /// The check, as the crate `checks` reads it from JSON.
        check: String,
        /// Who may be asked.
        judges: Vec<AgentTerms>,
        /// Calls that it takes.
        calls: u16,
    },
    /// A model compares the candidates of a vote. Which is better says nothing of whether it
    /// is right: an answer is not checked by it.
    Compared {
        /// The check, as the crate `checks` reads it from JSON.
        check: String,
        /// Who may be asked.
        judges: Vec<AgentTerms>,
    },
}

impl Check {
    /// Whether an answer is checked by it.
    pub fn is_of_answers(&self) -> bool {
        match self {
            Self::Answer { .. }
            | Self::Stated { .. }
            | Self::Judge { .. }
            | Self::Judged { .. } => true,
            Self::Compared { .. } => false,
        }
    }
}
