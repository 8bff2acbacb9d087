//! Carrying out `verify` tasks: what is asked, and who can tell.

use crate::{Verifier, span, stated, vote};
use async_trait::async_trait;
use baton_briefing::{Trajectory, Unreadable, patiently, text};
use baton_call::Purse;
use baton_checks::{Check as Stated, Class, SpecError};
use baton_engine::{Assignment, Check, Outcome, Reported, VerifyAssignment};
use baton_ledger::{Completion, Handler, Held, Leased, persist};
use baton_workflow::{BodyRef, Conversation, Incident, Spend, TenantId, Verdict, VerdictKind};
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

/// An answer that is to be checked or voted on.
pub(crate) struct Candidate {
    pub(crate) text: String,
    /// Whether the text is calls of tools, as JSON.
    pub(crate) calls: bool,
}

impl Candidate {
    /// What it says.
    pub(crate) fn class(&self) -> Class {
        if self.calls { vote::ballot_of_calls(&self.text) } else { Class::of(&self.text) }
    }
}

/// Why nothing was looked at, which says nothing about any candidate.
pub(crate) struct Trouble {
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
        let Checked { verdict, spend, estimated, incidents } =
            checked.unwrap_or_else(|trouble| Verdict::from(trouble).into());
        self.metrics.judged(&verdict);
        let key = span::close(&mut span, &leased, asked.as_ref().ok(), &verdict);
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let outcome = Outcome::Verified { verdict: verdict.into(), ms };
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
        let Some(check) = &asked.check else { return Ok(vote::among(&candidates, &[]).into()) };
        if asked.is_vote() {
            return Ok(self.vote_by(check, &candidates, stop).await?.into());
        }
        let Some(first) = candidates.first() else {
            return Err(Trouble::unreadable("there is nothing to check"));
        };
        match check {
            Check::Answer { expected } => {
                Ok(self.stated(Stated::expected(expected), first, stop).await?)
            }
            Check::Stated { check, .. } => {
                Ok(self.stated(Stated::read(check)?, first, stop).await?)
            }
            Check::Judge { model } => {
                let question = self.question(&leased.tenant, asked, stop).await?;
                let purse = Purse::of(self.ledger.clone(), leased);
                let max = asked.output_tokens_max;
                let key = Some(leased.task.to_string());
                let text = &first.text;
                let judged = self.judge(&model.id, &question, text, max, key, &purse, stop).await;
                let class = Some(first.class().key());
                Ok(Checked { verdict: Verdict { class, ..judged.verdict }, ..judged })
            }
        }
    }

    /// Votes by what a check tells of the candidates.
    async fn vote_by(
        &self,
        check: &Check,
        candidates: &[Candidate],
        stop: &CancellationToken,
    ) -> Result<Verdict, SpecError> {
        let stated = match check {
            Check::Stated { check, .. } => Some(Stated::read(check)?),
            Check::Answer { .. } | Check::Judge { .. } => None,
        };
        let Some(Stated::CodeInputs(inputs)) = stated else {
            return Ok(vote::among(candidates, &[]));
        };
        inputs.are_sensible()?;
        let verdict = self.vote_of_programs(&inputs, candidates, stop).await;
        // Whoever was not run may still be the answer: then what they say is counted.
        let choice = verdict.choice.or_else(|| match verdict.kind {
            VerdictKind::Unavailable => vote::among(candidates, &[]).choice,
            VerdictKind::Pass | VerdictKind::Fail | VerdictKind::Abstain => None,
        });
        Ok(Verdict { choice, ..verdict })
    }

    /// Checks a candidate as was stated: each check goes to who can tell.
    pub(crate) async fn stated(
        &self,
        check: Stated,
        candidate: &Candidate,
        stop: &CancellationToken,
    ) -> Result<Checked, SpecError> {
        match check {
            Stated::CodeInputs(inputs) => {
                inputs.are_sensible()?;
                Ok(self.crashes(&inputs, &candidate.text, stop).await.into())
            }
            Stated::CodeTests(tests) => {
                tests.are_sensible()?;
                Ok(self.code_tests(&tests, &candidate.text, stop).await.into())
            }
            Stated::MathAnswer { .. }
            | Stated::ChoiceLetter { .. }
            | Stated::JsonSchema { .. }
            | Stated::TextExact { .. }
            | Stated::TextRegex { .. }
            | Stated::TextNumeric { .. }
            | Stated::Expression { .. } => stated::look_at(check, candidate),
        }
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
            candidates.push(Candidate { text, calls });
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
