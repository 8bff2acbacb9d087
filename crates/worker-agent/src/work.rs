//! Carrying out one step: read what it may see, ask, record what came of it.

use crate::{WorkerAgent, form, span};
use async_trait::async_trait;
use baton_briefing::{Briefing, patiently};
use baton_call::{Call, CallFailure, Called, Delta, Purse, Reply};
use baton_codes::FailureCode;
use baton_engine::{Assignment, Outcome, Reported, Shortfall, WorkAssignment};
use baton_ledger::{Body, Completion, Handler, Held, Leased, persist};
use baton_provider::{AnswerForm, ChatRequest, Conversation, Finish};
use baton_telemetry::Parent;
use baton_workflow::{Incident, Spend, TaskId};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

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
        let agent = work.as_ref().map_or("", |work| work.agent.as_str());
        self.metrics.worked(agent, &done.outcome);
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
        let ledger = self.ledger.as_ref();
        let read = || Briefing::read(ledger, &leased.tenant, work);
        let briefing = match patiently(stop, read).await {
            Some(Ok(briefing)) => briefing,
            Some(Err(error)) => return failed(FailureCode::Unreadable, error.to_string()),
            None => return free(Outcome::Abandoned),
        };
        let settings = self.registry.settings();
        let Some(card) = settings.pool.get(&work.agent) else {
            let message = format!("{} was removed from the configuration", work.agent);
            return failed(FailureCode::AgentRemoved, message);
        };
        let request = request(card.model.clone(), &leased.task, work, briefing.conversation());
        let expects = Expects { form: request.form.clone(), may_ask: work.may_ask };
        let call = Call {
            card,
            request,
            deadline: Some(self.clock.instant_of(work.deadline)),
            followed: true,
            elsewhere: settings.pool.agents().iter().any(|other| other.provider != card.provider),
        };
        let began = Instant::now();
        let purse = Purse::of(self.ledger.clone(), leased);
        let stream = self.streams.open(&leased.task, leased.token.attempt);
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
        done(called, &expects, ms)
    }
}

fn assignment(payload: &[u8]) -> Result<WorkAssignment, String> {
    let wrong = |reason: &str| format!("the assignment is not one of a step: {reason}");
    match serde_json::from_slice(payload) {
        Ok(Assignment::Work(work)) => Ok(work),
        Ok(Assignment::Plan(_) | Assignment::Verify(_)) => Err(wrong("it is for another service")),
        Err(error) => Err(wrong(&error.to_string())),
    }
}

fn request(
    model: String,
    task: &TaskId,
    work: &WorkAssignment,
    conversation: Conversation,
) -> ChatRequest {
    let Conversation { messages, temperature, top_p, stop, seed, output_tokens_max, tools, form } =
        conversation;
    ChatRequest {
        model,
        messages,
        output_tokens_max: work.output_tokens_max.min(output_tokens_max.unwrap_or(u32::MAX)),
        temperature,
        top_p,
        stop,
        seed,
        idempotency_key: Some(task.to_string()),
        tools,
        form,
    }
}

/// What a reply is held against.
struct Expects {
    form: Option<AnswerForm>,
    may_ask: bool,
}

fn done(called: Called, expects: &Expects, ms: u64) -> Done {
    let Called { result, spend, estimated, incidents } = called;
    let mut bodies = Vec::new();
    let outcome = match result {
        Ok(reply) => outcome_of(reply, expects, ms, &mut bodies),
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
fn outcome_of(reply: Reply, expects: &Expects, ms: u64, bodies: &mut Vec<Body>) -> Outcome {
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
            let fault = expects.form.as_ref().and_then(|form| form::fault(form, &text));
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
    let replan = baton_briefing::asks_to_replan(&text).filter(|_| expects.may_ask);
    let output = keep(text.into_bytes());
    let calls = (!tool_calls.is_empty()).then(|| serde_json::to_vec(&tool_calls));
    let tool_calls = calls.and_then(Result::ok).map(keep);
    let truncated = finish == Finish::Length;
    Outcome::Worked { output, truncated, ms, tool_calls, replan }
}

fn failed(code: FailureCode, message: String) -> Done {
    free(Outcome::Failed { code: code.into(), message })
}

/// Without a call.
fn free(outcome: Outcome) -> Done {
    let (incidents, bodies) = (Vec::new(), Vec::new());
    Done { outcome, incidents, spend: Spend::ZERO, estimated: false, bodies }
}
