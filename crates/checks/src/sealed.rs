//! What the loop may see, and what it may not: two types that do not meet.

use crate::{Check, Report, SpecError, spec::Ready};
use baton_workflow::VerdictKind;
use serde::{Deserialize, Deserializer};

/// A check whose findings a run may see: those that a request names.
#[derive(Debug)]
pub struct Public(Ready);

impl Public {
    /// Makes a check ready.
    ///
    /// # Errors
    /// What is wrong with it, before anybody is asked anything.
    pub fn of(check: Check) -> Result<Self, SpecError> {
        Ready::of(check).map(Self)
    }

    /// The same from JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(json: &str) -> Result<Self, SpecError> {
        Check::read(json).and_then(Self::of)
    }

    /// Checks a candidate. The same check and candidate give the same report anywhere.
    pub fn verify(&self, candidate: &str) -> Report {
        self.0.look_at(candidate)
    }
}

/// A reference that a benchmark grades with, and no run may see.
///
/// It is read straight from a file into this type, and a [`Grader`] alone looks into it. So
/// it cannot be shown, sent, compared or checked against within a run:
///
/// ```compile_fail,E0277
/// fn shown(hidden: baton_checks::Hidden) -> String {
///     format!("{hidden:?}")
/// }
/// ```
/// ```compile_fail,E0277
/// fn sent(hidden: baton_checks::Hidden) -> String {
///     serde_json::to_string(&hidden).unwrap()
/// }
/// ```
/// ```compile_fail,E0599
/// fn in_the_loop(hidden: baton_checks::Hidden) -> baton_checks::Report {
///     hidden.verify("42")
/// }
/// ```
/// ```compile_fail,E0308
/// fn as_public(hidden: baton_checks::Hidden) -> baton_checks::Public {
///     hidden
/// }
/// ```
/// ```compile_fail,E0616
/// fn looked_into(hidden: baton_checks::Hidden) {
///     drop(hidden.0);
/// }
/// ```
/// And what a grader says is no verdict:
/// ```compile_fail,E0277
/// fn as_verdict(grade: baton_checks::Grade) -> baton_workflow::Verdict {
///     grade.into()
/// }
/// ```
/// Grading is all that can be done with it:
/// ```
/// # use baton_checks::{Grade, Grader, Hidden};
/// let hidden: Hidden = serde_json::from_str(r#"{"type": "math.answer", "expected": "1/2"}"#)?;
/// assert_eq!(Grader::of(hidden).grade("Answer: 0.5"), Grade::Right);
/// # Ok::<(), serde_json::Error>(())
/// ```
pub struct Hidden(Ready);

impl<'de> Deserialize<'de> for Hidden {
    /// Errors do not quote the reference.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let check = Check::deserialize(from).map_err(|_| D::Error::custom("it is no check"))?;
        Ready::of(check).map(Self).map_err(|error| {
            let field = if error.field.is_empty() { "check" } else { error.field };
            D::Error::custom(format!("its {field} cannot be used"))
        })
    }
}

/// Grades answers after their runs are over.
pub struct Grader(Hidden);

/// What a grade says. It has no words, so that nothing of the reference is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grade {
    /// The answer is right.
    Right,
    /// The answer is wrong.
    Wrong,
    /// It could not be told; it does not count as right.
    Ungraded,
}

impl Grader {
    /// Grades with this reference.
    pub fn of(hidden: Hidden) -> Self {
        Self(hidden)
    }

    /// Grades an answer.
    pub fn grade(&self, answer: &str) -> Grade {
        let Hidden(ready) = &self.0;
        match ready.look_at(answer).kind {
            VerdictKind::Pass => Grade::Right,
            VerdictKind::Fail => Grade::Wrong,
            VerdictKind::Abstain | VerdictKind::Unavailable => Grade::Ungraded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_grades_and_its_errors_tell_nothing_of_it() {
        let read = serde_json::from_str::<Hidden>;
        let grader = Grader::of(read(r#"{"type": "math.answer", "expected": "1/3"}"#).unwrap());
        assert_eq!(grader.grade("Answer: 2/6"), Grade::Right);
        assert_eq!(grader.grade("Answer: 1/2"), Grade::Wrong);
        assert_eq!(grader.grade("Answer: 0.333333"), Grade::Ungraded);
        for json in [
            r#"{"type": "text.numeric", "expected": "secret"}"#,
            r#"{"type": "choice.letter", "expected": "secret"}"#,
            r#"{"type": "text.regex", "pattern": "(secret"}"#,
            r#"{"type": "expression.check", "numbers": "secret"}"#,
            r#"{"type": "secret"}"#,
            r#""secret""#,
        ] {
            let error = read(json).err().map(|error| error.to_string()).unwrap();
            assert!(!error.contains("secret"), "{json}: {error}");
        }
    }
}
