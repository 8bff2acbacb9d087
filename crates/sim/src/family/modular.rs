//! A chain of steps modulo a prime.

use super::{Attempt, Puzzle, after_last, difficulty_of, numbered};
use crate::{Check, draw::Draws, tasks::Difficulty};
use std::fmt;

/// Steps by difficulty.
const STEPS: [usize; 5] = [2, 4, 6, 8, 11];
/// Moduli to choose from.
const PRIMES: [i64; 12] = [53, 61, 79, 97, 113, 131, 199, 251, 409, 541, 761, 997];
/// Largest modulus read: its square stays far below the largest number.
const MODULUS_MAX: i64 = 1_000_000;
/// What stands before the start, and between it and the modulus.
const ANCHOR: &str = "Start with x = ";
const MODULO: &str = "the remainder of x modulo ";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Multiply(i64),
    Add(i64),
    Subtract(i64),
    Square,
}

impl Step {
    fn draw(draws: &mut Draws) -> Self {
        match draws.below(7) {
            0 | 1 => Self::Multiply(draws.between(2, 29)),
            2 | 3 => Self::Add(draws.between(2, 99)),
            4 | 5 => Self::Subtract(draws.between(2, 99)),
            _ => Self::Square,
        }
    }

    fn apply(self, x: i64, modulus: i64) -> i64 {
        let (x, by) = match self {
            Self::Multiply(by) => (x * (by % modulus), 0),
            Self::Add(by) => (x, by % modulus),
            Self::Subtract(by) => (x, -(by % modulus)),
            Self::Square => (x * x, 0),
        };
        (x + by).rem_euclid(modulus)
    }

    fn read(text: &str) -> Option<Self> {
        let number = |prefix| text.strip_prefix(prefix)?.parse::<u32>().ok().map(i64::from);
        let multiply = number("multiply x by ").map(Self::Multiply);
        multiply
            .or_else(|| number("add ").map(Self::Add))
            .or_else(|| number("subtract ").map(Self::Subtract))
            .or_else(|| (text == "square x").then_some(Self::Square))
    }

    fn slipped(self, draws: &mut Draws) -> Self {
        let off = if draws.chance(0.5) { 1 } else { -1 };
        match self {
            Self::Multiply(by) => Self::Multiply(by + off),
            Self::Add(by) if draws.chance(0.5) => Self::Subtract(by),
            Self::Add(by) => Self::Add(by + off),
            Self::Subtract(by) if draws.chance(0.5) => Self::Add(by),
            Self::Subtract(by) => Self::Subtract(by + off),
            Self::Square => Self::Multiply(2),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Multiply(by) => write!(f, "multiply x by {by}"),
            Self::Add(by) => write!(f, "add {by}"),
            Self::Subtract(by) => write!(f, "subtract {by}"),
            Self::Square => f.write_str("square x"),
        }
    }
}

pub(crate) struct Modular {
    start: i64,
    modulus: i64,
    steps: Vec<Step>,
}

impl Modular {
    pub(crate) fn generate(difficulty: Difficulty, draws: &mut Draws) -> Self {
        let modulus = *draws.pick(&PRIMES);
        let start = draws.between(2, modulus - 1);
        let steps = (0..STEPS[difficulty.index()]).map(|_| Step::draw(draws)).collect();
        Self { start, modulus, steps }
    }

    pub(crate) fn find(text: &str) -> Option<Self> {
        let (start, rest) = after_last(text, ANCHOR)?.split_once('.')?;
        let (_, rest) = rest.split_once(MODULO)?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let modulus: i64 = rest[..digits].parse().ok()?;
        if !(2..=MODULUS_MAX).contains(&modulus) {
            return None;
        }
        let start: i64 = start.trim().parse().ok()?;
        let steps: Option<Vec<Step>> = numbered(rest).into_iter().map(Step::read).collect();
        let steps = steps.filter(|steps| !steps.is_empty())?;
        Some(Self { start, modulus, steps })
    }

    /// The value of x after each step.
    fn values(&self, steps: &[Step]) -> Vec<i64> {
        let mut x = self.start.rem_euclid(self.modulus);
        let after = steps.iter().map(|step| {
            x = step.apply(x, self.modulus);
            x
        });
        after.collect()
    }

    fn value(&self) -> i64 {
        self.values(&self.steps).last().copied().unwrap_or_default()
    }

    fn attempt(&self, steps: &[Step]) -> Attempt {
        let values = self.values(steps);
        let answer = values.last().copied().unwrap_or(self.start).to_string();
        Attempt { working: lines(&values), answer }
    }
}

fn lines(values: &[i64]) -> Vec<String> {
    let numbered = values.iter().enumerate();
    numbered.map(|(at, x)| format!("after step {}: x = {x}", at + 1)).collect()
}

fn read_line(line: &str) -> Option<(usize, i64)> {
    let (step, x) = line.split_once("after step ")?.1.split_once(": x = ")?;
    Some((step.parse().ok()?, x.trim().trim_end_matches('.').parse().ok()?))
}

impl Puzzle for Modular {
    fn difficulty(&self) -> Difficulty {
        difficulty_of(self.steps.len(), &STEPS)
    }

    fn prompt(&self) -> String {
        let (start, modulus) = (self.start, self.modulus);
        let steps: Vec<String> = self.steps.iter().map(ToString::to_string).collect();
        let steps = super::number(&steps).join("\n");
        format!(
            "{ANCHOR}{start}. After every step, keep only {MODULO}{modulus}, from 0 to {}.\n{steps}\nWhat is x at the end? End with a line `Answer: <number>`, the number as digits.",
            modulus - 1
        )
    }

    fn check(&self) -> Check {
        Check::Number { value: self.value() }
    }

    fn right(&self) -> Attempt {
        self.attempt(&self.steps)
    }

    fn slip(&self, draws: &mut Draws) -> Option<Attempt> {
        let mut steps = self.steps.clone();
        let place = draws.below(steps.len());
        if steps.len() > 1 && draws.chance(0.3) {
            steps.remove(place);
        } else {
            steps[place] = steps[place].slipped(draws);
        }
        let attempt = self.attempt(&steps);
        (attempt.answer != self.value().to_string()).then_some(attempt)
    }

    fn blunder(&self) -> String {
        ((self.value() + 1) % self.modulus).to_string()
    }

    fn retrace(&self, answer: &str) -> Vec<String> {
        let mut lines = self.right().working;
        lines.pop();
        lines.push(format!("after step {}: x = {answer}", self.steps.len()));
        lines
    }

    fn plan(&self) -> Vec<String> {
        let mut lines = lines(&self.values(&self.steps));
        if lines.len() > 1 {
            lines.pop();
        }
        lines
    }

    fn bad_plan(&self, draws: &mut Draws) -> Vec<String> {
        let mut values = self.values(&self.steps);
        if values.len() > 1 {
            values.pop();
        }
        let place = draws.below(values.len());
        values[place] = (values[place] + draws.between(1, self.modulus - 1)) % self.modulus;
        // The mistake is carried on, as it would be on paper.
        let mut x = values[place];
        for (value, step) in values.iter_mut().zip(&self.steps).skip(place + 1) {
            x = step.apply(x, self.modulus);
            *value = x;
        }
        lines(&values)
    }

    fn judge_plan(&self, plan: &str) -> Option<bool> {
        let values = self.values(&self.steps);
        let claimed: Vec<(usize, i64)> = plan.lines().filter_map(read_line).collect();
        let holds =
            |(step, x): &(usize, i64)| step.checked_sub(1).and_then(|at| values.get(at)) == Some(x);
        (!claimed.is_empty()).then(|| claimed.iter().all(holds))
    }
}
