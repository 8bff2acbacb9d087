//! Small Python functions on lists, as chains of operations.
//!
//! No Python is run. A simulated model writes code in one canonical form, and the grader
//! reads that form back and works out what it means. The tests that come with every task
//! let a real sandbox judge any other code.

use super::{Attempt, Puzzle, after_last, difficulty_of, numbered, program_ops::Op};
use crate::{Check, Example, draw::Draws, tasks::Difficulty};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Operations by difficulty.
const OPERATIONS: [usize; 5] = [1, 2, 3, 4, 6];
/// Most operations read.
const OPERATIONS_MAX: usize = 20;
/// Programs drawn before any must do.
const DRAWS_MAX: usize = 200;
/// Tests shown and tests kept back.
const PUBLIC: usize = 3;
const HIDDEN: usize = 8;
/// Largest number in a result: stays exact in JSON readers that use floating point.
const VALUE_MAX: i64 = 1 << 50;
/// The function's name and what stands before its steps.
pub(crate) const ENTRY_POINT: &str = "solve";
const ANCHOR: &str = "Write a Python function `solve(xs)`";

/// What a function returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Output {
    /// A number.
    Number(i64),
    /// A list.
    List(Vec<i64>),
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::List(list) => write!(f, "{list:?}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    List,
    Sum,
    Count,
    Largest,
}

impl Ending {
    const ALL: [Self; 4] = [Self::List, Self::Sum, Self::Count, Self::Largest];

    fn phrase(self) -> &'static str {
        match self {
            Self::List => "return the list",
            Self::Sum => "return the sum of the numbers",
            Self::Count => "return how many numbers there are",
            Self::Largest => "return the largest number, or 0 if there is none",
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::List => "return xs",
            Self::Sum => "return sum(xs)",
            Self::Count => "return len(xs)",
            Self::Largest => "return max(xs, default=0)",
        }
    }

    fn apply(self, xs: Vec<i64>) -> Option<Output> {
        Some(match self {
            Self::List => Output::List(xs),
            Self::Sum => Output::Number(xs.iter().try_fold(0_i64, |sum, x| sum.checked_add(*x))?),
            Self::Count => Output::Number(xs.len() as i64),
            Self::Largest => Output::Number(xs.into_iter().max().unwrap_or(0)),
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    ops: Vec<Op>,
    ending: Ending,
}

impl Program {
    pub(crate) fn generate(difficulty: Difficulty, draws: &mut Draws) -> Self {
        let count = OPERATIONS[difficulty.index()];
        let mut last = None;
        for _ in 0..DRAWS_MAX {
            let ops: Vec<Op> = (0..count).map(|_| Op::draw(draws)).collect();
            let ending = if draws.chance(0.6) { Ending::List } else { *draws.pick(&Ending::ALL) };
            let program = Self { ops, ending };
            if program.is_fit() {
                return program;
            }
            last = Some(program);
        }
        last.unwrap_or(Self { ops: Vec::new(), ending: Ending::Sum })
    }

    /// Whether every step matters and no number grows beyond measure.
    fn is_fit(&self) -> bool {
        let squares = self.ops.iter().filter(|op| op.is_square()).count();
        let Some(expected) = self.outputs(self) else { return false };
        let small = expected.iter().all(|output| match output {
            Output::Number(number) => number.abs() <= VALUE_MAX,
            Output::List(list) => list.iter().all(|number| number.abs() <= VALUE_MAX),
        });
        let matters = |at| self.outputs(&self.without(at)).as_ref() != Some(&expected);
        squares <= 1 && small && (0..self.ops.len()).all(matters)
    }

    fn without(&self, at: usize) -> Self {
        let mut shorter = self.clone();
        shorter.ops.remove(at);
        shorter
    }

    /// What `other` returns for this program's hidden inputs.
    fn outputs(&self, other: &Self) -> Option<Vec<Output>> {
        self.inputs().iter().skip(PUBLIC).map(|input| other.run(input)).collect()
    }

    pub(crate) fn find(text: &str) -> Option<Self> {
        let mut steps = numbered(after_last(text, ANCHOR)?);
        let last = steps.pop()?;
        let ending = Ending::ALL.into_iter().find(|ending| ending.phrase() == last)?;
        let ops: Option<Vec<Op>> = steps.into_iter().map(Op::read_phrase).collect();
        let ops = ops.filter(|ops| (1..=OPERATIONS_MAX).contains(&ops.len()))?;
        let program = Self { ops, ending };
        program.outputs(&program).map(|_| program)
    }

    fn run(&self, input: &[i64]) -> Option<Output> {
        let list = self.ops.iter().try_fold(input.to_vec(), |xs, op| op.apply(&xs))?;
        self.ending.apply(list)
    }

    fn phrases(&self) -> Vec<String> {
        let phrases = self.ops.iter().map(|op| op.phrase());
        phrases.chain([self.ending.phrase().to_owned()]).collect()
    }

    /// The inputs of its tests: a function of the task's text alone, so that whoever finds
    /// the task in a prompt finds the same tests.
    fn inputs(&self) -> Vec<Vec<i64>> {
        let mut draws = Draws::of(&["program tests", &self.phrases().join("\n")]);
        let list = |draws: &mut Draws| {
            let count = draws.between(4, 10);
            (0..count).map(|_| draws.between(-9, 20)).collect()
        };
        let mut inputs: Vec<Vec<i64>> = (0..PUBLIC + HIDDEN).map(|_| list(&mut draws)).collect();
        // The empty list belongs to the tests that are kept back.
        inputs[PUBLIC].clear();
        inputs
    }

    fn examples(&self) -> (Vec<Example>, Vec<Example>) {
        let examples = self.inputs().into_iter().filter_map(|input| {
            let output = self.run(&input)?;
            Some(Example { input, output })
        });
        let mut public: Vec<Example> = examples.collect();
        let hidden = public.split_off(PUBLIC.min(public.len()));
        (public, hidden)
    }

    fn lines(&self) -> Vec<String> {
        self.ops.iter().map(|op| op.code()).collect()
    }

    fn code(&self) -> String {
        let lines = self.lines().into_iter().chain([self.ending.code().to_owned()]);
        let body: Vec<String> = lines.map(|line| format!("    {line}")).collect();
        format!("def {ENTRY_POINT}(xs):\n{}", body.join("\n"))
    }

    fn read(code: &str) -> Option<Self> {
        let mut lines = code.lines().map(str::trim);
        let mut lines = lines.by_ref().filter(|line| !line.is_empty() && !line.starts_with('#'));
        if lines.next()? != format!("def {ENTRY_POINT}(xs):") {
            return None;
        }
        let mut ops = Vec::new();
        for line in lines.take(OPERATIONS_MAX + 1) {
            if let Some(ending) = Ending::ALL.into_iter().find(|ending| ending.code() == line) {
                return Some(Self { ops, ending });
            }
            ops.push(Op::read_code(line)?);
        }
        None
    }

    fn attempt(&self) -> Attempt {
        let working = self.ops.iter().map(|op| format!("To {}: {}", op.phrase(), op.code()));
        Attempt { working: working.collect(), answer: self.code() }
    }

    fn slipped(&self, draws: &mut Draws) -> Option<Self> {
        let mut wrong = self.clone();
        let at = draws.below(wrong.ops.len());
        match draws.below(3) {
            0 => {
                wrong.ops.remove(at);
            }
            1 if wrong.ops.len() > 1 => {
                let next = (at + 1) % wrong.ops.len();
                wrong.ops.swap(at, next);
            }
            _ => wrong.ops[at] = wrong.ops[at].slipped(draws)?,
        }
        (self.outputs(&wrong) != self.outputs(self)).then_some(wrong)
    }

    /// How many lines a plan gives: all but the last operation.
    fn planned(&self) -> usize {
        self.ops.len().saturating_sub(1).max(1)
    }
}

/// What canonical code returns for an input; `None` for any other code.
pub(crate) fn run_code(code: &str, input: &[i64]) -> Option<Output> {
    Program::read(code)?.run(input)
}

/// The last fenced block of a text, else what follows its last `def`.
pub(crate) fn read_code(text: &str) -> Option<String> {
    let fences: Vec<usize> = text.match_indices("```").map(|(at, _)| at).collect();
    let code = match fences.chunks_exact(2).last() {
        Some(&[open, close]) => text[open..close].split_once('\n')?.1,
        _ => &text[text.rfind("def solve")?..],
    };
    Some(code.trim().to_owned()).filter(|code| !code.is_empty())
}

impl Puzzle for Program {
    fn difficulty(&self) -> Difficulty {
        difficulty_of(self.ops.len(), &OPERATIONS)
    }

    fn prompt(&self) -> String {
        let examples: Vec<String> = self
            .examples()
            .0
            .iter()
            .map(|example| format!("{ENTRY_POINT}({:?}) == {}", example.input, example.output))
            .collect();
        format!(
            "{ANCHOR} that takes a list of integers and does these steps in order:\n{}\nExamples:\n{}\nEnd with the whole function in a ```python block.",
            super::number(&self.phrases()).join("\n"),
            examples.join("\n")
        )
    }

    fn check(&self) -> Check {
        let (public, hidden) = self.examples();
        Check::Program { entry_point: ENTRY_POINT.into(), public, hidden }
    }

    fn right(&self) -> Attempt {
        self.attempt()
    }

    fn slip(&self, draws: &mut Draws) -> Option<Attempt> {
        self.slipped(draws).map(|wrong| wrong.attempt())
    }

    fn blunder(&self) -> String {
        format!("def {ENTRY_POINT}(xs):\n    return None")
    }

    fn retrace(&self, answer: &str) -> Vec<String> {
        Self::read(answer).map(|program| program.attempt().working).unwrap_or_default()
    }

    fn plan(&self) -> Vec<String> {
        self.lines().into_iter().take(self.planned()).collect()
    }

    fn bad_plan(&self, draws: &mut Draws) -> Vec<String> {
        let mut lines = self.plan();
        let at = draws.below(lines.len());
        let other = self.ops[at].slipped(draws).filter(|op| *op != self.ops[at]);
        let loss = if lines[at] == "xs = xs[1:]" { "xs = xs[:1]" } else { "xs = xs[1:]" };
        lines[at] = other.map_or(loss.to_owned(), |op| op.code());
        lines
    }

    fn judge_plan(&self, plan: &str) -> Option<bool> {
        let code = |line: &str| Op::read_code(line.get(line.find("xs = ")?..)?.trim());
        let claimed: Vec<Op> = plan.lines().filter_map(code).collect();
        (!claimed.is_empty()).then(|| self.ops.starts_with(&claimed))
    }
}
