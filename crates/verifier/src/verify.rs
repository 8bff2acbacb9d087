//! Carrying out `verify` tasks.

use crate::{Verifier, judge, span, vote};
use async_trait::async_trait;
use baton_briefing::{Trajectory, Unreadable, patiently, text};
use baton_call::{Call, Called, Purse, Reply};
use baton_checks::{Check as Stated, Class, Public, SpecError, majority};
use baton_engine::{Assignment, Check, Outcome, Reported, VerifyAssignment};
use baton_ledger::{Completion, Handler, Held, Leased, persist};
use baton_provider::ChatRequest;
use baton_workflow::{
    AgentId, BodyRef, Conversation, Incident, Spend, TenantId, Verdict, VerdictKind,
};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// A verdict and what it cost.
pub(crate) struct Checked {
    pub(crate) verdict: Verdict,
    pub(crate) spend: Spend,
    pub(crate) estimated: bool,
    pub(crate) incidents: Vec<Incident>,
}

impl From<Verdict> for Checked {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, spend: Spend::ZERO, estimated: false, incidents: Vec::new() }
    }
}

#[async_trait]
impl Handler for Verifier {
    async fn handle(&self, leased: Leased, stop: CancellationToken) {
        let held = Held { task: leased.task.clone(), token: leased.token };
        let began = Instant::now();
        let asked = assignment(&leased.payload);
        let mut span = span::open(&self.tracer, &leased, asked.as_ref().ok());
        let checked = match &asked {
            Ok(asked) => {
                let caller = self.caller.on_behalf_of(&leased.tenant).under(span.as_parent());
                Self { caller, ..self.clone() }.check(&leased, asked, &stop).await
            }
            Err(reason) => Err(reason.clone()),
        };
        let Checked { verdict, spend, estimated, incidents } =
            checked.unwrap_or_else(|reason| unavailable("verifier/1", reason).into());
        #[cfg(debug_assertions)]
        let verdict = match (self.noise, &asked) {
            (Some(noise), Ok(asked)) => noise.instead_of(asked, verdict),
            (None, _) | (_, Err(_)) => verdict,
        };
        self.metrics.judged(&verdict);
        let key = span::close(&mut span, &leased, asked.as_ref().ok(), &verdict);
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let outcome = Reported { outcome: Outcome::Verified { verdict, ms }, incidents };
        let outcome = baton_engine::version::write(&outcome).into();
        let completion = Completion { outcome, spend, estimated, bodies: Vec::new() };
        let patience = CancellationToken::new();
        let complete = || self.ledger.complete(&held, completion.clone());
        let recorded = persist(&patience, complete).await;
        span.end(key, &recorded);
        if let Err(error) = recorded {
            tracing::warn!(%error, task = %held.task, "a verdict was not recorded");
        }
    }
}

impl Verifier {
    async fn check(
        &self,
        leased: &Leased,
        asked: &VerifyAssignment,
        stop: &CancellationToken,
    ) -> Result<Checked, String> {
        let mut candidates = Vec::new();
        for candidate in &asked.candidates {
            let text = self.text(&leased.tenant, candidate, stop).await;
            candidates.push(text?);
        }
        let first = candidates.first().cloned().unwrap_or_default();
        let stated = |check: Result<Stated, SpecError>| {
            let verdict = check.and_then(|check| checked(check, &first));
            verdict.map(Checked::from).map_err(|error| format!("the check cannot be used: {error}"))
        };
        match &asked.check {
            None => {
                let ballots = candidates.iter().enumerate().map(|(place, reply)| {
                    let calls = asked.calls.iter().any(|call| usize::from(*call) == place);
                    if calls { vote::ballot_of_calls(reply) } else { Class::of(reply) }
                });
                Ok(Verdict::from(majority(ballots)).into())
            }
            Some(Check::Answer { expected }) => stated(Ok(Stated::expected(expected))),
            Some(Check::Stated { check }) => stated(Stated::read(check)),
            Some(Check::Judge { model }) => {
                let request = self.text(&leased.tenant, &asked.request, stop).await?;
                let mut said: Conversation =
                    serde_json::from_str(&request).map_err(|error| error.to_string())?;
                let ledger = self.ledger.as_ref();
                let turns = || Trajectory::read(ledger, &leased.tenant, &asked.turns);
                let turns = told(patiently(stop, turns).await)?;
                said.messages.extend(turns.messages);
                let question = said.question();
                let purse = Purse::of(self.ledger.clone(), leased);
                let output_tokens_max = asked.output_tokens_max;
                let key = Some(leased.task.to_string());
                let judged =
                    self.judge(&model.id, &question, &first, output_tokens_max, key, &purse, stop);
                Ok(judged.await)
            }
        }
    }

    /// Asks a model of the pool to judge.
    #[allow(clippy::too_many_arguments, reason = "the parts of one question, used once each")]
    pub(crate) async fn judge(
        &self,
        agent: &AgentId,
        question: &str,
        candidate: &str,
        output_tokens_max: u32,
        key: Option<String>,
        purse: &Purse,
        stop: &CancellationToken,
    ) -> Checked {
        let settings = self.registry.settings();
        let Some(card) = settings.pool.get(agent) else {
            return unavailable("judge.binary/1", format!("there is no agent {agent}")).into();
        };
        let request = ChatRequest {
            model: card.model.clone(),
            messages: judge::messages(question, candidate),
            output_tokens_max,
            idempotency_key: key,
            ..ChatRequest::default()
        };
        // Nobody judges in a judge's place, so its room is waited for.
        let call = Call { card, request, deadline: None, followed: false, elsewhere: false };
        let Called { result, spend, estimated, incidents } =
            self.caller.make(call, purse, stop, |_| {}).await;
        let verdict = match result.and_then(Reply::spoken) {
            Ok(text) => judge::read(&text, agent.as_str()),
            Err(failure) => unavailable("judge.binary/1", failure.to_string()),
        };
        Checked { verdict, spend, estimated, incidents }
    }

    /// A text, however long the ledger takes to give it.
    async fn text(
        &self,
        tenant: &TenantId,
        body: &BodyRef,
        stop: &CancellationToken,
    ) -> Result<String, String> {
        let read = || text(self.ledger.as_ref(), tenant, "a text", body);
        told(patiently(stop, read).await)
    }
}

fn told<T>(read: Option<Result<T, Unreadable>>) -> Result<T, String> {
    let read = read.ok_or("it was told to stop before the ledger answered")?;
    read.map_err(|error| error.to_string())
}

fn assignment(payload: &[u8]) -> Result<VerifyAssignment, String> {
    match serde_json::from_slice(payload) {
        Ok(Assignment::Verify(asked)) => Ok(asked),
        Ok(Assignment::Plan(_) | Assignment::Work(_)) => {
            Err("the assignment is for another service".into())
        }
        Err(error) => Err(format!("the assignment cannot be read: {error}")),
    }
}

/// What can be told without asking a model.
pub(crate) fn checked(check: Stated, candidate: &str) -> Result<Verdict, SpecError> {
    Ok(Public::of(check)?.verify(candidate).into())
}

pub(crate) fn unavailable(verifier: &str, feedback: String) -> Verdict {
    let verifier = verifier.into();
    Verdict { kind: VerdictKind::Unavailable, score: None, choice: None, feedback, verifier }
}
