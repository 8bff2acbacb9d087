//! Checks that are asked of models, and checks made of others: what a request says of them.
//!
//! They are stated here and carried out elsewhere: nothing here asks anybody.

use crate::{Check, SpecError, spec::given};
use baton_workflow::AgentId;
use serde::{Deserialize, Serialize};

/// Checks in a composite.
pub const PARTS_MAX: usize = 8;

/// Who judges, and by what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judge {
    /// An agent of the pool; else one of another family than the author's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<AgentId>,
    /// What matters, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criteria: Option<String>,
}

impl Judge {
    pub(crate) fn is_sensible(&self) -> Result<(), SpecError> {
        self.criteria.clone().map_or(Ok(()), |criteria| given("criteria", criteria).map(drop))
    }
}

/// What carrying out a check takes, from the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// The answer is looked at.
    Look,
    /// A program is run.
    Run,
    /// A model is asked.
    Ask,
}

pub(crate) fn are_sensible(checks: &[Check]) -> Result<(), SpecError> {
    let wrong = |message: String| Err(SpecError::new("checks", message));
    match checks.len() {
        0 => return wrong("it is empty".into()),
        1..=PARTS_MAX => {}
        many => return wrong(format!("it has {many} checks: expected at most {PARTS_MAX}")),
    }
    for (place, check) in checks.iter().enumerate() {
        let unfit = match check {
            Check::Composite { .. } => Some("a composite within a composite".into()),
            Check::JudgePairwise(_) => Some("judge.pairwise, which compares candidates".into()),
            part => part.clone().usable().err().map(|error| match error.field {
                "" => error.message,
                field => format!("{field}: {}", error.message),
            }),
        };
        if let Some(unfit) = unfit {
            return wrong(format!("check {place}: {unfit}"));
        }
    }
    Ok(())
}
