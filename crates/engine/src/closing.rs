//! How a run is brought to its end.

use crate::{Answer, Cause, Closing, End, Event, Reason, Run, Status, StepState};
use baton_workflow::StepId;

impl Run {
    pub(crate) fn close_with_best(&self, reason: Reason) -> Event {
        self.close(Closing::Best(reason))
    }

    pub(crate) fn close(&self, closing: Closing) -> Event {
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
                | Reason::NoProgress { .. }
                | Reason::Loop { .. }
                | Reason::NotWorthIt { .. }
                | Reason::Unanswered
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

    /// Whether there is an answer, and not merely a step's output.
    pub(crate) fn has_answer(&self) -> bool {
        self.best_answer().is_some_and(|answer| !answer.partial)
    }

    /// Whether a round was begun because a step of the one before said that its plan does not
    /// work: then what that one would have given is not known.
    pub(crate) fn was_asked(&self, round: u16) -> bool {
        match self.rounds.get(usize::from(round)).and_then(|round| round.cause.as_ref()) {
            Some(Cause::Asked { .. } | Cause::Refuted { .. }) => true,
            Some(Cause::StepFailed { .. }) | None => false,
        }
    }

    /// No better workflow can be had than the one of the round before.
    pub(crate) fn give_up(&self, round: u16) -> Event {
        let failed = match self.rounds.get(usize::from(round)).and_then(|r| r.cause.as_ref()) {
            Some(Cause::StepFailed { step }) => Some(*step),
            Some(Cause::Asked { .. } | Cause::Refuted { .. }) | None => None,
        };
        let before = round.saturating_sub(1);
        if let Some(step) = failed {
            let state =
                self.rounds.get(usize::from(before)).and_then(|r| r.steps.get(step.index()));
            let last = match state {
                Some(StepState::Waiting { last, .. }) => last.clone(),
                Some(StepState::Running { .. } | StepState::Done { .. }) | None => None,
            };
            return self.close_for_dead(before, step, last);
        }
        if self.is_review(round) {
            return self.close(self.undecided_end());
        }
        let feedback = self.feedback_on(before);
        self.close_with_best(Reason::NotAccepted { feedback })
    }

    /// The best-scored answer; else the output furthest down the latest round that has one.
    fn best_answer(&self) -> Option<Answer> {
        if let Some(best) = &self.best {
            return Some(best.answer.clone());
        }
        (0..self.rounds.len() as u16).rev().find_map(|round| {
            let (plan, steps) = self.round(round)?;
            let steps = (0..steps.len() as u16).rev().map(StepId);
            // What the verifier says of an answer is none.
            let mut steps = steps.filter(|step| !plan.verifies(*step));
            let answer = steps.find_map(|step| self.answer_of(round, step))?;
            Some(Answer { partial: !plan.may_answer(answer.step), ..answer })
        })
    }
}
