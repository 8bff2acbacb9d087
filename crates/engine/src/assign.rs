//! What tasks ask of whoever leases them.

use crate::{
    AgentTerms, Answer, Cause, Check, Event, Exchange, Planning, Run, Stage, StepShape, StepState,
};
use baton_workflow::{AgentId, BodyRef, StepId, Timestamp, Verdict, VerdictKind};
use serde::{Deserialize, Serialize};

/// What a task asks of whoever leases it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Assignment {
    /// Ask the policy.
    Plan(PlanAssignment),
    /// Carry out a step.
    Work(WorkAssignment),
    /// Vote or check.
    Verify(VerifyAssignment),
}

/// Ask the policy for a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanAssignment {
    /// For this round, from 0.
    pub round: u16,
    /// The conversation.
    pub request: BodyRef,
    /// The agents to plan with.
    pub agents: Vec<AgentId>,
    /// The round whose verdict made this one necessary. For readers of traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<u16>,
    /// The previous round, if there was one.
    pub previous: Option<PreviousRound>,
    /// The policy's terms.
    pub model: AgentTerms,
    /// Bounds on the workflow.
    pub limits: baton_workflow::Limits,
    /// Whether a step may name the Conductor itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recursion: bool,
    /// Tokens that one reply may have.
    pub output_tokens_max: u32,
    /// When the run's time is over.
    pub deadline: Timestamp,
}

/// What the policy is shown of the round before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreviousRound {
    /// Its workflow, with its words.
    pub workflow: BodyRef,
    /// What its steps gave, in order; none for a step that gave nothing.
    pub outputs: Vec<Option<BodyRef>>,
    /// The tools that its steps called, and what they said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<(StepId, Exchange)>,
    /// What was found against it: by the verifier, or by its own steps.
    pub feedback: String,
    /// Whether there is an answer, which can be let stand.
    #[serde(default = "yes")]
    pub answered: bool,
}

/// Carry out a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkAssignment {
    /// Of this round, from 0.
    pub round: u16,
    /// The step.
    pub step: StepId,
    /// Who has to do it.
    pub agent: AgentId,
    /// How many agents failed at it before. For readers of traces.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub before: u16,
    /// The conversation.
    pub request: BodyRef,
    /// The workflow, with its words.
    pub workflow: BodyRef,
    /// The earlier steps it may see, with their outputs: all that it is given.
    pub inputs: Vec<(StepId, BodyRef)>,
    /// The tools that those called, and what they said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen_turns: Vec<(StepId, Exchange)>,
    /// The step's own turns, which it goes on from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<Exchange>,
    /// The rounds and steps in which agents wrote those. For readers of traces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<(u16, StepId)>,
    /// The round whose verdict it is shown. For readers of traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<u16>,
    /// The last round's answer, with its check's feedback, for corrective rounds.
    pub previous: Option<PreviousAnswer>,
    /// Tokens it may write.
    pub output_tokens_max: u32,
    /// Whether this step's text may be the answer: what the user said of the answer's
    /// length and end holds for it.
    pub is_answer: bool,
    /// Whether it may say that the plan does not work, to have the rest replaced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_ask: bool,
    /// When the run's time is over.
    pub deadline: Timestamp,
}

/// An answer that did not pass its check, or that nothing decided on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreviousAnswer {
    /// The answer.
    pub output: BodyRef,
    /// The tools that were called for it, and what they said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<Exchange>,
    /// What the verifier said.
    pub feedback: String,
    /// Whether nothing has been found against it: then the policy is not sure of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undecided: bool,
}

/// Vote on candidates, or check one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifyAssignment {
    /// Of this round, from 0.
    pub round: u16,
    /// The conversation.
    pub request: BodyRef,
    /// The candidates, in order.
    pub candidates: Vec<BodyRef>,
    /// The tools that were called for an answer that is checked, and what they said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<Exchange>,
    /// The rounds and steps in which agents wrote those. For readers of traces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<(u16, StepId)>,
    /// The places of those that are calls of tools, as JSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<u16>,
    /// Who wrote each candidate, where agents did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authors: Vec<AgentId>,
    /// How to check, or to compare; none where votes are counted.
    pub check: Option<Check>,
    /// Tokens that a judge may write.
    pub output_tokens_max: u32,
    /// When the run's time is over.
    pub deadline: Timestamp,
}

impl VerifyAssignment {
    /// Whether it chooses among candidates.
    pub fn is_vote(&self) -> bool {
        self.check.as_ref().is_none_or(|check| !check.is_of_answers())
    }
}

fn yes() -> bool {
    true
}

fn is_zero(number: &u16) -> bool {
    *number == 0
}

impl Run {
    /// The task that an event creates.
    pub(crate) fn assignment(&self, event: &Event) -> Option<(u32, Assignment)> {
        let request = self.spec.request.clone();
        let deadline = self.deadline();
        match event {
            Event::PlanAsked { task, round, bound } => {
                let Planning::Policy { model, .. } = &self.spec.planning else { return None };
                let plan = PlanAssignment {
                    round: *round,
                    request,
                    agents: self.spec.agents.iter().map(|agent| agent.id.clone()).collect(),
                    verdict: round.checked_sub(1).filter(|last| self.verdict(*last).is_some()),
                    previous: round.checked_sub(1).and_then(|round| self.previous_round(round)),
                    model: model.clone(),
                    limits: self.spec.limits,
                    recursion: self.spec.recurses(),
                    output_tokens_max: u32::try_from(bound.tokens_out).unwrap_or(u32::MAX),
                    deadline,
                };
                Some((*task, Assignment::Plan(plan)))
            }
            Event::StepDispatched { task, round, step, agent, output_tokens_max, .. } => {
                let work = self.work_assignment(*round, *step, agent, *output_tokens_max)?;
                Some((*task, Assignment::Work(work)))
            }
            Event::VerifyAsked { task, round, candidates, output_tokens_max, .. } => {
                let answers = candidates.iter().filter_map(|step| self.answer_of(*round, *step));
                let answers: Vec<_> = answers.collect();
                let places = (0_u16..).zip(&answers);
                let calls = places.filter(|(_, answer)| answer.tool_calls.is_some());
                let calls = calls.map(|(place, _)| place).collect();
                let sources =
                    answers.iter().filter_map(|answer| self.source(answer.round, answer.step));
                let sources = sources.collect();
                let authors = answers.iter().map(|answer| answer.agent.clone()).collect();
                let turns = match &self.stage {
                    Stage::Checking(answer) => self.exchanges(answer.round, answer.step),
                    Stage::Planning(_)
                    | Stage::Working
                    | Stage::Voting(_)
                    | Stage::Awaiting(_)
                    | Stage::Over(_) => Vec::new(),
                };
                let looked_at = |answer: Answer| answer.tool_calls.unwrap_or(answer.output);
                let verify = VerifyAssignment {
                    round: *round,
                    request,
                    candidates: answers.into_iter().map(looked_at).collect(),
                    turns,
                    sources,
                    calls,
                    authors,
                    check: match &self.stage {
                        Stage::Checking(_) => self.spec.check.clone(),
                        // Without leave to ask, votes are counted.
                        Stage::Voting(_) if *output_tokens_max > 0 => self.spec.check.clone(),
                        Stage::Planning(_)
                        | Stage::Working
                        | Stage::Voting(_)
                        | Stage::Awaiting(_)
                        | Stage::Over(_) => None,
                    },
                    output_tokens_max: *output_tokens_max,
                    deadline,
                };
                Some((*task, Assignment::Verify(verify)))
            }
            Event::Submitted { .. }
            | Event::Heard { .. }
            | Event::Adopted { .. }
            | Event::RoundBegun { .. }
            | Event::Withdrawn { .. }
            | Event::ChildBegun { .. }
            | Event::ResultsAwaited { .. }
            | Event::Ended { .. } => None,
        }
    }

    /// What carries out a step is given; none before what it sees is there.
    pub(crate) fn work_assignment(
        &self,
        round: u16,
        step: StepId,
        agent: &AgentId,
        output_tokens_max: u32,
    ) -> Option<WorkAssignment> {
        let (plan, steps) = self.round(round)?;
        let StepShape { sees, sees_rounds, .. } = plan.steps.get(step.index())?;
        let sees_rounds = *sees_rounds;
        Some(WorkAssignment {
            round,
            step,
            agent: agent.clone(),
            before: failed_at(steps.get(step.index())?),
            request: self.spec.request.clone(),
            workflow: plan.workflow.clone(),
            inputs: inputs_of(sees, steps)?,
            seen_turns: self.turns_of(round, sees.iter().copied()),
            turns: self.exchanges(round, step),
            sources: sees.iter().filter_map(|step| self.source(round, *step)).collect(),
            verdict: self
                .best
                .as_ref()
                .filter(|_| sees_rounds && round > 0)
                .map(|best| best.answer.round)
                .filter(|round| self.verdict(*round).is_some()),
            previous: sees_rounds.then(|| self.previous_answer(round)).flatten(),
            output_tokens_max,
            is_answer: plan.may_answer(step),
            may_ask: !plan.may_answer(step) && self.may_plan_again(),
            deadline: self.deadline(),
        })
    }

    /// Where an agent wrote the output of a step that may have been kept since. None where a
    /// child run gave it.
    fn source(&self, mut round: u16, mut step: StepId) -> Option<(u16, StepId)> {
        loop {
            let (plan, states) = self.round(round)?;
            match (plan.steps.get(step.index())?.kept, round.checked_sub(1)) {
                (Some(kept), Some(before)) => (round, step) = (before, kept),
                (Some(_), None) | (None, _) => {
                    return match states.get(step.index())? {
                        StepState::Done { agent, .. } if !agent.is_itself() => Some((round, step)),
                        StepState::Done { .. }
                        | StepState::Waiting { .. }
                        | StepState::Running { .. } => None,
                    };
                }
            }
        }
    }

    fn previous_round(&self, round: u16) -> Option<PreviousRound> {
        let (plan, steps) = self.round(round)?;
        let output = |step| self.answer_of(round, StepId(step)).map(|answer| answer.output);
        Some(PreviousRound {
            workflow: plan.workflow.clone(),
            outputs: (0..steps.len() as u16).map(output).collect(),
            turns: self.turns_of(round, (0..steps.len() as u16).map(StepId)),
            feedback: self.feedback_on(round),
            answered: self.has_answer(),
        })
    }

    /// What was found against a round: by its check, or by its own steps.
    pub(crate) fn feedback_on(&self, round: u16) -> String {
        let number = usize::from(round);
        let cause = self.rounds.get(number + 1).and_then(|after| after.cause.as_ref());
        match cause {
            // That the verifier could not be asked says nothing of the round.
            None => match self.verdict(round) {
                Some(Verdict { kind: VerdictKind::Unavailable, .. }) | None => String::new(),
                Some(verdict) => verdict.feedback.clone(),
            },
            Some(Cause::Asked { step, why }) => {
                format!("The plan was broken off because step {step} said: {why}")
            }
            Some(Cause::StepFailed { step }) => {
                let state = self.rounds.get(number).and_then(|r| r.steps.get(step.index()));
                let last = match state {
                    Some(StepState::Waiting { last: Some(last), .. }) => last.message.as_str(),
                    Some(
                        StepState::Waiting { .. }
                        | StepState::Running { .. }
                        | StepState::Done { .. },
                    )
                    | None => "no agent can do it",
                };
                format!(
                    "The plan was broken off because step {step} failed with every agent that \
                     it was given to: {last}"
                )
            }
        }
    }

    pub(crate) fn previous_answer(&self, round: u16) -> Option<PreviousAnswer> {
        let best = self.best.as_ref().filter(|_| round > 0)?;
        let verdict = self.verdict(best.answer.round);
        let feedback = verdict.map(|verdict| verdict.feedback.clone());
        Some(PreviousAnswer {
            undecided: !verdict.is_some_and(Verdict::is_fail),
            output: best.answer.output.clone(),
            turns: self.exchanges(best.answer.round, best.answer.step),
            feedback: feedback.unwrap_or_default(),
        })
    }
}

/// Agents that failed at a step before the one that has it or is to have it.
fn failed_at(state: &StepState) -> u16 {
    match state {
        StepState::Waiting { failed, .. } | StepState::Running { failed, .. } => {
            u16::try_from(failed.len()).unwrap_or(u16::MAX)
        }
        StepState::Done { .. } => 0,
    }
}

/// The outputs of the steps that are seen; none while one of them is not done.
pub(crate) fn inputs_of(sees: &[StepId], steps: &[StepState]) -> Option<Vec<(StepId, BodyRef)>> {
    sees.iter()
        .map(|step| match steps.get(step.index())? {
            StepState::Done { output, .. } => Some((*step, output.clone())),
            StepState::Waiting { .. } | StepState::Running { .. } => None,
        })
        .collect()
}
