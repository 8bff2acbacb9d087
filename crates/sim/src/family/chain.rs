//! Tasks that start with a value and change it step by step: numbers, strings, lists.

use super::{Attempt, Puzzle, after_last, difficulty_of, number, numbered};
use crate::{Check, draw::Draws, tasks::Difficulty};

/// Most steps read.
const STEPS_MAX: usize = 20;
/// Chains drawn before any must do.
const DRAWS_MAX: usize = 400;
/// Bad plans tried before the value itself is spoilt.
const BAD_PLANS_MAX: usize = 16;

/// One kind of step, and the value that such steps change.
pub(crate) trait Link: Copy + PartialEq {
    /// What is changed.
    type Value: Clone + PartialEq;
    /// Steps by difficulty.
    const STEPS: [usize; 5];
    /// What stands before the first value, and between it and the steps.
    const ANCHOR: &'static str;
    const AFTER: &'static str = " and do these steps in order:";
    /// The last line: what is asked, and in which form.
    const ASKED: &'static str;

    fn draw_value(difficulty: Difficulty, draws: &mut Draws) -> Self::Value;
    fn draw(draws: &mut Draws) -> Self;
    /// Its words, and what it says when they are read.
    fn phrase(self) -> String;
    fn read(phrase: &str) -> Option<Self>;
    /// The value after it; `None` where it cannot be done or grows too large.
    fn apply(self, value: &Self::Value) -> Option<Self::Value>;
    /// A plausible confusion.
    fn slipped(self, draws: &mut Draws) -> Option<Self>;
    fn show(value: &Self::Value) -> String;
    fn read_value(text: &str) -> Option<Self::Value>;
    /// Some other value, near this one.
    fn spoilt(value: &Self::Value) -> Self::Value;
    fn check(value: Self::Value) -> Check;
}

/// A task of such steps. There is at least one, and all of them can be done.
pub(crate) struct Chain<L: Link> {
    start: L::Value,
    links: Vec<L>,
    /// The value after each step.
    values: Vec<L::Value>,
}

fn follow<L: Link>(start: &L::Value, links: &[L]) -> Option<Vec<L::Value>> {
    let mut value = start.clone();
    let after = links.iter().map(|link| {
        value = link.apply(&value)?;
        Some(value.clone())
    });
    after.collect()
}

impl<L: Link> Chain<L> {
    fn new(start: L::Value, links: Vec<L>) -> Option<Self> {
        let values = follow(&start, &links)?;
        (1..=STEPS_MAX).contains(&links.len()).then_some(Self { start, links, values })
    }

    /// Every step of it changes the value.
    fn moves(&self) -> bool {
        let before = std::iter::once(&self.start).chain(&self.values);
        before.zip(&self.values).all(|(before, after)| before != after)
    }

    /// `None` only if no chain of that length can be drawn at all.
    pub(crate) fn generate(difficulty: Difficulty, draws: &mut Draws) -> Option<Self> {
        let steps = L::STEPS[difficulty.index()];
        let mut last = None;
        for _ in 0..DRAWS_MAX {
            let start = L::draw_value(difficulty, draws);
            let links = (0..steps).map(|_| L::draw(draws)).collect();
            let Some(chain) = Self::new(start, links) else { continue };
            if chain.moves() {
                return Some(chain);
            }
            last = Some(chain);
        }
        last
    }

    pub(crate) fn find(text: &str) -> Option<Self> {
        let (start, rest) = after_last(text, L::ANCHOR)?.split_once(L::AFTER)?;
        let links: Option<Vec<L>> = numbered(rest).into_iter().map(L::read).collect();
        Self::new(L::read_value(start.trim())?, links?)
    }

    fn end(&self) -> &L::Value {
        self.values.last().unwrap_or(&self.start)
    }

    fn attempt(&self, links: &[L]) -> Option<Attempt> {
        let values = follow(&self.start, links)?;
        let answer = L::show(values.last().unwrap_or(&self.start));
        Some(Attempt { working: lines::<L>(&values), answer })
    }

    /// The values without the end, if there are others.
    fn planned(&self) -> &[L::Value] {
        let all = self.values.len();
        &self.values[..all.saturating_sub(1).max(1).min(all)]
    }
}

fn lines<L: Link>(values: &[L::Value]) -> Vec<String> {
    let numbered = values.iter().enumerate();
    numbered.map(|(at, value)| format!("after step {}: {}", at + 1, L::show(value))).collect()
}

fn read_line<L: Link>(line: &str) -> Option<(usize, L::Value)> {
    let (step, value) = line.split_once("after step ")?.1.split_once(": ")?;
    Some((step.parse().ok()?, L::read_value(value.trim())?))
}

impl<L: Link> Puzzle for Chain<L> {
    fn difficulty(&self) -> Difficulty {
        difficulty_of(self.links.len(), &L::STEPS)
    }

    fn prompt(&self) -> String {
        let steps: Vec<String> = self.links.iter().map(|link| link.phrase()).collect();
        let (anchor, after) = (L::ANCHOR, L::AFTER);
        format!(
            "{anchor}{}{after}\n{}\n{}",
            L::show(&self.start),
            number(&steps).join("\n"),
            L::ASKED
        )
    }

    fn check(&self) -> Check {
        L::check(self.end().clone())
    }

    fn right(&self) -> Attempt {
        Attempt { working: lines::<L>(&self.values), answer: L::show(self.end()) }
    }

    fn slip(&self, draws: &mut Draws) -> Option<Attempt> {
        let mut links = self.links.clone();
        let place = draws.below(links.len());
        match draws.below(3) {
            0 if links.len() > 1 => {
                links.remove(place);
            }
            1 if links.len() > 1 => {
                let next = (place + 1) % links.len();
                links.swap(place, next);
            }
            _ => links[place] = links[place].slipped(draws)?,
        }
        let attempt = self.attempt(&links)?;
        (attempt.answer != L::show(self.end())).then_some(attempt)
    }

    fn blunder(&self) -> String {
        L::show(&L::spoilt(self.end()))
    }

    fn retrace(&self, answer: &str) -> Vec<String> {
        let mut lines = lines::<L>(&self.values);
        lines.pop();
        lines.push(format!("after step {}: {answer}", self.links.len()));
        lines
    }

    fn plan(&self) -> Vec<String> {
        lines::<L>(self.planned())
    }

    fn bad_plan(&self, draws: &mut Draws) -> Vec<String> {
        let planned = self.planned().len();
        for _ in 0..BAD_PLANS_MAX {
            let mut links = self.links[..planned].to_vec();
            let place = draws.below(planned);
            let Some(slipped) = links[place].slipped(draws) else { continue };
            links[place] = slipped;
            // The mistake is carried on, as it would be on paper.
            match follow(&self.start, &links) {
                Some(values) if values != self.planned() => return lines::<L>(&values),
                Some(_) | None => {}
            }
        }
        let mut values = self.planned().to_vec();
        let place = draws.below(planned);
        values[place] = L::spoilt(&values[place]);
        lines::<L>(&values)
    }

    fn judge_plan(&self, plan: &str) -> Option<bool> {
        let claimed: Vec<(usize, L::Value)> = plan.lines().filter_map(read_line::<L>).collect();
        let holds = |(step, value): &(usize, L::Value)| {
            step.checked_sub(1).and_then(|at| self.values.get(at)) == Some(value)
        };
        (!claimed.is_empty()).then(|| claimed.iter().all(holds))
    }
}
