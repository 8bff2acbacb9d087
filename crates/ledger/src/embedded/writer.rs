//! The one thread that owns the state.
//!
//! It takes whatever has been asked since its last turn, applies it in order, and hands
//! all changed rows to the store at once, with the answers that wait until those rows are
//! durable: one write to disk for many operations, and no answer, not even to a reader,
//! about what could still be lost. It does not wait itself: the next turn builds on what
//! is on its way to the disk, and what builds on it becomes durable after it.
//!
//! The exceptions are answers that nobody can act on outside the ledger: the lease of a
//! `decide` task, whose holder can do nothing but commit, a heartbeat, and a body, whose
//! name is its proof. They are given at once.

use super::{
    snapshot::Snapshot,
    state::State,
    store::{Answer, Store},
    watch::{Shown, Watchers},
};
use crate::{
    Cancelled, Clock, Commit, Completion, DECIDE_TASK, Heard, Held, Inventory, LeaseRequest,
    Leased, LedgerError, Reaped, Reconciled, Recorded, Retained, Retention, RunSummary, RunView,
    Signal, Signalled, Stats, Submission, Submitted, TenantTerms, Ticked,
};
use baton_workflow::{BodyRef, RunId, Spend, TenantId, Timestamp};
use bytes::Bytes;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout_at},
};

/// Operations that share one write to disk.
const TURN_ASKS_MAX: usize = 1024;
/// Requests that wait for a task at the same time; one more is answered at once.
const PARKED_MAX: usize = 16 * 1024;

pub(super) type Reply<T> = oneshot::Sender<Result<T, LedgerError>>;

/// All that the writer can be asked.
pub(super) enum Ask {
    SetTenant(TenantId, TenantTerms, Reply<()>),
    Inventory(Reply<Inventory>),
    Submit(Box<Submission>, Reply<Submitted>),
    Lease(LeaseRequest, Reply<Vec<Leased>>),
    Heartbeat(Vec<Held>, u64, Reply<Vec<Heard>>),
    Reserve(Held, u64, Spend, Reply<()>),
    Settle(Held, u64, Spend, Spend, Reply<()>),
    Complete(Held, Completion, Reply<Recorded>),
    Start(Held, Reply<Recorded>),
    Commit(Box<Commit>, Reply<Recorded>),
    Park(Held, Reply<Recorded>),
    Tick(usize, Reply<Ticked>),
    Reap(String, u64, Reply<Reaped>),
    Signal(Signal, Reply<Signalled>),
    Cancel(RunId, String, Reply<Cancelled>),
    Read(RunId, u64, Reply<RunView>),
    Watch(RunId, u64, Reply<Shown>),
    List(TenantId, usize, Option<RunId>, Reply<Vec<RunSummary>>),
    Body(TenantId, BodyRef, Reply<Bytes>),
    Reconcile(usize, Reply<Reconciled>),
    Retain(Retention, usize, Reply<Retained>),
    Stats(Reply<Stats>),
    Snapshot(Reply<Snapshot>),
    Close(oneshot::Sender<()>),
}

/// A request that found nothing and may wait.
struct Parked {
    request: LeaseRequest,
    until: Instant,
    reply: Reply<Vec<Leased>>,
}

/// See the module.
pub(super) struct Writer {
    state: State,
    store: Box<dyn Store>,
    watchers: Watchers,
    parked: Vec<Parked>,
    /// What waits until this turn's rows are durable.
    answers: Vec<Answer>,
    /// Whether somebody outside the ledger can go on only with one of them.
    urgent: bool,
    closing: Vec<oneshot::Sender<()>>,
    /// Why the ledger cannot go on; once it is set, the thread ends.
    broken: Arc<OnceLock<String>>,
    now: Timestamp,
    clock: Clock,
}

impl Writer {
    pub(super) fn new(
        state: State,
        store: Box<dyn Store>,
        broken: Arc<OnceLock<String>>,
        clock: Clock,
    ) -> Self {
        Self {
            state,
            store,
            watchers: Watchers::default(),
            parked: Vec::new(),
            answers: Vec::new(),
            urgent: false,
            closing: Vec::new(),
            broken,
            now: clock.now(),
            clock,
        }
    }

    /// Serves until it is closed, nobody is left to ask, or the store fails. Then the
    /// store is let go before whoever asked for the closing hears of it.
    pub(super) async fn serve(mut self, mut asks: mpsc::Receiver<Ask>) {
        let mut batch = Vec::new();
        let mut going = self.turn(&mut batch);
        while going {
            let more = asks.recv_many(&mut batch, TURN_ASKS_MAX);
            let taken = match self.parked.iter().map(|parked| parked.until).min() {
                Some(until) => timeout_at(until, more).await,
                None => Ok(more.await),
            };
            // Zero asks: every handle is gone. An error: a parked request has waited enough.
            going = taken != Ok(0) && self.turn(&mut batch);
        }
        let closing = std::mem::take(&mut self.closing);
        drop(self);
        drop(asks);
        for closed in closing {
            // Whoever asked may have gone.
            let _ = closed.send(());
        }
    }

    /// One batch: apply, write, answer. Whether to go on.
    fn turn(&mut self, batch: &mut Vec<Ask>) -> bool {
        // The clock may be set back; the ledger's time never is.
        self.now = self.now.max(self.clock.now());
        let done = self.apply_all(batch).and_then(|()| self.write());
        if let Err(error) = done {
            tracing::error!(%error, "ledger stopped: it cannot write");
            // It is set once: this thread ends here.
            let _ = self.broken.set(error.to_string());
            return false;
        }
        self.closing.is_empty()
    }

    fn apply_all(&mut self, batch: &mut Vec<Ask>) -> Result<(), LedgerError> {
        for ask in batch.drain(..) {
            self.apply(ask)?;
            self.watchers.note(self.state.take_notices());
        }
        self.wake()?;
        self.watchers.note(self.state.take_notices());
        self.give_up(Instant::now());
        Ok(())
    }

    /// Hands over the batch. One that changed nothing, and is waited for by nobody, costs
    /// nothing.
    fn write(&mut self) -> Result<(), LedgerError> {
        let (rows, finished) = self.state.take_rows()?;
        let news = self.watchers.take();
        let urgent = std::mem::take(&mut self.urgent) || news.is_some();
        self.answers.extend(news);
        let answers = std::mem::take(&mut self.answers);
        if !rows.is_empty() || !answers.is_empty() {
            self.store.write(rows, answers, urgent)?;
        }
        self.state.forget_finished(finished);
        Ok(())
    }

    /// An error about the store ends the ledger: what is in memory may be half changed.
    fn answer<T: Send + 'static>(
        &mut self,
        reply: Reply<T>,
        result: Result<T, LedgerError>,
    ) -> Result<(), LedgerError> {
        self.urgent = true;
        self.answer_later(reply, result)
    }

    /// As [`Writer::answer`], where whoever asked has nothing to do but hear of it, or
    /// only looks: what is on its way to the disk gets the moment in which what follows
    /// from it shares its sync.
    fn answer_later<T: Send + 'static>(
        &mut self,
        reply: Reply<T>,
        result: Result<T, LedgerError>,
    ) -> Result<(), LedgerError> {
        if let Err(LedgerError::Unusable(_)) = &result {
            return result.map(|_| ());
        }
        self.answers.push(Box::new(move || {
            // Whoever asked may have gone; the write stands.
            let _ = reply.send(result);
        }));
        Ok(())
    }

    /// Tasks are handed out once that is durable, so that no call is made under a lease
    /// that could be forgotten; decisions at once.
    fn grant(&mut self, reply: Reply<Vec<Leased>>, leased: Vec<Leased>) -> Result<(), LedgerError> {
        if leased.iter().all(|leased| leased.task.number == DECIDE_TASK) {
            // Whoever waited may have gone: the lease ends by itself.
            let _ = reply.send(Ok(leased));
            return Ok(());
        }
        self.answer(reply, Ok(leased))
    }

    fn apply(&mut self, ask: Ask) -> Result<(), LedgerError> {
        let (now, store) = (self.now, &*self.store);
        match ask {
            Ask::SetTenant(tenant, terms, reply) => {
                self.state.set_tenant(&tenant, terms);
                self.answer(reply, Ok(()))
            }
            Ask::Inventory(reply) => {
                let inventory = self.state.inventory();
                self.answer_later(reply, Ok(inventory))
            }
            Ask::Submit(submission, reply) => {
                let result = self.state.submit(store, now, *submission);
                self.answer(reply, result)
            }
            Ask::Lease(request, reply) => self.lease(request, reply),
            Ask::Heartbeat(held, ttl_ms, reply) => {
                let heard = self.state.heartbeat(now, &held, ttl_ms);
                // Whoever asked may have gone.
                let _ = reply.send(Ok(heard));
                Ok(())
            }
            Ask::Reserve(held, call, amount, reply) => {
                let result = self.state.reserve(&held, call, amount);
                self.answer(reply, result)
            }
            Ask::Settle(held, call, reserved, spent, reply) => {
                let result = self.state.settle(&held, call, reserved, spent);
                self.answer(reply, result)
            }
            Ask::Complete(held, completion, reply) => {
                let result = self.state.complete(store, now, &held, completion);
                self.answer_later(reply, result)
            }
            Ask::Start(held, reply) => {
                let result = self.state.start(&held);
                self.answer(reply, result)
            }
            Ask::Commit(commit, reply) => {
                let result = self.state.commit(store, now, *commit);
                self.answer_later(reply, result)
            }
            Ask::Park(held, reply) => {
                let result = self.state.park(store, now, &held);
                self.answer_later(reply, result)
            }
            Ask::Tick(max, reply) => {
                let result = self.state.tick(now, max);
                self.answer_later(reply, result)
            }
            Ask::Reap(holder, silent_ms, reply) => {
                let result = self.state.reap(now, &holder, silent_ms);
                self.answer_later(reply, result)
            }
            Ask::Signal(signal, reply) => {
                let result = self.state.signal(store, now, signal);
                self.answer(reply, result)
            }
            Ask::Cancel(run, reason, reply) => {
                let result = self.state.cancel(store, now, &run, &reason);
                self.answer(reply, result)
            }
            Ask::Read(run, from, reply) => {
                let result = self.state.read(store, now, &run, from);
                self.answer_later(reply, result)
            }
            Ask::Watch(run, from, reply) => {
                let page = self.state.page(store, &run, from);
                let result = page.and_then(|page| self.watchers.show(&run, from, page));
                self.answer_later(reply, result)
            }
            Ask::List(tenant, limit, before, reply) => {
                let result = self.state.list(store, &tenant, limit, before.as_ref());
                self.answer_later(reply, result)
            }
            Ask::Body(tenant, body, reply) => {
                let _ = reply.send(self.state.body(store, &tenant, &body));
                Ok(())
            }
            Ask::Reconcile(max, reply) => {
                let result = self.state.reconcile(now, max);
                self.answer(reply, result)
            }
            Ask::Retain(rules, max, reply) => {
                let result = self.state.retain(store, now, &rules, max);
                self.answer(reply, result)
            }
            Ask::Stats(reply) => {
                let stats = self.state.stats(now);
                self.answer_later(reply, Ok(stats))
            }
            Ask::Snapshot(reply) => {
                // Whoever asked may have gone.
                let _ = reply.send(store.snapshot());
                Ok(())
            }
            Ask::Close(closed) => {
                self.closing.push(closed);
                Ok(())
            }
        }
    }

    fn lease(
        &mut self,
        request: LeaseRequest,
        reply: Reply<Vec<Leased>>,
    ) -> Result<(), LedgerError> {
        if reply.is_closed() {
            return Ok(());
        }
        // Asked again while waiting: only the latest asker is still there to be answered.
        if let Some(at) = self.parked.iter().position(|p| p.request.request == request.request) {
            let earlier = self.parked.swap_remove(at);
            self.grant(earlier.reply, Vec::new())?;
        }
        let leased = self.state.lease(self.now, &request)?;
        if !leased.is_empty() || request.wait_ms == 0 || self.parked.len() >= PARKED_MAX {
            return self.grant(reply, leased);
        }
        let until = Instant::now() + Duration::from_millis(request.wait_ms.min(WAIT_MS_MAX));
        self.parked.push(Parked { request, until, reply });
        Ok(())
    }

    /// Gives to those who wait what has become ready, first come first served.
    fn wake(&mut self) -> Result<(), LedgerError> {
        loop {
            let ready = self.state.take_ready();
            if ready.is_empty() || self.parked.is_empty() {
                return Ok(());
            }
            for parked in std::mem::take(&mut self.parked) {
                if parked.reply.is_closed() {
                    continue;
                }
                let mut leased = Vec::new();
                if parked.request.classes.iter().any(|class| ready.contains(class)) {
                    leased = self.state.lease(self.now, &parked.request)?;
                }
                if leased.is_empty() {
                    self.parked.push(parked);
                } else {
                    self.grant(parked.reply, leased)?;
                }
            }
        }
    }

    /// Answers those who have waited long enough.
    fn give_up(&mut self, now: Instant) {
        for parked in self.parked.extract_if(.., |parked| parked.until <= now) {
            // Whoever waited may have gone.
            let _ = parked.reply.send(Ok(Vec::new()));
        }
    }
}

/// Longest wait for a task, in milliseconds: an hour. Whoever wants more asks again.
const WAIT_MS_MAX: u64 = 3_600_000;
