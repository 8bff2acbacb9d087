//! Deciding: read what happened, decide, commit. Milliseconds, no IO but the ledger's.

use crate::{
    Conductor,
    children::Begun,
    known::{FoldError, input_of},
    metrics::failovers,
    results, span,
};
use async_trait::async_trait;
use baton_engine::{Assignment, Check, Decision, End, Event, Input, Run, VerifyAssignment};
use baton_ledger::{
    Bytes, Class, Commit, Handler, Held, Leased, LedgerError, NewTask, NewTimer, RunView, persist,
};
use baton_workflow::{Spend, TenantId, Timestamp};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

/// Lower comes first: what brings work in progress to its end goes before new work.
const PRIORITY_VERIFY: u8 = 2;
const PRIORITY_CORRECTIVE: u8 = 3;
const PRIORITY_NEW: u8 = 5;

/// A decision, as the ledger takes it.
#[derive(Default)]
struct Decided {
    tasks: Vec<NewTask>,
    begun: Begun,
    withdraw: Vec<u32>,
    withdraw_children: Vec<u32>,
    end: Option<End>,
    /// Agents that take over where others failed.
    failovers: Vec<String>,
}

/// Handles `decide` tasks.
pub(crate) struct Decider(pub(crate) Conductor);

#[async_trait]
impl Handler for Decider {
    async fn handle(&self, leased: Leased, stop: CancellationToken) {
        match self.decide(&leased, &stop).await {
            Ok(()) => {}
            // Another process took over, or will when the lease ends.
            Err(FoldError::Ledger(error)) => {
                self.0.known.forget(&leased.task.run);
                tracing::info!(%error, task = %leased.task, "a decision was not committed");
            }
            // Nothing is decided on half a journal. The run waits, for a version that can read
            // it or for somebody who mends it, and keeps nobody else from being decided.
            Err(error @ FoldError::Entry { .. }) => {
                let fault = "journal_unreadable";
                tracing::error!(fault, %error, task = %leased.task, "a run is parked");
                let held = Held { task: leased.task.clone(), token: leased.token };
                if let Err(error) = persist(&stop, || self.0.ledger.park(&held)).await {
                    tracing::info!(%error, task = %held.task, "a run was not parked");
                }
            }
        }
    }
}

impl Decider {
    /// The run's agents that were taken out of the pool, if that is news to it: their steps
    /// go to others, and no task is made that nobody takes.
    fn removed(&self, run: &Run) -> Option<Event> {
        let settings = self.0.registry.settings();
        let gone = run.spec().agents.iter().filter(|agent| settings.pool.get(&agent.id).is_none());
        let agents: Vec<_> = gone.map(|agent| agent.id.clone()).collect();
        (run.end().is_none() && agents != run.removed())
            .then_some(Event::Heard { input: Input::AgentsRemoved { agents } })
    }

    /// Decides until nothing more is to be decided: a child run that cannot begin has ended,
    /// and that is heard at once.
    async fn decided(
        &self,
        tenant: &TenantId,
        run: &mut Run,
        now: Timestamp,
        events: &mut Vec<Event>,
    ) -> Result<Decided, LedgerError> {
        let mut decided = Decided::default();
        loop {
            let decision = run.decide(now);
            decision.events.iter().for_each(|event| run.apply(event));
            decided.tasks.extend(tasks(&decision));
            decided.failovers.extend(failovers(&decision));
            let Decision { events: more, children, withdraw, withdraw_children, end, .. } =
                decision;
            events.extend(more);
            decided.withdraw.extend(withdraw);
            decided.withdraw_children.extend(withdraw_children);
            decided.end = end;
            let begun = Begun::of(self.0.ledger.as_ref(), tenant, &children).await?;
            decided.begun.children.extend(begun.children);
            decided.begun.bodies.extend(begun.bodies);
            if begun.ended.is_empty() {
                return Ok(decided);
            }
            begun.ended.iter().for_each(|event| run.apply(event));
            events.extend(begun.ended);
        }
    }

    async fn decide(&self, leased: &Leased, stop: &CancellationToken) -> Result<(), FoldError> {
        let Conductor { ledger, known, .. } = &self.0;
        let id = &leased.task.run;
        let (mut fold, view) = known.of(ledger.as_ref(), id, leased.reading.as_deref()).await?;
        let mut events = heard(&view, leased.cancelled, fold.run.end().is_some());
        events.extend(self.removed(&fold.run));
        let lost = span::lost(&fold.run, &view.mails);
        events.iter().for_each(|event| fold.run.apply(event));
        let heard = events.len();
        let Decided { tasks, begun, withdraw, withdraw_children, end, failovers } =
            self.decided(&leased.tenant, &mut fold.run, view.now, &mut events).await?;
        let timers = events.iter().skip(heard).filter_map(timer).collect();
        let commit = Commit {
            task: leased.task.clone(),
            token: leased.token,
            journal_len: view.journal_len,
            mail_seen: view.mails.last().map_or(0, |entry| entry.number),
            events: events.iter().map(kept).collect(),
            tasks,
            timers,
            children: begun.children,
            withdraw,
            withdraw_children,
            end: end.as_ref().map(encode),
            bodies: begun.bodies,
        };
        fold.events.extend(events);
        let ended = commit.end.is_some();
        let held = Held { task: leased.task.clone(), token: leased.token };
        let committed = persist(stop, || ledger.commit(commit.clone())).await;
        if committed.is_ok() {
            self.0.metrics.decided(&failovers);
            span::tell_lost(&self.0.tracer, leased, &view.tenant, lost);
        }
        match committed {
            Ok(_) if ended => {
                known.ended(id, fold.events);
                if let Some(end) = &end {
                    self.0.metrics.ended(id, &view, end);
                    span::run(&self.0, leased, &view, end);
                }
            }
            Ok(_) => known.keep(id, fold),
            Err(error @ LedgerError::Invalid(_)) => {
                tracing::error!(%error, task = %held.task, "the ledger refuses a decision");
                return Err(error.into());
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// What ends a wait that an event begins.
fn timer(event: &Event) -> Option<NewTimer> {
    match event {
        Event::ResultsAwaited { turn, ms, .. } => {
            Some(NewTimer::awaiting(&results::word(*turn), *ms))
        }
        Event::Submitted { .. }
        | Event::Heard { .. }
        | Event::PlanAsked { .. }
        | Event::Adopted { .. }
        | Event::RoundBegun { .. }
        | Event::Withdrawn { .. }
        | Event::StepDispatched { .. }
        | Event::ChildBegun { .. }
        | Event::VerifyAsked { .. }
        | Event::Ended { .. } => None,
    }
}

/// Whether a check is for who has a sandbox. One that cannot be read is for anybody, who
/// says so.
fn runs_programs(verify: &VerifyAssignment) -> bool {
    match &verify.check {
        Some(Check::Stated { check } | Check::Judged { check, .. }) => {
            baton_checks::Check::read(check).is_ok_and(|check| check.runs_programs())
        }
        Some(Check::Answer { .. } | Check::Judge { .. } | Check::Compared { .. }) | None => false,
    }
}

/// What came in, as journal entries.
fn heard(view: &RunView, cancelled: bool, ended: bool) -> Vec<Event> {
    let mails = view.mails.iter().filter_map(|entry| input_of(&entry.mail));
    let mut inputs: Vec<_> = mails.collect();
    let asked = inputs.iter().any(|input| matches!(input, Input::CancelAsked { .. }));
    if (cancelled || view.cancelled) && !asked && !ended {
        inputs.push(Input::CancelAsked { reason: "the run above it was cancelled".into() });
    }
    inputs.into_iter().map(|input| Event::Heard { input }).collect()
}

/// An event or an outcome, as it is kept: with its version.
pub(crate) fn kept<T: serde::Serialize>(value: &T) -> Bytes {
    baton_engine::version::write(value).into()
}

/// Documents and assignments are plain data: they always encode.
pub(crate) fn encode<T: serde::Serialize>(value: &T) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// The tasks that carry a decision's assignments, each with what its first call may cost.
pub(crate) fn tasks(decision: &Decision) -> Vec<NewTask> {
    let bounds: BTreeMap<u32, Spend> = decision.events.iter().filter_map(Event::asks).collect();
    let bound = |number: &u32| bounds.get(number).copied().unwrap_or_default();
    let tasks = decision.tasks.iter();
    tasks.map(|(number, assignment)| task(*number, assignment, bound(number))).collect()
}

fn task(number: u32, assignment: &Assignment, reserve: Spend) -> NewTask {
    let (class, round, tokens) = match assignment {
        Assignment::Plan(plan) => (Class::plan(), plan.round, plan.output_tokens_max),
        Assignment::Work(work) => (Class::work(&work.agent), work.round, work.output_tokens_max),
        Assignment::Verify(verify) => {
            let class = if runs_programs(verify) { Class::verify_code() } else { Class::verify() };
            (class, verify.round, verify.output_tokens_max)
        }
    };
    let priority = match assignment {
        Assignment::Verify(_) => PRIORITY_VERIFY,
        Assignment::Plan(_) | Assignment::Work(_) if round > 0 => PRIORITY_CORRECTIVE,
        Assignment::Plan(_) | Assignment::Work(_) => PRIORITY_NEW,
    };
    let cost = u64::from(tokens.max(1));
    NewTask { number, class, priority, cost, reserve, payload: encode(assignment) }
}
