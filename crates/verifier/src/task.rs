//! Carrying out `verify` tasks.

use crate::verify::{Candidate, Checked, Matter, Means};
use crate::{Verifier, span, vote};
use async_trait::async_trait;
use baton_briefing::{Trajectory, Unreadable, patiently, text};
use baton_call::Purse;
use baton_checks::{Check as Stated, Judge, SpecError};
use baton_engine::{Assignment, Check, Outcome, Reported, VerifyAssignment};
use baton_ledger::{Completion, Handler, Held, Leased, persist};
use baton_workflow::{BodyRef, Conversation, TenantId, Verdict, VerdictKind};
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why nothing was looked at, which says nothing about any candidate.
struct Trouble {
    code: &'static str,
    said: String,
}

impl Trouble {
    fn unreadable(said: impl ToString) -> Self {
        Self { code: "unreadable", said: said.to_string() }
    }
}

impl From<SpecError> for Trouble {
    fn from(error: SpecError) -> Self {
        let said = format!("the check cannot be used: {error}");
        Self { code: "check_unusable", said }
    }
}

impl From<Trouble> for Verdict {
    fn from(Trouble { code, said }: Trouble) -> Self {
        Self::new("verifier/1", VerdictKind::Unavailable, code).saying(said)
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
            Err(reason) => Err(Trouble::unreadable(reason)),
        };
        let Checked { verdict, spend, estimated, incidents, cached } =
            checked.unwrap_or_else(|trouble| Verdict::from(trouble).into());
        #[cfg(debug_assertions)]
        let verdict = match (self.noise, &asked) {
            (Some(noise), Ok(asked)) => noise.instead_of(asked, verdict),
            (None, _) | (_, Err(_)) => verdict,
        };
        self.metrics.judged(&verdict);
        let key = span::close(&mut span, &leased, asked.as_ref().ok(), &verdict);
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let outcome = Outcome::Verified { verdict: verdict.into(), ms, cached };
        let outcome = Reported { outcome, incidents };
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
    ) -> Result<Checked, Trouble> {
        let candidates = self.candidates(&leased.tenant, asked, stop).await?;
        let (check, judges) = match &asked.check {
            None => return Ok(vote::among(candidates.iter(), &[]).into()),
            Some(Check::Answer { expected }) => (Stated::expected(expected), Vec::new()),
            Some(Check::Stated { check }) => (Stated::read(check)?, Vec::new()),
            Some(Check::Judge { model }) => {
                let judge = Judge { model: Some(model.id.clone()), criteria: None };
                (Stated::JudgeBinary(judge), Vec::new())
            }
            Some(Check::Judged { check, judges, .. } | Check::Compared { check, judges }) => {
                let judges = judges.iter().map(|judge| judge.id.clone()).collect();
                (Stated::read(check)?, judges)
            }
        };
        let question = match check.judges().next() {
            Some(_) => self.question(&leased.tenant, asked, stop).await?,
            None => String::new(),
        };
        let matter = Matter::of(question, candidates)
            .ok_or_else(|| Trouble::unreadable("there is nothing to check"))?;
        let means = Means {
            tenant: Some(&leased.tenant),
            judges: Some(&judges),
            output_tokens_max: asked.output_tokens_max,
            key: Some(leased.task.to_string()),
            purse: Purse::of(self.ledger.clone(), leased),
            deadline: None,
            stop,
        };
        Ok(self.carry_out(&check, &matter, &means).await?)
    }

    async fn candidates(
        &self,
        tenant: &TenantId,
        asked: &VerifyAssignment,
        stop: &CancellationToken,
    ) -> Result<Vec<Candidate>, Trouble> {
        let mut candidates = Vec::new();
        for (place, candidate) in asked.candidates.iter().enumerate() {
            let text = self.text(tenant, candidate, stop).await?;
            let calls = asked.calls.iter().any(|call| usize::from(*call) == place);
            let author = asked.authors.get(place).cloned();
            candidates.push(Candidate { text, calls, author });
        }
        Ok(candidates)
    }

    /// What the user asked, and what was done for the answer since.
    async fn question(
        &self,
        tenant: &TenantId,
        asked: &VerifyAssignment,
        stop: &CancellationToken,
    ) -> Result<String, Trouble> {
        let request = self.text(tenant, &asked.request, stop).await?;
        let mut said: Conversation = serde_json::from_str(&request).map_err(Trouble::unreadable)?;
        let turns = || Trajectory::read(self.ledger.as_ref(), tenant, &asked.turns);
        said.messages.extend(told(patiently(stop, turns).await)?.messages);
        Ok(said.question())
    }

    /// A text, however long the ledger takes to give it.
    async fn text(
        &self,
        tenant: &TenantId,
        body: &BodyRef,
        stop: &CancellationToken,
    ) -> Result<String, Trouble> {
        let read = || text(self.ledger.as_ref(), tenant, "a text", body);
        told(patiently(stop, read).await)
    }
}

fn told<T>(read: Option<Result<T, Unreadable>>) -> Result<T, Trouble> {
    let said = "it was told to stop before the ledger answered".into();
    let read = read.ok_or(Trouble { code: "stopped", said })?;
    read.map_err(Trouble::unreadable)
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
