//! The majority among candidates.

use crate::text::{final_answer, normal, number};
use baton_workflow::{ToolCall, Verdict, VerdictKind};
use std::collections::HashMap;

/// Chooses the first candidate of the largest group that agree on the final answer.
/// Groups of one size: the earliest wins. The score is the group's share.
pub(crate) fn majority(candidates: &[String]) -> Verdict {
    let mut groups: HashMap<String, (usize, usize)> = HashMap::new();
    for (place, candidate) in candidates.iter().enumerate() {
        groups.entry(ballot(candidate)).or_insert((place, 0)).1 += 1;
    }
    let best = groups.values().copied().max_by_key(|(first, votes)| (*votes, usize::MAX - first));
    let Some((first, votes)) = best else {
        return Verdict {
            kind: VerdictKind::Abstain,
            score: None,
            choice: None,
            feedback: "there is no candidate".into(),
            verifier: "vote.majority/1".into(),
        };
    };
    Verdict {
        kind: VerdictKind::Pass,
        score: Some(votes as f64 / candidates.len() as f64),
        choice: u16::try_from(first).ok(),
        feedback: format!("{votes} of {} candidates agree", candidates.len()),
        verifier: "vote.majority/1".into(),
    }
}

/// The ballot of an answer that calls tools: which, and with what. The names of the calls
/// are left out, because no two models give the same, and the arguments are put into one
/// form, whatever white space or order of fields they were written with.
pub(crate) fn ballot_of_calls(json: &str) -> String {
    let Ok(calls) = serde_json::from_str::<Vec<ToolCall>>(json) else { return json.to_owned() };
    let ballots = calls.iter().map(|ToolCall { name, arguments, .. }| {
        let read = serde_json::from_str::<serde_json::Value>(arguments);
        let arguments = read.map_or_else(|_| arguments.clone(), |value| value.to_string());
        format!("{name}({arguments})")
    });
    ballots.collect::<Vec<_>>().join("; ")
}

/// Numbers agree by value, other answers by their normal form.
fn ballot(candidate: &str) -> String {
    let answer = final_answer(candidate);
    let normal = normal(answer);
    let only_number = normal.chars().all(|c| c.is_ascii_digit() || "+-.,e $%".contains(c));
    match number(&normal).filter(|_| only_number) {
        Some(value) => value.to_string(),
        None => normal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(candidates: &[&str], choice: Option<u16>, share: Option<f64>) {
        let candidates: Vec<_> = candidates.iter().map(ToString::to_string).collect();
        let verdict = majority(&candidates);
        assert_eq!((verdict.choice, verdict.score), (choice, share), "{candidates:?}");
    }

    #[test]
    fn the_largest_group_wins_and_ties_go_to_the_first() {
        check(&["Answer: 5", "Answer: 7", "so\nAnswer: 7.0"], Some(1), Some(2.0 / 3.0));
        check(&["Answer: 5", "Answer: 7"], Some(0), Some(0.5));
        check(&["Paris", "answer: paris."], Some(0), Some(1.0));
        check(&["3 apples", "3 pears"], Some(0), Some(0.5));
        check(&[], None, None);
    }

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
        let ballots = ballots.each_ref().map(|json| ballot_of_calls(json));
        check(&ballots.each_ref().map(String::as_str), Some(1), Some(2.0 / 3.0));
    }
}
