//! What is checked, by which means, and who can tell.

use crate::{Verifier, reports::Key, vote};
use baton_call::Purse;
use baton_checks::{Check as Stated, Class, SpecError};
use baton_workflow::{AgentId, Incident, Spend, TenantId, Verdict};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A verdict and what it cost.
pub(crate) struct Checked {
    pub(crate) verdict: Verdict,
    pub(crate) spend: Spend,
    pub(crate) estimated: bool,
    pub(crate) incidents: Vec<Incident>,
    /// Whether the same content was checked before, and this is that report.
    pub(crate) cached: bool,
}

impl From<Verdict> for Checked {
    fn from(verdict: Verdict) -> Self {
        let (spend, incidents) = (Spend::ZERO, Vec::new());
        Self { verdict, spend, estimated: false, incidents, cached: false }
    }
}

impl Checked {
    /// Puts what another check cost to this one.
    pub(crate) fn add(&mut self, other: Self) {
        self.spend = self.spend.plus(other.spend);
        self.estimated |= other.estimated;
        self.incidents.extend(other.incidents);
    }
}

/// An answer that is to be checked or voted on.
pub(crate) struct Candidate {
    pub(crate) text: String,
    /// Whether the text is calls of tools, as JSON.
    pub(crate) calls: bool,
    /// Who wrote it, where that is known.
    pub(crate) author: Option<AgentId>,
}

impl Candidate {
    /// Words of somebody.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), calls: false, author: None }
    }

    /// What it says.
    pub(crate) fn class(&self) -> Class {
        if self.calls { vote::ballot_of_calls(&self.text) } else { Class::of(&self.text) }
    }

    /// What it is, as far as any report depends on it.
    pub(crate) fn content(&self) -> [&str; 2] {
        [if self.calls { "calls" } else { "text" }, &self.text]
    }
}

/// What a check is about: one candidate, or several that are compared.
pub(crate) struct Matter {
    /// What was asked; empty where no judge needs it.
    pub(crate) question: String,
    pub(crate) first: Candidate,
    pub(crate) others: Vec<Candidate>,
}

impl Matter {
    /// None without a candidate.
    pub(crate) fn of(question: String, candidates: Vec<Candidate>) -> Option<Self> {
        let mut candidates = candidates.into_iter();
        let first = candidates.next()?;
        Some(Self { question, first, others: candidates.collect() })
    }

    /// All candidates, in their order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Candidate> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// By what means judges are asked.
#[derive(Clone)]
pub(crate) struct Means<'a> {
    pub(crate) tenant: Option<&'a TenantId>,
    /// Who may be asked; none for the whole pool.
    pub(crate) judges: Option<&'a [AgentId]>,
    pub(crate) output_tokens_max: u32,
    /// What providers know the first call by, so that a repeated one is not made twice.
    pub(crate) key: Option<String>,
    pub(crate) purse: Purse,
    pub(crate) deadline: Option<Instant>,
    pub(crate) stop: &'a CancellationToken,
}

impl Means<'_> {
    /// The same, with other names for the calls.
    pub(crate) fn for_part(&self, number: usize) -> Self {
        let key = self.key.as_ref().map(|key| format!("{key}/part{number}"));
        Self { key, ..self.clone() }
    }
}

impl Verifier {
    /// Carries out a check: each goes to who can tell.
    ///
    /// # Errors
    /// The check is none that can be carried out.
    pub(crate) async fn carry_out(
        &self,
        check: &Stated,
        matter: &Matter,
        means: &Means<'_>,
    ) -> Result<Checked, SpecError> {
        match check {
            Stated::Composite { checks } => self.composite(checks, matter, means).await,
            part => self.part(part, matter, means).await,
        }
    }

    /// The same for a check that is not made of others.
    pub(crate) async fn part(
        &self,
        check: &Stated,
        matter: &Matter,
        means: &Means<'_>,
    ) -> Result<Checked, SpecError> {
        match check {
            Stated::JudgeBinary(judge) => Ok(self.judge(judge, matter, means).await),
            Stated::JudgePairwise(judge) => Ok(self.compare(judge, matter, means).await),
            check => {
                let level = match check.runs_programs() {
                    true => self.sandbox().await.ok().map(|s| s.isolation().level.name()),
                    false => None,
                };
                let json = serde_json::to_string(check).unwrap_or_default();
                let [form, text] = matter.first.content();
                let key = Key::of([json.as_str(), level.unwrap_or_default(), form, text]);
                self.once(key, self.stated(check.clone(), &matter.first, means.stop)).await
            }
        }
    }

    /// Checks a candidate without asking a model.
    async fn stated(
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
            check => self.look_at(check, candidate).await,
        }
    }
}
