//! Votes among candidates, and the ballots of those that are no words.

use crate::verify::Candidate;
use baton_checks::{Class, majority, weighted};
use baton_workflow::{ToolCall, Verdict};

/// Which the candidates agree on; each has one vote where no weights are given.
pub(crate) fn among<'a>(
    candidates: impl Iterator<Item = &'a Candidate>,
    weights: &[f64],
) -> Verdict {
    let ballots = candidates.map(Candidate::class);
    match weights {
        [] => majority(ballots).into(),
        weights => weighted(ballots.collect(), weights).into(),
    }
}

/// The ballot of an answer that calls tools: which, and with what. The names of the calls
/// are left out, because no two models give the same, and the arguments are put into one
/// form, whatever white space or order of fields they were written with.
pub(crate) fn ballot_of_calls(json: &str) -> Class {
    let Ok(calls) = serde_json::from_str::<Vec<ToolCall>>(json) else {
        return Class::verbatim(json);
    };
    let ballots = calls.iter().map(|ToolCall { name, arguments, .. }| {
        let read = serde_json::from_str::<serde_json::Value>(arguments);
        let arguments = read.map_or_else(|_| arguments.clone(), |value| value.to_string());
        format!("{name}({arguments})")
    });
    Class::verbatim(&ballots.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_agree_by_what_they_call() {
        let call = |id: &str, arguments: &str| {
            let (id, name, arguments) = (id.into(), "weather".into(), arguments.into());
            serde_json::to_string(&[ToolCall { id, name, arguments }]).unwrap()
        };
        let ballots = [
            call("1", r#"{"city":"Oslo"}"#),
            call("2", r#"{"city":"Rome","days":2}"#),
            call("3", r#"{ "days": 2, "city": "Rome" }"#),
        ];
        let report = majority(ballots.iter().map(|json| ballot_of_calls(json)));
        assert_eq!((report.choice, report.score), (Some(1), Some(2.0 / 3.0)));
    }
}
