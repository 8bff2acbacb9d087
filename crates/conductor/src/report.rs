//! What a run did, step by step, for people and programs: docs/guides/run-report.md.

mod document;
mod outcomes;
mod turns;
mod words;

use crate::{
    ask::Label,
    call_ids::CallKey,
    known::{FoldError, Known, read},
};
use baton_codes::FailureCode;
use baton_engine::{End, Event, Input, Outcome, PlanSource, Planning, Reason, Shortfall};
use baton_ledger::{Bytes, END, Ledger, LedgerError, RunSummary, RunView};
use baton_planner::Estimate;
use baton_proto::v1;
use baton_workflow::{
    AgentId, BodyRef, Incident, RunId, Selection, Spend, StepId, TenantId, Timestamp, ToolCall,
    Words, Workflow,
};
use document::{Cost, Report, Round};
use serde::Serialize;
use std::collections::BTreeMap;
use turns::Told;
use words::{AWAITING, reason_words, status_name};

/// What a task or a child run was for.
enum Purpose {
    Plan(usize),
    Step(usize, StepId, AgentId),
    Child(usize, StepId, Timestamp),
    Verify(usize, &'static str),
    /// Of a step of this round that names the verifier.
    Verifier(usize, StepId),
}

/// A task of a step that has reported.
struct Tried {
    task: u32,
    /// The child run, if it was one.
    run: Option<RunId>,
    spend: Spend,
    incidents: Vec<Incident>,
}

/// Child runs that are shown in one document, below each other or side by side; of more
/// there are only the names.
const NESTED_MAX: usize = 32;

/// A report in the making.
struct Builder<'a> {
    ledger: &'a dyn Ledger,
    known: &'a Known,
    tenant: &'a TenantId,
    id: &'a RunId,
    /// Child runs that may still be shown.
    room: &'a mut usize,
    rounds: Vec<Round>,
    tasks: BTreeMap<u32, Purpose>,
    total: Spend,
    orchestration: Spend,
    estimated: bool,
    end: Option<(End, Timestamp)>,
    /// What the ids of calls are made with, where they are awaited.
    key: Option<CallKey>,
    /// The step whose calls' results are awaited.
    awaiting: Option<(usize, StepId)>,
    told: Told,
}

/// A run as it is now, or as it was at a position of its journal.
pub(crate) async fn get(
    ledger: &dyn Ledger,
    known: &Known,
    tenant: &TenantId,
    id: &RunId,
    until: u64,
) -> Result<v1::GetReply, FoldError> {
    let mut room = NESTED_MAX;
    let Built { report, reply, .. } = build(ledger, known, tenant, id, until, &mut room).await?;
    Ok(v1::GetReply { report_json: crate::decide::encode(&report), ..reply })
}

/// A report, with what else is told of its run.
struct Built {
    report: Report,
    orchestration: Spend,
    reply: v1::GetReply,
}

async fn build(
    ledger: &dyn Ledger,
    known: &Known,
    tenant: &TenantId,
    id: &RunId,
    until: u64,
    room: &mut usize,
) -> Result<Built, FoldError> {
    let mut view = ledger.read(id, 0).await?;
    if view.tenant != *tenant {
        return Err(LedgerError::NoSuchRun(id.clone()).into());
    }
    let label: Label = serde_json::from_slice(&view.label).unwrap_or_default();
    let mut builder = Builder {
        ledger,
        known,
        tenant,
        id,
        room,
        rounds: vec![Round::default()],
        tasks: BTreeMap::new(),
        total: Spend::ZERO,
        orchestration: Spend::ZERO,
        estimated: false,
        end: None,
        key: label.secret.as_deref().map(CallKey::of),
        awaiting: None,
        told: Told::default(),
    };
    loop {
        // Entries that this process wrote need not be read again.
        let whole = view.entries.len() as u64 == view.journal_len;
        let mut written = whole.then(|| known.journal(id, view.journal_len)).flatten();
        let mut written = written.iter_mut().flat_map(|events| events.drain(..));
        for entry in view.entries.iter().take_while(|entry| entry.seq <= until) {
            let event = match written.next() {
                Some(event) => event,
                None => read(id, entry)?,
            };
            builder.entry(event, entry.at).await?;
        }
        match view.entries.last() {
            Some(last) if last.seq < view.journal_len.min(until) => {
                view = ledger.read(id, last.seq).await?
            }
            Some(_) | None => break,
        }
    }
    builder.built(label, &view).await
}

impl Builder<'_> {
    async fn entry(&mut self, event: Event, at: Timestamp) -> Result<(), FoldError> {
        match event {
            Event::Submitted { spec } => {
                let source = match &spec.planning {
                    Planning::Strategy { name, .. } => format!("strategy:{name}"),
                    Planning::Policy { .. } => "policy".into(),
                };
                self.rounds[0].source = source;
            }
            Event::PlanAsked { task, round, .. } => {
                let round = self.round(round);
                self.tasks.insert(task, Purpose::Plan(round));
            }
            Event::Adopted { round, plan, source } => {
                let round = self.round(round);
                self.rounds[round].source = match source {
                    PlanSource::Strategy(name) => format!("strategy:{name}"),
                    PlanSource::Fallback(name) => format!("fallback:{name}"),
                };
                self.take_plan(round, &plan).await?;
            }
            Event::StepDispatched { task, round, step, agent, .. } => {
                let round = self.round(round);
                if let Some(report) = self.rounds[round].steps.get_mut(step.index()) {
                    report.status = "running";
                    report.agent = agent.clone();
                }
                self.tasks.insert(task, Purpose::Step(round, step, agent));
            }
            Event::ChildBegun { child, round, step, .. } => {
                let round = self.round(round);
                self.tasks.insert(child, Purpose::Child(round, step, at));
                let nested = self.nested(child).await?;
                if let Some(report) = self.rounds[round].steps.get_mut(step.index()) {
                    report.status = "running";
                    report.agent = AgentId::itself();
                    report.runs.extend(nested);
                }
            }
            Event::VerifyAsked { task, round, step: Some(step), .. } => {
                let round = self.round(round);
                if let Some(report) = self.rounds[round].steps.get_mut(step.index()) {
                    report.status = "running";
                }
                self.tasks.insert(task, Purpose::Verifier(round, step));
            }
            Event::VerifyAsked { task, round, step: None, .. } => {
                let round = self.round(round);
                let Round { selection, checks, .. } = &self.rounds[round];
                let votes = *selection == Some(Selection::Majority) && checks.is_empty();
                let kind = if votes { "vote" } else { "check" };
                self.tasks.insert(task, Purpose::Verify(round, kind));
            }
            Event::RoundBegun { round, .. } => {
                let round = self.round(round);
                self.give_up_steps(round);
            }
            // What is still under way of them reports as it would otherwise.
            Event::Withdrawn { .. } => {}
            Event::ResultsAwaited { turn, round, step, .. } => self.begin_turn(turn, round, step),
            Event::Heard { input } => self.hear(input, at).await?,
            Event::Ended { end } => self.end = Some((end, at)),
        }
        Ok(())
    }

    /// Steps of the round before this one that nobody has begun are done by nobody.
    fn give_up_steps(&mut self, round: usize) {
        let before = round.checked_sub(1).and_then(|before| self.rounds.get_mut(before));
        let steps = before.into_iter().flat_map(|round| &mut round.steps);
        steps.filter(|step| step.status == "waiting").for_each(|step| step.status = "not_done");
    }

    fn round(&mut self, round: u16) -> usize {
        let place = usize::from(round);
        while self.rounds.len() <= place {
            let round = self.rounds.len() as u16;
            self.rounds.push(Round { round, source: "policy".into(), ..Round::default() });
        }
        place
    }

    /// The report of a child run, if there is room for it. One that could not begin is not
    /// there.
    async fn nested(&mut self, child: u32) -> Result<Option<Report>, FoldError> {
        let Some(left) = self.room.checked_sub(1) else { return Ok(None) };
        let Ok(id) = self.id.child(child) else { return Ok(None) };
        *self.room = left;
        match Box::pin(build(self.ledger, self.known, self.tenant, &id, END, self.room)).await {
            Ok(Built { report, orchestration, .. }) => {
                self.orchestration = self.orchestration.plus(orchestration);
                Ok(Some(report))
            }
            Err(FoldError::Ledger(LedgerError::NoSuchRun(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn hear(&mut self, input: Input, at: Timestamp) -> Result<(), FoldError> {
        let (task, outcome, spend, estimated, incidents) = match input {
            Input::Outcome { task, outcome, spend, estimated, incidents } => {
                (task, outcome, spend, estimated, incidents)
            }
            Input::Lost { task, spend } => {
                let message = "every process that held the task died".into();
                let outcome = Outcome::Failed { code: FailureCode::Lost.into(), message };
                (task, outcome, spend, true, Vec::new())
            }
            Input::ChildEnded { child, end, spend } => {
                (child, end.for_step(), spend, false, Vec::new())
            }
            Input::Interrupted { task, spend } => {
                let (code, message) =
                    ("interrupted".into(), "the process that had begun it died".into());
                let outcome = Outcome::Failed { code, message };
                (task, outcome, spend, true, Vec::new())
            }
            Input::Results { results, .. } => return self.end_turn(results.as_ref()).await,
            Input::DeadlinePassed
            | Input::CancelAsked { .. }
            | Input::AgentsRemoved { .. }
            | Input::Signalled { .. } => {
                return Ok(());
            }
        };
        // Heard of before: on the bill already.
        let Some(purpose) = self.tasks.remove(&task) else { return Ok(()) };
        self.total = self.total.plus(spend);
        self.estimated |= estimated;
        match purpose {
            Purpose::Plan(round) => {
                self.orchestration = self.orchestration.plus(spend);
                self.planned(round, &outcome, spend, incidents).await
            }
            Purpose::Verify(round, kind) => {
                self.orchestration = self.orchestration.plus(spend);
                self.checked(round, kind, outcome, spend, incidents);
                Ok(())
            }
            Purpose::Verifier(round, step) => {
                self.orchestration = self.orchestration.plus(spend);
                let tried = Tried { task, run: None, spend, incidents };
                self.worked(round, step, AgentId::verifier(), tried, &outcome).await
            }
            Purpose::Step(round, step, agent) => {
                let tried = Tried { task, run: None, spend, incidents };
                self.worked(round, step, agent, tried, &outcome).await
            }
            Purpose::Child(round, step, begun) => {
                let run = self.id.child(task).ok();
                let tried = Tried { task, run, spend, incidents };
                self.worked(round, step, AgentId::itself(), tried, &outcome).await?;
                if let Some(report) = self.rounds[round].steps.get_mut(step.index()) {
                    report.ms = at.since_ms(begun);
                }
                Ok(())
            }
        }
    }

    /// Calls of tools that were stored; none where nothing readable was.
    async fn calls(&self, body: Option<&BodyRef>) -> Result<Vec<ToolCall>, FoldError> {
        let Some(body) = body else { return Ok(Vec::new()) };
        Ok(serde_json::from_str(&self.text(body).await?).unwrap_or_default())
    }

    async fn text(&self, body: &BodyRef) -> Result<String, FoldError> {
        let bytes = self.ledger.body(self.tenant, body).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn built(mut self, label: Label, view: &RunView) -> Result<Built, FoldError> {
        let id = self.id;
        let submitted_at = view.submitted_at;
        let answered = self.end.as_ref().and_then(|(end, _)| end.answer.as_ref());
        let awaiting = self.awaiting.take().filter(|_| self.end.is_none());
        let awaiting =
            awaiting.and_then(|(round, step)| self.rounds[round].steps.get(step.index()));
        let (answer, tool_calls) = match (answered, awaiting) {
            (Some(answer), _) => {
                let calls = self.calls(answer.tool_calls.as_ref()).await?;
                (Some(self.text(&answer.output).await?), calls)
            }
            (None, Some(step)) => (step.output.clone(), step.tool_calls.clone()),
            (None, None) => (None, Vec::new()),
        };
        let shortfall = answered.and_then(|answer| answer.shortfall.as_ref());
        let shortfall = shortfall.map(Shortfall::code);
        let truncated = answered.is_some_and(|answer| answer.truncated);
        let under_way = if awaiting.is_some() { AWAITING } else { "running" };
        let status = self.end.as_ref().map_or(under_way, |(end, _)| status_name(end.status));
        let reason = self.end.as_ref().map(|(end, _)| end.reason.clone());
        // What was under way at the end is on the ledger's bill, not in the journal.
        let late = match &self.end {
            Some(_) => view.spent.minus(self.total),
            None => Spend::ZERO,
        };
        self.total = self.total.plus(late);
        if self.end.is_some() {
            let steps = self.rounds.iter_mut().flat_map(|round| &mut round.steps);
            let left = steps.filter(|step| matches!(step.status, "running" | "waiting" | AWAITING));
            left.for_each(|step| step.status = "not_done");
        }
        let parent = (view.root != *id).then(|| id.parent()).flatten();
        let report = Report {
            id: id.clone(),
            object: "baton.run",
            parent,
            status,
            reason: reason.clone(),
            model: label.model,
            submitted_at,
            ms: self.end.as_ref().map(|(_, at)| at.since_ms(submitted_at)),
            answer: answer.clone(),
            verified: reason.as_ref().map(|reason| *reason == Reason::Accepted),
            score: answered.and_then(|answer| answer.score),
            tool_calls: tool_calls.clone(),
            shortfall,
            rounds: self.rounds,
            usage: self.total.into(),
            orchestration: self.orchestration.into(),
            late: (late != Spend::ZERO).then(|| late.into()),
            estimated: self.estimated,
        };
        // At a turn what was consumed until it, from it on what was consumed since.
        let (total, orchestration) = match status {
            AWAITING => self.told.before,
            _other => self.told.now,
        };
        let (total, orchestration) =
            (self.total.minus(total), self.orchestration.minus(orchestration));
        let usage = v1::Usage {
            tokens_in: total.tokens_in,
            tokens_out: total.tokens_out,
            calls: total.calls,
            usd_pico: total.usd.pico(),
            orchestration_tokens_in: orchestration.tokens_in,
            orchestration_tokens_out: orchestration.tokens_out,
            cached_tokens_in: 0,
            reasoning_tokens_out: 0,
        };
        let (reason_code, reason) = reason.as_ref().map(reason_words).unwrap_or_default();
        let reply = v1::GetReply {
            run: id.to_string(),
            status: status.into(),
            answer,
            truncated,
            usage: Some(usage),
            reason,
            reason_code,
            tool_calls: tool_calls.into_iter().map(Into::into).collect(),
            shortfall: shortfall.map(str::to_owned),
            ..v1::GetReply::default()
        };
        Ok(Built { report, orchestration: self.orchestration, reply })
    }
}

/// A run in a list.
pub(crate) fn line(summary: &RunSummary) -> Bytes {
    #[derive(Serialize)]
    struct Line {
        id: RunId,
        object: &'static str,
        status: &'static str,
        model: String,
        title: String,
        submitted_at: Timestamp,
        #[serde(skip_serializing_if = "Option::is_none")]
        ended_at: Option<Timestamp>,
        usage: Cost,
    }
    let label: Option<Label> = serde_json::from_slice(&summary.label).ok();
    let end: Option<End> = summary.end.as_ref().and_then(|end| serde_json::from_slice(end).ok());
    let (model, title) = label.map(|label| (label.model, label.title)).unwrap_or_default();
    crate::decide::encode(&Line {
        id: summary.run.clone(),
        object: "baton.run",
        status: end.map_or("running", |end| status_name(end.status)),
        model,
        title,
        submitted_at: summary.submitted_at,
        ended_at: summary.ended_at,
        usage: summary.spent.into(),
    })
}

/// A workflow with what it may cost, before it is carried out.
///
/// `typical` was reckoned with a usual request of this length, `at_most` with the longest.
pub(crate) fn plan(
    workflow: &Workflow,
    typical: &Estimate,
    at_most: &Estimate,
    planning: Spend,
    repairs: u16,
) -> impl Serialize {
    #[derive(Serialize)]
    struct Planned {
        object: &'static str,
        workflow: Words,
        steps: Vec<Step>,
        at_most: Cost,
        typical: Cost,
        planning: Cost,
        repairs: u16,
    }
    #[derive(Serialize)]
    struct Step {
        step: StepId,
        agent: AgentId,
        at_most: Cost,
        typical: Cost,
    }
    let steps = typical.steps.iter().zip(&at_most.steps).map(|(typical, at_most)| Step {
        step: typical.step,
        agent: typical.agent.clone(),
        at_most: at_most.at_most.into(),
        typical: typical.typical.into(),
    });
    Planned {
        object: "baton.plan",
        workflow: workflow.into(),
        steps: steps.collect(),
        at_most: at_most.at_most.into(),
        typical: typical.typical.into(),
        planning: planning.into(),
        repairs,
    }
}
