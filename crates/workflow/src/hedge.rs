//! When a slow call gets a second one beside it.

use serde::{Deserialize, Serialize};

/// A call that takes longer than most is made once more, and the first reply is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HedgeTerms {
    /// The share of the agent's calls that were quicker, in percent, 50 to 99.
    pub percentile: u32,
    /// Second calls in a hundred calls, at most, 1 to 100: what hedging may cost.
    pub share_percent: u32,
    /// Calls of the agent that must have been seen before, 10 to 10000.
    pub calls_min: u32,
}

impl Default for HedgeTerms {
    /// The slowest twentieth, and no more than that (Dean and Barroso, "The Tail at Scale",
    /// 2013, who found this to cost a few percent and to take most of the tail away).
    fn default() -> Self {
        Self { percentile: 95, share_percent: 5, calls_min: 50 }
    }
}
