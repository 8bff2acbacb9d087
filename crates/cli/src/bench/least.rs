//! The least ledger that the bench's runs can be carried out on: maps under a lock, and the
//! bare loop. Nothing is checked, nothing is kept for later, and what is logged says nothing.
//! What a run costs on it, any ledger costs: the rest is the Conductor, and the steps.

use super::bound::Writes;
use async_trait::async_trait;
use baton_ledger::{
    Admission, Admit, Bytes, Cancelled, Class, Clock, Commit, Completion, DECIDE_TASK, Heard, Held,
    Inventory, JournalEntry, LeaseRequest, Leased, Ledger, LedgerError, Mail, MailEntry, NewTask,
    Reaped, Reconciled, Recorded, Release, Retained, Retention, RunSummary, RunView, Signal,
    Signalled, Stats, Submission, Submitted, TenantTerms, Ticked, Token, Watched,
};
use baton_workflow::{BodyRef, RunId, Spend, TaskId, TenantId};
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// See the module.
pub(super) struct Least {
    runs: Mutex<HashMap<RunId, Run>>,
    queues: Mutex<HashMap<Class, Arc<Queue>>>,
    writes: Writes,
    clock: Clock,
}

/// A run: what is read of it, its mails so far, whether a decision is outstanding, and its
/// end once that is durable.
struct Run {
    view: RunView,
    mails: u64,
    deciding: bool,
    ended: watch::Sender<Option<Bytes>>,
}

#[derive(Default)]
struct Queue {
    tasks: Mutex<VecDeque<(TaskId, NewTask)>>,
    filled: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn none<T>(what: &str) -> Result<T, LedgerError> {
    Err(LedgerError::Invalid(format!("the least ledger has no {what}: use the embedded one")))
}

impl Run {
    fn append(&mut self, clock: &Clock, events: Vec<Bytes>) {
        for event in events {
            self.view.journal_len += 1;
            let (seq, at) = (self.view.journal_len, clock.now());
            self.view.entries.push(JournalEntry { seq, at, event });
        }
    }
}

impl Least {
    /// One that makes durable what has to be with these writes.
    pub(super) fn new(writes: Writes) -> Self {
        let (runs, queues) = (Mutex::default(), Mutex::default());
        Self { runs, queues, writes, clock: Clock::default() }
    }

    async fn write(&self) -> Result<(), LedgerError> {
        let failed = || LedgerError::Unusable("the bare loop has failed".into());
        self.writes.write().await.then_some(()).ok_or_else(failed)
    }

    fn queue(&self, class: &Class) -> Arc<Queue> {
        lock(&self.queues).entry(class.clone()).or_default().clone()
    }

    fn push(&self, run: &RunId, tasks: Vec<NewTask>) {
        for task in tasks {
            let queue = self.queue(&task.class);
            lock(&queue.tasks).push_back((TaskId { run: run.clone(), number: task.number }, task));
            queue.filled.notify_one();
        }
    }

    fn decide(&self, run: &RunId) {
        let (class, payload) = (Class::decide(), Bytes::new());
        let (number, reserve) = (DECIDE_TASK, Spend::ZERO);
        self.push(run, vec![NewTask { number, class, priority: 0, cost: 1, reserve, payload }]);
    }

    fn leased(&self, id: TaskId, task: NewTask) -> Option<Leased> {
        let runs = lock(&self.runs);
        let view = &runs.get(&id.run)?.view;
        let reading = (id.number == DECIDE_TASK).then(|| {
            let (now, mails) = (self.clock.now(), view.mails.clone());
            Box::new(RunView { now, mails, ..without_entries(view) })
        });
        Some(Leased {
            root: id.run.clone(),
            task: id,
            class: task.class,
            token: Token { epoch: 1, attempt: 1, nonce: 1 },
            tenant: view.tenant.clone(),
            payload: task.payload,
            traceparent: None,
            cancelled: false,
            reserved: Ok(task.reserve),
            reading,
        })
    }
}

fn without_entries(view: &RunView) -> RunView {
    RunView {
        tenant: view.tenant.clone(),
        root: view.root.clone(),
        entries: Vec::new(),
        mails: Vec::new(),
        end: view.end.clone(),
        label: view.label.clone(),
        traceparent: None,
        ..*view
    }
}

#[async_trait]
impl Ledger for Least {
    async fn submit(&self, new: Submission) -> Result<Submitted, LedgerError> {
        let now = self.clock.now();
        let view = RunView {
            tenant: new.tenant,
            root: new.run.clone(),
            submitted_at: now,
            now,
            entries: Vec::new(),
            journal_len: 0,
            mails: Vec::new(),
            cancelled: false,
            end: None,
            spent: Spend::ZERO,
            budget: new.budget,
            root_spent: Spend::ZERO,
            root_reserved: Spend::ZERO,
            label: new.label,
            traceparent: None,
        };
        let mut run = Run { view, mails: 0, deciding: false, ended: watch::Sender::new(None) };
        run.append(&self.clock, new.events);
        lock(&self.runs).insert(new.run.clone(), run);
        self.write().await?;
        self.push(&new.run, new.tasks);
        Ok(Submitted::New(new.run))
    }

    async fn lease(&self, request: LeaseRequest) -> Result<Vec<Leased>, LedgerError> {
        let Some(class) = request.classes.first() else { return Ok(Vec::new()) };
        let queue = self.queue(class);
        let until = tokio::time::Instant::now() + Duration::from_millis(request.wait_ms);
        loop {
            let taken: Vec<_> = {
                let mut tasks = lock(&queue.tasks);
                let most = request.max.min(tasks.len());
                tasks.drain(..most).collect()
            };
            if !taken.is_empty() {
                let leased = taken.into_iter().filter_map(|(id, task)| self.leased(id, task));
                return Ok(leased.collect());
            }
            if tokio::time::timeout_at(until, queue.filled.notified()).await.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    async fn complete(&self, held: &Held, done: Completion) -> Result<Recorded, LedgerError> {
        let (task, at) = (&held.task, self.clock.now());
        let Completion { outcome, spend, estimated, .. } = done;
        let decides = {
            let mut runs = lock(&self.runs);
            let Some(run) = runs.get_mut(&task.run) else { return Err(LedgerError::LeaseLost) };
            let mail = Mail::Outcome { task: task.number, outcome, spend, estimated };
            run.mails += 1;
            run.view.mails.push(MailEntry { number: run.mails, at, mail });
            run.view.spent = run.view.spent.plus(spend);
            !std::mem::replace(&mut run.deciding, true)
        };
        if decides {
            self.decide(&task.run);
        }
        Ok(Recorded::Now)
    }

    async fn commit(&self, commit: Commit) -> Result<Recorded, LedgerError> {
        let id = commit.task.run;
        let again = {
            let mut runs = lock(&self.runs);
            let Some(run) = runs.get_mut(&id) else { return Err(LedgerError::LeaseLost) };
            run.append(&self.clock, commit.events);
            run.view.mails.retain(|mail| mail.number > commit.mail_seen);
            run.deciding = !run.view.mails.is_empty();
            run.view.end.clone_from(&commit.end);
            run.deciding
        };
        self.push(&id, commit.tasks);
        if commit.end.is_some() {
            self.write().await?;
            if let Some(run) = lock(&self.runs).get(&id) {
                run.ended.send_replace(commit.end);
            }
        } else if again {
            self.decide(&id);
        }
        Ok(Recorded::Now)
    }

    async fn read(&self, id: &RunId, from: u64) -> Result<RunView, LedgerError> {
        let runs = lock(&self.runs);
        let view = &runs.get(id).ok_or_else(|| LedgerError::NoSuchRun(id.clone()))?.view;
        let entries = view.entries.iter().filter(|entry| entry.seq > from).cloned().collect();
        Ok(RunView { entries, ..without_entries(view) })
    }

    /// The end alone, as the bench asks for it.
    async fn watch(
        &self,
        id: &RunId,
        _from: u64,
    ) -> Result<BoxStream<'static, Result<Watched, LedgerError>>, LedgerError> {
        let mut ended = match lock(&self.runs).get(id) {
            Some(run) => run.ended.subscribe(),
            None => return Err(LedgerError::NoSuchRun(id.clone())),
        };
        let end = async move {
            let end = ended.wait_for(Option::is_some).await.ok().and_then(|end| end.clone());
            end.map(Watched::Ended).ok_or_else(|| LedgerError::Unavailable("it stopped".into()))
        };
        Ok(stream::once(end).boxed())
    }

    async fn heartbeat(&self, held: &[Held], _ttl_ms: u64) -> Result<Vec<Heard>, LedgerError> {
        Ok(vec![Heard::Extended; held.len()])
    }

    async fn reserve(&self, _: &Held, _: u64, _: Spend) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn settle(&self, _: &Held, _: u64, _: Spend, _: Spend) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn tick(&self, _max: usize) -> Result<Ticked, LedgerError> {
        Ok(Ticked::default())
    }

    async fn reap(&self, _: &str, _: u64) -> Result<Reaped, LedgerError> {
        Ok(Reaped::default())
    }

    async fn reconcile(&self, _max: usize) -> Result<Reconciled, LedgerError> {
        Ok(Reconciled::default())
    }

    async fn retain(&self, _: &Retention, _: usize) -> Result<Retained, LedgerError> {
        Ok(Retained::default())
    }

    async fn inventory(&self) -> Result<Inventory, LedgerError> {
        Ok(Inventory::default())
    }

    async fn body(&self, _: &TenantId, body: &BodyRef) -> Result<Bytes, LedgerError> {
        Err(LedgerError::NoSuchBody(body.hash.to_string()))
    }

    async fn set_tenant(&self, _: &TenantId, _: TenantTerms) -> Result<(), LedgerError> {
        none("tenants")
    }

    async fn start(&self, _: &Held) -> Result<Recorded, LedgerError> {
        none("tasks that must not be done twice")
    }

    async fn park(&self, _: &Held) -> Result<Recorded, LedgerError> {
        none("parking")
    }

    async fn signal(&self, _: Signal) -> Result<Signalled, LedgerError> {
        none("signals")
    }

    async fn cancel(&self, _: &RunId, _: &str) -> Result<Cancelled, LedgerError> {
        none("cancellation")
    }

    async fn list(
        &self,
        _: &TenantId,
        _: usize,
        _: Option<&RunId>,
    ) -> Result<Vec<RunSummary>, LedgerError> {
        none("lists")
    }

    async fn admit(&self, _: Admit) -> Result<Admission, LedgerError> {
        Ok(Admission::Admitted)
    }

    async fn release(&self, _: Release) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn stats(&self) -> Result<Stats, LedgerError> {
        none("statistics")
    }
}
