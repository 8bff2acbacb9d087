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

/// Characters of [`Verdict::evidence`].
const EVIDENCE_CHARS_MAX: usize = 1_000;

/// A verifier's report. What stands empty is left out where it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Pass, fail, or why there is neither.
    pub kind: VerdictKind,
    /// Why, by a stable name, such as `wrong` or `agent_unknown`. Version 0.1 gave none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// What the verifier itself says of how good the candidate is, 0 to 1; of a vote the
    /// winners' share.
    pub score: Option<f64>,
    /// How probable it is that the candidate is right, 0 to 1, where that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Which candidate was chosen, by its place in the request; for votes.
    pub choice: Option<u16>,
    /// What failed, in a sentence that the Conductor can act on.
    pub feedback: String,
    /// What was read from the candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// A short key that two candidates share exactly where they say the same to this kind
    /// of check; of a vote that of the chosen one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The level of isolation in which the candidate was run, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<String>,
    /// Name and version of the verifier, such as `text.numeric/1`.
    pub verifier: String,
}

impl Verdict {
    /// Whether the candidate does not meet the check.
    pub fn is_fail(&self) -> bool {
        self.kind == VerdictKind::Fail
    }

    /// A verdict with the score that goes with its kind: 1 for a pass, 0 for a fail, none
    /// else.
    pub fn new(verifier: impl Into<String>, kind: VerdictKind, code: impl Into<String>) -> Self {
        let score = match kind {
            VerdictKind::Pass => Some(1.0),
            VerdictKind::Fail => Some(0.0),
            VerdictKind::Abstain | VerdictKind::Unavailable => None,
        };
        Self {
            kind,
            code: code.into(),
            score,
            probability: None,
            choice: None,
            feedback: String::new(),
            evidence: None,
            class: None,
            isolation: None,
            verifier: verifier.into(),
        }
    }

    /// The same with what the Conductor is told.
    #[must_use]
    pub fn saying(self, feedback: impl Into<String>) -> Self {
        Self { feedback: feedback.into(), ..self }
    }

    /// The same with what was read from the candidate; the beginning of it if it is long.
    #[must_use]
    pub fn having_read(self, evidence: &str) -> Self {
        let evidence = evidence.chars().take(EVIDENCE_CHARS_MAX).collect();
        Self { evidence: Some(evidence), ..self }
    }
}
