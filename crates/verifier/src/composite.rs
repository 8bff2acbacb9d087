//! Several checks as one: the cheapest first, and the first that fails decides.

use crate::{
    Verifier, metrics,
    verify::{Checked, Matter, Means},
};
use baton_checks::{Check as Stated, SpecError};
use baton_workflow::{Verdict, VerdictKind};

const VERIFIER: &str = "composite/1";

impl Verifier {
    /// Passes where all pass. What one part cannot tell is reported as it says it, unless
    /// another fails.
    pub(crate) async fn composite(
        &self,
        checks: &[Stated],
        matter: &Matter,
        means: &Means<'_>,
    ) -> Result<Checked, SpecError> {
        let mut parts: Vec<_> = checks.iter().collect();
        parts.sort_by_key(|check| check.effort());
        let mut all = Checked::from(Verdict::new(VERIFIER, VerdictKind::Pass, "accepted"));
        let (mut deciding, mut told, mut isolation) = (None::<Verdict>, Vec::new(), None);
        for (number, check) in parts.into_iter().enumerate() {
            let mut checked = self.part(check, matter, &means.for_part(number)).await?;
            let verdict = std::mem::replace(&mut checked.verdict, all.verdict.clone());
            all.add(checked);
            let kind = verdict.kind;
            told.push(format!("{}: {} ({})", verdict.verifier, metrics::label(kind), verdict.code));
            isolation = isolation.or_else(|| verdict.isolation.clone());
            // An undecided part stays, unless one fails.
            let stays = deciding.as_ref().is_some_and(|before| before.kind != VerdictKind::Pass);
            if kind == VerdictKind::Fail || !stays {
                deciding = Some(verdict);
            }
            if kind == VerdictKind::Fail {
                break;
            }
        }
        let deciding = deciding.unwrap_or_else(|| all.verdict.clone());
        let verifier = format!("{VERIFIER} {}", deciding.verifier);
        // That one part passes is no measure of all of them.
        let probability = deciding.probability.filter(|_| deciding.kind == VerdictKind::Fail);
        let verdict = Verdict { verifier, probability, isolation, ..deciding };
        Ok(Checked { verdict: verdict.having_read(&told.join("; ")), ..all })
    }
}
