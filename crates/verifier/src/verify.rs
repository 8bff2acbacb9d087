//! Carrying out `verify` tasks: what is asked, and who can tell.

use crate::{Verifier, span, vote};
use async_trait::async_trait;
use baton_briefing::{Trajectory, Unreadable, patiently, text};
use baton_call::Purse;
use baton_checks::{Check as Stated, Class, SpecError};
use baton_engine::{Assignment, Check, Outcome, Reported, VerifyAssignment};
use baton_ledger::{Body, Completion, Handler, Held, Leased, persist};
use baton_workflow::{
    BodyRef, Conversation, Incident, Spend, TenantId, Verdict, VerdictKind, Words,
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

impl Checked {
    /// This, or what was found of the candidate at `place` if that is better: one that
    /// passes, else the one with the greater score. What both cost is in it.
    fn or_better(self, other: Self, place: u16) -> Self {
        let rank =
            |verdict: &Verdict| (verdict.kind == VerdictKind::Pass, verdict.score.unwrap_or(-1.0));
        let spend = self.spend.plus(other.spend);
        let estimated = self.estimated || other.estimated;
        let (mut incidents, more) = (self.incidents, other.incidents);
        incidents.extend(more);
        let verdict = match rank(&other.verdict) > rank(&self.verdict) {
            true => Verdict { choice: Some(place), ..other.verdict },
            false => Verdict { choice: self.verdict.choice.or(Some(0)), ..self.verdict },
        };
        Self { verdict, spend, estimated, incidents }
    }
}

/// A verdict as the steps that may see it are told it.
fn in_words(verdict: &Verdict, candidates: usize) -> String {
    let kind = match verdict.kind {
        VerdictKind::Pass => "pass",
        VerdictKind::Fail => "fail",
        VerdictKind::Abstain => "none, the verifier cannot tell",
        VerdictKind::Unavailable => "none, the verifier could not be asked",
    };
    let mut words = format!("Verdict: {kind}");
    if let Some(choice) = verdict.choice.filter(|_| candidates > 1) {
        words.push_str(&format!("\nChosen: candidate {} of {candidates}", choice + 1));
    }
    if !verdict.feedback.trim().is_empty() {
        words.push_str(&format!("\n{}", verdict.feedback.trim()));
    }
    words
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
        let told = asked.as_ref().ok().filter(|asked| asked.step.is_some());
        let told = told.map(|asked| Body::new(in_words(&verdict, asked.candidates.len())));
        let output = told.as_ref().map(|told| told.name.clone());
        let outcome = Outcome::Verified { verdict: verdict.into(), ms, output };
        let outcome = Reported { outcome, incidents };
        let outcome = baton_engine::version::write(&outcome).into();
        let bodies = told.into_iter().collect();
        let completion = Completion { outcome, spend, estimated, bodies };
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
        let purse = Purse::of(self.ledger.clone(), leased);
        let question = match check {
            Check::Judge { .. } => self.question(&leased.tenant, asked, stop).await?,
            Check::Answer { .. } | Check::Stated { .. } => String::new(),
        };
        let mut chosen: Option<Checked> = None;
        for (place, candidate) in (0_u16..).zip(&candidates) {
            let key = match candidates.len() {
                1 => leased.task.to_string(),
                _ => format!("{}/{place}", leased.task),
            };
            let looked_at =
                self.check_one(check, candidate, &question, asked, key, &purse, stop).await?;
            chosen = Some(match chosen {
                None => looked_at,
                Some(before) => before.or_better(looked_at, place),
            });
            if chosen.as_ref().is_some_and(|checked| checked.verdict.kind == VerdictKind::Pass) {
                break;
            }
        }
        chosen.ok_or_else(|| Trouble::unreadable("there is nothing to check"))
    }

    /// Checks one candidate.
    #[expect(clippy::too_many_arguments, reason = "the parts of one question, used once each")]
    async fn check_one(
        &self,
        check: &Check,
        candidate: &Candidate,
        question: &str,
        asked: &VerifyAssignment,
        key: String,
        purse: &Purse,
        stop: &CancellationToken,
    ) -> Result<Checked, Trouble> {
        match check {
            Check::Answer { expected } => {
                Ok(self.stated(Stated::expected(expected), candidate, stop).await?)
            }
            Check::Stated { check } => {
                Ok(self.stated(Stated::read(check)?, candidate, stop).await?)
            }
            Check::Judge { model } => {
                let (max, text) = (asked.output_tokens_max, &candidate.text);
                let judged =
                    self.judge(&model.id, question, text, max, Some(key), purse, stop).await;
                let class = Some(candidate.class().key());
                Ok(Checked { verdict: Verdict { class, ..judged.verdict }, ..judged })
            }
        }
    }

    /// Checks a candidate as was stated: each check goes to who can tell.
    pub(crate) async fn stated(
        &self,
        check: Stated,
        candidate: &Candidate,
        stop: &CancellationToken,
    ) -> Result<Checked, SpecError> {
        match check {
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
            | Stated::Expression { .. } => self.look_at(check, candidate).await,
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
        let question = said.question();
        let Some((words, step)) = asked.words.as_ref().zip(asked.step) else { return Ok(question) };
        let plan = self.text(tenant, words, stop).await?;
        let plan: Words = serde_json::from_str(&plan).map_err(Trouble::unreadable)?;
        let step = plan.steps.get(step.index());
        let step = step.ok_or_else(|| Trouble::unreadable("the plan has no such step"))?;
        Ok(format!("{question}\n\nWhat the candidate has to meet: {}", step.subtask))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_candidates_the_best_is_chosen_and_all_are_paid_for() {
        let checked = |kind, score| {
            let verdict = Verdict { score, ..Verdict::new("t/1", kind, "") };
            let spend = Spend { calls: 1, ..Spend::ZERO };
            Checked { spend, ..Checked::from(verdict) }
        };
        let (fail, pass) = (VerdictKind::Fail, VerdictKind::Pass);
        for (found, choice) in [
            (vec![(fail, Some(0.2)), (fail, Some(0.6)), (fail, Some(0.4))], 1),
            (vec![(fail, Some(0.9)), (pass, Some(0.5))], 1),
            (vec![(fail, Some(0.0)), (VerdictKind::Abstain, None)], 0),
            (vec![(fail, Some(0.0)), (fail, Some(0.0))], 0),
        ] {
            let mut all = (0..).zip(found.iter().map(|(kind, score)| checked(*kind, *score)));
            let (_, first) = all.next().unwrap();
            let best = all.fold(first, |best, (place, next)| best.or_better(next, place));
            assert_eq!(best.verdict.choice, Some(choice), "{found:?}");
            assert_eq!(best.spend.calls as usize, found.len());
        }
    }

    #[test]
    fn a_verdict_is_told_in_words() {
        let verdict = Verdict::new("t/1", VerdictKind::Fail, "wrong").saying("4 is not 5");
        assert_eq!(in_words(&verdict, 1), "Verdict: fail\n4 is not 5");
        let chosen = Verdict { choice: Some(1), ..Verdict::new("t/1", VerdictKind::Pass, "") };
        assert_eq!(in_words(&chosen, 3), "Verdict: pass\nChosen: candidate 2 of 3");
    }
}
