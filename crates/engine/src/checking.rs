//! What happens next while an answer is checked.

use crate::afford::{Grant, tokens_in_max};
use crate::run::Work;
use crate::{AgentTerms, Check, Closing, Event, Reason, Run};
use baton_workflow::{Resource, Spend, StepId};
use std::slice;

/// What a judge is told of how to judge takes at most this.
const RULES_BYTES: u64 = 2048;

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
        let (judges, calls, said) = match check {
            Check::Answer { .. } | Check::Stated { .. } | Check::Compared { .. } => (&[][..], 0, 0),
            Check::Judge { model } => (slice::from_ref(model), 1, 0),
            Check::Judged { check, judges, calls } => (judges.as_slice(), *calls, check.len()),
        };
        let grant = match calls {
            0 => Grant { output_tokens_max: 0, bound: Spend::ZERO },
            calls => {
                let answer = self.answer_of(self.current_round(), step)?;
                let bytes = said as u64 + u64::from(answer.output.len);
                match self.afford_judges(judges, bytes, calls) {
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

    /// A vote among candidates. Where a model is to compare them and that cannot be paid for,
    /// they are counted.
    pub(crate) fn ask_for_vote(&self, candidates: Vec<StepId>) -> Event {
        let compared = match &self.spec.check {
            Some(Check::Compared { check, judges }) => {
                let answers = candidates.iter();
                let answers =
                    answers.filter_map(|step| self.answer_of(self.current_round(), *step));
                let mut lens: Vec<_> = answers.map(|answer| u64::from(answer.output.len)).collect();
                lens.sort_unstable_by(|a, b| b.cmp(a));
                // Each but one is met once, in both orders.
                let calls = u16::try_from(lens.len().saturating_sub(1) * 2).unwrap_or(u16::MAX);
                let bytes = check.len() as u64 + lens.iter().take(2).sum::<u64>();
                self.afford_judges(judges, bytes, calls).ok()
            }
            Some(
                Check::Answer { .. }
                | Check::Stated { .. }
                | Check::Judge { .. }
                | Check::Judged { .. },
            )
            | None => None,
        };
        let counted = Grant { output_tokens_max: 0, bound: Spend::ZERO };
        let Grant { output_tokens_max, bound } = compared.unwrap_or(counted);
        let (task, round) = (self.next_task, self.current_round());
        Event::VerifyAsked { task, round, candidates, output_tokens_max, bound }
    }

    /// Leave for so many questions to judges that are shown so much beside the request.
    fn afford_judges(
        &self,
        judges: &[AgentTerms],
        bytes: u64,
        calls: u16,
    ) -> Result<Grant, Resource> {
        let bytes = u64::from(self.spec.request.len) + bytes + RULES_BYTES;
        self.afford_any(judges, tokens_in_max(bytes, self.spec.images), calls)
    }
}
