//! Checks that no model is asked for: what the crate `checks` can tell, and what math-verify
//! can where that leaves something open.

use crate::{
    Verifier,
    cage::described,
    verify::{Candidate, Checked},
};
use baton_checks::{Check as Stated, Public, Report, SpecError};
use baton_workflow::Verdict;

impl Verifier {
    /// What can be told of a candidate by looking at it.
    pub(crate) async fn look_at(
        &self,
        check: Stated,
        candidate: &Candidate,
    ) -> Result<Checked, SpecError> {
        let expected = match &check {
            Stated::MathAnswer { expected } => expected.clone(),
            _of_no_remainder => String::new(),
        };
        let report = Public::of(check)?.verify(&candidate.text);
        let verdict = self.settled(report, &expected).await;
        // Names of calls are no part of what they say, and stand in their text.
        let class = if candidate.calls { Some(candidate.class().key()) } else { verdict.class };
        Ok(Verdict { class, ..verdict }.into())
    }

    /// The report's verdict, after whoever can has looked at what it leaves open.
    async fn settled(&self, report: Report, expected: &str) -> Verdict {
        let Some(remainder) = &report.remainder else { return report.into() };
        let Some(mathematics) = self.cage.mathematics().await else { return report.into() };
        match mathematics.same(expected, &remainder.found).await {
            Ok(same) => {
                let isolation = Some(mathematics.isolation().to_owned());
                Verdict { isolation, ..report.settled(same, mathematics.name()).into() }
            }
            Err(error) => {
                tracing::warn!(error = described(&error), "mathematics was not settled");
                report.into()
            }
        }
    }
}
