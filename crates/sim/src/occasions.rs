//! How often each model has been asked each thing.
//!
//! Lots of a call that is made again must differ, or no retry would help. They hang on the
//! occasion and not on a count of all calls, so that calls that race each other meet the
//! same faults in every run.

use std::collections::{HashMap, VecDeque};

/// Prompts that are remembered; the oldest give way, and count from 1 again.
const PROMPTS_MAX: usize = 262_144;

#[derive(Debug, Default)]
pub(crate) struct Occasions {
    asked: HashMap<[u8; 16], u64>,
    order: VecDeque<[u8; 16]>,
}

impl Occasions {
    /// Counts from 1.
    pub(crate) fn next(&mut self, model: &str, prompt: &str) -> u64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(prompt.as_bytes()).update(model.as_bytes());
        let mut name = [0; 16];
        name.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        let times = self.asked.entry(name).or_insert(0);
        *times += 1;
        let times = *times;
        if times == 1 {
            self.order.push_back(name);
        }
        if self.order.len() > PROMPTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.asked.remove(&oldest);
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_prompt_of_each_model_is_counted_apart() {
        let mut occasions = Occasions::default();
        let mut next = |model, prompt| occasions.next(model, prompt);
        assert_eq!([next("a", "x"), next("a", "x"), next("b", "x"), next("a", "y")], [1, 2, 1, 1]);
    }
}
