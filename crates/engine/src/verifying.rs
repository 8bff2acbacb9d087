//! The verifier as a step of a plan: it checks what it sees, its verdict is told to whoever
//! may see it, and where it is the last step the answer is the candidate that it chose.

use crate::judges::NOBODY;
use crate::run::{Stage, StepState};
use crate::{Answer, Cause, Check, Event, Exchange, Outcome, Plan, Run, Verifies};
use baton_workflow::{BodyRef, Resource, StepId, Verdict};

/// How a step that names the verifier goes about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Means {
    /// None for a vote.
    pub(crate) check: Option<Check>,
    /// Whether the step's subtask is what to judge by.
    pub(crate) words: bool,
}

impl Run {
    /// By what a step that names the verifier checks; none where there is nothing.
    pub(crate) fn means(&self, plan: &Plan, step: StepId) -> Option<Means> {
        let judge = || {
            let model = self.spec.verifier.as_ref()?.judge.clone()?;
            Some(Check::Judge { model })
        };
        let means = |check, words| Some(Means { check, words });
        match plan.steps.get(step.index())?.verifies.as_ref()? {
            Verifies::Own if plan.candidates(step).len() > 1 => means(None, false),
            Verifies::Own => {
                let own = self.spec.check.clone().filter(Check::is_of_answers);
                means(Some(own.or_else(judge)?), false)
            }
            Verifies::Stated { check } => {
                means(Some(Check::Stated { check: check.clone(), votes: false }), false)
            }
            Verifies::Words => means(Some(judge()?), true),
        }
    }

    /// Whether nothing more is to come of a step: it is done, or it names the verifier, which
    /// cannot be asked. That says nothing about what it was to look at.
    pub(crate) fn is_over(&self, round: u16, step: StepId) -> bool {
        let Some((plan, steps)) = self.round(round) else { return false };
        match steps.get(step.index()) {
            Some(StepState::Done { .. }) => true,
            Some(StepState::Waiting { failed, .. }) => {
                plan.verifies(step) && (!failed.is_empty() || self.means(plan, step).is_none())
            }
            Some(StepState::Running { .. }) | None => false,
        }
    }

    /// The outputs that a step sees; none while one of them is to come. What a verifier that
    /// cannot be asked would have said is left out.
    pub(crate) fn inputs(&self, round: u16, step: StepId) -> Option<Vec<(StepId, BodyRef)>> {
        let (plan, _) = self.round(round)?;
        let sees = &plan.steps.get(step.index())?.sees;
        let there = sees.iter().filter_map(|seen| match self.answer_of(round, *seen) {
            Some(answer) => Some(Some((*seen, answer.output))),
            None if self.is_over(round, *seen) => None,
            None => Some(None),
        });
        there.collect()
    }

    /// What comes next for a step that names the verifier and waits: nothing while what it
    /// looks at is not there, or where it is not asked at all. `Err` where the budget does not
    /// hold it.
    pub(crate) fn next_verifying(
        &self,
        plan: &Plan,
        step: StepId,
    ) -> Result<Option<Event>, Resource> {
        let round = self.current_round();
        let candidates = plan.candidates(step);
        let answers = candidates.iter().map(|candidate| self.answer_of(round, *candidate));
        let Some(answers) = answers.collect::<Option<Vec<_>>>() else { return Ok(None) };
        let Some(means) = self.means(plan, step).filter(|_| !self.is_over(round, step)) else {
            return Ok(None);
        };
        if self.calls_before_verifier().is_some_and(|_| plan.last_verifies() == Some(step)) {
            return Ok(None);
        }
        let grant = match &means.check {
            None => NOBODY,
            Some(check) => {
                let longest = answers.iter().map(|answer| u64::from(answer.output.len)).max();
                let words = if means.words { u64::from(plan.workflow.len) } else { 0 };
                self.afford_check(check, longest.unwrap_or(0) + words)?
            }
        };
        Ok(Some(Event::VerifyAsked {
            task: self.next_task,
            round,
            candidates,
            step: Some(step),
            output_tokens_max: grant.output_tokens_max,
            bound: grant.bound,
        }))
    }

    /// What came of asking the verifier for a step.
    pub(crate) fn conclude_verifier(&mut self, round: u16, step: StepId, outcome: &Outcome) {
        match outcome {
            Outcome::Verified { verdict, output: Some(output), .. } => {
                self.verified(round, step, verdict, output);
            }
            Outcome::Verified { output: None, .. }
            | Outcome::Failed { .. }
            | Outcome::BudgetSpent { .. }
            | Outcome::Abandoned
            | Outcome::Planned { .. }
            | Outcome::Stands
            | Outcome::Unreadable { .. }
            | Outcome::FellShort { .. }
            | Outcome::Worked { .. } => {
                let message = "the verifier could not be asked".into();
                self.step_fails(round, step, "unavailable".into(), message, outcome);
            }
        }
        self.after_step();
    }

    fn verified(&mut self, round: u16, step: StepId, verdict: &Verdict, output: &BodyRef) {
        let last = self.round(round).and_then(|(plan, _)| plan.last_verifies());
        if let Some(state) = self.step_mut(round, step)
            && let StepState::Running { agent, .. } = state
        {
            let (agent, output) = (agent.clone(), output.clone());
            *state = StepState::Done { agent, output, truncated: false, tool_calls: None };
        }
        let Some(round) = self.rounds.get_mut(usize::from(round)) else { return };
        round.verdicts.insert(step, verdict.clone());
        // Of the last one, what its verdict means for the answer is seen to at once.
        if verdict.is_fail() && last != Some(step) {
            let feedback = verdict.feedback.clone();
            round.broken.get_or_insert(Cause::Refuted { step, feedback });
        }
    }

    /// The answer that a last step which names the verifier leaves: of the candidates the one
    /// that it chose, else the first.
    fn verified_answer(&self, round: u16, step: StepId) -> Option<Answer> {
        let (plan, _) = self.round(round)?;
        let candidates = plan.candidates(step);
        let verdict = self.rounds.get(usize::from(round))?.verdicts.get(&step);
        let choice = verdict.and_then(|verdict| verdict.choice).map_or(0, usize::from);
        self.answer_of(round, candidates.get(choice).or(candidates.first()).copied()?)
    }

    /// Every step is over, and the last one names the verifier. Where the run has no check of
    /// its own, or has had it there, that verdict is the answer's.
    pub(crate) fn after_verifier(&mut self, last: StepId) {
        let round = self.current_round();
        let Some(answer) = self.verified_answer(round, last) else { return };
        let Some((plan, _)) = self.round(round) else { return };
        let own = plan.steps.get(last.index()).is_some_and(|s| s.verifies == Some(Verifies::Own));
        let voted = own && plan.candidates(last).len() > 1;
        let verdict = self.rounds.last().and_then(|round| round.verdicts.get(&last)).cloned();
        match verdict.filter(|_| !voted && answer.tool_calls.is_none()) {
            Some(verdict) if own || self.spec.check.is_none() => {
                self.judged(round, answer, Some(&verdict));
            }
            Some(verdict) if verdict.is_fail() && self.may_plan_again() => {
                let (step, feedback) = (last, verdict.feedback);
                if let Some(round) = self.rounds.last_mut() {
                    round.broken.get_or_insert(Cause::Refuted { step, feedback });
                }
            }
            Some(_) | None => self.check_or_close(answer),
        }
    }

    /// A step that called tools went on with their results. Who is to verify it has not yet.
    pub(crate) fn after_turn(&mut self, answer: Answer) {
        let round = self.current_round();
        let last = self.round(round).and_then(|(plan, _)| plan.last_verifies());
        let verifies = last.is_some_and(|last| !self.is_over(round, last));
        if verifies && answer.tool_calls.is_none() {
            if let Some(round) = self.rounds.last_mut() {
                round.chosen = None;
            }
            return;
        }
        self.check_or_close(answer);
    }

    /// The one candidate of a verifier that comes last, where it calls tools: there is nothing
    /// to check before they have been called.
    pub(crate) fn calls_before_verifier(&self) -> Option<Answer> {
        let round = self.current_round();
        let (plan, _) = self.round(round)?;
        let last = plan.last_verifies().filter(|last| !self.is_over(round, *last))?;
        let [candidate] = plan.candidates(last)[..] else { return None };
        let running =
            matches!(self.round(round)?.1.get(last.index()), Some(StepState::Running { .. }));
        self.answer_of(round, candidate).filter(|answer| answer.tool_calls.is_some() && !running)
    }

    /// The tools that were called for what is checked, where that is one answer.
    pub(crate) fn checked_turns(&self, round: u16, candidates: &[StepId]) -> Vec<Exchange> {
        match (candidates, &self.stage) {
            ([one], Stage::Working | Stage::Checking(_)) => self.exchanges(round, *one),
            (
                _,
                Stage::Planning(_)
                | Stage::Working
                | Stage::Voting(_)
                | Stage::Awaiting(_)
                | Stage::Checking(_)
                | Stage::Over(_),
            ) => Vec::new(),
        }
    }
}
