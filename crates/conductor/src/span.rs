//! The spans of runs and plans.

use crate::{
    ask::Label,
    plan::Done,
    planning::{Asked, Unplanned, Written},
};
use baton_engine::{End, Outcome, PlanAssignment, Status};
use baton_ledger::{Leased, RunView, TaskSpan};
use baton_telemetry::{Span, SpanKey, SpanKind, TraceParent, Tracer, names};
use baton_workflow::{AgentCard, Incident, TenantId};

/// A run that has ended: told by whoever decided so, from its submission on, by the
/// ledger's clock.
pub(crate) fn run(tracer: &Tracer, leased: &Leased, view: &RunView, end: &End) {
    if !tracer.is_on() {
        return;
    }
    let label: Option<Label> = serde_json::from_slice(&view.label).ok();
    let model = label.map_or_else(|| "baton".to_owned(), |label| label.model);
    let mut span = tracer.run(leased.place(), format!("{} {model}", names::INVOKE_WORKFLOW));
    span.set(names::OPERATION, names::INVOKE_WORKFLOW);
    span.set(names::KIND, names::CHAIN);
    span.set(names::WORKFLOW, model);
    span.set(names::TENANT, view.tenant.as_str());
    span.set(names::RUN, leased.task.run.as_str());
    span.set(names::ROOT, view.root.as_str());
    span.set(names::ROUNDS, end.rounds);
    let status = match end.status {
        Status::Completed => "completed",
        Status::Incomplete => "incomplete",
        Status::Failed => "failed",
        Status::Cancelled => "cancelled",
    };
    span.set(names::STATUS, status);
    let reason = end.reason.code();
    span.set(names::REASON, reason.as_str());
    match end.status {
        Status::Failed => span.fail(reason.as_str(), "the run ended without an answer"),
        Status::Completed | Status::Incomplete | Status::Cancelled => {}
    }
    span.finish_between(view.submitted_at, view.now);
}

/// An attempt at a plan begins; without an assignment where it cannot be read.
pub(crate) fn plan(
    tracer: &Tracer,
    leased: &Leased,
    asked: Option<&PlanAssignment>,
    policy: Option<&AgentCard>,
) -> TaskSpan {
    let name = || name(policy);
    TaskSpan::open(tracer, leased, name, |span| {
        facts(span, policy);
        let Some(asked) = asked else { return };
        span.set(names::ROUND, asked.round);
        if let Some(last) = asked.round.checked_sub(1) {
            let key = SpanKey::Verify { round: last, vote: false };
            span.link(&leased.task.run, key, "verdict");
        }
    })
}

fn name(policy: Option<&AgentCard>) -> String {
    match policy {
        Some(policy) => format!("{} {}", names::PLAN, policy.id),
        None => names::PLAN.to_owned(),
    }
}

fn facts(span: &mut Span, policy: Option<&AgentCard>) {
    span.set(names::OPERATION, names::PLAN);
    span.set(names::KIND, names::CHAIN);
    span.set_some(names::AGENT, policy.map(|policy| policy.id.as_str()));
}

/// What came of it, and what it is known by if that counts.
pub(crate) fn planned(
    span: &mut TaskSpan,
    leased: &Leased,
    asked: Option<&PlanAssignment>,
    done: &Done,
) -> SpanKey {
    match &done.outcome {
        Outcome::Planned { plan, repairs, .. } => {
            span.set(names::STEPS, plan.steps.len());
            span.set(names::REPAIRS, *repairs);
        }
        Outcome::Stands => span.set(names::STEPS, 0_u16),
        Outcome::Unreadable { repairs, .. } => {
            span.set(names::REPAIRS, *repairs);
            span.fail("unreadable", "the policy's replies are no workflow");
        }
        Outcome::Failed { code, message } => span.fail(code, message),
        Outcome::BudgetSpent { resource } => {
            span.fail("budget_spent", &format!("the budget of {resource} holds no further call"));
        }
        Outcome::Abandoned => span.fail("abandoned", "the plan was not wanted any more"),
        // None of these comes of planning.
        Outcome::Worked { .. } | Outcome::FellShort { .. } | Outcome::Verified { .. } => {}
    }
    if done.incidents.contains(&Incident::Shared) {
        span.set(names::SHARED, true);
    }
    match asked {
        Some(asked) => SpanKey::Plan { round: asked.round },
        None => SpanKey::Lost { task: leased.task.number, attempt: leased.token.attempt },
    }
}

/// Somebody asks for a plan that is not carried out.
pub(crate) fn asking(
    tracer: &Tracer,
    trace: Option<TraceParent>,
    tenant: &TenantId,
    policy: &AgentCard,
) -> Span {
    if !tracer.is_on() {
        return Span::default();
    }
    let mut span = tracer.request(name(Some(policy)), SpanKind::Internal, trace);
    facts(&mut span, Some(policy));
    span.set(names::TENANT, tenant.as_str());
    span
}

/// What came of it.
pub(crate) fn asked(mut span: Span, asked: &Asked) {
    span.set(names::REPAIRS, asked.repairs);
    match &asked.result {
        Ok(Written::Workflow(workflow)) => span.set(names::STEPS, workflow.steps().len()),
        Ok(Written::Stands) => span.set(names::STEPS, 0_u16),
        Err(Unplanned::Complaints(_)) => {
            span.fail("unreadable", "the policy's replies are no workflow");
        }
        Err(Unplanned::Failure(failure)) => span.fail(failure.code(), failure.to_string()),
    }
    span.finish();
}
