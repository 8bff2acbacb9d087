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
    /// What the verifier has for plans that name it as an agent; none where they may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<VerifierTerms>,
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

impl RunSpec {
    /// By what a step of this run that names the verifier can be checked.
    pub fn offered(&self) -> Option<crate::Offered> {
        let verifier = self.verifier.as_ref()?;
        let (check, judge) = (self.check.is_some(), verifier.judge.is_some());
        Some(crate::Offered { check: check || judge, judge })
    }
}

/// What a step that names the verifier can be checked by, beside what its plan states.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VerifierTerms {
    /// Who judges by criteria in words, if anybody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<AgentTerms>,
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
    /// By what it checks what it sees, where it names the verifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifies: Option<Verifies>,
}

/// By what a step that names the verifier checks what it sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Verifies {
    /// The run's own check, or its judge; several candidates are put to the vote.
    Own,
    /// What a verifier can tell without asking a model, as the plan states it.
    Stated {
        /// The check, as the crate `checks` reads it from JSON.
        check: String,
    },
    /// Criteria for a judge, which are the step's subtask.
    Words,
}

impl Verifies {
    fn of(step: &baton_workflow::Step) -> Option<Self> {
        if !step.agent.is_verifier() {
            return None;
        }
        Some(match step.subtask.trim() {
            "" => Self::Own,
            check if check.starts_with('{') => Self::Stated { check: check.to_owned() },
            _words => Self::Words,
        })
    }
}

impl Plan {
    /// The shape of a valid workflow whose words are stored as `workflow`.
    pub fn of(flow: &Workflow, workflow: BodyRef) -> Self {
        let shape = |(place, step): (usize, &baton_workflow::Step)| StepShape {
            agent: step.agent.clone(),
            sees: step.access.visible(StepId(place as u16)),
            sees_rounds: step.access != Access::None,
            kept: flow.kept(StepId(place as u16)),
            verifies: Verifies::of(step),
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
        match (self.selection, self.last_verifies()) {
            (Selection::Last, Some(last)) => self.candidates(last).contains(&step),
            (Selection::Last, None) => step.index() + 1 == self.steps.len(),
            (Selection::Majority, _) => self.leaves().any(|leaf| leaf == step),
        }
    }

    /// Steps of agents whose output no other agent's step sees.
    pub fn leaves(&self) -> impl Iterator<Item = StepId> + '_ {
        let agents = || self.steps.iter().filter(|step| step.verifies.is_none());
        let leaf = move |leaf: &StepId| !agents().any(|step| step.sees.contains(leaf));
        (0..self.steps.len() as u16).map(StepId).filter(leaf).filter(|leaf| !self.verifies(*leaf))
    }

    /// Whether a step names the verifier.
    pub(crate) fn verifies(&self, step: StepId) -> bool {
        self.steps.get(step.index()).is_some_and(|step| step.verifies.is_some())
    }

    /// What a step that names the verifier looks at: what agents did of what it sees.
    pub(crate) fn candidates(&self, step: StepId) -> Vec<StepId> {
        let sees = self.steps.get(step.index()).map_or(&[][..], |step| &step.sees);
        sees.iter().copied().filter(|seen| !self.verifies(*seen)).collect()
    }

    /// The last step, where the answer is what the verifier says of others' there.
    pub(crate) fn last_verifies(&self) -> Option<StepId> {
        let last = StepId(self.steps.len().checked_sub(1)? as u16);
        (self.selection == Selection::Last && self.verifies(last)).then_some(last)
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
        /// Whether candidates are voted on by it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        votes: bool,
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
    /// Whether candidates are voted on by it too, instead of by what they say.
    pub(crate) fn votes(&self) -> bool {
        match self {
            Self::Stated { votes, .. } => *votes,
            Self::Answer { .. }
            | Self::Judge { .. }
            | Self::Judged { .. }
            | Self::Compared { .. } => false,
        }
    }

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
