//! From the chances in the file to the logits that give them on average.

use super::form::Form;
use crate::{Difficulty, Family};
use std::collections::HashMap;

/// Points of the trapezoid rule on the normal distribution, and how far out it goes.
const POINTS: u32 = 121;
const REACH_SD: f64 = 6.0;
/// Logits among which the right ones are looked for, and how often the range is halved.
const LOGITS_MAX: f64 = 200.0;
const HALVINGS: u32 = 48;

/// Logits by family and difficulty.
#[derive(Debug, Clone, Copy)]
struct Table([[f64; 5]; Family::ALL.len()]);

impl Table {
    fn of(form: &Form, chance: impl Fn(Family, Difficulty) -> f64) -> Self {
        let lasting = &form.lasting;
        let spread = lasting.difficulty.hypot(lasting.affinity);
        let row = |family: Family| {
            let guess = form.family.of(family).guess;
            Difficulty::ALL.map(|level| logits(chance(family, level), guess, spread))
        };
        Self(Family::ALL.map(row))
    }

    fn at(&self, family: Family, difficulty: Difficulty) -> f64 {
        self.0[family.index()][difficulty.index()]
    }
}

/// What each model can do, and what workers can on average.
#[derive(Debug)]
pub(super) struct Skills {
    models: HashMap<String, Table>,
    mean: Table,
}

impl Skills {
    pub(super) fn of(form: &Form) -> Self {
        let able = form.model.iter().filter(|model| model.skill.is_some());
        let table = |of: &super::Model| Table::of(form, |family, level| of.chance(family, level));
        let models = able.map(|model| (model.name.clone(), table(model))).collect();
        let mean = Table::of(form, |family, level| {
            let workers = form.model.iter().filter(|model| model.worker);
            let chances: Vec<f64> = workers.map(|model| model.chance(family, level)).collect();
            chances.iter().sum::<f64>() / chances.len().max(1) as f64
        });
        Self { models, mean }
    }

    pub(super) fn of_model(&self, model: &str, family: Family, difficulty: Difficulty) -> f64 {
        self.models.get(model).map_or(-LOGITS_MAX, |table| table.at(family, difficulty))
    }

    pub(super) fn mean(&self, family: Family, difficulty: Difficulty) -> f64 {
        self.mean.at(family, difficulty)
    }
}

pub(crate) fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// The logits `a` for which guess + (1 - guess) * E[sigmoid(a + spread * n)] is `chance`,
/// where n is standard normal: the mean rises with `a`, so that halving finds it.
fn logits(chance: f64, guess: f64, spread: f64) -> f64 {
    let (mut low, mut high) = (-LOGITS_MAX, LOGITS_MAX);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if guess + (1.0 - guess) * mean(middle, spread) < chance {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

fn mean(logit: f64, spread: f64) -> f64 {
    let step = 2.0 * REACH_SD / f64::from(POINTS - 1);
    let (mut sum, mut weights) = (0.0, 0.0);
    for point in 0..POINTS {
        let x = f64::from(point) * step - REACH_SD;
        let weight = (-x * x / 2.0).exp();
        sum += weight * sigmoid(logit + spread * x);
        weights += weight;
    }
    sum / weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logits_give_back_the_chance() {
        for (chance, guess, spread) in [
            (0.5, 0.0, 4.7),
            (0.95, 0.0, 4.7),
            (0.08, 0.0, 4.7),
            (0.45, 0.25, 4.7),
            (0.7, 0.0, 0.0),
        ] {
            let found = logits(chance, guess, spread);
            let back = guess + (1.0 - guess) * mean(found, spread);
            assert!((back - chance).abs() < 1e-9, "{chance}: {found} gives {back}");
        }
        assert!(logits(0.5, 0.0, 4.7).abs() < 1e-9);
        // Without a spread it is the logit itself.
        assert!((logits(0.7, 0.0, 0.0) - (0.7_f64 / 0.3).ln()).abs() < 1e-9);
    }
}
