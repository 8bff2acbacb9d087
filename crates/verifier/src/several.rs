//! The verifier as a step of a plan: of several candidates the best, and a verdict in words.

use crate::{
    Verifier,
    verify::{Checked, Matter, Means},
};
use baton_checks::{Check as Stated, SpecError};
use baton_workflow::{Verdict, VerdictKind};

impl Verifier {
    /// Checks one candidate after the other until one passes; what is found is of the best.
    ///
    /// # Errors
    /// The check is none that can be carried out.
    pub(crate) async fn best(
        &self,
        check: &Stated,
        matter: Matter,
        means: &Means<'_>,
    ) -> Result<Checked, SpecError> {
        let Matter { question, first, others } = matter;
        let one =
            |candidate| Matter { question: question.clone(), first: candidate, others: vec![] };
        let alone = others.is_empty();
        let mut best = self.carry_out(check, &one(first), means).await?;
        for (place, candidate) in (1_u16..).zip(others) {
            if best.verdict.kind == VerdictKind::Pass {
                break;
            }
            let means = means.for_part(place.into());
            let found = self.carry_out(check, &one(candidate), &means).await?;
            best = best.or_better(found, place);
        }
        if !alone {
            best.verdict.choice.get_or_insert(0);
        }
        Ok(best)
    }
}

impl Checked {
    /// This, or what was found of the candidate at `place` if that is better: one that
    /// passes, else the one with the greater score. What both cost is in it.
    fn or_better(mut self, mut other: Self, place: u16) -> Self {
        let rank =
            |verdict: &Verdict| (verdict.kind == VerdictKind::Pass, verdict.score.unwrap_or(-1.0));
        if rank(&other.verdict) > rank(&self.verdict) {
            std::mem::swap(&mut self.verdict, &mut other.verdict);
            self.verdict.choice = Some(place);
        }
        self.cached &= other.cached;
        self.add(other);
        self
    }
}

/// A verdict as the steps that may see it are told it.
pub(crate) fn in_words(verdict: &Verdict, candidates: usize) -> String {
    let kind = match verdict.kind {
        VerdictKind::Pass => "pass",
        VerdictKind::Fail => "fail",
        VerdictKind::Abstain => "none, the verifier cannot tell",
        VerdictKind::Unavailable => "none, the verifier could not be asked",
    };
    let mut words = format!("Verdict: {kind}");
    if let Some(choice) = verdict.choice.filter(|_| candidates > 1) {
        words.push_str(&format!("\nChosen: candidate {} of {candidates}", choice + 1));
    }
    if !verdict.feedback.trim().is_empty() {
        words.push_str(&format!("\n{}", verdict.feedback.trim()));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_workflow::Spend;

    #[test]
    fn of_several_candidates_the_best_is_chosen_and_all_are_paid_for() {
        let checked = |kind, score| {
            let verdict = Verdict { score, ..Verdict::new("t/1", kind, "") };
            let spend = Spend { calls: 1, ..Spend::ZERO };
            Checked { spend, ..Checked::from(verdict) }
        };
        let (fail, pass) = (VerdictKind::Fail, VerdictKind::Pass);
        for (found, choice) in [
            (vec![(fail, Some(0.2)), (fail, Some(0.6)), (fail, Some(0.4))], Some(1)),
            (vec![(fail, Some(0.9)), (pass, Some(0.5))], Some(1)),
            (vec![(fail, Some(0.0)), (VerdictKind::Abstain, None)], None),
            (vec![(fail, Some(0.0)), (fail, Some(0.0))], None),
        ] {
            let mut all = (0..).zip(found.iter().map(|(kind, score)| checked(*kind, *score)));
            let (_, first) = all.next().unwrap();
            let best = all.fold(first, |best, (place, next)| best.or_better(next, place));
            assert_eq!(best.verdict.choice, choice, "{found:?}");
            assert_eq!(best.spend.calls as usize, found.len());
        }
    }

    #[test]
    fn a_verdict_is_told_in_words() {
        let verdict = Verdict::new("t/1", VerdictKind::Fail, "wrong").saying("4 is not 5");
        assert_eq!(in_words(&verdict, 1), "Verdict: fail\n4 is not 5");
        let chosen = Verdict { choice: Some(1), ..Verdict::new("t/1", VerdictKind::Pass, "") };
        assert_eq!(in_words(&chosen, 3), "Verdict: pass\nChosen: candidate 2 of 3");
    }
}
