//! Whether an arithmetic expression of given numbers reaches a target, as in Countdown.

use crate::{
    Code, Report, SpecError,
    final_answer::{final_answer, shown},
    math::{Answer, Expr, Op, parse},
};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;
use serde::{Deserialize, Serialize};

pub(crate) const EXPRESSION: &str = "expression.check/1";

/// Numbers that can be given.
const NUMBERS_MAX: usize = 32;

/// How often each number is to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uses {
    /// Each of them, once.
    #[default]
    ExactlyOnce,
    /// Any of them, each once at most.
    AtMostOnce,
}

pub(crate) fn numbers_are_sensible(numbers: &[i64]) -> Result<(), SpecError> {
    if (1..=NUMBERS_MAX).contains(&numbers.len()) {
        return Ok(());
    }
    let message = format!("{} numbers: expected 1 to {NUMBERS_MAX}", numbers.len());
    Err(SpecError::new("numbers", message))
}

/// The expression is the marked answer, or the last line; what stands behind a `=` is
/// what its author thinks of its value, and does not count.
pub(crate) fn reaches(numbers: &[i64], target: i64, uses: Uses, candidate: &str) -> Report {
    let found = final_answer(candidate);
    let line = found.text.lines().rev().find(|line| !line.trim().is_empty());
    let text = if found.marked { found.text.trim() } else { line.unwrap_or_default().trim() };
    let no_answer = |why: String| {
        Report::fail(EXPRESSION, Code::NoAnswer)
            .having_read(text)
            .saying(format!("the final answer {} is no arithmetic expression: {why}", shown(text)))
    };
    let expr = match parse(text).map(|reading| reading.answer) {
        Ok(Answer::Scalar(expr)) => expr,
        Ok(Answer::Related(_, left, right)) if left.is_name().is_some() => right,
        Ok(Answer::Related(_, left, _)) => left,
        Ok(_) => return no_answer("it is more than one".into()),
        Err(error) => return no_answer(error.to_string()),
    };
    let mut used = Vec::new();
    let value = match evaluate(&expr, numbers, &mut used) {
        Ok(value) => value,
        Err(why) => return no_answer(why),
    };
    let mut wrong = miscounts(numbers, &used, uses);
    let wanted = BigRational::from_integer(target.into());
    match value {
        None => wrong.push("divides by zero".into()),
        Some(value) if value != wanted => {
            wrong.push(format!("evaluates to {}, wanted {target}", cut(&value)));
        }
        Some(_) => {}
    }
    if wrong.is_empty() {
        return Report::pass(EXPRESSION).having_read(text);
    }
    let feedback = format!("{} {}", shown(text), wrong.join("; "));
    Report::fail(EXPRESSION, Code::NotSolved).having_read(text).saying(feedback)
}

/// A value, short enough to be told.
fn cut(value: &BigRational) -> String {
    let text = value.to_string();
    if text.len() > 40 { format!("a number of {} digits", text.len()) } else { text }
}

fn miscounts(numbers: &[i64], used: &[BigInt], uses: Uses) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut looked_at = Vec::new();
    for number in used.iter().cloned().chain(numbers.iter().copied().map(BigInt::from)) {
        if looked_at.contains(&number) {
            continue;
        }
        let given = numbers.iter().filter(|n| BigInt::from(**n) == number).count();
        let found = used.iter().filter(|n| **n == number).count();
        let shown = cut(&BigRational::from_integer(number.clone()));
        if given == 0 {
            wrong.push(format!("uses {shown}, which is not given"));
        } else if found > given {
            let given =
                if given == 1 { String::new() } else { format!(", given {}", times(given)) };
            wrong.push(format!("uses {shown} {}{given}", times(found)));
        } else if found < given && uses == Uses::ExactlyOnce {
            wrong.push(match found {
                0 => format!("does not use {shown}"),
                found => format!("uses {shown} {}, given {}", times(found), times(given)),
            });
        }
        looked_at.push(number);
    }
    wrong
}

fn times(count: usize) -> String {
    match count {
        1 => "once".into(),
        2 => "twice".into(),
        count => format!("{count} times"),
    }
}

/// The exact value, none after a division by zero; or what has no place in arithmetic.
fn evaluate(
    expr: &Expr,
    numbers: &[i64],
    used: &mut Vec<BigInt>,
) -> Result<Option<BigRational>, String> {
    match expr {
        Expr::Number(value) if value.is_integer() => {
            used.push(value.to_integer());
            Ok(Some(value.clone()))
        }
        Expr::Negative(inside) => match &**inside {
            // A number that was given with its sign.
            Expr::Number(value)
                if numbers.iter().any(|n| BigRational::from_integer((*n).into()) == -value) =>
            {
                used.push(-value.to_integer());
                Ok(Some(-value))
            }
            _ => Err("a sign is no operation".into()),
        },
        Expr::Binary(op, left, right) => {
            let left = evaluate(left, numbers, used)?;
            let right = evaluate(right, numbers, used)?;
            let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
            Ok(match op {
                Op::Add => Some(left + right),
                Op::Subtract => Some(left - right),
                Op::Multiply => Some(left * right),
                Op::Divide => (!right.is_zero()).then(|| left / right),
                Op::Power => return Err("powers are not allowed".into()),
            })
        }
        Expr::Number(_) | Expr::Decimal { .. } => Err("only whole numbers are allowed".into()),
        Expr::Variable(name) => Err(format!("{name} is no number")),
        Expr::Constant(_) | Expr::Root(..) | Expr::Function(..) => {
            Err("only +, -, * and / are allowed".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(numbers: &[i64], target: i64, uses: Uses, reply: &str, expected: &str) {
        let report = reaches(numbers, target, uses, reply);
        let told = format!("{} {}", report.code.name(), report.feedback);
        assert!(told.starts_with(expected), "{reply}: {told}");
    }

    #[test]
    fn the_right_numbers_and_the_right_target() {
        let game = |reply: &str, expected: &str| {
            check(&[3, 5, 7], 36, Uses::ExactlyOnce, reply, expected);
        };
        game("Answer: (7 + 5) * 3", "accepted");
        game("**Answer:** `3*(5+7) = 36`", "accepted");
        game("so:\n(5 + 7) × 3 = 36.", "accepted");
        game("\\boxed{3(5+7)}", "accepted");
        game("Answer: 36 = 36", "not_solved \"36 = 36\" uses 36, which is not given");
        game("Answer: (7+7)*3-6", "not_solved \"(7+7)*3-6\" uses 7 twice; uses 6, which");
        game("Answer: 7*5+3", "not_solved \"7*5+3\" evaluates to 38, wanted 36");
        game("Answer: 12 * 3", "not_solved \"12 * 3\" uses 12, which is not given; does not use 5");
        game("Answer: 7/(5-5)", "not_solved \"7/(5-5)\" uses 5 twice; does not use 3; divides by");
        game(
            "Answer: 3^2*5-7",
            "no_answer the final answer \"3^2*5-7\" is no arithmetic expression: powers",
        );
        game("Answer: 3!*(7-5)*3", "no_answer");
        game("Answer: 35 + 7%", "no_answer");
        game("Answer: -(-36)", "no_answer");
        game("Answer: x", "no_answer the final answer \"x\" is no arithmetic expression: x is");
        game("Answer: 3+5 = 8, 8*7 = 56", "no_answer");
        game("no idea", "no_answer");
    }

    #[test]
    fn numbers_may_be_left_out_where_that_is_said() {
        let game = |reply: &str, expected: &str| {
            check(&[2, 2, -3, 10], 20, Uses::AtMostOnce, reply, expected);
        };
        game("Answer: 10*2", "accepted");
        game("Answer: 10/2*2*2", "not_solved \"10/2*2*2\" uses 2 3 times, given twice");
        game("Answer: 10 * 2 + (-3) - -3", "not_solved \"10 * 2 + (-3) - -3\" uses -3 twice");
        game("Answer: 10/3*6", "not_solved");
        check(&[2, 2], 4, Uses::ExactlyOnce, "2", "not_solved \"2\" uses 2 once, given twice");
    }
}
