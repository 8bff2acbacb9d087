//! What happens next while an answer is checked, and what its verdict leads to.

use crate::run::{Failed, Scored, Stage, Work};
use crate::{Answer, Closing, Event, Reason, Run};
use baton_workflow::{StepId, Verdict, VerdictKind};

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
        let answer = self.answer_of(self.current_round(), step)?;
        let grant = match self.afford_check(check, &answer) {
            Ok(grant) => grant,
            // An answer that cannot be checked any more is still the answer, unless an
            // earlier one is known to be better than nothing.
            Err(resource) => {
                let reason = Reason::BudgetSpent { resource };
                let better = self.best.as_ref().is_some_and(|best| best.score > 0.0);
                return Some(self.close(match better {
                    true => Closing::Best(reason),
                    false => Closing::With(reason, answer),
                }));
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

    /// What a verdict on an answer leads to; none where the check could not be had.
    pub(crate) fn judged(&mut self, round: u16, mut answer: Answer, verdict: Option<&Verdict>) {
        if let Some(round) = self.rounds.get_mut(usize::from(round)) {
            round.verdict = verdict.cloned();
        }
        answer.score = verdict.and_then(|verdict| verdict.score);
        self.stage = match verdict.map(|verdict| (verdict.kind, verdict)) {
            Some((VerdictKind::Pass, _)) => Stage::Over(Closing::With(Reason::Accepted, answer)),
            Some((VerdictKind::Fail, verdict)) => self.rejected(answer, verdict),
            Some((VerdictKind::Abstain | VerdictKind::Unavailable, _)) | None => {
                answer.score = None;
                self.undecided(answer)
            }
        };
    }

    fn rejected(&mut self, answer: Answer, verdict: &Verdict) -> Stage {
        let Verdict { feedback, class, .. } = verdict.clone();
        let failed = Failed { output: answer.output.clone(), class };
        let again = self.failed.iter().any(|before| before.says_as(&failed));
        self.failed.push(failed);
        self.keep_if_best(answer);
        if again {
            return Stage::Over(Closing::Best(Reason::NoProgress { feedback }));
        }
        self.correct(feedback)
    }

    /// Nothing decides on an answer. Where that is wanted the policy looks at it. Else it is
    /// given, unless one that failed had a part of what the check asks for: of this one
    /// nothing is known.
    pub(crate) fn undecided(&mut self, answer: Answer) -> Stage {
        self.keep_if_best(answer);
        if self.spec.review && self.may_plan_again() {
            return self.next_round();
        }
        Stage::Over(self.undecided_end())
    }

    /// The end with an answer that nothing decided on.
    pub(crate) fn undecided_end(&self) -> Closing {
        Closing::Best(self.best_is_rejected().unwrap_or(Reason::Unchecked))
    }

    /// What is known of the best answer so far, where it has failed.
    fn best_is_rejected(&self) -> Option<Reason> {
        let verdict = self.verdict(self.best.as_ref()?.answer.round)?;
        let feedback = verdict.feedback.clone();
        verdict.is_fail().then_some(Reason::NotAccepted { feedback })
    }

    /// An answer without a score has none of what the check asks for. A later answer replaces
    /// an equal one: it was written knowing the earlier.
    fn keep_if_best(&mut self, answer: Answer) {
        let score = answer.score.unwrap_or(0.0);
        if self.best.as_ref().is_none_or(|best| score >= best.score) {
            self.best = Some(Scored { answer, score });
        }
    }
}
