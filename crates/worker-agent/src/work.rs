//! Carrying out one step: read what it may see, ask, record what came of it.

use crate::{
    WorkerAgent, form,
    messages::{Rejected, Seen, messages},
    span,
};
use async_trait::async_trait;
use baton_call::{Call, CallFailure, Called, Delta, Purse, Reply};
use baton_codes::FailureCode;
use baton_engine::{Assignment, Outcome, Reported, Shortfall, WorkAssignment};
use baton_ledger::{Body, Completion, Handler, Held, Leased, LedgerError, persist};
use baton_provider::{AnswerForm, ChatRequest, Conversation, Finish, Tools};
use baton_telemetry::Parent;
use baton_workflow::{BodyRef, Incident, Spend, TaskId, TenantId, Words};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// What a step is made of, read back from the ledger.
struct Material {
    conversation: Conversation,
    seen: Vec<Seen>,
    rejected: Option<Rejected>,
    subtask: String,
}

/// What came of a step, and what it cost.
struct Done {
    outcome: Outcome,
    incidents: Vec<Incident>,
    spend: Spend,
    estimated: bool,
    bodies: Vec<Body>,
}

impl Done {
    fn completion(self) -> Completion {
        let Self { outcome, incidents, spend, estimated, bodies } = self;
        let outcome = baton_engine::version::write(&Reported { outcome, incidents }).into();
        Completion { outcome, spend, estimated, bodies }
    }
}

/// Why a step could not be begun.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("the assignment is not one of a step: {0}")]
    Assignment(String),
    #[error("cannot read {what}: {source}")]
    Body { what: &'static str, source: LedgerError },
    #[error("{what} is not what was stored: {reason}")]
    Content { what: &'static str, reason: String },
}

#[async_trait]
impl Handler for WorkerAgent {
    async fn handle(&self, leased: Leased, stop: CancellationToken) {
        let held = Held { task: leased.task.clone(), token: leased.token };
        let work = assignment(&leased.payload);
        let mut span = span::open(&self.tracer, &leased, work.as_ref().ok());
        let done = match &work {
            Ok(work) => self.work(&leased, work, &span.as_parent(), &stop).await,
            Err(error) => failed(FailureCode::Unreadable, error.to_string()),
        };
        let key = span::close(&mut span, &leased, work.as_ref().ok(), &done.outcome);
        let completion = done.completion();
        // Told to stop or not: what was spent is recorded, if the lease still holds.
        let patience = CancellationToken::new();
        let recorded = persist(&patience, || self.ledger.complete(&held, completion.clone())).await;
        span.end(key, &recorded);
        if let Err(error) = recorded {
            tracing::warn!(%error, task = %held.task, "a step's outcome was not recorded");
        }
    }
}

impl WorkerAgent {
    async fn work(
        &self,
        leased: &Leased,
        work: &WorkAssignment,
        span: &Parent,
        stop: &CancellationToken,
    ) -> Done {
        let material = match self.material(&leased.tenant, work).await {
            Ok(material) => material,
            Err(error) => return failed(FailureCode::Unreadable, error.to_string()),
        };
        let settings = self.registry.settings();
        let Some(card) = settings.pool.get(&work.agent) else {
            let message = format!("{} was removed from the configuration", work.agent);
            return failed(FailureCode::AgentRemoved, message);
        };
        let request = request(card.model.clone(), &leased.task, work, &material);
        let expected = request.form.clone();
        let call = Call {
            card,
            request,
            deadline: Some(self.clock.instant_of(work.deadline)),
            followed: true,
            elsewhere: settings.pool.agents().iter().any(|other| other.provider != card.provider),
        };
        let began = Instant::now();
        let purse = Purse::of(self.ledger.clone(), leased);
        let stream = self.streams.open(&leased.task);
        let called = self
            .caller
            .on_behalf_of(&leased.tenant)
            .under(span.clone())
            .make(call, &purse, stop, |delta| match delta {
                Delta::Begin { call } => stream.begin(call),
                Delta::Text(more) => stream.text(more),
                Delta::Reasoning(more) => stream.reasoning(more),
                // Neither is text of the answer: both come with the run's end.
                Delta::Refusal(_) | Delta::Tool(_) => {}
            })
            .await;
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        done(called, expected.as_ref(), ms)
    }

    async fn material(
        &self,
        tenant: &TenantId,
        work: &WorkAssignment,
    ) -> Result<Material, Unreadable> {
        let conversation = self.text(tenant, "the conversation", &work.request).await?;
        let conversation: Conversation = parse("the conversation", &conversation)?;
        let words = self.text(tenant, "the workflow", &work.workflow).await?;
        let words: Words = parse("the workflow", &words)?;
        let step = |step: baton_workflow::StepId| {
            words.steps.get(step.index()).ok_or_else(|| Unreadable::Content {
                what: "the workflow",
                reason: format!("it has no step {step}"),
            })
        };
        let mut seen = Vec::new();
        for (number, output) in &work.inputs {
            let earlier = step(*number)?;
            seen.push(Seen {
                step: *number,
                agent: earlier.agent.clone(),
                subtask: earlier.subtask.clone(),
                response: self.text(tenant, "an earlier output", output).await?,
            });
        }
        let rejected = match &work.previous {
            None => None,
            Some(previous) => Some(Rejected {
                response: self.text(tenant, "the last answer", &previous.output).await?,
                feedback: previous.feedback.clone(),
            }),
        };
        let subtask = step(work.step)?.subtask.clone();
        Ok(Material { conversation, seen, rejected, subtask })
    }

    async fn text(
        &self,
        tenant: &TenantId,
        what: &'static str,
        body: &BodyRef,
    ) -> Result<String, Unreadable> {
        let bytes = self.ledger.body(tenant, body).await;
        let bytes = bytes.map_err(|source| Unreadable::Body { what, source })?;
        String::from_utf8(bytes.to_vec())
            .map_err(|error| Unreadable::Content { what, reason: error.to_string() })
    }
}

fn assignment(payload: &[u8]) -> Result<WorkAssignment, Unreadable> {
    match serde_json::from_slice(payload) {
        Ok(Assignment::Work(work)) => Ok(work),
        Ok(Assignment::Plan(_) | Assignment::Verify(_)) => {
            Err(Unreadable::Assignment("it is for another service".into()))
        }
        Err(error) => Err(Unreadable::Assignment(error.to_string())),
    }
}

fn parse<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Unreadable> {
    serde_json::from_str(text)
        .map_err(|error| Unreadable::Content { what, reason: error.to_string() })
}

fn request(
    model: String,
    task: &TaskId,
    work: &WorkAssignment,
    material: &Material,
) -> ChatRequest {
    let Material { conversation, seen, rejected, subtask } = material;
    let asked_max = conversation.output_tokens_max.filter(|_| work.is_answer);
    // What is said of the answer concerns whoever writes it.
    let tools = if work.is_answer { conversation.tools.clone() } else { Tools::default() };
    ChatRequest {
        model,
        messages: messages(conversation, !tools.is_empty(), seen, rejected.as_ref(), subtask),
        output_tokens_max: work.output_tokens_max.min(asked_max.unwrap_or(u32::MAX)),
        temperature: conversation.temperature,
        top_p: conversation.top_p,
        // Stop texts are about the answer, not about what the team says to itself.
        stop: if work.is_answer { conversation.stop.clone() } else { Vec::new() },
        seed: conversation.seed,
        idempotency_key: Some(task.to_string()),
        tools,
        form: conversation.form.clone().filter(|_| work.is_answer),
    }
}

fn done(called: Called, expected: Option<&AnswerForm>, ms: u64) -> Done {
    let Called { result, spend, estimated, incidents } = called;
    let mut bodies = Vec::new();
    let outcome = match result {
        Ok(reply) => outcome_of(reply, expected, ms, &mut bodies),
        Err(CallFailure::BudgetSpent(resource)) => Outcome::BudgetSpent { resource },
        Err(CallFailure::Stopped) => Outcome::Abandoned,
        Err(
            failure @ (CallFailure::Provider(_)
            | CallFailure::UnknownProvider(_)
            | CallFailure::NotSaid(_)
            | CallFailure::NoRoom { .. }),
        ) => failure_of(&failure),
    };
    Done { outcome, incidents, spend, estimated, bodies }
}

fn failure_of(failure: &CallFailure) -> Outcome {
    Outcome::Failed { code: failure.code().into(), message: failure.to_string() }
}

/// What a reply is to its step.
fn outcome_of(
    reply: Reply,
    expected: Option<&AnswerForm>,
    ms: u64,
    bodies: &mut Vec<Body>,
) -> Outcome {
    let Reply { text, refusal, tool_calls, finish, .. } = reply;
    let mut keep = |text: Vec<u8>| {
        let body = Body::new(text);
        let name = body.name.clone();
        bodies.push(body);
        name
    };
    let shortfall = match finish {
        Finish::Refusal => Some(Shortfall::Refused),
        Finish::ContentFilter => Some(Shortfall::Filtered),
        // What was cut off cannot have its form; it is marked as cut off.
        Finish::ToolCalls | Finish::Length => None,
        Finish::Stop => {
            let fault = expected.and_then(|form| form::fault(form, &text));
            fault.map(|fault| Shortfall::Malformed { fault })
        }
    };
    if let Some(shortfall) = shortfall {
        let said = if refusal.is_empty() { text } else { refusal };
        return Outcome::FellShort { shortfall, text: keep(said.into_bytes()), ms };
    }
    // An answer may consist of calls alone; no model should be paid twice to think its
    // whole limit away.
    if text.trim().is_empty() && tool_calls.is_empty() {
        return failure_of(&CallFailure::NotSaid(finish));
    }
    let output = keep(text.into_bytes());
    let calls = (!tool_calls.is_empty()).then(|| serde_json::to_vec(&tool_calls));
    let tool_calls = calls.and_then(Result::ok).map(keep);
    Outcome::Worked { output, truncated: finish == Finish::Length, ms, tool_calls }
}

fn failed(code: FailureCode, message: String) -> Done {
    let outcome = Outcome::Failed { code: code.into(), message };
    let (incidents, bodies) = (Vec::new(), Vec::new());
    Done { outcome, incidents, spend: Spend::ZERO, estimated: false, bodies }
}
