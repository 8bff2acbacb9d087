//! Generated tasks and their grading.

use crate::{
    Family,
    draw::Draws,
    expr::Expr,
    family::{Output, Problem, chosen, last_list, reaches, read_code, run_code, show_list},
};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// How hard a task is, 1 to 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Difficulty(u8);

/// Why a value is no difficulty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no difficulty: expected a whole number from 1 to 5")]
pub struct DifficultyError(String);

impl Difficulty {
    /// Every difficulty, from the easiest.
    pub const ALL: [Self; 5] = [Self(1), Self(2), Self(3), Self(4), Self(5)];

    /// The difficulty closest to `level`.
    pub(crate) fn nearest(level: usize) -> Self {
        Self(level.clamp(1, 5) as u8)
    }

    /// Its place in a table, from 0.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0) - 1
    }

    /// As a number, 1 to 5.
    pub fn level(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Difficulty {
    type Error = DifficultyError;
    fn try_from(level: u8) -> Result<Self, DifficultyError> {
        let found = Self::ALL.into_iter().find(|difficulty| difficulty.0 == level);
        found.ok_or_else(|| DifficultyError(level.to_string()))
    }
}

impl From<Difficulty> for u8 {
    fn from(difficulty: Difficulty) -> Self {
        difficulty.0
    }
}

impl FromStr for Difficulty {
    type Err = DifficultyError;
    fn from_str(text: &str) -> Result<Self, DifficultyError> {
        let wrong = || DifficultyError(text.chars().take(16).collect());
        text.parse::<u8>().map_err(|_| wrong())?.try_into().map_err(|_| wrong())
    }
}

impl fmt::Display for Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One generated task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Family, difficulty and a hash of the prompt: the same task has the same id.
    pub id: String,
    /// Its kind.
    pub family: Family,
    /// How hard it is.
    pub difficulty: Difficulty,
    /// What to ask a model.
    pub prompt: String,
    /// A right answer: a number, an expression or code.
    pub answer: String,
    /// How answers are graded.
    pub check: Check,
}

/// How answers to a task are graded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Check {
    /// The answer is this number.
    Number {
        /// The number.
        value: i64,
    },
    /// The answer is an expression of exactly these numbers with this value.
    Expression {
        /// The numbers, each to be used once.
        numbers: Vec<i64>,
        /// The value.
        target: i64,
    },
    /// The answer is this text.
    Text {
        /// The text.
        value: String,
    },
    /// The answer is this list.
    List {
        /// Its numbers, in order.
        values: Vec<i64>,
    },
    /// The answer is one of the options.
    Choice {
        /// The letter of the right one: `A` for the first.
        letter: char,
        /// What can be chosen.
        options: Vec<String>,
    },
    /// The answer is a function that passes these tests.
    Program {
        /// Name of the function.
        entry_point: String,
        /// Tests shown in the prompt.
        public: Vec<Example>,
        /// Tests kept back.
        hidden: Vec<Example>,
    },
}

/// A test of a function with one argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// The argument.
    pub input: Vec<i64>,
    /// What the function must return.
    pub output: Output,
}

/// The task of this family, difficulty and seed: always the same one.
pub fn generate(family: Family, difficulty: Difficulty, seed: u64) -> Task {
    let seed = [family.name().to_owned(), difficulty.to_string(), seed.to_string()];
    let mut draws = Draws::of(&["task", &seed[0], &seed[1], &seed[2]]);
    Problem::generate(family, difficulty, &mut draws).task()
}

/// Whether the final answer in a reply is right.
pub fn grade(task: &Task, reply: &str) -> bool {
    task.check.passes(reply)
}

impl Check {
    /// Whether the final answer in a reply is right.
    pub fn passes(&self, reply: &str) -> bool {
        self.read(reply).is_some_and(|answer| self.accepts(&answer))
    }

    /// The final answer in a reply, in one spelling: the last `Answer: …` line, else the
    /// last number or expression; for programs the last fenced block.
    pub fn read(&self, reply: &str) -> Option<String> {
        match self {
            Self::Number { .. } => {
                let said = answer_line(reply).and_then(|line| last_number(&line));
                said.or_else(|| last_number(reply)).map(|number| number.to_string())
            }
            Self::Expression { .. } => {
                let said = answer_line(reply).and_then(|line| expression(&line));
                let found = said.or_else(|| {
                    let lines = reply.lines().rev().filter_map(expression);
                    lines.into_iter().find(|expr| expr.operations() > 0)
                });
                found.map(|expr| expr.to_string())
            }
            Self::Text { .. } => {
                let last = || reply.lines().rev().find(|line| !line.trim().is_empty());
                let said = answer_line(reply).or_else(|| last().map(str::to_owned))?;
                let bare = said.trim().trim_matches(['*', '`', '"', '\'', '.', ' ']);
                Some(bare.to_owned()).filter(|text| !text.is_empty())
            }
            Self::List { .. } => {
                let said = answer_line(reply).and_then(|line| last_list(&line));
                said.or_else(|| last_list(reply)).map(|list| show_list(&list))
            }
            Self::Choice { options, .. } => {
                let last = || reply.lines().rev().find(|line| !line.trim().is_empty());
                let said = answer_line(reply).or_else(|| last().map(str::to_owned))?;
                chosen(&said, options).map(String::from)
            }
            Self::Program { .. } => read_code(reply),
        }
    }

    /// Whether an answer, as [`Check::read`] gives it, is right.
    pub fn accepts(&self, answer: &str) -> bool {
        match self {
            Self::Number { value } => answer.trim().parse() == Ok(*value),
            Self::Expression { numbers, target } => {
                Expr::read(answer).is_some_and(|expr| reaches(&expr, numbers, *target))
            }
            Self::Text { value } => answer.trim() == value,
            Self::List { values } => last_list(answer).as_ref() == Some(values),
            Self::Choice { letter, .. } => answer.trim() == letter.to_string(),
            Self::Program { public, hidden, .. } => public
                .iter()
                .chain(hidden)
                .all(|example| run_code(answer, &example.input).as_ref() == Some(&example.output)),
        }
    }
}

/// What stands behind the last `Answer:` that has anything behind it.
fn answer_line(reply: &str) -> Option<String> {
    let clean = |line: &str| line.replace(['*', '`', '$'], " ").trim().to_owned();
    reply.lines().rev().find_map(|line| {
        let start = line.to_ascii_lowercase().rfind("answer:")?;
        // Stars are operators in answers: only the ones around the answer are decoration.
        let rest = line[start + "answer:".len()..].trim_matches(['*', '`', '$', ' ']);
        (!clean(rest).is_empty()).then(|| rest.to_owned())
    })
}

fn last_number(text: &str) -> Option<i64> {
    let plain = text.replace('−', "-");
    let belongs = |c: char| c.is_ascii_digit() || matches!(c, '-' | ',' | '.');
    let mut words = plain.split(|c| !belongs(c)).filter_map(|word| {
        let word = word.trim_end_matches(['.', ',', '-']).replace(',', "");
        // 42.0 is 42; 42.5 is no whole number.
        let whole = word.split_once('.').map_or(Some(word.as_str()), |(whole, rest)| {
            rest.bytes().all(|b| b == b'0').then_some(whole)
        });
        whole?.parse().ok()
    });
    words.next_back()
}

fn expression(line: &str) -> Option<Expr> {
    let line = line.trim().trim_end_matches('.');
    let left = line.split('=').next().unwrap_or(line);
    Expr::read(left.trim_matches(['`', '$', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn every_task_is_found_in_its_prompt_and_graded(
            family in prop::sample::select(Family::ALL.to_vec()),
            difficulty in prop::sample::select(Difficulty::ALL.to_vec()),
            seed in any::<u64>(),
        ) {
            let task = generate(family, difficulty, seed);
            prop_assert_eq!(task.family, family);
            prop_assert_eq!(task.difficulty, difficulty, "{}", task.prompt);
            prop_assert_eq!(generate(family, difficulty, seed), task.clone());
            let around = format!("Please help.\n\n{}\n\nThank you, 12 times.", task.prompt);
            prop_assert_eq!(family.parse(&around), Some(task.clone()));
            for other in Family::ALL.into_iter().filter(|other| *other != family) {
                prop_assert_eq!(other.parse(&task.prompt), None);
            }
            prop_assert!(task.check.accepts(&task.answer), "{:?}", task);
            let problem = Problem::find(&task.prompt).unwrap();
            let puzzle = problem.puzzle();
            let mut draws = Draws::of(&["test", &seed.to_string()]);
            for _ in 0..4 {
                let wrong = problem.wrong(&mut draws);
                prop_assert!(!task.check.accepts(&wrong.answer), "{:?} {:?}", task, wrong);
            }
            prop_assert!(!task.check.accepts(&puzzle.blunder()));
            prop_assert_eq!(puzzle.judge_plan(&puzzle.plan().join("\n")), Some(true));
            let bad = puzzle.bad_plan(&mut draws).join("\n");
            prop_assert_eq!(puzzle.judge_plan(&bad), Some(false), "{} {}", task.prompt, bad);
        }
    }

    fn check(check: Check, reply: &str) -> bool {
        let mut task = generate(Family::Arithmetic, Difficulty(1), 0);
        task.check = check;
        grade(&task, reply)
    }

    #[test]
    fn a_number_is_read_as_people_write_it() {
        let graded = |reply| check(Check::Number { value: -1234 }, reply);
        for right in [
            "Answer: -1234",
            "so 7\n**Answer: -1,234**",
            "answer:  `-1234.`",
            "Answer: $-1234.0$",
            "It is −1234",
            "Answer: 5\nAnswer: x = -1234",
        ] {
            assert!(graded(right), "{right}");
        }
        for wrong in ["", "Answer: 1234", "Answer: -1234.5", "-1234\nAnswer: 7", "Answer: ?"] {
            assert!(!graded(wrong), "{wrong}");
        }
    }

    #[test]
    fn an_expression_must_use_the_numbers_and_reach_the_target() {
        let graded = |reply| check(Check::Expression { numbers: vec![3, 7, 5], target: 36 }, reply);
        for wrong in ["Answer: 3 * 7 + 3 * 5", "Answer: 36", "Answer: (7 + 5) * 4"] {
            assert!(!graded(wrong), "{wrong}");
        }
        for right in ["Answer: (7 + 5) * 3", "**Answer:** `3*(5+7) = 36`", "so:\n(5 + 7) × 3 = 36."]
        {
            assert!(graded(right), "{right}");
        }
    }

    #[test]
    fn what_is_no_difficulty_is_refused() {
        assert_eq!(
            "9".parse::<Difficulty>().unwrap_err().to_string(),
            "\"9\" is no difficulty: expected a whole number from 1 to 5"
        );
        assert!("x".parse::<Difficulty>().is_err());
        assert!(Family::from_str("x").is_err());
    }
}
