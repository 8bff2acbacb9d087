//! Carrying out `plan` tasks: the policy is asked, its workflow stored and reported.

use crate::{
    Conductor,
    children::with_itself,
    decide::{encode, kept},
    planning::{Asked, EarlierRound, Question, Unplanned, Written},
    span,
    verifying::with_verifier,
};
use async_trait::async_trait;
use baton_briefing::{Trajectory, patiently, text};
use baton_call::{CallFailure, Purse};
use baton_codes::FailureCode;
use baton_engine::{Assignment, Offered, Outcome, Plan, PlanAssignment, PreviousRound, Reported};
use baton_ledger::{Body, Completion, Handler, Held, Leased, persist};
use baton_registry::{PolicySettings, Settings};
use baton_telemetry::Parent;
use baton_workflow::{
    AgentCard, BodyRef, Conversation, Incident, Pool, Role, Spend, StepId, TenantId, Words,
    Workflow, in_words,
};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Handles `plan` tasks.
pub(crate) struct Planner(pub(crate) Conductor);

#[async_trait]
impl Handler for Planner {
    async fn handle(&self, leased: Leased, stop: CancellationToken) {
        let held = Held { task: leased.task.clone(), token: leased.token };
        let asked = assignment(&leased.payload);
        let settings = self.0.registry.settings();
        let mut span = span::plan(&self.0.tracer, &leased, asked.as_ref().ok(), policy(&settings));
        let done = match &asked {
            Ok(asked) => self.plan(&leased, asked, &span.as_parent(), &stop).await,
            Err(reason) => failed(FailureCode::Protocol, reason.clone()),
        };
        let key = span::planned(&mut span, &leased, asked.as_ref().ok(), &done);
        self.0.metrics.planned(&done.outcome);
        let completion = done.completion();
        let patience = CancellationToken::new();
        let complete = || self.0.ledger.complete(&held, completion.clone());
        let recorded = persist(&patience, complete).await;
        span.end(key, &recorded);
        if let Err(error) = recorded {
            tracing::warn!(%error, task = %held.task, "a plan was not recorded");
        }
    }
}

impl Planner {
    async fn plan(
        &self,
        leased: &Leased,
        assignment: &PlanAssignment,
        span: &Parent,
        stop: &CancellationToken,
    ) -> Done {
        let settings = self.0.registry.settings();
        let Some(model) = policy(&settings) else {
            return failed(
                FailureCode::NoPolicy,
                "no policy model is configured in this process".into(),
            );
        };
        let pool = settings.pool.filtered(|card| assignment.agents.contains(&card.id));
        let Ok(pool) = pool else {
            let message = "every agent of the run was removed from the configuration";
            return failed(FailureCode::AgentsRemoved, message.into());
        };
        let offered = assignment.verifier;
        let pool = teamed(&settings, &pool, offered, assignment.recursion);
        let request = self.text(&leased.tenant, &assignment.request, stop).await;
        let request = request.and_then(|text| serde_json::from_str::<Conversation>(&text).ok());
        let Some(request) = request else {
            if stop.is_cancelled() {
                return free(Outcome::Abandoned);
            }
            return failed(FailureCode::Unreadable, "the request is not there".into());
        };
        let question = Question {
            tenant: &leased.tenant,
            model,
            task: task_text(&request),
            pool: &pool,
            verifier: offered,
            limits: assignment.limits,
            earlier: self.earlier(&leased.tenant, assignment, &pool, stop).await,
            output_tokens_max: assignment.output_tokens_max,
            deadline: Some(self.0.clock.instant_of(assignment.deadline)),
            key: leased.task.to_string(),
            seed: request.seed,
            share: settings.single_flight.then(|| leased.tenant.clone()),
            span: span.clone(),
        };
        let began = Instant::now();
        let purse = Purse::of(self.0.ledger.clone(), leased);
        let asked = self.0.ask_policy(&question, &purse, stop).await;
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        done(asked, ms)
    }

    async fn earlier(
        &self,
        tenant: &TenantId,
        assignment: &PlanAssignment,
        pool: &Pool,
        stop: &CancellationToken,
    ) -> Option<EarlierRound> {
        let PreviousRound { workflow, outputs, turns, answer, feedback, answered } =
            assignment.previous.as_ref()?;
        let words: Words = serde_json::from_str(&self.text(tenant, workflow, stop).await?).ok()?;
        let workflow =
            Workflow::new(words.steps, words.selection, pool, &assignment.limits).ok()?;
        let mut texts = Vec::new();
        for (place, output) in (0..).map(StepId).zip(outputs) {
            let of_step = turns.iter().filter(|(step, _)| *step == place);
            let of_step: Vec<_> = of_step.map(|(_, turn)| turn.clone()).collect();
            let read = || Trajectory::read(self.0.ledger.as_ref(), tenant, &of_step);
            let tools = patiently(stop, read).await.and_then(Result::ok);
            let tools = tools.map(|tools| tools.words()).unwrap_or_default();
            let output = match output {
                Some(output) => self.text(tenant, output, stop).await,
                None => None,
            };
            texts.push(output.map(|text| match tools.is_empty() {
                true => text,
                false => format!("{tools}\n{text}"),
            }));
        }
        let (feedback, answered) = (feedback.clone(), *answered);
        let answer = answer.map(StepId::index);
        Some(EarlierRound { workflow, outputs: texts, answer, feedback, answered })
    }

    /// A text, however long the ledger takes to give it.
    async fn text(
        &self,
        tenant: &TenantId,
        body: &BodyRef,
        stop: &CancellationToken,
    ) -> Option<String> {
        let read = || text(self.0.ledger.as_ref(), tenant, "a text", body);
        let read = patiently(stop, read).await?;
        read.inspect_err(|error| tracing::warn!(%error, "cannot plan with it")).ok()
    }
}

/// Whom a policy may name: the agents, the verifier if it is offered, the Conductor itself if
/// it may recurse.
pub(crate) fn teamed(
    settings: &Settings,
    pool: &Pool,
    verifier: Option<Offered>,
    recursion: bool,
) -> Pool {
    let judge = settings.judge.as_ref().and_then(|judge| settings.pool.get(judge));
    let judge = judge.filter(|_| verifier.is_some_and(|offered| offered.judge));
    let pool = with_verifier(pool, verifier, judge);
    if recursion { with_itself(&pool) } else { pool }
}

/// The model that plans, if one does.
pub(crate) fn policy(settings: &Settings) -> Option<&AgentCard> {
    match &settings.policy {
        PolicySettings::Model(card) => Some(card),
        PolicySettings::Strategy(_) => None,
    }
}

/// The conversation as the policy is shown it: the last user message is the task, what
/// was said before is its context.
pub(crate) fn task_text(conversation: &Conversation) -> String {
    let messages = in_words(&conversation.messages);
    let Some((last, before)) = messages.split_last() else { return String::new() };
    let mut text = String::new();
    if !before.is_empty() {
        text.push_str("Conversation so far:\n");
    }
    for message in before {
        let role = match message.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
            Role::Tool => "tool",
        };
        text.push_str(&format!("[{role}] {}\n", message.plain()));
    }
    if !before.is_empty() {
        text.push_str("\nNow:\n");
    }
    text.push_str(&last.plain());
    let tools = &conversation.tools.offered;
    if !tools.is_empty() {
        let names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
        let names = names.join(", ");
        text.push_str(&format!(
            "\n\nWhoever writes the answer, and nobody else, can ask the user to call: {names}."
        ));
    }
    text
}

/// A workflow's words, to be stored beside its shape.
pub(crate) fn stored(workflow: &Workflow) -> (Plan, Body) {
    let body = Body::new(encode(&Words::from(workflow)));
    (Plan::of(workflow, body.name.clone()), body)
}

fn assignment(payload: &[u8]) -> Result<PlanAssignment, String> {
    match serde_json::from_slice(payload) {
        Ok(Assignment::Plan(assignment)) => Ok(assignment),
        Ok(Assignment::Work(_) | Assignment::Verify(_)) => {
            Err("the assignment is for another service".into())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// What came of planning, and what it cost.
pub(crate) struct Done {
    pub(crate) outcome: Outcome,
    pub(crate) incidents: Vec<Incident>,
    spend: Spend,
    estimated: bool,
    bodies: Vec<Body>,
}

impl Done {
    fn completion(self) -> Completion {
        let Self { outcome, incidents, spend, estimated, bodies } = self;
        let outcome = kept(&Reported { outcome, incidents });
        Completion { outcome, spend, estimated, bodies }
    }
}

fn done(asked: Asked, ms: u64) -> Done {
    let Asked { result, repairs, spend, estimated, incidents } = asked;
    let mut bodies = Vec::new();
    let outcome = match result {
        Ok(Written::Workflow(workflow)) => {
            let (plan, body) = stored(&workflow);
            bodies.push(body);
            Outcome::Planned { plan, repairs, ms }
        }
        Ok(Written::Stands) => Outcome::Stands,
        Err(Unplanned::Complaints(complaints)) => {
            let complaints = complaints.iter().map(ToString::to_string).collect();
            Outcome::Unreadable { complaints, repairs }
        }
        Err(Unplanned::Failure(failure)) => match failure {
            CallFailure::BudgetSpent(resource) => Outcome::BudgetSpent { resource },
            CallFailure::Stopped => Outcome::Abandoned,
            CallFailure::Provider(_)
            | CallFailure::UnknownProvider(_)
            | CallFailure::NotSaid(_)
            | CallFailure::NoRoom { .. } => {
                Outcome::Failed { code: failure.code().into(), message: failure.to_string() }
            }
        },
    };
    Done { outcome, incidents, spend, estimated, bodies }
}

fn failed(code: FailureCode, message: String) -> Done {
    free(Outcome::Failed { code: code.into(), message })
}

/// Without a call.
fn free(outcome: Outcome) -> Done {
    let (incidents, bodies) = (Vec::new(), Vec::new());
    Done { outcome, incidents, spend: Spend::ZERO, estimated: false, bodies }
}
