//! What a verifier found.

use crate::{Class, Doubt};
use baton_workflow::{Verdict, VerdictKind};

/// Why a check ended as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The answer is as it should be.
    Accepted,
    /// The answer was read, and is another one.
    Wrong,
    /// There is no answer of the form that was asked for.
    NoAnswer,
    /// More than one answer was given.
    Ambiguous,
    /// It takes a computer algebra system to tell.
    Undecided,
    /// Not JSON.
    NotJson,
    /// JSON that does not follow the schema.
    NotValid,
    /// An expression of other numbers, or with another value.
    NotSolved,
    /// Too long, or too much work.
    TooMuch,
    /// As many votes for one as for another.
    Tie,
    /// Nothing to vote on.
    NoCandidate,
    /// Weights that do not fit the candidates.
    BadWeights,
}

impl Code {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Wrong => "wrong",
            Self::NoAnswer => "no_answer",
            Self::Ambiguous => "ambiguous",
            Self::Undecided => "undecided",
            Self::NotJson => "not_json",
            Self::NotValid => "not_valid",
            Self::NotSolved => "not_solved",
            Self::TooMuch => "too_much",
            Self::Tie => "tie",
            Self::NoCandidate => "no_candidate",
            Self::BadWeights => "bad_weights",
        }
    }
}

/// What could not be told here, and another component may settle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remainder {
    /// The final answer that was found.
    pub found: String,
    /// Why it could not be told.
    pub doubt: Doubt,
}

/// A verifier's finding about one candidate, or a vote's about several.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The verdict.
    pub kind: VerdictKind,
    /// Why.
    pub code: Code,
    /// 1 for a pass, 0 for a fail; of a vote the winners' share; else nothing.
    pub score: Option<f64>,
    /// Of a vote: which candidate won.
    pub choice: Option<u16>,
    /// What failed, on which input, for who tries again. Never tells an expected answer.
    pub feedback: String,
    /// What was read from the candidate, if anything was.
    pub evidence: Option<String>,
    /// What the candidate says, or the chosen one; none where none was looked at.
    pub class: Option<Class>,
    /// What a computer algebra system may settle, where the verdict is to abstain for that
    /// reason.
    pub remainder: Option<Remainder>,
    /// Name and version of the verifier, and who settled the remainder if somebody did.
    pub verifier: String,
}

impl Report {
    pub(crate) fn new(verifier: &str, kind: VerdictKind, code: Code) -> Self {
        let score = match kind {
            VerdictKind::Pass => Some(1.0),
            VerdictKind::Fail => Some(0.0),
            VerdictKind::Abstain | VerdictKind::Unavailable => None,
        };
        Self {
            kind,
            code,
            score,
            choice: None,
            feedback: String::new(),
            evidence: None,
            class: None,
            remainder: None,
            verifier: verifier.to_owned(),
        }
    }

    pub(crate) fn pass(verifier: &str) -> Self {
        Self::new(verifier, VerdictKind::Pass, Code::Accepted)
    }

    pub(crate) fn fail(verifier: &str, code: Code) -> Self {
        Self::new(verifier, VerdictKind::Fail, code)
    }

    pub(crate) fn abstain(verifier: &str, code: Code) -> Self {
        Self::new(verifier, VerdictKind::Abstain, code)
    }

    pub(crate) fn saying(self, feedback: impl Into<String>) -> Self {
        Self { feedback: feedback.into(), ..self }
    }

    pub(crate) fn having_read(self, evidence: &str) -> Self {
        Self { evidence: Some(evidence.to_owned()), ..self }
    }

    /// A right or a wrong answer, told without what is right.
    pub(crate) fn of_answer(verifier: &str, right: bool, found: &str) -> Self {
        if right {
            return Self::pass(verifier).having_read(found);
        }
        let feedback =
            format!("the final answer {} is not right", crate::final_answer::shown(found));
        Self::fail(verifier, Code::Wrong).having_read(found).saying(feedback)
    }

    /// The same, after `by` looked at the remainder: with its answer, or still without one.
    /// A report that had decided stays as it is.
    #[must_use]
    pub fn settled(self, right: Option<bool>, by: &str) -> Self {
        match (&self.remainder, right) {
            (Some(remainder), Some(right)) => {
                let verifier = format!("{} {by}", self.verifier);
                Self { class: self.class, ..Self::of_answer(&verifier, right, &remainder.found) }
            }
            (Some(_), None) => Self { verifier: format!("{} {by}", self.verifier), ..self },
            (None, _) => self,
        }
    }
}

impl From<Report> for Verdict {
    /// Of a remainder, what was found is the evidence, and the doubt is in the feedback.
    fn from(report: Report) -> Self {
        let Report { kind, code, score, choice, feedback, evidence, class, remainder, verifier } =
            report;
        let evidence = evidence.or_else(|| remainder.map(|remainder| remainder.found));
        let verdict = Self::new(verifier, kind, code.name()).saying(feedback);
        let verdict = match evidence {
            Some(evidence) => verdict.having_read(&evidence),
            None => verdict,
        };
        let probability = crate::probability(&verdict.verifier, kind);
        Self { score, probability, choice, class: class.map(|class| class.key()), ..verdict }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Public;

    #[test]
    fn nothing_of_a_report_is_lost_in_its_verdict() {
        let public = |json| Public::read(json).unwrap();
        let check = public(r#"{"type": "math.answer", "expected": "1/3"}"#);
        let said = |reply: &str| {
            let Verdict { code, evidence, class, .. } = check.verify(reply).into();
            (code, evidence, class)
        };
        let class = |reply: &str| Some(Class::of(reply).key());
        let found = |text: &str| Some(text.to_owned());
        assert_eq!(said("Answer: 2/6"), ("accepted".into(), found("2/6"), class("1/3")));
        assert_eq!(said("Answer: 1/2"), ("wrong".into(), found("1/2"), class("0.5")));
        let undecided = ("undecided".into(), found("0.333333"), class("0.333333"));
        assert_eq!(said("Answer: 0.333333"), undecided);
        assert_eq!(said("").0, "no_answer");
        let probability = |reply: &str| Verdict::from(check.verify(reply)).probability;
        assert_eq!(probability("Answer: 2/6"), Some(739.0 / 740.0));
        assert_eq!(probability("Answer: 1/2"), Some(1.0 / 827.0));
        assert_eq!(probability("Answer: 0.333333"), None);
        // Where all of an answer is looked at, all of it says something.
        let whole = public(r#"{"type": "text.regex", "pattern": "a"}"#);
        assert_ne!(whole.verify("a\nAnswer: 1").class, whole.verify("b\nAnswer: 1").class);
        let long = Verdict::from(check.verify(&format!("Answer: {}", "1".repeat(1_500))));
        assert_eq!(long.evidence.map(|evidence| evidence.len()), Some(1_000));
    }
}
