//! What may be spent on judges: to check an answer, or to compare those of a vote.

use crate::afford::{Grant, tokens_in_max};
use crate::{AgentTerms, Answer, Check, Event, Run};
use baton_workflow::{Resource, Spend, StepId};
use std::slice;

/// What a judge is told of how to judge takes at most this.
const RULES_BYTES: u64 = 2048;
/// Nobody is asked.
const NOBODY: Grant = Grant { output_tokens_max: 0, bound: Spend::ZERO };

impl Run {
    /// Leave for what it takes to check an answer.
    pub(crate) fn afford_check(&self, check: &Check, answer: &Answer) -> Result<Grant, Resource> {
        let shown = u64::from(answer.output.len);
        match check {
            Check::Answer { .. } | Check::Stated { .. } | Check::Compared { .. } => Ok(NOBODY),
            Check::Judge { model } => self.afford_judges(slice::from_ref(model), shown, 1),
            Check::Judged { check, judges, calls } => {
                self.afford_judges(judges, check.len() as u64 + shown, *calls)
            }
        }
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
        let Grant { output_tokens_max, bound } = compared.unwrap_or(NOBODY);
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
