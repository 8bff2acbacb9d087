//! Kinds of task that the simulated models really solve.
//!
//! A puzzle is found in a text, worked out by a solver, and got wrong the way people get
//! it wrong. Nothing about it is looked up: all that a model knows stands in its prompt.

mod arithmetic;
mod chain;
mod choice;
mod countdown;
mod facts;
mod lists;
mod modular;
mod numbers;
mod program;
mod program_ops;
mod strings;

use crate::{draw::Draws, tasks::Difficulty, tasks::Task};
use arithmetic::Arithmetic;
use chain::Chain;
use choice::Choice;
use countdown::Countdown;
use lists::Item;
use modular::Modular;
use numbers::Number;
use program::Program;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use strings::Letters;

pub(crate) use choice::chosen;
pub(crate) use countdown::reaches;
pub(crate) use lists::{last_list, show as show_list};
pub use program::Output;
pub(crate) use program::{read_code, run_code};

/// A kind of generated task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Nested expressions of whole numbers.
    Arithmetic,
    /// A chain of steps modulo a prime.
    Modular,
    /// Reach a target with all of some numbers.
    Countdown,
    /// Write a small Python function.
    Program,
    /// Number theory: divisors, digits, primes, remainders.
    Numbers,
    /// A word, turned around and coded step by step.
    Strings,
    /// A list, filtered and sorted step by step.
    Lists,
    /// Multiple choice over a table of facts.
    Choice,
}

/// Why a text names no family.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no family of tasks: expected arithmetic, modular, countdown, program, numbers, strings, lists or choice"
)]
pub struct FamilyError(String);

impl Family {
    /// Every family.
    pub const ALL: [Self; 8] = [
        Self::Arithmetic,
        Self::Modular,
        Self::Countdown,
        Self::Program,
        Self::Numbers,
        Self::Strings,
        Self::Lists,
        Self::Choice,
    ];

    /// Its place in [`Family::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// Its name, as in JSON and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arithmetic => "arithmetic",
            Self::Modular => "modular",
            Self::Countdown => "countdown",
            Self::Program => "program",
            Self::Numbers => "numbers",
            Self::Strings => "strings",
            Self::Lists => "lists",
            Self::Choice => "choice",
        }
    }

    /// Finds the last task of this family in a text, wherever it stands.
    pub fn parse(self, text: &str) -> Option<Task> {
        Problem::find_of(self, text).map(|problem| problem.task())
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Family {
    type Err = FamilyError;
    fn from_str(text: &str) -> Result<Self, FamilyError> {
        let found = Self::ALL.into_iter().find(|family| family.name() == text);
        found.ok_or_else(|| FamilyError(text.chars().take(64).collect()))
    }
}

/// A worked solution, right or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// The way to it, line by line.
    pub(crate) working: Vec<String>,
    /// A number, an expression or code.
    pub(crate) answer: String,
}

/// What can be done with a task of any family.
pub(crate) trait Puzzle {
    /// How hard it is, read off its size.
    fn difficulty(&self) -> Difficulty;
    /// The text from which it can be found again.
    fn prompt(&self) -> String;
    /// How answers are graded.
    fn check(&self) -> crate::Check;
    /// The solution.
    fn right(&self) -> Attempt;
    /// A plausible mistake; `None` if no slip among these lots changed the answer.
    fn slip(&self, draws: &mut Draws) -> Option<Attempt>;
    /// A wrong answer that always exists.
    fn blunder(&self) -> String;
    /// A way that seems to lead to an answer, whatever it is: who copies a mistake says so
    /// as little as who makes one.
    fn retrace(&self, answer: &str) -> Vec<String>;
    /// The way to the solution without its end, line by line.
    fn plan(&self) -> Vec<String>;
    /// The same with a mistake in it.
    fn bad_plan(&self, draws: &mut Draws) -> Vec<String>;
    /// Whether the values in a plan are those of a solution; `None` if it has no values.
    fn judge_plan(&self, plan: &str) -> Option<bool>;
}

/// A task in the form that solvers work on.
pub(crate) enum Problem {
    Arithmetic(Arithmetic),
    Modular(Modular),
    Countdown(Countdown),
    Program(Program),
    Numbers(Chain<Number>),
    Strings(Chain<Letters>),
    Lists(Chain<Item>),
    Choice(Choice),
}

/// What was drawn. Were a family ever unable to draw anything, a plain sum stands in: a
/// test draws many of each and finds none.
fn or_sum(drawn: Option<Problem>) -> Problem {
    drawn.unwrap_or_else(|| Problem::Arithmetic(Arithmetic::plain()))
}

/// Slips tried before a blunder must do.
const SLIPS_MAX: usize = 16;

impl Problem {
    pub(crate) fn generate(family: Family, difficulty: Difficulty, draws: &mut Draws) -> Self {
        match family {
            Family::Arithmetic => Self::Arithmetic(Arithmetic::generate(difficulty, draws)),
            Family::Modular => Self::Modular(Modular::generate(difficulty, draws)),
            Family::Countdown => Self::Countdown(Countdown::generate(difficulty, draws)),
            Family::Program => Self::Program(Program::generate(difficulty, draws)),
            Family::Numbers => or_sum(Chain::generate(difficulty, draws).map(Self::Numbers)),
            Family::Strings => or_sum(Chain::generate(difficulty, draws).map(Self::Strings)),
            Family::Lists => or_sum(Chain::generate(difficulty, draws).map(Self::Lists)),
            Family::Choice => or_sum(Choice::generate(difficulty, draws).map(Self::Choice)),
        }
    }

    pub(crate) fn find_of(family: Family, text: &str) -> Option<Self> {
        match family {
            Family::Arithmetic => Arithmetic::find(text).map(Self::Arithmetic),
            Family::Modular => Modular::find(text).map(Self::Modular),
            Family::Countdown => Countdown::find(text).map(Self::Countdown),
            Family::Program => Program::find(text).map(Self::Program),
            Family::Numbers => Chain::find(text).map(Self::Numbers),
            Family::Strings => Chain::find(text).map(Self::Strings),
            Family::Lists => Chain::find(text).map(Self::Lists),
            Family::Choice => Choice::find(text).map(Self::Choice),
        }
    }

    /// The task in a text, of whatever family.
    pub(crate) fn find(text: &str) -> Option<Self> {
        Family::ALL.into_iter().find_map(|family| Self::find_of(family, text))
    }

    /// A sum that somebody simply typed, such as `What is 2 * (3 + 4)?`.
    pub(crate) fn find_loose(text: &str) -> Option<Self> {
        Arithmetic::find_loose(text).map(Self::Arithmetic)
    }

    pub(crate) fn family(&self) -> Family {
        match self {
            Self::Arithmetic(_) => Family::Arithmetic,
            Self::Modular(_) => Family::Modular,
            Self::Countdown(_) => Family::Countdown,
            Self::Program(_) => Family::Program,
            Self::Numbers(_) => Family::Numbers,
            Self::Strings(_) => Family::Strings,
            Self::Lists(_) => Family::Lists,
            Self::Choice(_) => Family::Choice,
        }
    }

    pub(crate) fn puzzle(&self) -> &dyn Puzzle {
        match self {
            Self::Arithmetic(puzzle) => puzzle,
            Self::Modular(puzzle) => puzzle,
            Self::Countdown(puzzle) => puzzle,
            Self::Program(puzzle) => puzzle,
            Self::Numbers(puzzle) => puzzle,
            Self::Strings(puzzle) => puzzle,
            Self::Lists(puzzle) => puzzle,
            Self::Choice(puzzle) => puzzle,
        }
    }

    /// A plausible wrong solution: one that its check refuses.
    pub(crate) fn wrong(&self, draws: &mut Draws) -> Attempt {
        let (puzzle, check) = (self.puzzle(), self.puzzle().check());
        let slips = (0..SLIPS_MAX).filter_map(|_| puzzle.slip(draws));
        let mut wrong = slips.filter(|attempt| !check.accepts(&attempt.answer));
        wrong.next().unwrap_or_else(|| self.reaching(puzzle.blunder()))
    }

    /// An answer with a way to it.
    pub(crate) fn reaching(&self, answer: String) -> Attempt {
        Attempt { working: self.puzzle().retrace(&answer), answer }
    }

    pub(crate) fn task(&self) -> Task {
        let (puzzle, family) = (self.puzzle(), self.family());
        let (difficulty, prompt) = (puzzle.difficulty(), puzzle.prompt());
        let hash = blake3::hash(prompt.as_bytes()).to_hex();
        Task {
            id: format!("{family}-{difficulty}-{}", &hash[..12]),
            family,
            difficulty,
            answer: puzzle.right().answer,
            check: puzzle.check(),
            prompt,
        }
    }
}

/// The difficulty whose size is the first to reach `size`.
pub(crate) fn difficulty_of(size: usize, sizes: &[usize; 5]) -> Difficulty {
    let below = sizes.iter().filter(|limit| **limit < size).count();
    Difficulty::nearest(below + 1)
}

/// What follows the last `anchor` in a text, if it is there.
pub(crate) fn after_last<'a>(text: &'a str, anchor: &str) -> Option<&'a str> {
    text.rfind(anchor).map(|at| &text[at + anchor.len()..])
}

/// Lines such as `1. text`, numbered from 1 without a gap, from the first one on.
pub(crate) fn numbered(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        match line.strip_prefix(&format!("{}. ", found.len() + 1)) {
            Some(rest) => found.push(rest.trim()),
            None if found.is_empty() || line.is_empty() => {}
            None => break,
        }
    }
    found
}

/// `lines` as `1. text`, numbered from 1.
pub(crate) fn number(lines: &[String]) -> Vec<String> {
    lines.iter().enumerate().map(|(at, line)| format!("{}. {line}", at + 1)).collect()
}
