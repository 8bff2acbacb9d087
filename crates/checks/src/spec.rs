//! What can be checked, as a request says it.

use crate::{
    Class, Code, CodeTests, Doubt, Effort, Judge, Remainder, Report, Schema, Uses, asked, choice,
    expression, final_answer, math, numeric, schema, text,
};
use num_rational::BigRational;
use regex::Regex;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Bytes of a check as JSON.
pub const CHECK_BYTES_MAX: usize = 64 << 10;
/// Bytes of an expected answer or a pattern.
const TEXT_BYTES_MAX: usize = 4 << 10;

const MATH: &str = "math.answer/1";

/// How an answer is checked. As JSON, the field `type` says which it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
pub enum Check {
    /// The final answer is the expected one, as mathematics.
    #[serde(rename = "math.answer")]
    MathAnswer {
        /// In LaTeX or plain notation.
        #[serde(deserialize_with = "text_or_number")]
        expected: String,
    },
    /// The final answer is a letter, or says the option's words.
    #[serde(rename = "choice.letter")]
    ChoiceLetter {
        /// The right one.
        expected: String,
        /// The options' texts, `A` first, if they are known.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        options: Vec<String>,
    },
    /// The answer is JSON that follows a schema.
    #[serde(rename = "json.schema")]
    JsonSchema {
        /// The schema.
        schema: Value,
    },
    /// The final answer is this text, up to case, white space and marks around it.
    #[serde(rename = "text.exact")]
    TextExact {
        /// The text.
        expected: String,
    },
    /// The answer has a match of a pattern.
    #[serde(rename = "text.regex")]
    TextRegex {
        /// In the syntax of the crate `regex`.
        pattern: String,
    },
    /// The final answer is this number, exactly or nearly.
    #[serde(rename = "text.numeric")]
    TextNumeric {
        /// The number.
        #[serde(deserialize_with = "text_or_number")]
        expected: String,
        /// How far off is near enough.
        #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
        absolute: Option<String>,
        /// The same as a part of the expected number; the larger of both counts.
        #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
        relative: Option<String>,
    },
    /// The final answer is an arithmetic expression of these numbers that reaches a target.
    #[serde(rename = "expression.check")]
    Expression {
        /// What may be used.
        numbers: Vec<i64>,
        /// What the expression must be worth.
        target: i64,
        /// How often.
        #[serde(default)]
        uses: Uses,
    },
    /// The answer's program passes tests.
    #[serde(rename = "code.tests")]
    CodeTests(CodeTests),
    /// A model judges the answer.
    #[serde(rename = "judge.binary")]
    JudgeBinary(Judge),
    /// A model compares the candidates of a vote, two at a time.
    #[serde(rename = "judge.pairwise")]
    JudgePairwise(Judge),
    /// All of these, the cheapest first.
    #[serde(rename = "composite")]
    Composite {
        /// None of them made of others.
        checks: Vec<Check>,
    },
}

/// Why a check cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SpecError {
    /// The field that is wrong; empty for the check as a whole.
    pub field: &'static str,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl SpecError {
    pub(crate) fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }
}

fn text_or_number<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a text or a number")]
    enum Either {
        Text(String),
        Number(serde_json::Number),
    }
    Ok(match Either::deserialize(from)? {
        Either::Text(text) => text,
        Either::Number(number) => number.to_string(),
    })
}

fn some<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    text_or_number(from).map(Some)
}

impl Check {
    /// What today's `expected` of a request means: a number if it is one, up to the noise
    /// of a double's last digits; else a text.
    pub fn expected(answer: &str) -> Self {
        let (expected, relative) = (answer.to_owned(), Some("1e-9".to_owned()));
        match numeric::number(answer) {
            Some(_) => Self::TextNumeric { expected, absolute: None, relative },
            None => Self::TextExact { expected },
        }
    }

    /// Reads a check from JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(json: &str) -> Result<Self, SpecError> {
        if json.len() > CHECK_BYTES_MAX {
            let message = format!("{} bytes: expected at most {CHECK_BYTES_MAX}", json.len());
            return Err(SpecError::new("", message));
        }
        let value = serde_json::from_str(json);
        let value: Value = value.map_err(|error| SpecError::new("", error.to_string()))?;
        serde_json::from_value(value).map_err(|error| SpecError::new("", error.to_string()))
    }

    /// Whether programs out of answers are run for it.
    pub fn runs_programs(&self) -> bool {
        self.parts().iter().any(|part| part.effort() == Effort::Run)
    }

    /// The same, if it can be carried out.
    ///
    /// # Errors
    /// What is wrong with it, before anybody is asked anything.
    pub fn usable(self) -> Result<Self, SpecError> {
        match &self {
            Self::CodeTests(tests) => tests.are_sensible()?,
            Self::JudgeBinary(judge) | Self::JudgePairwise(judge) => judge.is_sensible()?,
            Self::Composite { checks } => asked::are_sensible(checks)?,
            Self::MathAnswer { .. }
            | Self::ChoiceLetter { .. }
            | Self::JsonSchema { .. }
            | Self::TextExact { .. }
            | Self::TextRegex { .. }
            | Self::TextNumeric { .. }
            | Self::Expression { .. } => drop(Ready::of(self.clone())?),
        }
        Ok(self)
    }

    /// The checks that it is made of: itself, unless it is a composite.
    pub fn parts(&self) -> &[Self] {
        match self {
            Self::Composite { checks } => checks,
            one => std::slice::from_ref(one),
        }
    }

    /// What it takes; of a composite the most of its parts.
    pub fn effort(&self) -> Effort {
        match self {
            Self::MathAnswer { .. }
            | Self::ChoiceLetter { .. }
            | Self::JsonSchema { .. }
            | Self::TextExact { .. }
            | Self::TextRegex { .. }
            | Self::TextNumeric { .. }
            | Self::Expression { .. } => Effort::Look,
            Self::CodeTests(_) => Effort::Run,
            Self::JudgeBinary(_) | Self::JudgePairwise(_) => Effort::Ask,
            Self::Composite { checks } => {
                checks.iter().map(Self::effort).max().unwrap_or(Effort::Look)
            }
        }
    }

    /// Who is asked for it, part by part.
    pub fn judges(&self) -> impl Iterator<Item = &Judge> {
        self.parts().iter().filter_map(|part| match part {
            Self::JudgeBinary(judge) | Self::JudgePairwise(judge) => Some(judge),
            Self::MathAnswer { .. }
            | Self::ChoiceLetter { .. }
            | Self::JsonSchema { .. }
            | Self::TextExact { .. }
            | Self::TextRegex { .. }
            | Self::TextNumeric { .. }
            | Self::Expression { .. }
            | Self::CodeTests(_)
            | Self::Composite { .. } => None,
        })
    }
}

/// A check that is ready.
#[derive(Debug)]
pub(crate) enum Ready {
    Math(String),
    Letter(choice::Wanted),
    Json(Schema),
    Exact(String),
    Regex(Regex),
    Numeric(BigRational, numeric::Tolerance),
    Expression { numbers: Vec<i64>, target: i64, uses: Uses },
}

impl Ready {
    pub(crate) fn of(check: Check) -> Result<Self, SpecError> {
        Ok(match check {
            Check::MathAnswer { expected } => Self::Math(given("expected", expected)?),
            Check::ChoiceLetter { expected, options } => {
                Self::Letter(choice::Wanted::new(&expected, &options)?)
            }
            Check::JsonSchema { schema } => Self::Json(Schema::compile(&schema)?),
            Check::TextExact { expected } => Self::Exact(given("expected", expected)?),
            Check::TextRegex { pattern } => {
                Self::Regex(text::pattern(&given("pattern", pattern)?)?)
            }
            Check::TextNumeric { expected, absolute, relative } => Self::Numeric(
                text::wanted("expected", &expected)?,
                text::tolerance(absolute.as_deref(), relative.as_deref())?,
            ),
            Check::Expression { numbers, target, uses } => {
                expression::numbers_are_sensible(&numbers)?;
                Self::Expression { numbers, target, uses }
            }
            Check::CodeTests(_) => {
                return Err(SpecError::new("type", "a verifier with a sandbox alone can tell"));
            }
            Check::JudgeBinary(_) | Check::JudgePairwise(_) | Check::Composite { .. } => {
                return Err(SpecError::new("type", "it takes more than to look at the answer"));
            }
        })
    }

    pub(crate) fn look_at(&self, candidate: &str) -> Report {
        let report = match self {
            Self::Math(expected) => mathematics(expected, candidate),
            Self::Letter(wanted) => choice::letter(wanted, candidate),
            Self::Json(schema) => schema::follows(schema, candidate),
            Self::Exact(expected) => text::exact(expected, candidate),
            Self::Regex(pattern) => text::matching(pattern, candidate),
            Self::Numeric(expected, tolerance) => text::numeric(expected, tolerance, candidate),
            Self::Expression { numbers, target, uses } => {
                expression::reaches(numbers, *target, *uses, candidate)
            }
        };
        Report { class: Some(self.class(candidate)), ..report }
    }

    /// What a candidate says to this check: its final answer, or all of it where all of it
    /// is looked at.
    fn class(&self, candidate: &str) -> Class {
        match self {
            Self::Json(_) | Self::Regex(_) => Class::verbatim(candidate.trim()),
            Self::Math(_)
            | Self::Letter(_)
            | Self::Exact(_)
            | Self::Numeric(..)
            | Self::Expression { .. } => Class::of(candidate),
        }
    }
}

/// A text that says something, and not too much.
pub(crate) fn given(field: &'static str, text: String) -> Result<String, SpecError> {
    match text.len() {
        0 => Err(SpecError::new(field, "it is empty")),
        1..=TEXT_BYTES_MAX => Ok(text),
        bytes => {
            let message = format!("it has {bytes} bytes: expected at most {TEXT_BYTES_MAX}");
            Err(SpecError::new(field, message))
        }
    }
}

fn mathematics(expected: &str, candidate: &str) -> Report {
    let found = final_answer::final_answer(candidate);
    // Without a marked answer, the last line is all there may be.
    let line = found.text.lines().rev().find(|line| !line.trim().is_empty());
    let found = if found.marked { found.text.trim() } else { line.unwrap_or_default().trim() };
    if found.is_empty() {
        return Report::fail(MATH, Code::NoAnswer).saying("the answer is empty");
    }
    match math::same(expected, found) {
        math::Sameness::Same => Report::of_answer(MATH, true, found),
        math::Sameness::Different => Report::of_answer(MATH, false, found),
        // What nobody reads here is the same if it is written the same.
        math::Sameness::Unclear(Doubt::Words)
            if final_answer::normal(expected) == final_answer::normal(found) =>
        {
            Report::of_answer(MATH, true, found)
        }
        math::Sameness::Unclear(Doubt::Notation) if unspaced(expected) == unspaced(found) => {
            Report::of_answer(MATH, true, found)
        }
        math::Sameness::Unclear(doubt) => {
            let found_shown = final_answer::shown(found);
            let feedback = format!("the final answer {found_shown} was not decided on: {doubt}");
            let report = Report::abstain(MATH, Code::Undecided).having_read(found).saying(feedback);
            let remainder = Remainder { found: found.to_owned(), doubt };
            Report { remainder: doubt.can_be_settled().then_some(remainder), ..report }
        }
    }
}

fn unspaced(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '$').collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use baton_workflow::VerdictKind;

    fn check(json: &str, expected: &str) {
        let told = match Check::read(json).and_then(Check::usable) {
            Ok(_) => "ok".into(),
            Err(error) => format!("{}: {error}", error.field),
        };
        assert!(told.starts_with(expected), "{json}: {told}");
    }

    #[test]
    fn a_check_is_read_or_what_is_wrong_is_said() {
        check(r#"{"type": "math.answer", "expected": "\\frac{1}{2}"}"#, "ok");
        check(r#"{"type": "math.answer", "expected": 42}"#, "ok");
        check(r#"{"type": "text.numeric", "expected": 0.1, "relative": 1e-6}"#, "ok");
        check(r#"{"type": "expression.check", "numbers": [1, 2], "target": 3}"#, "ok");
        check(r#"{"type": "choice.letter", "expected": "b", "options": ["x", "y"]}"#, "ok");
        check(r#"{"type": "judge.binary"}"#, "ok");
        check(r#"{"type": "judge.pairwise", "model": "a", "criteria": "brevity"}"#, "ok");
        check(r#"{"type": "judge.binary", "judge": "a"}"#, ": unknown field `judge`");
        check(r#"{"type": "judge.binary", "model": "no agent"}"#, ": \"no agent\" is not an agent");
        check(r#"{"type": "judge.binary", "criteria": ""}"#, "criteria: it is empty");
        check(r#"{"type": "composite", "checks": []}"#, "checks: it is empty");
        let composite = |part: &str| format!(r#"{{"type": "composite", "checks": [{part}]}}"#);
        let part = r#"{"type": "judge.binary"}"#;
        check(&composite(&[part; 8].join(",")), "ok");
        check(&composite(&[part; 9].join(",")), "checks: it has 9 checks: expected at most 8");
        check(&composite(&composite(part)), "checks: check 0: a composite within");
        check(&composite(r#"{"type": "judge.pairwise"}"#), "checks: check 0: judge.pairwise");
        let unfit = r#"{"type": "text.regex", "pattern": "("}"#;
        check(&composite(&format!("{part},{unfit}")), "checks: check 1: pattern: it is no");
        check(r#"{"type": "math.answer"}"#, ": missing field `expected`");
        check(r#"{"type": "math.answer", "expected": [1]}"#, ": expected a text or a number");
        check(r#"{"type": "math.answer", "expected": "1", "x": 1}"#, ": unknown field `x`");
        check(r#"{"type": "math"}"#, ": unknown variant `math`, expected one of `math.answer`");
        check("{", ": EOF");
        check(r#"{"type": "math.answer", "expected": ""}"#, "expected: it is empty");
        check(
            r#"{"type": "text.regex", "pattern": "(a"}"#,
            "pattern: it is no regular expression: unclosed",
        );
        check(r#"{"type": "text.regex", "pattern": "((a{99}){99}){99}"}"#, "pattern: it is no");
        check(
            r#"{"type": "text.numeric", "expected": "five"}"#,
            "expected: \"five\" is not a number",
        );
        check(
            r#"{"type": "text.numeric", "expected": 1, "absolute": -1}"#,
            "absolute: it is negative",
        );
        check(r#"{"type": "choice.letter", "expected": "K"}"#, "expected: \"K\" is no option");
        check(
            r#"{"type": "choice.letter", "expected": "C", "options": ["x", "y"]}"#,
            "expected: \"C\"",
        );
        check(
            r#"{"type": "choice.letter", "expected": "A", "options": ["x"]}"#,
            "options: 1 options",
        );
        check(r#"{"type": "expression.check", "numbers": [], "target": 3}"#, "numbers: 0 numbers");
        check(r#"{"type": "json.schema", "schema": {"type": 1}}"#, "schema: it is no JSON schema");
    }

    #[test]
    fn a_check_travels_as_json() {
        for json in [
            r#"{"type":"text.numeric","expected":"1","relative":"1/100"}"#,
            r#"{"type":"json.schema","schema":{"type":"object"}}"#,
        ] {
            assert_eq!(serde_json::to_string(&Check::read(json).unwrap()).unwrap(), json);
        }
    }

    #[test]
    fn what_is_not_decided_can_be_settled_by_another() {
        let ready = Ready::of(Check::MathAnswer { expected: "1/3".into() }).unwrap();
        let report = ready.look_at("\\boxed{0.333333}");
        assert_eq!((report.kind, report.code), (VerdictKind::Abstain, Code::Undecided));
        assert_eq!(report.remainder.as_ref().unwrap().found, "0.333333");
        assert!(!report.feedback.contains("1/3"), "{}", report.feedback);
        let settled = report.clone().settled(Some(true), "math-verify/0.9.0");
        assert_eq!(settled.kind, VerdictKind::Pass);
        assert_eq!(settled.verifier, "math.answer/1 math-verify/0.9.0");
        assert_eq!(report.settled(None, "math-verify/0.9.0").kind, VerdictKind::Abstain);
        let decided = ready.look_at("\\boxed{1/3}").settled(Some(false), "math-verify/0.9.0");
        assert_eq!((decided.kind, decided.verifier.as_str()), (VerdictKind::Pass, "math.answer/1"));
    }

    #[test]
    fn feedback_never_tells_what_is_expected() {
        for (check, wrong) in [
            (Check::MathAnswer { expected: "7919".into() }, "Answer: 3"),
            (Check::MathAnswer { expected: "7919".into() }, "Answer: who knows"),
            (Check::TextExact { expected: "7919".into() }, "Answer: 3"),
            (Check::TextRegex { pattern: "7919".into() }, "Answer: 3"),
            (Check::expected("7919"), "Answer: 3"),
            (Check::expected("7919"), "Answer: 3 or 4"),
            (Check::expected("7919"), "none"),
        ] {
            let report = Ready::of(check.clone()).unwrap().look_at(wrong);
            assert_ne!(report.kind, VerdictKind::Pass);
            assert!(!format!("{report:?}").contains("7919"), "{check:?}: {report:?}");
        }
        let choice = Check::ChoiceLetter { expected: "H".into(), options: Vec::new() };
        let report = Ready::of(choice).unwrap().look_at("Answer: B");
        assert!(!report.feedback.contains('H'), "{}", report.feedback);
    }
}
