//! The bounds inside which a Conductor may plan.

use serde::{Deserialize, Serialize};

/// Bounds on the shape of plans and on how often a run tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Steps in one workflow. The published Conductor plans up to 5.
    pub steps_max: u16,
    /// Bytes in one subtask: a page of instruction, not a second prompt.
    pub subtask_bytes_max: u32,
    /// Workflows in one run: the first and its corrections.
    pub rounds_max: u16,
    /// Times a malformed plan goes back to the policy with its complaints.
    pub repairs_max: u16,
    /// Agents that one step is given to, one after the other, before it has failed for good.
    pub failovers_max: u16,
    /// Tokens that one step may write.
    pub output_tokens_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps_max: 5,
            subtask_bytes_max: 8 * 1024,
            rounds_max: 2,
            repairs_max: 2,
            failovers_max: 2,
            output_tokens_max: 4096,
        }
    }
}
