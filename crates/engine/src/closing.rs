//! How a run is brought to its end.

use crate::{Answer, Closing, End, Event, Reason, Run, Status};
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
    fn best_answer(&self) -> Option<Answer> {
        if let Some(best) = &self.best {
            return Some(best.answer.clone());
        }
        (0..self.rounds.len() as u16).rev().find_map(|round| {
            let (plan, steps) = self.round(round)?;
            let mut steps = (0..steps.len() as u16).rev().map(StepId);
            let answer = steps.find_map(|step| self.answer_of(round, step))?;
            Some(Answer { partial: !plan.may_answer(answer.step), ..answer })
        })
    }
}
