//! How a run ends: exactly once, with an answer or with a name for what went wrong.

use crate::Shortfall;
use baton_codes::EndCode;
use baton_workflow::{AgentId, BodyRef, Resource, Spend, StepId};
use serde::{Deserialize, Serialize};

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// What kind of end.
    pub status: Status,
    /// Why it ended here.
    pub reason: Reason,
    /// The answer: present when `Completed` or `Incomplete`, and what there was of one when
    /// `Cancelled`.
    pub answer: Option<Answer>,
    /// What the finished tasks consumed.
    pub spend: Spend,
    /// Workflows that were begun.
    pub rounds: u16,
}

/// The kinds of end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The last workflow was carried out, and nothing contradicts its answer.
    Completed,
    /// The best answer so far; the reason says what is missing.
    Incomplete,
    /// No answer.
    Failed,
    /// Somebody asked for the end before it came by itself.
    Cancelled,
}

/// Why a run ended where it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reason {
    /// The check passed.
    Accepted,
    /// Nothing checks this run, or the check abstained or could not be had.
    Unchecked,
    /// The answer calls tools: there is nothing to check before they have been called.
    ToolCalls,
    /// The answer calls tools, and their results did not come in time.
    Unanswered,
    /// The policy looked at the answer and let it stand.
    Stands,
    /// The check failed and no round is left, or no better workflow could be had.
    NotAccepted {
        /// What the verifier said.
        feedback: String,
    },
    /// A later round came to an answer that had failed before.
    NoProgress {
        /// What the verifier said.
        feedback: String,
    },
    /// The policy wants a workflow done again that led to nothing, and nobody would be told
    /// anything new.
    Loop {
        /// Of which round.
        round: u16,
    },
    /// Another round would cost more than it may bring.
    NotWorthIt {
        /// What the verifier said.
        feedback: String,
    },
    /// The budget holds no further call.
    BudgetSpent {
        /// What would have been exceeded.
        resource: Resource,
    },
    /// The time is over.
    DeadlinePassed,
    /// A step failed with every agent it was given to.
    StepFailed {
        /// Which.
        step: StepId,
        /// The last failure's stable name.
        failure: String,
        /// The last failure in words.
        message: String,
    },
    /// Every agent that a step was given to failed, and the last one gave something that
    /// is no answer.
    FellShort {
        /// Which step.
        step: StepId,
        /// In which way.
        shortfall: Shortfall,
    },
    /// Somebody asked for it.
    Cancelled {
        /// Why, in words.
        reason: String,
    },
}

impl Reason {
    /// Its stable name, as in its JSON form.
    pub fn code(&self) -> EndCode {
        match self {
            Self::Accepted => EndCode::Accepted,
            Self::Unchecked => EndCode::Unchecked,
            Self::ToolCalls => EndCode::ToolCalls,
            Self::Unanswered => EndCode::Unanswered,
            Self::Stands => EndCode::Stands,
            Self::NotAccepted { .. } => EndCode::NotAccepted,
            Self::NoProgress { .. } => EndCode::NoProgress,
            Self::Loop { .. } => EndCode::Loop,
            Self::NotWorthIt { .. } => EndCode::NotWorthIt,
            Self::BudgetSpent { .. } => EndCode::BudgetSpent,
            Self::DeadlinePassed => EndCode::DeadlinePassed,
            Self::StepFailed { .. } => EndCode::StepFailed,
            Self::FellShort { .. } => EndCode::FellShort,
            Self::Cancelled { .. } => EndCode::Cancelled,
        }
    }
}

/// An answer, by the step that gave it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The text.
    pub output: BodyRef,
    /// Of which round.
    pub round: u16,
    /// Of which step.
    pub step: StepId,
    /// By whom.
    pub agent: AgentId,
    /// Whether the agent ran into its limit of tokens.
    pub truncated: bool,
    /// The calls of tools that it asks for, as a body of JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<BodyRef>,
    /// In which way it falls short of an answer, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortfall: Option<Shortfall>,
    /// Whether it was never meant as the answer: what a step on the way to it gave.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// How sure the check is that it is right, 0 to 1, where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_one_name() {
        let text = String::new;
        let reasons = [
            Reason::Accepted,
            Reason::Unchecked,
            Reason::ToolCalls,
            Reason::Unanswered,
            Reason::Stands,
            Reason::NotAccepted { feedback: text() },
            Reason::NoProgress { feedback: text() },
            Reason::Loop { round: 0 },
            Reason::NotWorthIt { feedback: text() },
            Reason::BudgetSpent { resource: Resource::Calls },
            Reason::DeadlinePassed,
            Reason::StepFailed { step: StepId(0), failure: text(), message: text() },
            Reason::FellShort { step: StepId(0), shortfall: Shortfall::Refused },
            Reason::Cancelled { reason: text() },
        ];
        let named: Vec<_> = reasons.iter().map(|reason| reason.code().as_str()).collect();
        for (reason, name) in reasons.iter().zip(&named) {
            assert_eq!(serde_json::to_value(reason).unwrap()["code"], *name);
        }
        let mut all: Vec<_> = EndCode::ALL.iter().map(|code| code.as_str()).collect();
        let mut named = named;
        all.sort_unstable();
        named.sort_unstable();
        assert_eq!(named, all);
    }
}
