//! States and reasons in words.

use baton_engine::{Outcome, Reason, Status};

/// Of a run and of its step while results of tools are awaited.
pub(super) const AWAITING: &str = "awaiting_tools";

pub(super) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Completed => "completed",
        Status::Incomplete => "incomplete",
        Status::Failed => "failed",
        Status::Cancelled => "cancelled",
    }
}

/// A reason's stable name and its sentence.
pub(super) fn reason_words(reason: &Reason) -> (String, String) {
    let words = match reason {
        Reason::Accepted => "the check passed".into(),
        Reason::Unchecked => "nothing checked the answer".into(),
        Reason::ToolCalls => "the answer calls tools".into(),
        Reason::Unanswered => "the results of the tools did not come in time".into(),
        Reason::Stands => "the policy let the answer stand".into(),
        Reason::NotAccepted { feedback } => {
            format!("the check did not accept the answer: {feedback}")
        }
        Reason::NoProgress { feedback } => {
            format!("a later round gave an answer that had failed before: {feedback}")
        }
        Reason::Loop { round } => {
            format!("the policy wanted the workflow of round {round} again, with nothing new in it")
        }
        Reason::NotWorthIt { feedback } => {
            format!("another round would cost more than it may bring: {feedback}")
        }
        Reason::BudgetSpent { resource } => {
            format!("the budget of {resource} holds no further call")
        }
        Reason::DeadlinePassed => "the run's time was over".into(),
        Reason::StepFailed { step, failure, message } => {
            format!("step {step} failed with every agent ({failure}): {message}")
        }
        Reason::FellShort { step, shortfall } => {
            format!("no agent answered step {step}: {shortfall}")
        }
        Reason::Cancelled { reason } => format!("cancelled: {reason}"),
    };
    (reason.code().into(), words)
}

pub(super) fn status_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Planned { .. } | Outcome::Worked { .. } | Outcome::Verified { .. } => "done",
        Outcome::FellShort { shortfall, .. } => shortfall.code(),
        Outcome::Stands => "stands",
        Outcome::Unreadable { .. } => "unreadable",
        Outcome::Failed { .. } => "failed",
        Outcome::BudgetSpent { .. } => "budget_spent",
        Outcome::Abandoned => "abandoned",
    }
}

pub(super) fn failure_of(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Failed { code, message } => Some(format!("{code}: {message}")),
        Outcome::FellShort { shortfall, .. } => Some(shortfall.to_string()),
        Outcome::BudgetSpent { resource } => {
            Some(format!("the budget of {resource} holds no further call"))
        }
        Outcome::Planned { .. }
        | Outcome::Stands
        | Outcome::Unreadable { .. }
        | Outcome::Worked { .. }
        | Outcome::Verified { .. }
        | Outcome::Abandoned => None,
    }
}
