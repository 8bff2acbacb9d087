//! What an agent gives instead of an answer, though its call went well.

use baton_codes::FailureCode;
use baton_workflow::{AgentId, BodyRef};
use serde::{Deserialize, Serialize};
use std::fmt;

/// In which way it is not an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Shortfall {
    /// The model refused.
    Refused,
    /// The provider's filter stopped it.
    Filtered,
    /// It does not have the form that was asked for.
    Malformed {
        /// In which way.
        fault: String,
    },
}

impl Shortfall {
    /// A stable name.
    pub fn code(&self) -> &'static str {
        let code = match self {
            Self::Refused => FailureCode::Refused,
            Self::Filtered => FailureCode::Filtered,
            Self::Malformed { .. } => FailureCode::Malformed,
        };
        code.as_str()
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("the model refused to answer"),
            Self::Filtered => f.write_str("the provider's filter stopped the answer"),
            Self::Malformed { fault } => {
                write!(f, "the answer does not have the form that was asked for: {fault}")
            }
        }
    }
}

/// What went wrong with a step last.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// A stable name.
    pub code: String,
    /// In words.
    pub message: String,
    /// What was given instead of an answer, if that is what went wrong.
    pub instead: Option<Instead>,
}

/// What was given instead of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Instead {
    /// By whom.
    pub agent: AgentId,
    /// In which way it is none.
    pub shortfall: Shortfall,
    /// The text there is: of the refusal, before the filter, in the wrong form.
    pub text: BodyRef,
}
