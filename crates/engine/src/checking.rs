//! What happens next while an answer is checked.

use crate::afford::{Grant, tokens_in_max};
use crate::run::Work;
use crate::{Check, Closing, Event, Reason, Run};
use baton_workflow::{Spend, StepId};

impl Run {
    pub(crate) fn next_checking(&self, step: StepId) -> Option<Event> {
        let asked = self
            .open
            .values()
            .any(|open| open.work == Work::Verify { round: self.current_round() });
        let check = self.spec.check.as_ref()?;
        if asked {
            return None;
        }
        let grant = match check {
            Check::Answer { .. } | Check::Stated { .. } => {
                Grant { output_tokens_max: 0, bound: Spend::ZERO }
            }
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
}
