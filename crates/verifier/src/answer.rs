//! Checking against a known answer, as text or as a number.

use crate::text::{final_answer, normal, number};
use baton_workflow::{Verdict, VerdictKind};

/// Numbers this close, in relation to the larger one, are the same: the last digits of
/// a double are noise.
const RELATIVE: f64 = 1e-9;

/// Pass if the candidate's final answer is the expected one.
pub(crate) fn check(expected: &str, candidate: &str) -> Verdict {
    let found = final_answer(candidate);
    let as_number = expected.trim().replace(',', "").parse::<f64>().ok();
    let (right, verifier) = match as_number {
        Some(expected) => {
            let same = number(found).is_some_and(|found| close(found, expected));
            (same, "text.numeric/1")
        }
        None => (normal(found) == normal(expected), "text.exact/1"),
    };
    let kind = if right { VerdictKind::Pass } else { VerdictKind::Fail };
    // The expected answer must not leak to whoever tries again.
    let feedback = if right {
        String::new()
    } else {
        let shown: String = found.chars().take(200).collect();
        format!("the final answer {shown:?} is not right")
    };
    let score = Some(if right { 1.0 } else { 0.0 });
    Verdict { kind, score, choice: None, feedback, verifier: verifier.into() }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= RELATIVE * a.abs().max(b.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_as_text_or_as_number() {
        for (expected, candidate, right) in [
            ("42", "I think so.\nAnswer: 42", true),
            ("42", "Answer: 42.0", true),
            ("1,000", "Answer: 1000", true),
            ("42", "42 is wrong, hence\nAnswer: 43", false),
            ("0", "Answer: 0.0001", false),
            ("Paris", "answer: paris.", true),
            ("Paris", "Answer: London", false),
            ("42", "no idea", false),
        ] {
            let verdict = check(expected, candidate);
            assert_eq!(verdict.kind == VerdictKind::Pass, right, "{expected} / {candidate}");
            assert!(right || !verdict.feedback.contains(expected) || candidate.contains(expected));
        }
    }
}
