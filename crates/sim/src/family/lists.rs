//! A list of numbers that is filtered, sorted and changed step by step.

use super::{chain::Link, program_ops::Op};
use crate::{Check, draw::Draws, tasks::Difficulty};

/// Largest number on the way.
const NUMBER_MAX: i64 = 1 << 40;
/// Longest list read.
const LENGTH_MAX: usize = 100;

/// The operations are those of the programs, carried out on one list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Item(Op);

/// `[1, 2, 3]`, wherever it stands; the last one of a text.
pub(crate) fn last_list(text: &str) -> Option<Vec<i64>> {
    let close = text.rfind(']')?;
    let open = text[..close].rfind('[')?;
    let inside = text[open + 1..close].trim();
    if inside.is_empty() {
        return Some(Vec::new());
    }
    let numbers = inside.split(',').map(|number| number.trim().replace('−', "-").parse().ok());
    numbers.collect()
}

pub(crate) fn show(list: &[i64]) -> String {
    format!("{list:?}")
}

impl Link for Item {
    type Value = Vec<i64>;
    const STEPS: [usize; 5] = [1, 2, 3, 4, 6];
    const ANCHOR: &'static str = "Take the list ";
    const ASKED: &'static str =
        "What is the list at the end? End with a line `Answer: [<numbers, separated by commas>]`.";

    fn draw_value(difficulty: Difficulty, draws: &mut Draws) -> Vec<i64> {
        let count = 5 + i64::from(difficulty.level());
        (0..count).map(|_| draws.between(-9, 20)).collect()
    }

    fn draw(draws: &mut Draws) -> Self {
        Self(Op::draw(draws))
    }

    fn phrase(self) -> String {
        self.0.phrase()
    }

    fn read(phrase: &str) -> Option<Self> {
        Op::read_phrase(phrase).map(Self)
    }

    fn apply(self, value: &Vec<i64>) -> Option<Vec<i64>> {
        let after = self.0.apply(value)?;
        after.iter().all(|number| number.abs() <= NUMBER_MAX).then_some(after)
    }

    fn slipped(self, draws: &mut Draws) -> Option<Self> {
        self.0.slipped(draws).map(Self)
    }

    fn show(value: &Vec<i64>) -> String {
        show(value)
    }

    fn read_value(text: &str) -> Option<Vec<i64>> {
        let whole = text.starts_with('[') && text.ends_with(']');
        last_list(text).filter(|list| whole && list.len() <= LENGTH_MAX)
    }

    fn spoilt(value: &Vec<i64>) -> Vec<i64> {
        let mut spoilt = value.clone();
        match spoilt.last_mut() {
            Some(last) => *last += 1,
            None => spoilt.push(0),
        }
        spoilt
    }

    fn check(value: Vec<i64>) -> Check {
        Check::List { values: value }
    }
}
