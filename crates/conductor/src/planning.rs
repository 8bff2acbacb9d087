//! Asking the policy: render, call, read, and hand complaints back for repair.

use crate::{Conductor, verifying::unusable};
use baton_call::{Call, CallFailure, Called, Purse, Reply};
use baton_engine::Offered;
use baton_planner::{Complaint, Earlier, EarlierOutput, Plan, Prompt, RenderOptions};
use baton_provider::{ChatRequest, Message, Role};
use baton_telemetry::Parent;
use baton_workflow::{AgentCard, Incident, Limits, Pool, Spend, TenantId, Workflow};
use tokio_util::sync::CancellationToken;

/// Tokens for a plan: three lists, with room for a model that thinks aloud first.
pub(crate) const PLAN_TOKENS_MAX: u32 = 4096;

/// What the policy is asked.
pub(crate) struct Question<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) model: &'a AgentCard,
    pub(crate) task: String,
    pub(crate) pool: &'a Pool,
    /// What a step of the verifier's can be checked by, if the pool has it.
    pub(crate) verifier: Option<Offered>,
    pub(crate) limits: Limits,
    pub(crate) earlier: Option<EarlierRound>,
    pub(crate) output_tokens_max: u32,
    pub(crate) deadline: Option<tokio::time::Instant>,
    /// Names the calls, the same for every attempt at the same plan.
    pub(crate) key: String,
    pub(crate) seed: Option<i64>,
    /// Whose calls may share one with the same ones under way; none shares.
    pub(crate) share: Option<TenantId>,
    /// What the calls are made under, in traces.
    pub(crate) span: Parent,
}

/// The round that a new plan should better.
pub(crate) struct EarlierRound {
    pub(crate) workflow: Workflow,
    pub(crate) outputs: Vec<Option<String>>,
    /// The step whose output is its answer; else the last output is shown for it.
    pub(crate) answer: Option<usize>,
    pub(crate) feedback: String,
    /// Whether it has an answer, which can be let stand.
    pub(crate) answered: bool,
}

/// What came of asking.
pub(crate) struct Asked {
    pub(crate) result: Result<Written, Unplanned>,
    pub(crate) repairs: u16,
    pub(crate) spend: Spend,
    pub(crate) estimated: bool,
    pub(crate) incidents: Vec<Incident>,
}

/// What the policy wrote.
pub(crate) enum Written {
    Workflow(Workflow),
    Stands,
}

/// Why there is no plan.
pub(crate) enum Unplanned {
    Complaints(Vec<Complaint>),
    Failure(CallFailure),
}

impl Conductor {
    /// Asks once, and once more for each repair that the limits allow.
    pub(crate) async fn ask_policy(
        &self,
        question: &Question<'_>,
        purse: &Purse,
        stop: &CancellationToken,
    ) -> Asked {
        let first = prompt(question);
        let mut prompt = first.clone();
        let (mut spend, mut estimated, mut repairs) = (Spend::ZERO, false, 0);
        let mut incidents = Vec::new();
        loop {
            let request = request(question, &prompt, repairs);
            let called = self.call_policy(question, request, purse, stop).await;
            let result = called.result;
            spend = spend.plus(called.spend);
            estimated |= called.estimated;
            incidents.extend(called.incidents);
            let reply = match result.and_then(Reply::spoken) {
                Ok(text) => text,
                Err(failure) => {
                    let result = Err(Unplanned::Failure(failure));
                    return Asked { result, repairs, spend, estimated, incidents };
                }
            };
            let complaints = match read(question, &reply) {
                Ok(written) => {
                    return Asked { result: Ok(written), repairs, spend, estimated, incidents };
                }
                Err(complaints) => complaints,
            };
            tracing::info!(complaints = complaints.len(), repairs, "the plan cannot be read");
            self.metrics.unreadable(repairs < question.limits.repairs_max);
            if repairs >= question.limits.repairs_max {
                let result = Err(Unplanned::Complaints(complaints));
                return Asked { result, repairs, spend, estimated, incidents };
            }
            repairs += 1;
            prompt = baton_planner::repair(&first, &reply, &complaints);
        }
    }
}

impl Conductor {
    /// One call, shared with whoever asks the same at the same time, where that is allowed.
    async fn call_policy(
        &self,
        question: &Question<'_>,
        request: ChatRequest,
        purse: &Purse,
        stop: &CancellationToken,
    ) -> Called {
        let (card, deadline) = (question.model, question.deadline);
        let caller = &self.caller.on_behalf_of(question.tenant).under(question.span.clone());
        // A strategy stands in where the policy cannot be had.
        let make = |request| {
            let call = Call { card, request, deadline, followed: false, elsewhere: true };
            caller.make(call, purse, stop, |_| {})
        };
        let Some(tenant) = &question.share else { return make(request).await };
        let asked = request.clone();
        let called =
            self.flights.share(tenant, card, &asked, deadline, stop, || make(request)).await;
        if called.incidents.contains(&Incident::Shared) {
            self.caller.count_shared();
        }
        called
    }
}

impl EarlierRound {
    /// What came of its steps.
    fn shown(&self) -> Vec<EarlierOutput<'_>> {
        let outputs = self.outputs.iter().map(Option::as_deref);
        outputs.map(|text| text.map_or(EarlierOutput::Missing, EarlierOutput::Text)).collect()
    }

    fn earlier<'a>(&'a self, outputs: &'a [EarlierOutput<'a>]) -> Earlier<'a> {
        let Self { workflow, outputs: texts, feedback, .. } = self;
        let answer = self.answer.and_then(|step| texts.get(step)?.as_ref());
        let answer = answer.or(texts.iter().rev().flatten().next()).map_or("", String::as_str);
        Earlier { workflow, outputs, answer, feedback }
    }
}

fn prompt(question: &Question<'_>) -> Prompt {
    let options =
        RenderOptions { names: true, strengths: true, prices: true, ..RenderOptions::default() };
    let Question { task, pool, limits, .. } = question;
    let Some(round) = &question.earlier else {
        return baton_planner::render(task, pool, limits, options, &[]);
    };
    let shown = round.shown();
    baton_planner::render(task, pool, limits, options, &[round.earlier(&shown)])
}

fn read(question: &Question<'_>, reply: &str) -> Result<Written, Vec<Complaint>> {
    let (pool, limits) = (question.pool, &question.limits);
    let plan = match &question.earlier {
        None => baton_planner::read(reply, pool, limits)?,
        Some(round) => {
            let shown = round.shown();
            baton_planner::read_after(reply, pool, limits, &round.earlier(&shown))?
        }
    };
    let answered = question.earlier.as_ref().is_some_and(|round| round.answered);
    match plan {
        Plan::Workflow(workflow) => {
            let unusable = unusable(&workflow, question.verifier);
            if unusable.is_empty() { Ok(Written::Workflow(workflow)) } else { Err(unusable) }
        }
        Plan::Stands if answered => Ok(Written::Stands),
        stands @ Plan::Stands => stands.into_workflow(limits).map(Written::Workflow),
    }
}

fn request(question: &Question<'_>, prompt: &Prompt, repairs: u16) -> ChatRequest {
    ChatRequest {
        model: question.model.model.clone(),
        messages: vec![
            Message::text(Role::System, prompt.system.clone()),
            Message::text(Role::User, prompt.user.clone()),
        ],
        output_tokens_max: question.output_tokens_max.min(PLAN_TOKENS_MAX),
        seed: question.seed,
        idempotency_key: Some(format!("{}/{repairs}", question.key)),
        ..ChatRequest::default()
    }
}
