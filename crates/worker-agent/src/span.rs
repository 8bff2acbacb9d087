//! The span of a step: which step it is, what it was given, what came of it.

use baton_engine::{Outcome, WorkAssignment};
use baton_ledger::{Leased, TaskSpan};
use baton_telemetry::{Span, SpanKey, Tracer, names};

/// An attempt at a step begins; without an assignment where it cannot be read.
pub(crate) fn open(tracer: &Tracer, leased: &Leased, work: Option<&WorkAssignment>) -> TaskSpan {
    let name = || match work {
        Some(work) => format!("{} {}", names::INVOKE_AGENT, work.agent),
        None => names::INVOKE_AGENT.to_owned(),
    };
    TaskSpan::open(tracer, leased, name, |span| {
        span.set(names::OPERATION, names::INVOKE_AGENT);
        span.set(names::KIND, names::AGENT_KIND);
        if let Some(work) = work {
            facts(span, leased, work);
        }
    })
}

fn facts(span: &mut Span, leased: &Leased, work: &WorkAssignment) {
    let (run, round) = (&leased.task.run, work.round);
    span.set(names::AGENT, work.agent.as_str());
    span.set(names::ROUND, round);
    span.set(names::STEP, work.step.0);
    for (round, step) in &work.sources {
        span.link(run, SpanKey::Step { round: *round, step: *step }, "input");
    }
    if let Some(before) = work.before.checked_sub(1) {
        span.link(run, SpanKey::Try { round, step: work.step, before }, "last_agent");
    }
    if let Some(round) = work.verdict {
        span.link(run, SpanKey::Verify { round, vote: false }, "verdict");
    }
}

/// What came of it, and what it is known by if that counts. A step is carried out once;
/// agents may have failed at it before.
pub(crate) fn close(
    span: &mut TaskSpan,
    leased: &Leased,
    work: Option<&WorkAssignment>,
    outcome: &Outcome,
) -> SpanKey {
    let worked = match outcome {
        Outcome::Worked { .. } => true,
        Outcome::Failed { code, message } => {
            span.fail(code, message);
            false
        }
        Outcome::FellShort { shortfall, .. } => {
            span.fail(shortfall.code(), &shortfall.to_string());
            false
        }
        Outcome::BudgetSpent { resource } => {
            span.fail("budget_spent", &format!("the budget of {resource} holds no further call"));
            false
        }
        Outcome::Abandoned => {
            span.fail("abandoned", "the step was not wanted any more");
            false
        }
        // None of these comes of a step.
        Outcome::Planned { .. }
        | Outcome::Stands
        | Outcome::Unreadable { .. }
        | Outcome::Verified { .. } => false,
    };
    match work {
        Some(work) if worked => SpanKey::Step { round: work.round, step: work.step },
        Some(work) => SpanKey::Try { round: work.round, step: work.step, before: work.before },
        None => SpanKey::Lost { task: leased.task.number, attempt: leased.token.attempt },
    }
}
