//! What a verifier says of a candidate answer.

use serde::{Deserialize, Serialize};

/// The outcome of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// The candidate meets the check.
    Pass,
    /// The candidate does not meet the check.
    Fail,
    /// The verifier cannot tell; never counts as a pass.
    Abstain,
    /// The verifier could not be asked; says nothing about the candidate.
    Unavailable,
}

/// A verifier's report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Pass, fail, or why there is neither.
    pub kind: VerdictKind,
    /// How sure the verifier is that the candidate is right, 0 to 1.
    pub score: Option<f64>,
    /// Which candidate was chosen, by its place in the request; for votes.
    pub choice: Option<u16>,
    /// What failed, in a sentence that the Conductor can act on.
    pub feedback: String,
    /// Name and version of the verifier, such as `text.numeric/1`.
    pub verifier: String,
}

impl Verdict {
    /// Whether the candidate does not meet the check.
    pub fn is_fail(&self) -> bool {
        self.kind == VerdictKind::Fail
    }
}
