//! What happens next in a run, as a function of its state and the time.

use crate::afford::{Grant, tokens_in_max};
use crate::run::{Closing, PlanningState, Work};
use crate::{
    AgentTerms, Answer, Check, End, Event, Failure, Instead, Plan, PlanSource, Planning, Reason,
    Run, Stage, Status, StepShape, StepState,
};
use baton_workflow::{Abilities, AgentId, BodyRef, Resource, Selection, Spend, StepId, Timestamp};
use serde::{Deserialize, Serialize};

/// What a Conductor commits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// For the journal.
    pub events: Vec<Event>,
    /// Tasks to create, with their numbers.
    pub tasks: Vec<(u32, Assignment)>,
    /// Numbers of tasks no longer wanted.
    pub withdraw: Vec<u32>,
    /// The run's end, if this is it; also the last of `events`.
    pub end: Option<End>,
}

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
    /// The previous round, if there was one.
    pub previous: Option<PreviousRound>,
    /// The policy's terms.
    pub model: AgentTerms,
    /// Bounds on the workflow.
    pub limits: baton_workflow::Limits,
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
    /// What the verifier said.
    pub feedback: String,
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
    /// The last round's answer, with its check's feedback, for corrective rounds.
    pub previous: Option<PreviousAnswer>,
    /// Tokens it may write.
    pub output_tokens_max: u32,
    /// Whether this step's text may be the answer: what the user said of the answer's
    /// length and end holds for it.
    pub is_answer: bool,
    /// When the run's time is over.
    pub deadline: Timestamp,
}

/// An answer that did not pass its check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreviousAnswer {
    /// The answer.
    pub output: BodyRef,
    /// What the verifier said.
    pub feedback: String,
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
    /// The steps that gave them, in the same order. For readers of traces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepId>,
    /// The places of those that are calls of tools, as JSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<u16>,
    /// How to check; none for a vote.
    pub check: Option<Check>,
    /// Tokens that a judge may write.
    pub output_tokens_max: u32,
    /// When the run's time is over.
    pub deadline: Timestamp,
}

fn is_zero(number: &u16) -> bool {
    *number == 0
}

impl Run {
    /// What to do now. Empty when there is nothing to do but wait.
    pub fn decide(&self, now: Timestamp) -> Decision {
        let mut run = self.clone();
        let mut decision = Decision::default();
        while let Some(event) = run.next(now) {
            if let Some(task) = run.assignment(&event) {
                decision.tasks.push(task);
            }
            if let Event::Ended { end } = &event {
                decision.withdraw.extend(run.open.keys());
                decision.end = Some(end.clone());
            }
            run.apply(&event);
            decision.events.push(event);
        }
        decision
    }

    /// The next single decision, if one is due.
    fn next(&self, now: Timestamp) -> Option<Event> {
        if self.end.is_some() {
            return None;
        }
        if let Some(reason) = &self.cancel {
            return Some(self.close_with_best(Reason::Cancelled { reason: reason.clone() }));
        }
        if let Stage::Over(closing) = &self.stage {
            return Some(self.close(closing.clone()));
        }
        if self.late || now >= self.deadline() {
            return Some(self.close_with_best(Reason::DeadlinePassed));
        }
        if let Some(resource) = self.broke {
            return Some(self.close_with_best(Reason::BudgetSpent { resource }));
        }
        match &self.stage {
            Stage::Planning(state) => self.next_planning(state),
            Stage::Working => self.next_working(),
            Stage::Voting(_) | Stage::Over(_) => None,
            Stage::Checking(answer) => self.next_checking(answer.step),
        }
    }

    fn next_planning(&self, state: &PlanningState) -> Option<Event> {
        let round = self.current_round();
        match (state, &self.spec.planning) {
            (PlanningState::Asked, _) => None,
            (
                PlanningState::Wanted | PlanningState::Unplanned,
                Planning::Strategy { name, plan },
            ) => {
                let source = PlanSource::Strategy(name.clone());
                Some(Event::Adopted { round, plan: plan.clone(), source })
            }
            (PlanningState::Wanted, Planning::Policy { model, .. }) => {
                let tokens_in = self.tokens_to_plan();
                match self.afford(model, tokens_in, 2) {
                    Ok(Grant { bound, .. }) => {
                        Some(Event::PlanAsked { task: self.next_task, round, bound })
                    }
                    Err(resource) => Some(self.close_with_best(Reason::BudgetSpent { resource })),
                }
            }
            (PlanningState::Unplanned, Planning::Policy { fallback, fallback_name, .. }) => {
                if round > 0 {
                    let feedback = self.verdict(round - 1).map(|v| v.feedback.clone());
                    let feedback = feedback.unwrap_or_default();
                    return Some(self.close_with_best(Reason::NotAccepted { feedback }));
                }
                let source = PlanSource::Fallback(fallback_name.clone());
                Some(Event::Adopted { round, plan: fallback.clone(), source })
            }
        }
    }

    /// Prompts of policies show the request, the agents and the last round.
    fn tokens_to_plan(&self) -> u64 {
        let agents = self.spec.agents.len() as u64 * 256;
        let shown = self.rounds.iter().flat_map(|round| &round.steps).map(|step| match step {
            StepState::Done { output, .. } => u64::from(output.len),
            StepState::Waiting { .. } | StepState::Running { .. } => 0,
        });
        let bytes = u64::from(self.spec.request.len) + shown.sum::<u64>();
        tokens_in_max(bytes.saturating_add(agents).saturating_add(8192), false)
    }

    fn next_working(&self) -> Option<Event> {
        let number = self.current_round();
        let (plan, steps) = self.round(number)?;
        let mut unaffordable = None;
        let unfinished =
            steps.iter().filter(|state| matches!(state, StepState::Waiting { .. })).count();
        let mut dead = Vec::new();
        for (place, (shape, state)) in plan.steps.iter().zip(steps).enumerate() {
            let StepState::Waiting { failed, last } = state else { continue };
            let step = StepId(place as u16);
            let needs = match plan.may_answer(step) {
                true => self.spec.needs,
                false => Abilities::NONE,
            };
            // First this: as long as what it needs is under way, an agent may come back.
            let Some(inputs) = inputs_of(&shape.sees, steps) else { continue };
            let Some(agent) = self.agent_for(&shape.agent, needs, failed) else {
                dead.push((step, last.clone()));
                continue;
            };
            // All the words of the workflow are more than those of the steps that are shown.
            let shown = inputs.iter().map(|(_, body)| u64::from(body.len)).sum::<u64>();
            let bytes = u64::from(self.spec.request.len)
                + u64::from(plan.workflow.len)
                + self.rejected_bytes(shape, number)
                + shown;
            match self.afford(agent, tokens_in_max(bytes, self.spec.images), unfinished) {
                Ok(Grant { output_tokens_max, bound }) => {
                    return Some(Event::StepDispatched {
                        task: self.next_task,
                        round: number,
                        step,
                        agent: agent.id.clone(),
                        output_tokens_max,
                        bound,
                    });
                }
                Err(resource) => unaffordable = Some(resource),
            }
        }
        self.settle_working(plan, steps, &dead, unaffordable)
    }

    /// Length of what a step of a later round is shown of the answer before it.
    fn rejected_bytes(&self, shape: &StepShape, round: u16) -> u64 {
        let previous = shape.sees_rounds.then(|| self.previous_answer(round)).flatten();
        previous
            .map_or(0, |previous| u64::from(previous.output.len) + previous.feedback.len() as u64)
    }

    /// Nothing can be dispatched: wait, vote without the dead, or give up.
    fn settle_working(
        &self,
        plan: &Plan,
        steps: &[StepState],
        dead: &[(StepId, Option<Failure>)],
        unaffordable: Option<Resource>,
    ) -> Option<Event> {
        let votes = plan.selection == Selection::Majority;
        let done: Vec<_> = plan
            .leaves()
            .filter(|leaf| matches!(steps.get(leaf.index()), Some(StepState::Done { .. })))
            .collect();
        let waits_for_task = !self.open.is_empty();
        if waits_for_task && (votes || dead.is_empty()) {
            return None;
        }
        if votes && !done.is_empty() {
            return Some(self.ask_for_vote(done));
        }
        if let Some((step, last)) = dead.first() {
            return Some(self.close_for_dead(*step, last.clone()));
        }
        unaffordable.map(|resource| self.close_with_best(Reason::BudgetSpent { resource }))
    }

    /// A step has failed for good. What its last agent gave instead of an answer is better
    /// than what was never meant as one, and worse than an answer of an earlier round.
    fn close_for_dead(&self, step: StepId, last: Option<Failure>) -> Event {
        let Failure { code, message, instead } = last.unwrap_or_else(|| Failure {
            code: "no_agent".into(),
            message: "no agent of the run's pool is suitable for this step".into(),
            instead: None,
        });
        let Some(Instead { agent, shortfall, text }) = instead else {
            return self.close_with_best(Reason::StepFailed { step, failure: code, message });
        };
        let reason = Reason::FellShort { step, shortfall: shortfall.clone() };
        if self.best.is_some() {
            return self.close_with_best(reason);
        }
        let answer = Answer {
            output: text,
            round: self.current_round(),
            step,
            agent,
            truncated: false,
            tool_calls: None,
            shortfall: Some(shortfall),
        };
        self.close(Closing::With(reason, answer))
    }

    fn ask_for_vote(&self, candidates: Vec<StepId>) -> Event {
        Event::VerifyAsked {
            task: self.next_task,
            round: self.current_round(),
            candidates,
            output_tokens_max: 0,
            bound: Spend::ZERO,
        }
    }

    fn next_checking(&self, step: StepId) -> Option<Event> {
        let asked = self.open.values().any(|open| matches!(open.work, Work::Verify { .. }));
        let check = self.spec.check.as_ref()?;
        if asked {
            return None;
        }
        let grant = match check {
            Check::Answer { .. } => Grant { output_tokens_max: 0, bound: Spend::ZERO },
            Check::Judge { model } => {
                let answer = self.answer_of(self.current_round(), step)?;
                let bytes = u64::from(self.spec.request.len) + u64::from(answer.output.len);
                match self.afford(model, tokens_in_max(bytes + 2048, self.spec.images), 1) {
                    Ok(grant) => grant,
                    // An answer that cannot be checked any more is still the answer.
                    Err(resource) => {
                        let reason = Reason::BudgetSpent { resource };
                        return Some(self.close(Closing::With(reason, answer)));
                    }
                }
            }
        };
        Some(Event::VerifyAsked {
            task: self.next_task,
            round: self.current_round(),
            candidates: vec![step],
            output_tokens_max: grant.output_tokens_max,
            bound: grant.bound,
        })
    }

    /// The agent for a step: the planned one, then, as agents fail, the untried one whose
    /// list price is nearest to the planned one's (ties: the pool's order), because price
    /// is the best-known proxy of strength. None when the step has failed for good. An agent
    /// that was removed is passed over, and is no failure: the operator's change must not
    /// use up the step's failovers.
    fn agent_for(
        &self,
        planned: &AgentId,
        needs: Abilities,
        failed: &[AgentId],
    ) -> Option<&AgentTerms> {
        let there = |id: &&AgentId| !self.removed.contains(*id);
        if failed.iter().filter(there).count() > usize::from(self.spec.limits.failovers_max) {
            return None;
        }
        let suitable = |agent: &&AgentTerms| {
            !failed.contains(&agent.id)
                && there(&&agent.id)
                && (agent.images || !self.spec.images)
                && agent.abilities.cover(needs)
        };
        let price = self.terms(planned).map_or(0, |agent| agent.price.output);
        let first = self.terms(planned).filter(suitable);
        first.or_else(|| {
            let others = self.spec.agents.iter().filter(suitable);
            others.min_by_key(|agent| agent.price.output.abs_diff(price))
        })
    }

    fn terms(&self, id: &AgentId) -> Option<&AgentTerms> {
        self.spec.agents.iter().find(|agent| agent.id == *id)
    }

    fn close_with_best(&self, reason: Reason) -> Event {
        self.close(Closing::Best(reason))
    }

    fn close(&self, closing: Closing) -> Event {
        let (reason, answer) = match closing {
            Closing::With(reason, answer) => (reason, Some(answer)),
            Closing::Best(reason) => (reason, self.best_answer()),
        };
        let status = match (&reason, &answer) {
            (Reason::Cancelled { .. }, _) => Status::Cancelled,
            (_, None) => Status::Failed,
            (
                Reason::Accepted | Reason::Unchecked | Reason::Stands | Reason::ToolCalls,
                Some(_),
            ) => Status::Completed,
            (
                Reason::NotAccepted { .. }
                | Reason::BudgetSpent { .. }
                | Reason::DeadlinePassed
                | Reason::StepFailed { .. }
                | Reason::FellShort { .. },
                Some(_),
            ) => Status::Incomplete,
        };
        let rounds = self.rounds.len() as u16;
        Event::Ended { end: End { status, reason, answer, spend: self.spent, rounds } }
    }

    /// The best-scored answer; else the output furthest down the latest round that has one.
    fn best_answer(&self) -> Option<crate::Answer> {
        if let Some(best) = &self.best {
            return Some(best.answer.clone());
        }
        (0..self.rounds.len() as u16).rev().find_map(|round| {
            let steps = self.rounds.get(usize::from(round))?.steps.len() as u16;
            (0..steps).rev().find_map(|step| self.answer_of(round, StepId(step)))
        })
    }

    /// The task that an event creates.
    fn assignment(&self, event: &Event) -> Option<(u32, Assignment)> {
        let request = self.spec.request.clone();
        let deadline = self.deadline();
        match event {
            Event::PlanAsked { task, round, bound } => {
                let Planning::Policy { model, .. } = &self.spec.planning else { return None };
                let plan = PlanAssignment {
                    round: *round,
                    request,
                    agents: self.spec.agents.iter().map(|agent| agent.id.clone()).collect(),
                    previous: round.checked_sub(1).and_then(|round| self.previous_round(round)),
                    model: model.clone(),
                    limits: self.spec.limits,
                    output_tokens_max: u32::try_from(bound.tokens_out).unwrap_or(u32::MAX),
                    deadline,
                };
                Some((*task, Assignment::Plan(plan)))
            }
            Event::StepDispatched { task, round, step, agent, output_tokens_max, .. } => {
                let (plan, steps) = self.round(*round)?;
                let StepShape { sees, sees_rounds, .. } = plan.steps.get(step.index())?;
                let work = WorkAssignment {
                    round: *round,
                    step: *step,
                    agent: agent.clone(),
                    before: failed_at(steps.get(step.index())?),
                    request,
                    workflow: plan.workflow.clone(),
                    inputs: inputs_of(sees, steps)?,
                    previous: sees_rounds.then(|| self.previous_answer(*round)).flatten(),
                    output_tokens_max: *output_tokens_max,
                    is_answer: plan.may_answer(*step),
                    deadline,
                };
                Some((*task, Assignment::Work(work)))
            }
            Event::VerifyAsked { task, round, candidates, output_tokens_max, .. } => {
                let answers = candidates.iter().filter_map(|step| self.answer_of(*round, *step));
                let answers: Vec<_> = answers.collect();
                let places = (0_u16..).zip(&answers);
                let calls = places.filter(|(_, answer)| answer.tool_calls.is_some());
                let calls = calls.map(|(place, _)| place).collect();
                let steps = answers.iter().map(|answer| answer.step).collect();
                let looked_at = |answer: Answer| answer.tool_calls.unwrap_or(answer.output);
                let verify = VerifyAssignment {
                    round: *round,
                    request,
                    candidates: answers.into_iter().map(looked_at).collect(),
                    steps,
                    calls,
                    check: match &self.stage {
                        Stage::Checking(_) => self.spec.check.clone(),
                        Stage::Planning(_) | Stage::Working | Stage::Voting(_) | Stage::Over(_) => {
                            None
                        }
                    },
                    output_tokens_max: *output_tokens_max,
                    deadline,
                };
                Some((*task, Assignment::Verify(verify)))
            }
            Event::Submitted { .. }
            | Event::Heard { .. }
            | Event::Adopted { .. }
            | Event::Ended { .. } => None,
        }
    }

    fn previous_round(&self, round: u16) -> Option<PreviousRound> {
        let (plan, steps) = self.round(round)?;
        let output = |step| self.answer_of(round, StepId(step)).map(|answer| answer.output);
        Some(PreviousRound {
            workflow: plan.workflow.clone(),
            outputs: (0..steps.len() as u16).map(output).collect(),
            feedback: self.verdict(round).map(|v| v.feedback.clone()).unwrap_or_default(),
        })
    }

    fn previous_answer(&self, round: u16) -> Option<PreviousAnswer> {
        let best = self.best.as_ref().filter(|_| round > 0)?;
        let feedback = self.verdict(best.answer.round).map(|v| v.feedback.clone());
        Some(PreviousAnswer {
            output: best.answer.output.clone(),
            feedback: feedback.unwrap_or_default(),
        })
    }
}

/// The outputs of the steps that are seen; none while one of them is not done.
/// Agents that failed at a step before the one that has it or is to have it.
fn failed_at(state: &StepState) -> u16 {
    match state {
        StepState::Waiting { failed, .. } | StepState::Running { failed, .. } => {
            u16::try_from(failed.len()).unwrap_or(u16::MAX)
        }
        StepState::Done { .. } => 0,
    }
}

fn inputs_of(sees: &[StepId], steps: &[StepState]) -> Option<Vec<(StepId, BodyRef)>> {
    sees.iter()
        .map(|step| match steps.get(step.index())? {
            StepState::Done { output, .. } => Some((*step, output.clone())),
            StepState::Waiting { .. } | StepState::Running { .. } => None,
        })
        .collect()
}
