//! Answers as texts and as plain numbers.

use crate::{
    Code, Report, SpecError,
    final_answer::{final_answer, normal, shown},
    numeric::{Offered, Tolerance, number, offered},
};
use num_rational::BigRational;
use num_traits::{Signed, Zero};
use regex::{Regex, RegexBuilder};

pub(crate) const EXACT: &str = "text.exact/1";
pub(crate) const REGEX: &str = "text.regex/1";
pub(crate) const NUMERIC: &str = "text.numeric/1";

/// Bytes of a compiled pattern.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Equal after normalisation: case, white space, marks around it, a last full stop.
pub(crate) fn exact(expected: &str, candidate: &str) -> Report {
    let found = final_answer(candidate).text;
    if found.is_empty() {
        return Report::fail(EXACT, Code::NoAnswer).saying("the answer is empty");
    }
    Report::of_answer(EXACT, normal(&found) == normal(expected), &found)
}

/// A pattern that is matched in linear time.
pub(crate) fn pattern(pattern: &str) -> Result<Regex, SpecError> {
    let built = RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build();
    built.map_err(|error| {
        // The last line says what; those before draw where.
        let message = error.to_string();
        let what = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
        SpecError::new("pattern", format!("it is no regular expression: {what}"))
    })
}

/// The pattern matches somewhere in the candidate. A pattern may tell the answer, so
/// feedback does not tell the pattern.
pub(crate) fn matching(pattern: &Regex, candidate: &str) -> Report {
    match pattern.find(candidate.trim()) {
        Some(found) => Report::pass(REGEX).having_read(found.as_str()),
        None => Report::fail(REGEX, Code::Wrong)
            .saying("the answer is not of the form that is wanted: the pattern has no match"),
    }
}

/// The number that is wanted.
pub(crate) fn wanted(field: &'static str, text: &str) -> Result<BigRational, SpecError> {
    let wrong = || {
        let message =
            format!("{} is not a number: expected such as 42, 0.5, 3/4 or 2e5", shown(text));
        SpecError::new(field, message)
    };
    number(text).ok_or_else(wrong)
}

/// How far off is near enough; nothing said is not at all.
pub(crate) fn tolerance(
    absolute: Option<&str>,
    relative: Option<&str>,
) -> Result<Tolerance, SpecError> {
    let read = |field, text: Option<&str>| {
        let value = text.map_or_else(|| Ok(BigRational::zero()), |text| wanted(field, text))?;
        if value.is_negative() {
            return Err(SpecError::new(field, "it is negative: expected 0 or more".to_owned()));
        }
        Ok(value)
    };
    Ok(Tolerance { absolute: read("absolute", absolute)?, relative: read("relative", relative)? })
}

/// The number of the final answer, within the tolerance of the expected one. Without a
/// marked answer, the last line is looked at.
pub(crate) fn numeric(expected: &BigRational, tolerance: &Tolerance, candidate: &str) -> Report {
    let found = final_answer(candidate);
    let line = found.text.lines().rev().map(str::trim).find(|line| !line.is_empty());
    let text = if found.marked { found.text.trim() } else { line.unwrap_or_default() };
    match offered(text) {
        Offered::One(value) => {
            Report::of_answer(NUMERIC, tolerance.accepts(expected, &value), text)
        }
        Offered::Several => Report::abstain(NUMERIC, Code::Ambiguous)
            .having_read(text)
            .saying(format!("the final answer {} names several numbers", shown(text))),
        Offered::Denied => Report::abstain(NUMERIC, Code::Ambiguous)
            .having_read(text)
            .saying(format!("the final answer {} says what it is not", shown(text))),
        Offered::None => Report::fail(NUMERIC, Code::NoAnswer)
            .having_read(text)
            .saying(format!("the final answer {} has no number", shown(text))),
    }
}
