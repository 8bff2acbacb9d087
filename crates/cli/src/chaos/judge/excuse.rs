//! Which failures of runs are no wonder after what was done to the cluster.
//!
//! The pool refuses nothing and cuts nothing off by itself: whatever fails is explained by
//! a fault of the harness, or by nothing.

use super::super::schedule::Kind;
use baton_codes::FailureCode;
use baton_engine::Reason;

/// A holder stopped itself, because the ledger did not renew its lease in time.
const ABANDONED: &str = "abandoned";

/// The kinds of fault that explain why a run has no answer; none where nothing does.
pub(super) fn excuses(reason: &Reason) -> &'static [Kind] {
    match reason {
        Reason::StepFailed { failure, .. } if failure == ABANDONED => {
            &[Kind::Link, Kind::Stop, Kind::Redis]
        }
        Reason::StepFailed { failure, .. } => {
            FailureCode::parse(failure).map_or(&[], |code| of_step(code))
        }
        // Nobody cancels, no answer is out of form, and budgets and times are ample for
        // every repetition.
        Reason::Cancelled { .. }
        | Reason::FellShort { .. }
        | Reason::BudgetSpent { .. }
        | Reason::DeadlinePassed
        | Reason::Accepted
        | Reason::Unchecked
        | Reason::ToolCalls
        | Reason::Unanswered
        | Reason::Stands
        | Reason::NotAccepted { .. }
        | Reason::NoProgress { .. }
        | Reason::Loop { .. }
        | Reason::NotWorthIt { .. } => &[],
    }
}

fn of_step(code: FailureCode) -> &'static [Kind] {
    match code {
        // Models out of reach for longer than calls are tried again, or a caller that slept
        // and takes its own silence for theirs; and what follows from it.
        FailureCode::Connect
        | FailureCode::CutStream
        | FailureCode::TimeoutBetweenTokens
        | FailureCode::TimeoutConnect
        | FailureCode::TimeoutFirstToken
        | FailureCode::TimeoutTotal
        | FailureCode::BreakerOpen => &[Kind::Link, Kind::Stop],
        // Every holder died, or was taken for dead.
        FailureCode::Lost => &[Kind::Kill, Kind::Link, Kind::Stop],
        // A ledger or a registry that is away is waited for, and the pool is well.
        FailureCode::AgentRemoved
        | FailureCode::AgentsRemoved
        | FailureCode::Auth
        | FailureCode::BudgetSpent
        | FailureCode::Empty
        | FailureCode::Filtered
        | FailureCode::Malformed
        | FailureCode::NoPolicy
        | FailureCode::NoText
        | FailureCode::Protocol
        | FailureCode::ProviderPaused
        | FailureCode::QuotaSpent
        | FailureCode::RateLimited
        | FailureCode::Refused
        | FailureCode::SandboxUnavailable
        | FailureCode::ServerError
        | FailureCode::Stopped
        | FailureCode::TooManyCalls
        | FailureCode::UnknownAgent
        | FailureCode::UnknownProvider
        | FailureCode::Unreadable => &[],
    }
}
