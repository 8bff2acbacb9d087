//! How simulated models word their replies.
//!
//! A step that checks an answer gives it first, since it may be what the user receives; to a
//! verifier that asks for a verdict the verdict comes last. Right and wrong replies use the
//! same words.

use crate::{
    Check,
    family::{Attempt, Problem, number},
};

/// What a check says without being asked for a verdict.
const HOLDS: &str = "I went through it step by step: it holds.";
const FAILS: &str = "The earlier answer does not hold. This is my way:";

/// What a model says that refuses.
pub(crate) const REFUSAL: &str = "I will not answer this (simulated).";

/// An answer in the form that the task asks for.
fn final_answer(problem: &Problem, answer: &str) -> String {
    match problem.puzzle().check() {
        Check::Number { .. }
        | Check::Expression { .. }
        | Check::Text { .. }
        | Check::List { .. }
        | Check::Choice { .. } => format!("Answer: {answer}"),
        Check::Program { .. } => format!("```python\n{answer}\n```"),
    }
}

pub(crate) fn solved(problem: &Problem, attempt: &Attempt) -> String {
    format!("{}\n\n{}", attempt.working.join("\n"), final_answer(problem, &attempt.answer))
}

pub(crate) fn planned(lines: &[String]) -> String {
    let lines = number(lines).join("\n");
    format!("Plan:\n{lines}\nGo on from there and keep the form that the question asks for.")
}

/// The answer was found to hold. `repeated` is it, unless it is left out.
pub(crate) fn passed(problem: &Problem, judging: bool, repeated: Option<&str>) -> String {
    match repeated {
        _ if judging => format!("{HOLDS}\nVerdict: pass"),
        Some(answer) => format!("{}\n\n{HOLDS}", final_answer(problem, answer)),
        None => HOLDS.to_owned(),
    }
}

/// The answer was found wrong, and this one is put in its place.
pub(crate) fn failed(problem: &Problem, judging: bool, own: &Attempt) -> String {
    if judging {
        return format!("{FAILS}\n{}\nVerdict: fail", own.working.join("\n"));
    }
    let answer = final_answer(problem, &own.answer);
    format!("{answer}\n\n{FAILS}\n{}", own.working.join("\n"))
}

/// There was no answer, and this is one.
pub(crate) fn nothing_to_check(problem: &Problem, judging: bool, own: &Attempt) -> String {
    if judging {
        return "There is no answer to check.\nVerdict: fail".into();
    }
    solved(problem, own)
}

/// The verdict that a reply gives, in so many words or as `Verdict: …`.
pub(crate) fn verdict_in(response: &str) -> Option<bool> {
    response.lines().rev().find_map(|line| {
        if line == HOLDS {
            return Some(true);
        }
        if line == FAILS {
            return Some(false);
        }
        let lower = line.to_ascii_lowercase();
        let (_, word) = lower.split_once("verdict:")?;
        match word.trim_matches(|c: char| !c.is_alphabetic()) {
            "pass" => Some(true),
            "fail" => Some(false),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Difficulty, Family, tasks};

    #[test]
    fn a_check_begins_with_the_answer_and_is_graded_by_it() {
        for family in Family::ALL {
            let task = tasks::generate(family, Difficulty::ALL[1], 7);
            let problem = Problem::find(&task.prompt).unwrap();
            let right = problem.puzzle().right();
            for reply in [
                passed(&problem, false, Some(&right.answer)),
                failed(&problem, false, &right),
                solved(&problem, &right),
            ] {
                assert!(tasks::grade(&task, &reply), "{reply}");
                assert!(!reply.contains("Verdict"), "{reply}");
            }
            let passed = passed(&problem, false, Some(&right.answer));
            assert!(passed.starts_with(&final_answer(&problem, &right.answer)), "{passed}");
            assert_eq!(verdict_in(&passed), Some(true));
            assert_eq!(verdict_in(&failed(&problem, false, &right)), Some(false));
            assert_eq!(verdict_in(&failed(&problem, true, &right)), Some(false));
            assert_eq!(verdict_in(&solved(&problem, &right)), None);
        }
    }
}
