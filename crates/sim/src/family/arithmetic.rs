//! Nested expressions of whole numbers.

use super::{Attempt, Puzzle, after_last, difficulty_of};
use crate::{
    Check,
    draw::Draws,
    expr::{Expr, Op, read_equation},
    tasks::Difficulty,
};

/// Operations by difficulty.
const OPERATIONS: [usize; 5] = [2, 3, 5, 7, 10];
/// Largest value on the way, so that every number stays readable.
const VALUE_MAX: i64 = 99_999;
/// Expressions drawn before a plain sum must do.
const DRAWS_MAX: usize = 200;
/// What stands before the expression.
const ANCHOR: &str = "the value of this expression: `";
/// Words around a sum that somebody simply typed.
const CUES: [&str; 7] =
    ["what is", "what's", "compute", "calculate", "evaluate", "work out", "how much is"];

pub(crate) struct Arithmetic {
    expr: Expr,
    value: i64,
}

impl Arithmetic {
    fn new(expr: Expr) -> Option<Self> {
        let value = expr.value()?;
        (expr.operations() > 0).then_some(Self { expr, value })
    }

    pub(crate) fn generate(difficulty: Difficulty, draws: &mut Draws) -> Self {
        let operations = OPERATIONS[difficulty.index()];
        let fits = |expr: &Expr| {
            let small = |line: &String| {
                read_equation(line).is_some_and(|(_, _, _, value)| value.abs() <= VALUE_MAX)
            };
            let working = expr.working();
            working.len() == operations && working.iter().all(small)
        };
        let drawn = (0..DRAWS_MAX).map(|_| tree(operations, draws)).find(fits);
        let expr = drawn.unwrap_or_else(|| {
            let rest = (0..operations).map(|n| Expr::Number(n as i64 + 2));
            rest.fold(Expr::Number(1), |sum, number| Expr::binary(Op::Add, sum, number))
        });
        let value = expr.value().unwrap_or_default();
        Self { expr, value }
    }

    /// 1 + 1.
    pub(super) fn plain() -> Self {
        let one = || Expr::Number(1);
        Self { expr: Expr::binary(Op::Add, one(), one()), value: 2 }
    }

    pub(crate) fn find(text: &str) -> Option<Self> {
        let (expr, _) = after_last(text, ANCHOR)?.split_once('`')?;
        Self::new(Expr::read(expr)?)
    }

    /// The last sum in a text that asks for one.
    pub(crate) fn find_loose(text: &str) -> Option<Self> {
        let lower = text.to_lowercase();
        let asked = CUES.iter().any(|cue| lower.contains(cue));
        let belongs = |c: char| c.is_ascii_digit() || "+-*/()×·÷− ".contains(c);
        let runs = text.split(|c| !belongs(c)).map(str::trim);
        let sums = runs.filter(|run| asked || *run == text.trim());
        sums.filter_map(|run| Self::new(Expr::read(run)?)).next_back()
    }
}

fn tree(operations: usize, draws: &mut Draws) -> Expr {
    if operations == 0 {
        return Expr::Number(draws.between(2, 30));
    }
    let op = *draws.pick(&[Op::Add, Op::Add, Op::Sub, Op::Sub, Op::Mul]);
    let left = draws.below(operations);
    Expr::binary(op, tree(left, draws), tree(operations - 1 - left, draws))
}

fn attempt(expr: &Expr, value: i64) -> Attempt {
    Attempt { working: expr.working(), answer: value.to_string() }
}

/// All lines but the last, which would be the answer; the only line if there is one.
fn without_end(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > 1 {
        lines.pop();
    }
    lines
}

impl Puzzle for Arithmetic {
    fn difficulty(&self) -> Difficulty {
        difficulty_of(self.expr.operations(), &OPERATIONS)
    }

    fn prompt(&self) -> String {
        format!(
            "Work out {ANCHOR}{}`\nEnd with a line `Answer: <number>`, the number as digits.",
            self.expr
        )
    }

    fn check(&self) -> Check {
        Check::Number { value: self.value }
    }

    fn right(&self) -> Attempt {
        attempt(&self.expr, self.value)
    }

    fn slip(&self, draws: &mut Draws) -> Option<Attempt> {
        let wrong = self.expr.slipped(draws);
        let value = wrong.value()?;
        (value != self.value).then(|| attempt(&wrong, value))
    }

    fn blunder(&self) -> String {
        self.value.wrapping_add(1).to_string()
    }

    fn retrace(&self, answer: &str) -> Vec<String> {
        let mut lines = self.expr.working();
        if let Some((start, _)) = lines.pop().and_then(|last| {
            last.rsplit_once('=').map(|(start, end)| (start.to_owned(), end.to_owned()))
        }) {
            lines.push(format!("{start}= {answer}"));
        }
        lines
    }

    fn plan(&self) -> Vec<String> {
        without_end(self.expr.working())
    }

    fn bad_plan(&self, draws: &mut Draws) -> Vec<String> {
        let mut lines = self.plan();
        let place = draws.below(lines.len());
        if let Some((op, a, b, value)) = read_equation(&lines[place]) {
            let by = *draws.pick(&[-10, -1, 1, 10]);
            lines[place] = crate::expr::equation(op, a, b, value + by);
        }
        lines
    }

    fn judge_plan(&self, plan: &str) -> Option<bool> {
        let true_lines: Vec<_> =
            self.expr.working().iter().filter_map(|l| read_equation(l)).collect();
        let claimed: Vec<_> = plan.lines().filter_map(read_equation).collect();
        (!claimed.is_empty()).then(|| claimed.iter().all(|line| true_lines.contains(line)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_somebody_typed_is_found() {
        let check = |text| Arithmetic::find_loose(text).map(|found| found.value);
        assert_eq!(check("What is 2 * (3 + 4)?"), Some(14));
        assert_eq!(check("17*23"), Some(391));
        assert_eq!(check("Write 3-4 sentences about 2024-11-22."), None);
        assert_eq!(check("What is love?"), None);
    }
}
