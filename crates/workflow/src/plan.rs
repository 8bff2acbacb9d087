//! A workflow: which agent does what, seeing which earlier steps.

use crate::{Access, AgentId, Limits, Pool, StepId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One step of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Who does it.
    pub agent: AgentId,
    /// What to do, in words.
    pub subtask: String,
    /// Which earlier (subtask, response) pairs the agent sees.
    pub access: Access,
}

/// Where the answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// The last step's output.
    #[default]
    Last,
    /// The majority among the outputs that no other step sees.
    Majority,
}

/// A plan that can be carried out: every agent exists, no step looks forward.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Workflow {
    steps: Vec<Step>,
    selection: Selection,
    pool_version: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    kept: BTreeMap<StepId, StepId>,
}

/// A workflow as it is stored and shown: the words, without the promise that they are
/// valid for any pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// Where the answer comes from.
    pub selection: Selection,
    /// The state of the pool that the plan was made for.
    pub pool_version: String,
    /// Steps that are not done again, with the steps of the round before that they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kept: BTreeMap<StepId, StepId>,
}

impl From<&Workflow> for Words {
    fn from(flow: &Workflow) -> Self {
        Self {
            steps: flow.steps.clone(),
            selection: flow.selection,
            pool_version: flow.pool_version.clone(),
            kept: flow.kept.clone(),
        }
    }
}

/// One thing that keeps steps from being a workflow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// There must be work to do.
    #[error("the workflow has no step: expected 1 to {max}")]
    NoSteps {
        /// Most steps allowed.
        max: u16,
    },
    /// More steps than the run may have. Never cut off: the last step is the answer.
    #[error("the workflow has {found} steps: expected 1 to {max}")]
    TooManySteps {
        /// Steps in the plan.
        found: usize,
        /// Most steps allowed.
        max: u16,
    },
    /// The step is given to nobody.
    #[error("step {step} names agent {agent}, which is not in the pool")]
    UnknownAgent {
        /// The step, from 0.
        step: usize,
        /// The name that was not found.
        agent: AgentId,
    },
    /// The step says nothing.
    #[error("step {step} has an empty subtask: expected an instruction")]
    EmptySubtask {
        /// The step, from 0.
        step: usize,
    },
    /// The instruction is longer than the limit.
    #[error("step {step} has a subtask of {found} bytes: expected at most {max}")]
    LongSubtask {
        /// The step, from 0.
        step: usize,
        /// Its length in bytes.
        found: usize,
        /// Most bytes allowed.
        max: u32,
    },
    /// A verifier needs something to look at.
    #[error("step {step} is the verifier and sees no agent's step: expected its candidates")]
    BlindVerifier {
        /// The step, from 0.
        step: usize,
    },
    /// A step can only see what was done before it.
    #[error("step {step} wants to see step {sees}: expected an earlier step")]
    NotEarlier {
        /// The step, from 0.
        step: usize,
        /// What it asked to see.
        sees: u16,
    },
}

impl Workflow {
    /// Checks everything at once; see [`Violation`] for what can be wrong.
    pub fn new(
        steps: Vec<Step>,
        selection: Selection,
        pool: &Pool,
        limits: &Limits,
    ) -> Result<Self, Vec<Violation>> {
        let mut wrong = Vec::new();
        let max = limits.steps_max;
        if steps.is_empty() {
            wrong.push(Violation::NoSteps { max });
        }
        if steps.len() > usize::from(max) {
            wrong.push(Violation::TooManySteps { found: steps.len(), max });
        }
        for (place, step) in steps.iter().enumerate() {
            violations_of(place, step, pool, limits, &mut wrong);
        }
        for place in (0..steps.len()).filter(|place| is_blind(&steps, *place)) {
            wrong.push(Violation::BlindVerifier { step: place });
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let steps = steps.into_iter().map(normal).collect();
        let pool_version = pool.version().to_owned();
        Ok(Self { steps, selection, pool_version, kept: BTreeMap::new() })
    }

    /// The same, with steps that are kept from the round before: its step behind each of
    /// these. They are not done again, and their outputs are those that they had.
    #[must_use]
    pub fn keeping(self, kept: BTreeMap<StepId, StepId>) -> Self {
        Self { kept, ..self }
    }

    /// Which step of the round before a step is, if it is kept.
    pub fn kept(&self, step: StepId) -> Option<StepId> {
        self.kept.get(&step).copied()
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Where the answer comes from.
    pub fn selection(&self) -> Selection {
        self.selection
    }

    /// The state of the pool that this plan was made for.
    pub fn pool_version(&self) -> &str {
        &self.pool_version
    }

    /// Steps of agents whose output no other agent's step sees, in order. What the verifier
    /// sees is a leaf all the same: it adds nothing to it.
    pub fn leaves(&self) -> Vec<StepId> {
        let mut seen: Vec<_> = self.steps.iter().map(|step| step.agent.is_verifier()).collect();
        let agents = self.steps.iter().enumerate().filter(|(_, step)| !step.agent.is_verifier());
        for (place, step) in agents {
            for earlier in step.access.visible(StepId(place as u16)) {
                if let Some(flag) = seen.get_mut(earlier.index()) {
                    *flag = true;
                }
            }
        }
        let unseen = seen.iter().enumerate().filter(|(_, seen)| !**seen);
        unseen.map(|(place, _)| StepId(place as u16)).collect()
    }
}

/// Whether the verifier is given a step and none of an agent to look at.
fn is_blind(steps: &[Step], place: usize) -> bool {
    let Some(step) = steps.get(place).filter(|step| step.agent.is_verifier()) else { return false };
    let agents =
        |earlier: &StepId| steps.get(earlier.index()).is_some_and(|step| !step.agent.is_verifier());
    !step.access.visible(StepId(place as u16)).iter().any(agents)
}

/// One form for one meaning: seeing an empty set of steps is seeing none.
fn normal(mut step: Step) -> Step {
    if matches!(&step.access, Access::Some(steps) if steps.is_empty()) {
        step.access = Access::None;
    }
    step
}

fn violations_of(
    place: usize,
    step: &Step,
    pool: &Pool,
    limits: &Limits,
    wrong: &mut Vec<Violation>,
) {
    if pool.get(&step.agent).is_none() {
        wrong.push(Violation::UnknownAgent { step: place, agent: step.agent.clone() });
    }
    // The verifier has the run's own check where the plan says nothing.
    if step.subtask.trim().is_empty() && !step.agent.is_verifier() {
        wrong.push(Violation::EmptySubtask { step: place });
    }
    let (found, max) = (step.subtask.len(), limits.subtask_bytes_max);
    if found > max as usize {
        wrong.push(Violation::LongSubtask { step: place, found, max });
    }
    if let Access::Some(steps) = &step.access {
        let late = steps.iter().filter(|earlier| earlier.index() >= place);
        wrong.extend(late.map(|sees| Violation::NotEarlier { step: place, sees: sees.0 }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AgentCard, Price};
    use std::collections::BTreeSet;

    fn pool() -> Pool {
        let card = |id: &str| AgentCard {
            id: AgentId::new(id).unwrap(),
            provider: "sim".into(),
            model: id.into(),
            strengths: String::new(),
            price: Price::default(),
            context_tokens: 8192,
            output_tokens: 1024,
            concurrency: 1,
            images: false,
            abilities: Default::default(),
            tags: BTreeSet::new(),
        };
        Pool::new("v1", vec![card("a"), card("b")]).unwrap()
    }

    fn step(agent: &str, subtask: &str, access: Access) -> Step {
        Step { agent: AgentId::new(agent).unwrap(), subtask: subtask.into(), access }
    }

    fn some(steps: &[u16]) -> Access {
        Access::Some(steps.iter().copied().map(StepId).collect())
    }

    fn check(steps: Vec<Step>) -> Result<Workflow, Vec<String>> {
        Workflow::new(steps, Selection::Last, &pool(), &Limits::default())
            .map_err(|wrong| wrong.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let wrong =
            check(vec![step("zed", " ", Access::None), step("a", "look ahead", some(&[1, 7]))]);
        assert_eq!(
            wrong.unwrap_err(),
            [
                "step 0 names agent zed, which is not in the pool",
                "step 0 has an empty subtask: expected an instruction",
                "step 1 wants to see step 1: expected an earlier step",
                "step 1 wants to see step 7: expected an earlier step",
            ]
        );
        assert_eq!(check(vec![]).unwrap_err(), ["the workflow has no step: expected 1 to 5"]);
        let six = (0..6).map(|_| step("a", "x", Access::All)).collect();
        assert_eq!(check(six).unwrap_err(), ["the workflow has 6 steps: expected 1 to 5"]);
    }

    #[test]
    fn leaves_are_what_nobody_sees() {
        let flow = check(vec![
            step("a", "x", Access::None),
            step("b", "y", Access::None),
            step("a", "z", some(&[0])),
        ])
        .unwrap();
        assert_eq!(flow.leaves(), [StepId(1), StepId(2)]);
    }

    #[test]
    fn an_empty_set_is_no_access() {
        let flow = check(vec![step("a", "x", some(&[]))]).unwrap();
        assert_eq!(flow.steps()[0].access, Access::None);
    }
}
