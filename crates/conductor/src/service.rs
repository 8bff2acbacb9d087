//! The gRPC surface.

use crate::{
    Conductor,
    ask::Ask,
    children::with_itself,
    decide::{encode, kept, tasks},
    known::{FoldError, Known},
    plan::{policy, task_text},
    planning::{PLAN_TOKENS_MAX, Question, Unplanned, Written},
    report,
    results::Answered,
    span,
};
use async_stream::stream;
use baton_call::Purse;
use baton_codes::ApiCode;
use baton_engine::{Event, Run};
use baton_ledger::{
    Cancelled, END, JournalEntry, Ledger, LedgerError, NewTimer, Observation, Submission,
    Submitted, Watched,
};
use baton_proto::{
    status,
    v1::{self, watch_reply::What},
};
use baton_telemetry::{Carrier, TraceParent};
use baton_workflow::{Limits, Pool, RunId, Spend, TenantId, Timestamp, Workflow};
use futures::StreamExt as _;
use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

/// Runs in one list, unless the request says otherwise, and at most.
const LIST_DEFAULT: u32 = 20;
const LIST_MAX: u32 = 1000;
/// When it is seen to, first and then again and again, that a watched run can be read: most
/// runs have ended by then.
const READABLE_FIRST: Duration = Duration::from_secs(2);
const READABLE_EACH: Duration = Duration::from_secs(15);

type WatchStream = Pin<Box<dyn futures_core::Stream<Item = Result<v1::WatchReply, Status>> + Send>>;

#[tonic::async_trait]
impl v1::conductor_server::Conductor for Conductor {
    type WatchStream = WatchStream;

    async fn submit(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::SubmitReply>, Status> {
        let traceparent = baton_proto::origin_of(&request).map(str::to_owned);
        let wire = request.into_inner();
        if let Some(Answered { run, turn }) = self.answered(&wire).await? {
            let reply = v1::SubmitReply { run: run.to_string(), known: true, turn };
            return Ok(Response::new(reply));
        }
        let key = wire.idempotency_key.clone();
        let mut ask = Ask::new(wire, &self.registry.settings())?;
        if ask.spec.awaits {
            // Two names, for more of what cannot be guessed in them than in one.
            ask.label.secret = Some(format!("{}{}", (self.name)(), (self.name)()));
        }
        let tenant = ask.tenant.clone();
        let whose = tenant.to_string();
        let id = RunId::new((self.name)()).map_err(|error| Status::internal(error.to_string()))?;
        let (submission, events) = submission(id, self.clock.now(), ask, key, traceparent)?;
        let id = submission.run.clone();
        // Before it is recorded: its first task may be done by the time the ledger answers.
        self.known.begin(&id, events);
        self.known.owned(&id, tenant.clone());
        let submitted = self.ledger.submit(submission).await;
        if !matches!(submitted, Ok(Submitted::New(_))) {
            self.known.forget(&id);
        }
        let (run, known) = match submitted.map_err(refused)? {
            Submitted::New(run) => (run, false),
            Submitted::Known(run) => (run, true),
        };
        // A ledger of several shards adds to the id where the run is.
        if run != id {
            self.known.forget(&id);
            self.known.owned(&run, tenant);
        }
        self.metrics.submitted(&whose, known);
        tracing::info!(%run, known, "submitted");
        Ok(Response::new(v1::SubmitReply { run: run.to_string(), known, turn: 0 }))
    }

    async fn plan(
        &self,
        request: Request<v1::SubmitRequest>,
    ) -> Result<Response<v1::PlanReply>, Status> {
        let settings = self.registry.settings();
        let trace = baton_proto::traceparent_of(&request);
        let trace = trace.and_then(|text| TraceParent::parse(text).ok());
        let ask = Ask::new(request.into_inner(), &settings)?;
        if let Some(workflow) = &ask.workflow {
            let plan_json = planned(workflow, &ask.pool, &ask.limits, &ask, Spend::ZERO, 0)?;
            return Ok(Response::new(v1::PlanReply { plan_json }));
        }
        let model = policy(&settings).ok_or_else(|| Status::internal("no policy"))?;
        let pool = match ask.spec.recurses() {
            true => with_itself(&ask.pool),
            false => ask.pool.clone(),
        };
        let span = span::asking(&self.tracer, trace, &ask.tenant, model);
        let question = Question {
            tenant: &ask.tenant,
            model,
            task: task_text(&ask.conversation),
            pool: &pool,
            limits: ask.limits,
            earlier: None,
            output_tokens_max: PLAN_TOKENS_MAX,
            deadline: None,
            key: format!("plan/{}", ask.digest),
            seed: ask.conversation.seed,
            share: None,
            span: span.as_parent(),
        };
        let stop = CancellationToken::new();
        let asked = self.ask_policy(&question, &Purse::Open, &stop).await;
        span::asked(span, &asked);
        let workflow = match asked.result {
            Ok(Written::Workflow(workflow)) => workflow,
            Ok(Written::Stands) => return Err(Status::internal("a first answer cannot stand")),
            Err(unplanned) => return Err(no_plan(&unplanned)),
        };
        let plan_json = planned(&workflow, &pool, &ask.limits, &ask, asked.spend, asked.repairs)?;
        Ok(Response::new(v1::PlanReply { plan_json }))
    }

    async fn get(
        &self,
        request: Request<v1::GetRequest>,
    ) -> Result<Response<v1::GetReply>, Status> {
        let asked = request.into_inner();
        let (tenant, run) = names(&asked.tenant, &asked.run)?;
        let reply = report::get(self.ledger.as_ref(), &self.known, &tenant, &run, END).await;
        reply.map(Response::new).map_err(unread)
    }

    async fn list(
        &self,
        request: Request<v1::ListRequest>,
    ) -> Result<Response<v1::ListReply>, Status> {
        let asked = request.into_inner();
        let tenant =
            TenantId::new(&asked.tenant).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let before = asked.before.as_deref().map(RunId::new).transpose();
        let before = before.map_err(|e| Status::invalid_argument(e.to_string()))?;
        let limit = if asked.limit == 0 { LIST_DEFAULT } else { asked.limit.min(LIST_MAX) };
        let runs = self.ledger.list(&tenant, limit as usize, before.as_ref()).await;
        let runs_json = runs.map_err(refused)?.iter().map(report::line).collect();
        Ok(Response::new(v1::ListReply { runs_json }))
    }

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<WatchStream>, Status> {
        let asked = request.into_inner();
        let (tenant, run) = names(&asked.tenant, &asked.run)?;
        self.own(&tenant, &run).await?;
        let unreadable = unreadable(self.clone(), run.clone());
        let from = match (asked.end_only, asked.turn) {
            (true, None) => END,
            (true, Some(_)) => 0,
            (false, _) => asked.from,
        };
        let watched = self.ledger.watch(&run, from).await.map_err(refused)?;
        let (ledger, known) = (self.ledger.clone(), self.known.clone());
        let watch = Watch { ledger, known, tenant, run, asked };
        let watched = watched.take_until(self.stopping.clone().cancelled_owned());
        Ok(Response::new(Box::pin(stream! {
            let (mut watched, mut unreadable) = (pin!(watched), pin!(unreadable));
            loop {
                let replies = tokio::select! {
                    item = watched.next() => match item {
                        Some(Ok(item)) => watch.replies(item).await,
                        Some(Err(error)) => Err(refused(error)),
                        None => return,
                    },
                    error = &mut unreadable => Err(error),
                };
                match replies {
                    Ok(replies) => {
                        for what in replies {
                            yield Ok(v1::WatchReply { what: Some(what) });
                        }
                    }
                    Err(status) => {
                        yield Err(status);
                        return;
                    }
                }
            }
        })))
    }

    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusReply>, Status> {
        let asked = request.into_inner();
        let tenant =
            TenantId::new(&asked.tenant).map_err(|e| Status::invalid_argument(e.to_string()))?;
        let status = self.status_json(&tenant, asked.everything, asked.runs as usize).await;
        let status_json = status.map_err(unread)?;
        Ok(Response::new(v1::StatusReply { status_json }))
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::CancelReply>, Status> {
        let asked = request.into_inner();
        let (tenant, run) = names(&asked.tenant, &asked.run)?;
        self.own(&tenant, &run).await?;
        let state = match self.ledger.cancel(&run, &asked.reason).await.map_err(refused)? {
            Cancelled::Asked => v1::cancel_reply::State::Asked,
            Cancelled::AlreadyAsked => v1::cancel_reply::State::AlreadyAsked,
            Cancelled::AlreadyEnded => v1::cancel_reply::State::AlreadyEnded,
        };
        Ok(Response::new(v1::CancelReply { state: state.into() }))
    }
}

impl Conductor {
    /// A run of another tenant is not there.
    async fn own(&self, tenant: &TenantId, run: &RunId) -> Result<(), Status> {
        let owner = match self.known.owner(run) {
            Some(owner) => owner,
            None => self.ledger.read(run, u64::MAX).await.map_err(refused)?.tenant,
        };
        if owner != *tenant {
            return Err(refused(LedgerError::NoSuchRun(run.clone())));
        }
        Ok(())
    }
}

/// Ends with what whoever waits for a run is told that never ends, because nobody can read its
/// journal; does not end for any other run.
async fn unreadable(conductor: Conductor, run: RunId) -> Status {
    let Conductor { ledger, known, .. } = conductor;
    let mut pause = READABLE_FIRST;
    loop {
        tokio::time::sleep(pause).await;
        pause = READABLE_EACH;
        let error = known.read(ledger.as_ref(), &run).await.err();
        if let Some(error @ FoldError::Entry { newer: false, .. }) = error {
            return unread(error);
        }
    }
}

/// A watch of a run, by what was asked for.
#[derive(Clone)]
struct Watch {
    ledger: Arc<dyn Ledger>,
    known: Arc<Known>,
    tenant: TenantId,
    run: RunId,
    asked: v1::WatchRequest,
}

impl Watch {
    async fn replies(&self, watched: Watched) -> Result<Vec<What>, Status> {
        Ok(match watched {
            Watched::Entry(entry) => {
                let turn = self.asked.turn.and_then(|least| Some((turn_of(&entry)?, least)));
                let awaiting = match turn.filter(|(turn, least)| turn >= least) {
                    Some((turn, _)) => {
                        let run = Some(self.report(entry.seq).await?);
                        Some(What::Awaiting(v1::Awaiting { turn, run }))
                    }
                    None => None,
                };
                let entry = (!self.asked.end_only).then(|| entry_reply(entry));
                // First: whoever loses the connection in between asks for what is behind the
                // entry.
                awaiting.into_iter().chain(entry).collect()
            }
            Watched::Observed(_) if self.asked.end_only => Vec::new(),
            Watched::Observed(observation) => vec![observed_reply(observation)],
            Watched::Ended(_) => {
                vec![What::Ended(v1::Ended { run: Some(self.report(END).await?) })]
            }
        })
    }

    /// The run as it was at a position of its journal.
    async fn report(&self, until: u64) -> Result<v1::GetReply, Status> {
        let Self { ledger, known, tenant, run, .. } = self;
        report::get(ledger.as_ref(), known, tenant, run, until).await.map_err(unread)
    }
}

/// The turn that an entry begins, if it does: a look at every entry that is watched.
fn turn_of(entry: &JournalEntry) -> Option<u32> {
    #[derive(serde::Deserialize)]
    struct Head<'a> {
        event: &'a str,
        turn: Option<u32>,
    }
    let head: Head<'_> = serde_json::from_slice(&entry.event).ok()?;
    head.turn.filter(|_| head.event == "results_awaited")
}

fn names(tenant: &str, run: &str) -> Result<(TenantId, RunId), Status> {
    let tenant = TenantId::new(tenant).map_err(|e| Status::invalid_argument(e.to_string()))?;
    // A malformed id names no run.
    let run = RunId::new(run).map_err(|e| {
        status(Code::NotFound, e.to_string(), detail(ApiCode::RunNotFound, Some("run")))
    })?;
    Ok((tenant, run))
}

/// The submission carries the first decision, so that a run is under way once it is
/// recorded.
fn submission(
    id: RunId,
    now: Timestamp,
    ask: Ask,
    key: Option<String>,
    traceparent: Option<String>,
) -> Result<(Submission, Vec<Event>), Status> {
    let label = ask.label_bytes();
    let budget = ask.spec.budget;
    let first = Event::Submitted { spec: Box::new(ask.spec) };
    let run = Run::begin(&first, now).ok_or_else(|| Status::internal("no run begins so"))?;
    let decision = run.decide(now);
    if decision.end.is_some() {
        let message = "the budget does not hold even the first call: raise baton.budget";
        return Err(status(
            Code::InvalidArgument,
            message,
            detail(ApiCode::BudgetTooSmall, Some("baton.budget")),
        ));
    }
    let tasks = tasks(&decision);
    let events: Vec<Event> = std::iter::once(first).chain(decision.events).collect();
    let deadline = NewTimer { name: "deadline".into(), after_ms: u64::from(budget.seconds) * 1000 };
    let submission = Submission {
        tenant: ask.tenant,
        run: id,
        key,
        digest: ask.digest,
        budget,
        events: events.iter().map(kept).collect(),
        tasks,
        timers: vec![deadline],
        bodies: ask.bodies,
        traceparent: Carrier::Journals.hand_on(traceparent),
        label,
    };
    Ok((submission, events))
}

fn planned(
    workflow: &Workflow,
    pool: &Pool,
    limits: &Limits,
    ask: &Ask,
    planning: Spend,
    repairs: u16,
) -> Result<bytes::Bytes, Status> {
    let bytes = encode(&ask.conversation).len() as u64;
    let estimate = |prompt_tokens| {
        baton_planner::estimate(workflow, pool, prompt_tokens, limits)
            .map_err(|error| Status::internal(error.to_string()))
    };
    // A token has four bytes of text as a rule, and one at the least.
    let (typical, at_most) = (estimate(bytes / 4)?, estimate(bytes)?);
    Ok(encode(&report::plan(workflow, &typical, &at_most, planning, repairs)))
}

fn no_plan(unplanned: &Unplanned) -> Status {
    match unplanned {
        Unplanned::Complaints(complaints) => {
            let complaints: Vec<_> = complaints.iter().map(ToString::to_string).collect();
            let message = format!("the policy's plan cannot be read: {}", complaints.join("; "));
            status(Code::FailedPrecondition, message, detail(ApiCode::PlanInvalid, None))
        }
        Unplanned::Failure(failure) => {
            let message = format!("the policy cannot be asked: {failure}");
            status(Code::Unavailable, message, detail(ApiCode::PolicyUnavailable, None))
        }
    }
}

pub(crate) fn detail(code: ApiCode, param: Option<&str>) -> v1::ErrorDetail {
    v1::ErrorDetail { code: code.into(), param: param.map(Into::into), retry_after_ms: None }
}

pub(crate) fn unread(error: FoldError) -> Status {
    match error {
        FoldError::Ledger(error) => refused(error),
        FoldError::Entry { .. } => {
            let detail = detail(ApiCode::JournalUnreadable, None);
            status(Code::DataLoss, error.to_string(), detail)
        }
    }
}

/// A ledger's refusal, as the caller is told.
pub(crate) fn refused(error: LedgerError) -> Status {
    let message = error.to_string();
    match error {
        LedgerError::NoSuchRun(_) => {
            status(Code::NotFound, message, detail(ApiCode::RunNotFound, Some("run")))
        }
        LedgerError::QueueFull { retry_after_ms, .. }
        | LedgerError::MemoryFull { retry_after_ms, .. } => {
            let mut detail = detail(ApiCode::QueueFull, None);
            detail.retry_after_ms = Some(retry_after_ms);
            status(Code::ResourceExhausted, message, detail)
        }
        LedgerError::StorageFull { retry_after_ms, .. } => {
            let mut detail = detail(ApiCode::StorageFull, None);
            detail.retry_after_ms = Some(retry_after_ms);
            status(Code::ResourceExhausted, message, detail)
        }
        LedgerError::KeyReused(_) => {
            let detail = detail(ApiCode::IdempotencyKeyReused, Some("Idempotency-Key"));
            status(Code::InvalidArgument, message, detail)
        }
        LedgerError::Invalid(_) => {
            status(Code::InvalidArgument, message, detail(ApiCode::InvalidRequest, None))
        }
        LedgerError::Unavailable(_) => {
            status(Code::Unavailable, message, detail(ApiCode::LedgerUnavailable, None))
        }
        LedgerError::LeaseLost
        | LedgerError::JournalMoved { .. }
        | LedgerError::NoSuchBody(_)
        | LedgerError::BudgetSpent(_)
        | LedgerError::Unusable(_) => Status::internal(message),
    }
}

fn entry_reply(entry: JournalEntry) -> What {
    What::Entry(v1::JournalEntry { seq: entry.seq, at_ms: entry.at.0, event_json: entry.event })
}

fn observed_reply(observation: Observation) -> What {
    match observation {
        Observation::Leased { task, class, attempt, holder } => {
            What::Leased(v1::Leased { task, attempt, holder, class: class.as_str().into() })
        }
        Observation::Expired { task, attempt } => What::Expired(v1::Expired { task, attempt }),
    }
}
