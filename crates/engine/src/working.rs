//! What happens next while steps are carried out.

use crate::afford::{Grant, tokens_in_max};
use crate::assign::inputs_of;
use crate::{
    AgentTerms, Answer, Cause, Closing, Event, Exchange, Failure, Instead, Plan, Reason, Run,
    StepShape, StepState,
};
use baton_workflow::{Abilities, AgentId, Resource, Selection, StepId, Timestamp};

impl Run {
    pub(crate) fn next_working(&self, now: Timestamp) -> Option<Event> {
        let number = self.current_round();
        if let Some(withdrawn) = self.leftovers(number) {
            return Some(withdrawn);
        }
        if let Some(round) = self.repeats() {
            return Some(self.close_with_best(Reason::Loop { round }));
        }
        let (plan, steps) = self.round(number)?;
        if let Some((step, why)) = self.asked_in(number).filter(|_| self.may_plan_again()) {
            let cause = Cause::Asked { step: *step, why: why.clone() };
            return Some(Event::RoundBegun { round: number + 1, cause });
        }
        let mut unaffordable = None;
        let waiting = |state: &&StepState| matches!(state, StepState::Waiting { .. });
        let chosen = self.chosen(number);
        let unfinished = chosen.map_or_else(|| steps.iter().filter(waiting).count(), |_one| 1);
        let mut dead = Vec::new();
        for (place, (shape, state)) in plan.steps.iter().zip(steps).enumerate() {
            let StepState::Waiting { failed, last } = state else { continue };
            let step = StepId(place as u16);
            if chosen.is_some_and(|chosen| chosen != step) {
                continue;
            }
            let planned = self.caller(number, step).unwrap_or(&shape.agent);
            let needs = match plan.may_answer(step) {
                true => self.spec.needs,
                false => Abilities::NONE,
            };
            // First this: as long as what it needs is under way, an agent may come back.
            let Some(inputs) = inputs_of(&shape.sees, steps) else { continue };
            if let Some(child) = self.child_for(step, planned, failed, unfinished, now) {
                return Some(child);
            }
            let Some(agent) = self.agent_for(planned, needs, failed) else {
                dead.push((step, last.clone()));
                continue;
            };
            // All the words of the workflow are more than those of the steps that are shown.
            let shown = inputs.iter().map(|(_, body)| u64::from(body.len)).sum::<u64>();
            let bytes = u64::from(self.spec.request.len)
                + u64::from(plan.workflow.len)
                + self.rejected_bytes(shape, number)
                + self.turns_bytes(shape, number, step)
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

    /// What is still under way of rounds that were replaced, once their replacement is there.
    fn leftovers(&self, round: u16) -> Option<Event> {
        let (mut tasks, mut children) = (Vec::new(), Vec::new());
        for (number, open) in &self.open {
            match open.work.round() < round && !open.withdrawn {
                true if open.work.is_child() => children.push(*number),
                true => tasks.push(*number),
                false => {}
            }
        }
        let any = !tasks.is_empty() || !children.is_empty();
        any.then_some(Event::Withdrawn { tasks, children })
    }

    /// The step of a round that said that the plan does not work, unless it came with the
    /// answer.
    fn asked_in(&self, round: u16) -> Option<&(StepId, String)> {
        self.rounds.get(usize::from(round))?.asked.as_ref()
    }

    /// Length of what a step of a later round is shown of the answer before it.
    fn rejected_bytes(&self, shape: &StepShape, round: u16) -> u64 {
        let previous = shape.sees_rounds.then(|| self.previous_answer(round)).flatten();
        previous.map_or(0, |previous| {
            let turns = previous.turns.iter().map(Exchange::bytes).sum::<u64>();
            u64::from(previous.output.len) + previous.feedback.len() as u64 + turns
        })
    }

    /// Length of the turns that a step is told: its own, and those of the steps it sees.
    fn turns_bytes(&self, shape: &StepShape, round: u16, step: StepId) -> u64 {
        let told = shape.sees.iter().chain([&step]);
        let turns = told.flat_map(|step| self.exchanges(round, *step));
        turns.map(|turn| turn.bytes()).sum()
    }

    /// Nothing can be dispatched: wait, vote without the dead, or give up.
    fn settle_working(
        &self,
        plan: &Plan,
        steps: &[StepState],
        dead: &[(StepId, Option<Failure>)],
        unaffordable: Option<Resource>,
    ) -> Option<Event> {
        let round = self.current_round();
        let votes = plan.selection == Selection::Majority && self.chosen(round).is_none();
        let done: Vec<_> = plan
            .leaves()
            .filter(|leaf| matches!(steps.get(leaf.index()), Some(StepState::Done { .. })))
            .collect();
        let waits_for_task = self.open.values().any(|open| open.work.round() == round);
        if waits_for_task && (votes || dead.is_empty()) {
            return None;
        }
        if votes && !done.is_empty() {
            return Some(self.ask_for_vote(done));
        }
        if let Some((step, last)) = dead.first() {
            if self.may_plan_again() {
                // What is under way is paid for: the next workflow may keep it.
                if waits_for_task {
                    return None;
                }
                let cause = Cause::StepFailed { step: *step };
                return Some(Event::RoundBegun { round: round + 1, cause });
            }
            return Some(self.close_for_dead(round, *step, last.clone()));
        }
        // What was withdrawn gives its reservation back.
        if !self.open.is_empty() {
            return None;
        }
        unaffordable.map(|resource| self.close_with_best(Reason::BudgetSpent { resource }))
    }

    /// A step has failed for good. What its last agent gave instead of an answer is better
    /// than what was never meant as one, and worse than an answer of an earlier round.
    pub(crate) fn close_for_dead(&self, round: u16, step: StepId, last: Option<Failure>) -> Event {
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
            round,
            step,
            agent,
            truncated: false,
            tool_calls: None,
            shortfall: Some(shortfall),
            partial: false,
            score: None,
        };
        self.close(Closing::With(reason, answer))
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
        let price = |agent: &AgentTerms| agent.price.output;
        // What was to be a workflow of its own is left to the strongest.
        let dearest = || self.spec.agents.iter().map(price).max();
        let price = match planned.is_itself() {
            true => dearest(),
            false => self.terms(planned).map(price),
        };
        let price = price.unwrap_or(0);
        let first = self.terms(planned).filter(suitable);
        first.or_else(|| {
            let others = self.spec.agents.iter().filter(suitable);
            others.min_by_key(|agent| agent.price.output.abs_diff(price))
        })
    }

    fn terms(&self, id: &AgentId) -> Option<&AgentTerms> {
        self.spec.agents.iter().find(|agent| agent.id == *id)
    }
}
