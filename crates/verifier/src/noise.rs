//! Verdicts by lot, for an experiment that has to see what the evidence is good for. Builds
//! for tests alone have it.

use baton_engine::VerifyAssignment;
use baton_ledger::Body;
use baton_workflow::{Verdict, VerdictKind};

/// What a verdict says that nobody has found.
const SAID: [&str; 4] = [
    "The second line is longer than the first.",
    "It does not say in which year this was.",
    "A map would have helped.",
    "The colours do not go together.",
];

/// How verdicts are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Another seed, other lots.
    pub seed: u64,
    /// The share of answers that pass, 0 to 1.
    pub pass_rate: f64,
}

impl Noise {
    /// Reads `SEED:PASS_RATE`, such as `1:0.6`; `None` for anything else.
    pub fn read(text: &str) -> Option<Self> {
        let (seed, rate) = text.split_once(':')?;
        let noise = Self { seed: seed.parse().ok()?, pass_rate: rate.parse().ok()? };
        (0.0..=1.0).contains(&noise.pass_rate).then_some(noise)
    }

    /// In place of a verdict on an answer, one that hangs on the question's and the answer's
    /// names and on nothing that they say. Votes stay as they are.
    pub(crate) fn instead_of(&self, asked: &VerifyAssignment, verdict: Verdict) -> Verdict {
        let Some(candidate) = asked.candidates.first().filter(|_| !asked.is_vote()) else {
            return verdict;
        };
        let [passes, says] = ["kind", "feedback"].map(|topic| {
            let named = format!("{topic} {} {} {}", self.seed, asked.request.hash, candidate.hash);
            let hash = Body::new(named).name.hash;
            u32::from_str_radix(hash.get(..8).unwrap_or_default(), 16).unwrap_or_default()
        });
        let passes = f64::from(passes) < self.pass_rate * 2_f64.powi(32);
        let said = SAID.get(says as usize % SAID.len()).copied().unwrap_or_default();
        let kind = if passes { VerdictKind::Pass } else { VerdictKind::Fail };
        let drawn = Verdict::new(verdict.verifier, kind, "drawn");
        if passes { drawn } else { drawn.saying(said) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_engine::Check;
    use baton_workflow::Timestamp;

    fn asked(question: &str, answer: &str) -> VerifyAssignment {
        VerifyAssignment {
            round: 0,
            request: Body::new(question.to_owned()).name,
            candidates: vec![Body::new(answer.to_owned()).name],
            turns: Vec::new(),
            sources: Vec::new(),
            calls: Vec::new(),
            authors: Vec::new(),
            votes: false,
            step: None,
            words: None,
            check: Some(Check::Answer { expected: "5".into() }),
            output_tokens_max: 0,
            deadline: Timestamp(0),
        }
    }

    fn found(kind: VerdictKind) -> Verdict {
        Verdict::new("v/1", kind, "found").saying("41, wanted 42").having_read("41")
    }

    #[test]
    fn verdicts_are_lots_that_know_nothing_of_what_was_found() {
        let noise = Noise::read("7:0.3").unwrap();
        let drawn = |seed, at: usize, kind| {
            let noise = Noise { seed, ..noise };
            noise.instead_of(&asked(&format!("question {at}"), "5"), found(kind))
        };
        let kinds: Vec<_> = (0..1000).map(|at| drawn(7, at, VerdictKind::Pass).kind).collect();
        let passed = kinds.iter().filter(|kind| **kind == VerdictKind::Pass).count();
        assert!((250..350).contains(&passed), "{passed}");
        let others = |seed, kind| (0..1000).map(move |at| drawn(seed, at, kind).kind);
        assert!(others(7, VerdictKind::Fail).eq(kinds.iter().copied()), "the finding shows");
        assert!(!others(8, VerdictKind::Pass).eq(kinds.iter().copied()), "the seed does not");
        for at in 0..1000 {
            let verdict = drawn(7, at, VerdictKind::Fail);
            assert!(!format!("{verdict:?}").contains('4'), "{verdict:?}");
        }
        let vote = VerifyAssignment { check: None, ..asked("question 0", "5") };
        assert_eq!(noise.instead_of(&vote, found(VerdictKind::Fail)), found(VerdictKind::Fail));
    }

    #[test]
    fn what_is_no_noise_is_refused() {
        assert_eq!(Noise::read("1:0.6"), Some(Noise { seed: 1, pass_rate: 0.6 }));
        for wrong in ["", "1", "1:", "x:0.5", "1:1.5", "1:NaN"] {
            assert_eq!(Noise::read(wrong), None, "{wrong}");
        }
    }
}
