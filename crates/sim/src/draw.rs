//! Randomness as a function of content: the same words always draw the same lots.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Lots drawn from the hash of some texts.
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    /// Lots that depend on these texts, their order and their borders, and on nothing else.
    pub(crate) fn of(parts: &[&str]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// Uniform from 0 (included) to 1 (excluded).
    pub(crate) fn unit(&mut self) -> f64 {
        self.0.random()
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0.random_range(low..=high)
    }

    /// Uniform below `count`, which is not 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.0.random_range(0..count)
    }

    /// One of `items`, which is not empty.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Standard normal: G. E. P. Box and M. E. Muller, Ann. Math. Stat. 29, 610 (1958).
    pub(crate) fn normal(&mut self) -> f64 {
        // The logarithm needs a number above 0.
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}
