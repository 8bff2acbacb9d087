//! Reach a target with all of some numbers, after the round of the television game.

use super::{Attempt, Puzzle, after_last};
use crate::{
    Check,
    draw::Draws,
    expr::{Expr, Op, equation, read_equation},
    tasks::Difficulty,
};

/// Most numbers in a task: the search tries every way, some 200,000 for five.
const NUMBERS_MAX: usize = 5;
/// Numbers, smallest and largest target by difficulty. The borders make it possible to
/// tell the difficulty from the task.
const SIZES: [(usize, i64, i64); 5] =
    [(3, 2, 60), (4, 2, 100), (4, 101, 400), (5, 2, 200), (5, 201, 900)];
/// Targets drawn before any that can be reached must do.
const DRAWS_MAX: usize = 400;
/// What stands around the numbers and the target.
const ANCHOR: &str = "Use each of the numbers ";
const AFTER_NUMBERS: &str = " exactly once";
const TARGET: &str = "an expression whose value is ";

/// One operation on two of the values at hand; its result takes the place of the first.
#[derive(Debug, Clone, Copy)]
struct Move {
    left: usize,
    right: usize,
    op: Op,
}

pub(crate) struct Countdown {
    numbers: Vec<i64>,
    target: i64,
    moves: Vec<Move>,
}

/// All moves on these values that lead to whole numbers above 0.
fn moves(values: &[i64]) -> impl Iterator<Item = (Move, i64)> + '_ {
    let pairs = (0..values.len()).flat_map(|a| (0..values.len()).map(move |b| (a, b)));
    pairs.filter(|(a, b)| a != b).flat_map(move |(left, right)| {
        Op::ALL.into_iter().filter_map(move |op| {
            let commutes = matches!(op, Op::Add | Op::Mul);
            if commutes && left > right {
                return None;
            }
            let value = op.apply(values[left], values[right])?;
            (value > 0).then_some((Move { left, right, op }, value))
        })
    })
}

fn after(values: &[i64], step: Move, value: i64) -> Vec<i64> {
    let mut rest = values.to_vec();
    rest[step.left] = value;
    rest.remove(step.right);
    rest
}

/// The first way from `values` to `target`, in reverse.
fn search(values: &[i64], target: i64) -> Option<Vec<Move>> {
    if let [only] = values {
        return (*only == target).then(Vec::new);
    }
    moves(values).find_map(|(step, value)| {
        let mut way = search(&after(values, step, value), target)?;
        way.push(step);
        Some(way)
    })
}

/// Whether `expr` uses exactly these numbers and has this value.
pub(crate) fn reaches(expr: &Expr, numbers: &[i64], target: i64) -> bool {
    let (mut used, mut given) = (expr.numbers(), numbers.to_vec());
    used.sort_unstable();
    given.sort_unstable();
    used == given && expr.value() == Some(target)
}

impl Countdown {
    fn new(numbers: Vec<i64>, target: i64) -> Option<Self> {
        let fits = (2..=NUMBERS_MAX).contains(&numbers.len())
            && target > 0
            && numbers.iter().all(|number| (1..=1_000).contains(number));
        let mut moves = if fits { search(&numbers, target)? } else { return None };
        moves.reverse();
        Some(Self { numbers, target, moves })
    }

    pub(crate) fn generate(difficulty: Difficulty, draws: &mut Draws) -> Self {
        let (count, low, high) = SIZES[difficulty.index()];
        for _ in 0..DRAWS_MAX {
            let numbers: Vec<i64> = (0..count).map(|_| draws.between(2, 30)).collect();
            let mut values = numbers.clone();
            while values.len() > 1 {
                let possible: Vec<(Move, i64)> = moves(&values).collect();
                let (step, value) = *draws.pick(&possible);
                values = after(&values, step, value);
            }
            let target = values[0];
            if (low..=high).contains(&target)
                && let Some(found) = Self::new(numbers, target)
            {
                return found;
            }
        }
        let numbers = vec![20; count];
        let target = 20 * count as i64;
        Self::new(numbers.clone(), target).unwrap_or(Self { numbers, target, moves: Vec::new() })
    }

    pub(crate) fn find(text: &str) -> Option<Self> {
        let (numbers, rest) = after_last(text, ANCHOR)?.split_once(AFTER_NUMBERS)?;
        let numbers: Result<Vec<i64>, _> =
            numbers.split(',').map(|number| number.trim().parse()).collect();
        let (_, rest) = rest.split_once(TARGET)?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Self::new(numbers.ok()?, rest[..digits].parse().ok()?)
    }

    fn solution(&self) -> Expr {
        let mut parts: Vec<Expr> = self.numbers.iter().copied().map(Expr::Number).collect();
        for step in &self.moves {
            let (left, right) = (parts[step.left].clone(), parts[step.right].clone());
            parts[step.left] = Expr::binary(step.op, left, right);
            parts.remove(step.right);
        }
        parts.into_iter().next().unwrap_or(Expr::Number(0))
    }

    /// Whether the target can still be reached when a plan begins like this.
    fn may_begin(&self, (op, a, b, value): (Op, i64, i64, i64)) -> bool {
        let mut rest = self.numbers.clone();
        for used in [a, b] {
            let Some(at) = rest.iter().position(|number| *number == used) else { return false };
            rest.remove(at);
        }
        rest.push(value);
        op.apply(a, b) == Some(value) && search(&rest, self.target).is_some()
    }

    fn attempt(expr: &Expr) -> Attempt {
        Attempt { working: expr.working(), answer: expr.to_string() }
    }

    fn plan_line(line: (Op, i64, i64, i64)) -> Vec<String> {
        let (op, a, b, value) = line;
        vec![
            format!("First make {value}: {}", equation(op, a, b, value)),
            "Then reach the target from that and the other numbers.".into(),
        ]
    }
}

impl Puzzle for Countdown {
    fn difficulty(&self) -> Difficulty {
        let easier = SIZES.iter().filter(|(count, _, high)| {
            *count < self.numbers.len() || (*count == self.numbers.len() && *high < self.target)
        });
        Difficulty::nearest(easier.count() + 1)
    }

    fn prompt(&self) -> String {
        let numbers: Vec<String> = self.numbers.iter().map(ToString::to_string).collect();
        format!(
            "{ANCHOR}{}{AFTER_NUMBERS}, with + - * / and brackets, to write {TARGET}{}. Divisions must leave nothing over.\nEnd with a line `Answer: <expression>`.",
            numbers.join(", "),
            self.target
        )
    }

    fn check(&self) -> Check {
        Check::Expression { numbers: self.numbers.clone(), target: self.target }
    }

    fn right(&self) -> Attempt {
        Self::attempt(&self.solution())
    }

    fn slip(&self, draws: &mut Draws) -> Option<Attempt> {
        let wrong = self.solution().slipped(draws);
        wrong.value().map(|_| Self::attempt(&wrong))
    }

    fn blunder(&self) -> String {
        self.target.to_string()
    }

    fn retrace(&self, answer: &str) -> Vec<String> {
        Expr::read(answer).map(|expr| expr.working()).unwrap_or_default()
    }

    fn plan(&self) -> Vec<String> {
        let first = self.moves.first().and_then(|step| {
            let (a, b) = (self.numbers[step.left], self.numbers[step.right]);
            Some((step.op, a, b, step.op.apply(a, b)?))
        });
        first.map(Self::plan_line).unwrap_or_default()
    }

    fn bad_plan(&self, draws: &mut Draws) -> Vec<String> {
        let lines = moves(&self.numbers).map(|(step, value)| {
            (step.op, self.numbers[step.left], self.numbers[step.right], value)
        });
        let dead: Vec<_> = lines.filter(|line| !self.may_begin(*line)).collect();
        if dead.is_empty() {
            let (a, b) = (self.numbers[0], self.numbers[1]);
            return Self::plan_line((Op::Add, a, b, a + b + 1));
        }
        Self::plan_line(*draws.pick(&dead))
    }

    fn judge_plan(&self, plan: &str) -> Option<bool> {
        plan.lines().find_map(read_equation).map(|line| self.may_begin(line))
    }
}
