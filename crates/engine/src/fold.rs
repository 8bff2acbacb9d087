//! A journal's entries, taken into account one by one.

use crate::children;
use crate::run::{Closing, Open, PlanningState, Round, Stage, StepState, Work};
use crate::{Answer, Event, Failure, Input, Instead, Outcome, Plan, Run};
use baton_workflow::{AgentId, Selection, Spend, StepId};

impl Run {
    /// Takes one journal entry into account. After the end nothing changes any more
    /// but the bill.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Submitted { .. } => {}
            Event::Heard { input } => self.hear(input),
            Event::PlanAsked { task, round, bound } => {
                self.open_task(*task, Work::Plan { round: *round }, *bound);
                self.stage = Stage::Planning(PlanningState::Asked);
            }
            Event::Adopted { plan, .. } => self.take_plan(plan),
            Event::RoundBegun { cause, .. } => {
                let (cause, shown) = (Some(cause.clone()), self.best_round());
                self.rounds.push(Round { cause, shown, ..Round::new() });
                self.stage = Stage::Planning(PlanningState::Wanted);
            }
            Event::Withdrawn { tasks, children } => {
                for number in tasks.iter().chain(children) {
                    if let Some(open) = self.open.get_mut(number) {
                        open.withdrawn = true;
                    }
                }
            }
            Event::StepDispatched { task, round, step, agent, bound, .. } => {
                self.open_task(*task, Work::Step { round: *round, step: *step }, *bound);
                self.step_begins(*round, *step, *task, agent.clone());
            }
            Event::ChildBegun { child, round, step, budget } => {
                let bound = children::most_of(budget);
                self.open_task(*child, Work::Child { round: *round, step: *step }, bound);
                self.step_begins(*round, *step, *child, AgentId::itself());
            }
            Event::VerifyAsked { task, round, candidates, bound, .. } => {
                self.open_task(*task, Work::Verify { round: *round }, *bound);
                if self.stage == Stage::Working {
                    self.stage = Stage::Voting(candidates.clone());
                }
            }
            Event::ResultsAwaited { .. } => self.begin_turn(),
            Event::Ended { end } => self.end = Some(end.clone()),
        }
    }

    fn open_task(&mut self, task: u32, work: Work, bound: Spend) {
        self.open.insert(task, Open { work, bound, withdrawn: false });
        self.next_task = self.next_task.max(task.saturating_add(1));
    }

    fn step_begins(&mut self, round: u16, step: StepId, task: u32, agent: AgentId) {
        if let Some(state) = self.step_mut(round, step) {
            let failed = match state {
                StepState::Waiting { failed, .. } => std::mem::take(failed),
                StepState::Running { .. } | StepState::Done { .. } => Vec::new(),
            };
            *state = StepState::Running { task, agent, failed };
        }
    }

    fn step_mut(&mut self, round: u16, step: StepId) -> Option<&mut StepState> {
        self.rounds.get_mut(usize::from(round))?.steps.get_mut(step.index())
    }

    fn take_plan(&mut self, plan: &Plan) {
        let Some((round, before)) = self.rounds.split_last_mut() else { return };
        let before = before.last().map_or(&[][..], |round| round.steps.as_slice());
        let state = |kept: Option<StepId>| match before.get(kept?.index()) {
            Some(done @ StepState::Done { .. }) => Some(done.clone()),
            Some(StepState::Waiting { .. } | StepState::Running { .. }) | None => None,
        };
        let waiting = || StepState::Waiting { failed: Vec::new(), last: None };
        let states = plan.steps.iter().map(|step| state(step.kept).unwrap_or_else(waiting));
        round.steps = states.collect();
        round.plan = Some(plan.clone());
        self.stage = Stage::Working;
        // Everything may be kept.
        self.after_step();
    }

    fn hear(&mut self, input: &Input) {
        match input {
            Input::Outcome { task, outcome, spend, .. } => self.conclude(*task, *spend, outcome),
            Input::Lost { task, spend } => {
                let (code, message) = ("lost", "every process that held the task died");
                let lost = Outcome::Failed { code: code.into(), message: message.into() };
                self.conclude(*task, *spend, &lost);
            }
            Input::Interrupted { task, spend } => self.interrupt(*task, *spend),
            Input::Results { turn, results } => self.end_turn(*turn, results.as_ref()),
            Input::Signalled { .. } => {}
            Input::ChildEnded { child, end, spend } => {
                let Some(Work::Child { round, step }) = self.work(*child) else { return };
                self.settle(*child, *spend);
                self.conclude_step(round, step, &end.for_step());
            }
            Input::DeadlinePassed => self.late = true,
            Input::CancelAsked { reason } => {
                self.cancel.get_or_insert_with(|| reason.clone());
            }
            Input::AgentsRemoved { agents } => self.removed.clone_from(agents),
        }
    }

    /// What an interrupted task was for fails for good: another agent would do it again.
    fn interrupt(&mut self, task: u32, spend: Spend) {
        let work = self.work(task);
        let (code, message) = ("interrupted", "the process that had begun it died");
        let failed = Outcome::Failed { code: code.into(), message: message.into() };
        self.conclude(task, spend, &failed);
        let agents: Vec<_> = self.spec.agents.iter().map(|agent| agent.id.clone()).collect();
        if let Some(Work::Step { round, step }) = work
            && let Some(StepState::Waiting { failed, .. }) = self.step_mut(round, step)
        {
            *failed = agents;
        }
    }

    /// What an open task or child is for. One that is not open has been heard of before:
    /// its spend is on the bill.
    fn work(&self, number: u32) -> Option<Work> {
        self.open.get(&number).map(|open| open.work)
    }

    fn settle(&mut self, number: u32, spend: Spend) {
        self.open.remove(&number);
        self.spent = self.spent.plus(spend);
    }

    /// What a task's outcome means for what it was for.
    fn conclude(&mut self, task: u32, spend: Spend, outcome: &Outcome) {
        // A child run reports by its end alone.
        let Some(work) = self.work(task).filter(|work| !work.is_child()) else {
            return;
        };
        self.settle(task, spend);
        if let Outcome::BudgetSpent { resource } = outcome {
            self.broke.get_or_insert(*resource);
        }
        match work {
            Work::Plan { round } => self.conclude_plan(round, outcome),
            Work::Step { round, step } | Work::Child { round, step } => {
                self.conclude_step(round, step, outcome);
            }
            Work::Verify { round } => self.conclude_verify(round, outcome),
        }
    }

    fn conclude_plan(&mut self, round: u16, outcome: &Outcome) {
        match outcome {
            Outcome::Planned { plan, .. } => self.take_plan(plan),
            Outcome::Stands if round > 0 && self.has_answer() => {
                self.stage = Stage::Over(Closing::Best(crate::Reason::Stands));
            }
            Outcome::Stands
            | Outcome::Unreadable { .. }
            | Outcome::Failed { .. }
            | Outcome::Abandoned
            | Outcome::BudgetSpent { .. }
            | Outcome::Worked { .. }
            | Outcome::FellShort { .. }
            | Outcome::Verified { .. } => self.stage = Stage::Planning(PlanningState::Unplanned),
        }
    }

    fn conclude_step(&mut self, round: u16, step: StepId, outcome: &Outcome) {
        let failure = match outcome {
            Outcome::Worked { output, truncated, tool_calls, replan, .. } => {
                if let Some(state) = self.step_mut(round, step)
                    && let StepState::Running { agent, .. } = state
                {
                    let (agent, output) = (agent.clone(), output.clone());
                    let (truncated, tool_calls) = (*truncated, tool_calls.clone());
                    *state = StepState::Done { agent, output, truncated, tool_calls };
                }
                if let Some(round) = self.rounds.get_mut(usize::from(round))
                    && let Some(why) = replan
                {
                    round.asked.get_or_insert((step, why.clone()));
                }
                self.after_step();
                return;
            }
            Outcome::Failed { code, message } => (code.clone(), message.clone()),
            Outcome::FellShort { shortfall, .. } => {
                (shortfall.code().into(), shortfall.to_string())
            }
            Outcome::BudgetSpent { resource } => {
                ("budget_spent".into(), format!("the budget of {resource} holds no further call"))
            }
            Outcome::Abandoned => ("abandoned".into(), "the holder was told to stop".into()),
            Outcome::Planned { .. }
            | Outcome::Stands
            | Outcome::Unreadable { .. }
            | Outcome::Verified { .. } => {
                ("protocol".into(), "the outcome is not one of a step".into())
            }
        };
        if let Some(state) = self.step_mut(round, step)
            && let StepState::Running { agent, failed, .. } = state
        {
            let mut failed = std::mem::take(failed);
            failed.push(agent.clone());
            let instead = instead(agent, outcome);
            let (code, message) = failure;
            let last = Some(Failure { code, message, instead });
            *state = StepState::Waiting { failed, last };
        }
    }

    /// Moves on from `Working` once every step is done.
    fn after_step(&mut self) {
        let Some(round) = self.rounds.last() else { return };
        let Some(plan) = &round.plan else { return };
        let done = |state: &StepState| matches!(state, StepState::Done { .. });
        if self.stage != Stage::Working {
            return;
        }
        if let Some(chosen) = round.chosen {
            if let Some(answer) = self.answer_of(self.current_round(), chosen) {
                self.check_or_close(answer);
            }
            return;
        }
        if !round.steps.iter().all(done) {
            return;
        }
        match plan.selection {
            // The vote itself is a decision: it may be held without the leaves that failed.
            Selection::Majority => {}
            Selection::Last => {
                let last = StepId(round.steps.len().saturating_sub(1) as u16);
                if let Some(answer) = self.answer_of(self.current_round(), last) {
                    self.check_or_close(answer);
                }
            }
        }
    }

    fn check_or_close(&mut self, answer: Answer) {
        self.stage = match &self.spec.check {
            Some(_) | None if answer.tool_calls.is_some() && self.may_await() => {
                Stage::Awaiting(answer)
            }
            // What the tools will say is not known yet: the answer comes in another run.
            Some(_) | None if answer.tool_calls.is_some() => {
                Stage::Over(Closing::With(crate::Reason::ToolCalls, answer))
            }
            Some(check) if check.is_of_answers() => Stage::Checking(answer),
            Some(_) | None => self.undecided(answer),
        };
    }

    fn conclude_verify(&mut self, round: u16, outcome: &Outcome) {
        let verdict = match outcome {
            Outcome::Verified { verdict, .. } => Some(verdict.as_ref()),
            Outcome::Failed { .. }
            | Outcome::BudgetSpent { .. }
            | Outcome::Abandoned
            | Outcome::Planned { .. }
            | Outcome::Stands
            | Outcome::Unreadable { .. }
            | Outcome::FellShort { .. }
            | Outcome::Worked { .. } => None,
        };
        match self.stage.clone() {
            Stage::Voting(candidates) => {
                let choice = verdict.and_then(|v| v.choice).map_or(0, usize::from);
                let chosen = candidates.get(choice).or(candidates.first()).copied();
                if let Some(answer) = chosen.and_then(|step| self.answer_of(round, step)) {
                    self.check_or_close(answer);
                }
            }
            Stage::Checking(answer) => self.judged(round, answer, verdict),
            Stage::Planning(_) | Stage::Working | Stage::Awaiting(_) | Stage::Over(_) => {}
        }
    }
}

/// What an outcome gave instead of an answer, if it did.
fn instead(agent: &AgentId, outcome: &Outcome) -> Option<Instead> {
    match outcome {
        Outcome::FellShort { shortfall, text, .. } => {
            let (agent, shortfall, text) = (agent.clone(), shortfall.clone(), text.clone());
            Some(Instead { agent, shortfall, text })
        }
        Outcome::Planned { .. }
        | Outcome::Stands
        | Outcome::Unreadable { .. }
        | Outcome::Worked { .. }
        | Outcome::Verified { .. }
        | Outcome::Failed { .. }
        | Outcome::BudgetSpent { .. }
        | Outcome::Abandoned => None,
    }
}
