//! Runs: made, mailed to, asked to stop, ended.

use super::{Head, Progress, Run, Standing, State, Task, TaskHead, TaskProgress};
use crate::{
    Cancelled, Class, DECIDE_TASK, JournalEntry, LedgerError, Mail, MailEntry, NewTask, NewTimer,
    Submission, Submitted, Watched,
    embedded::{
        row::{self, Kind, Known, decode},
        store::Store,
    },
};
use baton_workflow::{RunId, Spend, TaskId, TenantId, Timestamp};
use bytes::Bytes;
use foldhash::HashSet;
use std::collections::{BTreeMap, VecDeque};

/// What a tenant with too many runs is told to wait, in milliseconds: about as long as
/// a run takes.
const RETRY_AFTER_MS: u64 = 1000;

/// What a run starts with.
pub(super) struct Start {
    pub(super) events: Vec<Bytes>,
    pub(super) tasks: Vec<NewTask>,
    pub(super) timers: Vec<NewTimer>,
}

impl State {
    /// See [`crate::Ledger::submit`].
    pub(crate) fn submit(
        &mut self,
        store: &dyn Store,
        now: Timestamp,
        submission: Submission,
    ) -> Result<Submitted, LedgerError> {
        if let Some(known) = self.known(store, &submission.tenant, submission.key.as_deref())? {
            if known.digest != submission.digest {
                return Err(LedgerError::KeyReused(known.run));
            }
            return Ok(Submitted::Known(known.run));
        }
        let (tenant, run) = (submission.tenant, submission.run);
        if self.is_used(store, &run)? {
            return Err(LedgerError::Invalid(format!("run {run} exists: expected an unused id")));
        }
        let queued = self.roots.get(&tenant).map_or(0, |roots| roots.unended);
        if queued >= self.queues.terms(&tenant).runs_max {
            return Err(LedgerError::QueueFull { queued, retry_after_ms: RETRY_AFTER_MS });
        }
        if let Some(key) = &submission.key {
            let known = Known { digest: submission.digest, run: run.clone() };
            self.changes.key(&tenant, key, &known)?;
            self.keys.insert((tenant.clone(), key.clone()), known);
        }
        let order = self.count();
        let roots = self.roots.entry(tenant.clone()).or_default();
        roots.by_order.insert(order, run.clone());
        roots.unended += 1;
        let head = Head {
            tenant: tenant.clone(),
            parent: None,
            root: run.clone(),
            submitted_at: now,
            order,
            budget: submission.budget,
            label: submission.label,
            traceparent: submission.traceparent,
            key: submission.key,
        };
        let Submission { events, tasks, timers, bodies, .. } = submission;
        self.create(now, &run, head, Start { events, tasks, timers })?;
        self.keep_bodies(store, &tenant, &run, bodies)?;
        Ok(Submitted::New(run))
    }

    fn known(
        &self,
        store: &dyn Store,
        tenant: &TenantId,
        key: Option<&str>,
    ) -> Result<Option<Known>, LedgerError> {
        let Some(key) = key else { return Ok(None) };
        if let Some(known) = self.keys.get(&(tenant.clone(), key.to_owned())) {
            return Ok(Some(known.clone()));
        }
        let row = row::named(Kind::Key, tenant.as_str(), key);
        if self.changes.deletes(&row) {
            return Ok(None);
        }
        let known = store.get(&row)?;
        known.map(|bytes| decode(&bytes)).transpose()
    }

    /// Whether a run of this id exists, or ever existed.
    pub(super) fn is_used(&self, store: &dyn Store, run: &RunId) -> Result<bool, LedgerError> {
        let in_memory = self.runs.contains_key(run);
        Ok(in_memory || store.get(&row::of(Kind::Head, run.as_str()))?.is_some())
    }

    /// Makes a run of what was checked before.
    pub(super) fn create(
        &mut self,
        now: Timestamp,
        id: &RunId,
        head: Head,
        start: Start,
    ) -> Result<(), LedgerError> {
        if let Some(root) = self.runs.get_mut(&head.root) {
            root.pending += 1;
        }
        let run = Run {
            pending: u64::from(head.parent.is_none()),
            head,
            progress: Progress::default(),
            journal: Vec::new(),
            mails: VecDeque::new(),
            tasks: BTreeMap::new(),
            timers: BTreeMap::new(),
            signals: BTreeMap::new(),
            children: BTreeMap::new(),
            bodies: HashSet::default(),
            reserved: Spend::ZERO,
            told_to_stop: false,
            parked: None,
        };
        self.runs.insert(id.clone(), run);
        self.changes.created(id);
        self.changes.run(id);
        self.append(now, id, start.events)?;
        if start.tasks.is_empty() {
            self.ensure_decide(now, id)?;
        }
        self.add_tasks(now, id, start.tasks)?;
        self.set_timers(now, id, start.timers)
    }

    /// Puts events behind a run's journal.
    pub(super) fn append(
        &mut self,
        now: Timestamp,
        id: &RunId,
        events: Vec<Bytes>,
    ) -> Result<(), LedgerError> {
        let Some(run) = self.runs.get_mut(id) else { return Ok(()) };
        self.changes.run(id);
        for event in events {
            run.progress.journal_len += 1;
            let entry = JournalEntry { seq: run.progress.journal_len, at: now, event };
            self.changes.journal(id, &entry)?;
            self.notices.push((id.clone(), Watched::Entry(entry.clone())));
            run.journal.push(entry);
        }
        Ok(())
    }

    pub(super) fn add_tasks(
        &mut self,
        now: Timestamp,
        id: &RunId,
        tasks: Vec<NewTask>,
    ) -> Result<(), LedgerError> {
        for task in tasks {
            let head = TaskHead {
                class: task.class,
                priority: task.priority,
                age: self.count(),
                cost: task.cost,
                reserve: task.reserve,
                payload: task.payload,
                made_at: now,
            };
            self.add_task(&TaskId { run: id.clone(), number: task.number }, head)?;
        }
        Ok(())
    }

    fn add_task(&mut self, id: &TaskId, head: TaskHead) -> Result<(), LedgerError> {
        let Some(run) = self.runs.get_mut(&id.run) else { return Ok(()) };
        run.progress.task_last = run.progress.task_last.max(id.number);
        self.changes.run(&id.run);
        self.changes.task(id);
        self.changes.task_head(id, &head)?;
        let place = (head.priority, head.age);
        self.queues.push(&head.class, &run.head.tenant, place, id.clone(), head.cost);
        let task = Task { head, progress: TaskProgress::default(), lease: None };
        run.tasks.insert(id.number, task);
        Ok(())
    }

    pub(super) fn set_timers(
        &mut self,
        now: Timestamp,
        id: &RunId,
        timers: Vec<NewTimer>,
    ) -> Result<(), LedgerError> {
        let Some(run) = self.runs.get_mut(id) else { return Ok(()) };
        for timer in timers {
            if NewTimer::awaited(&timer.name).is_some_and(|key| run.signals.contains_key(key)) {
                continue;
            }
            let due = now.plus_ms(timer.after_ms);
            self.changes.timer(id, &timer.name, Some(due))?;
            if let Some(earlier) = run.timers.insert(timer.name.clone(), due) {
                self.timers.remove(&(earlier, id.clone(), timer.name.clone()));
            }
            self.timers.insert((due, id.clone(), timer.name));
        }
        Ok(())
    }

    /// Puts a mail into a run's box and sees to it that somebody reads it. A run that has
    /// ended takes no mail.
    pub(super) fn mail(
        &mut self,
        now: Timestamp,
        id: &RunId,
        mail: Mail,
    ) -> Result<(), LedgerError> {
        if self.is_ended(id) {
            return Ok(());
        }
        let Some(run) = self.runs.get_mut(id) else { return Ok(()) };
        run.progress.mail_last += 1;
        let entry = MailEntry { number: run.progress.mail_last, at: now, mail };
        self.changes.run(id);
        self.changes.mail(id, &entry)?;
        run.mails.push_back(entry);
        self.ensure_decide(now, id)
    }

    /// Queues a `decide` task unless one is outstanding.
    pub(super) fn ensure_decide(&mut self, now: Timestamp, id: &RunId) -> Result<(), LedgerError> {
        let Some(run) = self.runs.get(id) else { return Ok(()) };
        let outstanding =
            run.tasks.get(&DECIDE_TASK).is_some_and(|task| task.progress.standing.is_open());
        if outstanding || run.progress.ended.is_some() {
            return Ok(());
        }
        if let Some(run) = self.runs.get_mut(id) {
            run.parked = None;
        }
        let (class, payload) = (Class::decide(), Bytes::new());
        let head = TaskHead {
            class,
            priority: 0,
            age: self.count(),
            cost: 1,
            reserve: Spend::ZERO,
            payload,
            made_at: now,
        };
        self.add_task(&TaskId { run: id.clone(), number: DECIDE_TASK }, head)
    }

    /// See [`crate::Ledger::cancel`].
    pub(crate) fn cancel(
        &mut self,
        store: &dyn Store,
        now: Timestamp,
        id: &RunId,
        reason: &str,
    ) -> Result<Cancelled, LedgerError> {
        let Some(run) = self.run_mut(id) else {
            let known = self.is_used(store, id)?;
            let no_such = || LedgerError::NoSuchRun(id.clone());
            return known.then_some(Cancelled::AlreadyEnded).ok_or_else(no_such);
        };
        if run.progress.ended.is_some() {
            return Ok(Cancelled::AlreadyEnded);
        }
        if run.progress.cancelled {
            return Ok(Cancelled::AlreadyAsked);
        }
        run.progress.cancelled = true;
        self.mail(now, id, Mail::Cancel { reason: reason.to_owned() })?;
        self.wake_below(now, id)?;
        Ok(Cancelled::Asked)
    }

    /// Has every run below decide, since it is told to stop from now on. A run that only
    /// waits for a timer would otherwise learn of it late.
    fn wake_below(&mut self, now: Timestamp, id: &RunId) -> Result<(), LedgerError> {
        for below in self.tree(id).iter().skip(1) {
            self.ensure_decide(now, below)?;
        }
        Ok(())
    }

    /// Ends a run: what waits vanishes, what is leased is told by heartbeat, the parent
    /// gets mail, and the runs below get to know.
    pub(super) fn end(
        &mut self,
        now: Timestamp,
        id: &RunId,
        end: Bytes,
    ) -> Result<(), LedgerError> {
        let Some(run) = self.runs.get_mut(id) else { return Ok(()) };
        self.changes.run(id);
        run.progress.ended = Some((now, end.clone()));
        self.notices.push((id.clone(), Watched::Ended(end.clone())));
        for (name, due) in std::mem::take(&mut run.timers) {
            self.changes.timer(id, &name, None)?;
            self.timers.remove(&(due, id.clone(), name));
        }
        for mail in std::mem::take(&mut run.mails) {
            self.changes.mail_gone(id, mail.number);
        }
        let queued =
            run.tasks.iter().filter(|(_, task)| task.progress.standing == Standing::Queued);
        let queued: Vec<u32> = queued.map(|(number, _)| *number).collect();
        let (parent, root) = (run.head.parent.clone(), run.head.root.clone());
        let (tenant, spend) = (run.head.tenant.clone(), run.progress.spent);
        for number in queued {
            self.vanish(&TaskId { run: id.clone(), number });
        }
        match parent {
            Some((parent, child)) => {
                self.mail(now, &parent, Mail::ChildEnded { child, end, spend })?;
            }
            None => {
                let roots = self.roots.entry(tenant).or_default();
                roots.unended = roots.unended.saturating_sub(1);
            }
        }
        self.wake_below(now, id)?;
        self.settled_one(&root);
        Ok(())
    }

    /// Takes a queued task out for good.
    pub(super) fn vanish(&mut self, id: &TaskId) {
        let Some(run) = self.runs.get(&id.run) else { return };
        let Some(task) = run.tasks.get(&id.number) else { return };
        let place = (task.head.priority, task.head.age);
        self.queues.remove(&task.head.class, &run.head.tenant, place);
        self.finish_task(id, Standing::Gone);
    }

    /// A task is over: all that is kept of it is how it ended.
    pub(super) fn finish_task(&mut self, id: &TaskId, standing: Standing) {
        self.changes.task_head_gone(id);
        if let Some(task) = self.task_mut(id) {
            task.progress.standing = standing;
            task.lease = None;
            task.head.payload = Bytes::new();
        }
    }
}
