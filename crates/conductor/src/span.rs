//! The spans of runs and plans.

use crate::{
    Conductor,
    ask::Label,
    metrics,
    plan::Done,
    planning::{Asked, Unplanned, Written},
};
use baton_engine::{End, Outcome, PlanAssignment, Run, Status, StepState};
use baton_ledger::{Leased, Mail, MailEntry, RunView, TaskSpan};
use baton_registry::Kind;
use baton_telemetry::{Span, SpanKey, SpanKind, TraceParent, Tracer, names};
use baton_workflow::{AgentCard, AgentId, Incident, StepId, TenantId};

/// A run that has ended: told by whoever decided so, from its submission on, by the
/// ledger's clock.
pub(crate) fn run(conductor: &Conductor, leased: &Leased, view: &RunView, end: &End) {
    let tracer = &conductor.tracer;
    if !tracer.is_on() {
        return;
    }
    let label: Option<Label> = serde_json::from_slice(&view.label).ok();
    let model = label.map_or_else(|| "baton".to_owned(), |label| label.model);
    let gateways = conductor.registry.members(Kind::Gateway);
    let is_there = |name: &str| gateways.iter().any(|gateway| gateway.holder == name);
    let name = format!("{} {model}", names::INVOKE_WORKFLOW);
    let mut span = tracer.run(leased.place(), name, is_there);
    span.set(names::OPERATION, names::INVOKE_WORKFLOW);
    span.set(names::KIND, names::CHAIN);
    span.set(names::WORKFLOW, model);
    span.set(names::TENANT, view.tenant.as_str());
    span.set(names::RUN, leased.task.run.as_str());
    span.set(names::ROOT, view.root.as_str());
    span.set(names::CONVERSATION, view.root.as_str());
    span.set(names::ROUNDS, end.rounds);
    span.set(names::STATUS, metrics::status(end.status));
    let reason = end.reason.code();
    span.set(names::REASON, reason.as_str());
    match end.status {
        Status::Failed => span.fail(reason.as_str(), "the run ended without an answer"),
        Status::Completed | Status::Incomplete | Status::Cancelled => {}
    }
    span.finish_between(view.submitted_at, view.now);
}

/// An agent's try at a step that came to no outcome, because whoever held the task was lost.
pub(crate) struct LostTry {
    task: u32,
    round: u16,
    step: StepId,
    agent: AgentId,
    turn: u16,
    before: u16,
}

/// The tries that these mails say are lost, of a run that has not heard of them. A task
/// that was dropped from its queue was nobody's try.
pub(crate) fn lost(run: &Run, mails: &[MailEntry]) -> Vec<LostTry> {
    let lost = mails.iter().filter_map(|entry| match &entry.mail {
        Mail::Lost { task, dropped: false, .. } | Mail::Interrupted { task, .. } => Some(*task),
        Mail::Lost { dropped: true, .. }
        | Mail::Outcome { .. }
        | Mail::Timer { .. }
        | Mail::Cancel { .. }
        | Mail::Signal { .. }
        | Mail::ChildEnded { .. } => None,
    });
    lost.filter_map(|task| lost_try(run, task)).collect()
}

fn lost_try(run: &Run, task: u32) -> Option<LostTry> {
    let round = run.current_round();
    let (_, steps) = run.round(round)?;
    (0..).zip(steps).find_map(|(step, state)| match state {
        StepState::Running { task: running, agent, failed } if *running == task => {
            let before = u16::try_from(failed.len()).unwrap_or(u16::MAX);
            let step = StepId(step);
            let turns = run.turns().iter().filter(|turn| (turn.round, turn.step) == (round, step));
            let turn = u16::try_from(turns.count()).unwrap_or(u16::MAX);
            Some(LostTry { task, round, step, agent: agent.clone(), turn, before })
        }
        StepState::Running { .. } | StepState::Waiting { .. } | StepState::Done { .. } => None,
    })
}

/// Tells of tries that nobody else will tell of, once it is committed that they are over:
/// whoever is asked next links to them.
pub(crate) fn tell_lost(tracer: &Tracer, leased: &Leased, tenant: &TenantId, lost: Vec<LostTry>) {
    if !tracer.is_on() {
        return;
    }
    for LostTry { task, round, step, agent, turn, before } in lost {
        let key = SpanKey::Try { round, step, turn, before };
        let name = format!("{} {agent}", names::INVOKE_AGENT);
        let mut span = tracer.lost(leased.place(), name, key);
        span.set(names::OPERATION, names::INVOKE_AGENT);
        span.set(names::KIND, names::AGENT_KIND);
        span.set(names::AGENT, agent.as_str());
        span.set(names::ROUND, round);
        span.set(names::STEP, step.0);
        span.set(names::TENANT, tenant.as_str());
        span.set(names::RUN, leased.task.run.as_str());
        span.set(names::ROOT, leased.root.as_str());
        span.set(names::TASK, task);
        span.finish();
    }
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
        if let Some(round) = asked.verdict {
            let key = SpanKey::Verify { round, vote: false };
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
