//! The span of a check: what was looked at, and the verdict.

use crate::metrics;
use baton_engine::VerifyAssignment;
use baton_ledger::{Leased, TaskSpan};
use baton_telemetry::{SpanKey, Tracer, names};
use baton_workflow::{Verdict, VerdictKind};

/// An attempt at a check begins; without an assignment where it cannot be read.
pub(crate) fn open(tracer: &Tracer, leased: &Leased, asked: Option<&VerifyAssignment>) -> TaskSpan {
    // Who verified is known at the end.
    let name = || format!("{} verifier", names::INVOKE_AGENT);
    TaskSpan::open(tracer, leased, name, |span| {
        span.set(names::OPERATION, names::INVOKE_AGENT);
        span.set(names::KIND, names::EVALUATOR);
        let Some(asked) = asked else { return };
        span.set(names::ROUND, asked.round);
        for (round, step) in &asked.sources {
            let key = SpanKey::Step { round: *round, step: *step };
            span.link(&leased.task.run, key, "candidate");
        }
    })
}

/// What came of it, and what it is known by if that counts.
pub(crate) fn close(
    span: &mut TaskSpan,
    leased: &Leased,
    asked: Option<&VerifyAssignment>,
    verdict: &Verdict,
) -> SpanKey {
    // Who judged stands behind how.
    let verifier = metrics::method(verdict);
    span.rename(format!("{} {verifier}", names::INVOKE_AGENT));
    span.set(names::AGENT, verifier);
    let label = metrics::label(verdict.kind);
    let mut facts =
        vec![(names::EVALUATION, verifier.into()), (names::EVALUATION_LABEL, label.into())];
    facts.extend(verdict.score.map(|score| (names::EVALUATION_SCORE, score.into())));
    if span.wants_contents() {
        facts.push((names::EVALUATION_EXPLANATION, verdict.feedback.as_str().into()));
    }
    span.event(names::EVALUATION_RESULT, facts);
    if verdict.kind == VerdictKind::Unavailable {
        span.fail(&verdict.code, &verdict.feedback);
    }
    match asked {
        Some(asked) => SpanKey::Verify { round: asked.round, vote: asked.is_vote() },
        None => SpanKey::Lost { task: leased.task.number, attempt: leased.token.attempt },
    }
}
