//! What a model makes of the earlier steps that it is shown.

use crate::{
    family::Problem,
    reading::{Kind, Reading, Shown},
    words::verdict_in,
};

/// An answer that the model is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) text: String,
    pub(crate) right: bool,
    /// Whether the prompt says that the model itself gave it.
    pub(crate) own: bool,
}

/// All that helps or misleads.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    pub(crate) answers: Vec<Seen>,
    /// Whether the plan holds, if one is seen.
    pub(crate) plan: Option<bool>,
    /// Whether an answer that was not accepted was right after all.
    pub(crate) rejected_right: Option<bool>,
}

impl Sight {
    pub(crate) fn of(reading: &Reading, problem: &Problem, model: &str) -> Self {
        let mut sight = Self::default();
        for shown in &reading.shown {
            sight.look_at(shown, problem, model);
        }
        sight
    }

    fn look_at(&mut self, shown: &Shown, problem: &Problem, model: &str) {
        let puzzle = problem.puzzle();
        let check = puzzle.check();
        let said = check.read(&shown.response);
        if shown.rejected {
            self.rejected_right = said.map(|text| check.accepts(&text));
            return;
        }
        if shown.kind == Kind::Plan {
            self.plan = puzzle.judge_plan(&shown.response).or(self.plan);
            return;
        }
        let verdict = verdict_in(&shown.response);
        if verdict == Some(false) {
            self.rejected_right = self.answers.last().map(|answer| answer.right);
            self.answers.clear();
        }
        // A check that passes repeats an answer that has been counted.
        let repeats = verdict == Some(true) && !self.answers.is_empty();
        if let Some(text) = said.filter(|_| !repeats) {
            let (right, own) = (check.accepts(&text), shown.agent == model);
            self.answers.push(Seen { text, right, own });
        }
    }

    /// The answer that at least two agree on and more than on any other.
    pub(crate) fn majority(&self) -> Option<&Seen> {
        let votes = |text: &str| self.answers.iter().filter(|answer| answer.text == text).count();
        let most = self.answers.iter().max_by_key(|answer| votes(&answer.text))?;
        let count = votes(&most.text);
        let rivals = self
            .answers
            .iter()
            .filter(|other| other.text != most.text && votes(&other.text) == count);
        (count > 1 && rivals.count() == 0).then_some(most)
    }

    /// The wrong answer that is repeated by who repeats one: what most say, else the last.
    pub(crate) fn wrong_to_copy(&self) -> Option<&Seen> {
        let most = self.majority().filter(|most| !most.right);
        most.or_else(|| self.answers.iter().rev().find(|answer| !answer.right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(answers: &[&str]) -> Sight {
        let seen = |text: &&str| Seen {
            text: (*text).to_owned(),
            right: text.starts_with('+'),
            own: false,
        };
        Sight { answers: answers.iter().map(seen).collect(), ..Sight::default() }
    }

    #[test]
    fn a_majority_is_two_or_more_and_alone() {
        for (answers, most, copied) in [
            (&[][..], None, None),
            (&["a"][..], None, Some("a")),
            (&["a", "b", "a"][..], Some("a"), Some("a")),
            (&["a", "a", "+b", "c"][..], Some("a"), Some("a")),
            (&["a", "a", "+b", "+b"][..], None, Some("a")),
            (&["a", "+b", "+b"][..], Some("+b"), Some("a")),
        ] {
            let sight = sight(answers);
            assert_eq!(sight.majority().map(|seen| seen.text.as_str()), most, "{answers:?}");
            assert_eq!(sight.wrong_to_copy().map(|seen| seen.text.as_str()), copied, "{answers:?}");
        }
    }
}
