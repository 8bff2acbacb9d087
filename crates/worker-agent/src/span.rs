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
        let key = SpanKey::Try { round, step: work.step, turn: turn(work), before };
        span.link(run, key, "last_agent");
    }
    if let Some(last) = turn(work).checked_sub(1) {
        span.link(run, carried(work, last), "last_turn");
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
        Some(work) if worked => carried(work, turn(work)),
        Some(work) => {
            let WorkAssignment { round, step, before, .. } = *work;
            SpanKey::Try { round, step, turn: turn(work), before }
        }
        None => SpanKey::Lost { task: leased.task.number, attempt: leased.token.attempt },
    }
}

/// Turns of tools before this attempt.
fn turn(work: &WorkAssignment) -> u16 {
    u16::try_from(work.turns.len()).unwrap_or(u16::MAX)
}

/// The attempt that carried a step out as far as a turn, or to its end.
fn carried(work: &WorkAssignment, turn: u16) -> SpanKey {
    let WorkAssignment { round, step, .. } = *work;
    match turn {
        0 => SpanKey::Step { round, step },
        turn => SpanKey::Turn { round, step, turn },
    }
}
