//! Which earlier steps a step may see.

use crate::StepId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A step's view of the steps before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Nothing but the user's request.
    None,
    /// Every earlier step.
    All,
    /// Exactly these earlier steps; never empty in a valid workflow.
    Some(BTreeSet<StepId>),
}

impl Access {
    /// The earlier steps that step `of` sees, in order.
    pub fn visible(&self, of: StepId) -> Vec<StepId> {
        match self {
            Self::None => Vec::new(),
            Self::All => (0..of.0).map(StepId).collect(),
            Self::Some(steps) => steps.iter().copied().collect(),
        }
    }
}
