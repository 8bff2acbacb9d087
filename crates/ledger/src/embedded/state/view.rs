//! Reading: runs in memory as they are, finished ones from the store.

use super::{Head, Progress, Proof, Run, Standing, State, TaskProgress};
use crate::{
    BATCH_MAX, DECIDE_TASK, END, JournalEntry, LedgerError, MailEntry, Observation, READ_MAX,
    RunSummary, RunView, Token,
    embedded::{
        row::{self, Kind, decode},
        store::Store,
    },
};
use baton_workflow::{BodyRef, RunId, Spend, TaskId, TenantId, Timestamp};
use bytes::Bytes;
use std::collections::BTreeMap;

/// What a watcher is shown at once.
pub(crate) struct Page {
    /// Entries behind the asked-for position, at most [`READ_MAX`].
    pub(crate) entries: Vec<JournalEntry>,
    /// Whether the journal goes on behind them.
    pub(crate) more: bool,
    /// Tasks held at the moment.
    pub(crate) held: Vec<Observation>,
    /// As committed, once the run has ended.
    pub(crate) end: Option<Bytes>,
}

/// A finished run, as it lies in the store.
pub(super) struct Finished {
    head: Head,
    progress: Progress,
}

impl Finished {
    pub(super) fn into_parts(self) -> (Head, Progress) {
        (self.head, self.progress)
    }
}

impl State {
    /// See [`crate::Ledger::read`].
    pub(crate) fn read(
        &self,
        store: &dyn Store,
        now: Timestamp,
        id: &RunId,
        from: u64,
    ) -> Result<RunView, LedgerError> {
        match self.run(id) {
            Some(run) => Ok(self.present(now, id, run, from)),
            None => read_finished(store, now, id, from),
        }
    }

    /// A run in memory, as it is now.
    pub(super) fn present(&self, now: Timestamp, id: &RunId, run: &Run, from: u64) -> RunView {
        let root = self.run(&run.head.root).unwrap_or(run);
        RunView {
            entries: entries(&run.journal, from),
            mails: run.mails.iter().take(BATCH_MAX).cloned().collect::<Vec<MailEntry>>(),
            cancelled: self.is_cancelled(id),
            root_reserved: root.reserved,
            ..view(now, &run.head, &run.progress, root.progress.spent)
        }
    }

    /// What a watcher is shown before whatever comes.
    pub(crate) fn page(
        &self,
        store: &dyn Store,
        id: &RunId,
        from: u64,
    ) -> Result<Page, LedgerError> {
        let Some(run) = self.run(id) else {
            let finished = finished(store, id)?;
            let entries = journal(store, id, from)?;
            let seen = entries.last().map_or(from, |entry| entry.seq);
            return Ok(Page {
                more: seen < finished.progress.journal_len,
                entries,
                held: Vec::new(),
                end: finished.progress.ended.map(|(_, end)| end),
            });
        };
        let entries = entries(&run.journal, from);
        let seen = entries.last().map_or(from, |entry| entry.seq);
        let tasks = run.tasks.iter().filter(|_| from != END);
        let held = tasks.filter_map(|(number, task)| {
            let lease = task.lease.as_ref()?;
            Some(Observation::Leased {
                task: *number,
                class: task.head.class.clone(),
                attempt: task.progress.attempt,
                holder: lease.holder.clone(),
            })
        });
        Ok(Page {
            more: seen < run.progress.journal_len,
            entries,
            held: held.collect(),
            end: run.progress.ended.clone().map(|(_, end)| end),
        })
    }

    /// See [`crate::Ledger::list`].
    pub(crate) fn list(
        &self,
        store: &dyn Store,
        tenant: &TenantId,
        limit: usize,
        before: Option<&RunId>,
    ) -> Result<Vec<RunSummary>, LedgerError> {
        let until = match before {
            None => u64::MAX,
            Some(id) => self.order(store, tenant, id)?,
        };
        let mut found = BTreeMap::new();
        if let Some(roots) = self.roots.get(tenant) {
            let in_memory = roots.by_order.range(..until).rev().take(limit);
            found.extend(in_memory.map(|(order, id)| (*order, id.clone())));
        }
        let prefix = row::of(Kind::Root, tenant.as_str());
        for (key, id) in store.before(&prefix, &row::root(tenant, until), limit)? {
            found.insert(row::number_of(&key)?, decode(&id)?);
        }
        let newest = found.into_values().rev().take(limit);
        newest.map(|id| self.summary(store, id)).collect()
    }

    /// The place of a tenant's root run in lists.
    fn order(&self, store: &dyn Store, tenant: &TenantId, id: &RunId) -> Result<u64, LedgerError> {
        let (theirs, parent, order) = match self.run(id) {
            Some(run) => (run.head.tenant.clone(), run.head.parent.clone(), run.head.order),
            None => {
                let head = finished(store, id)?.head;
                (head.tenant, head.parent, head.order)
            }
        };
        if theirs != *tenant || parent.is_some() {
            return Err(LedgerError::NoSuchRun(id.clone()));
        }
        Ok(order)
    }

    fn summary(&self, store: &dyn Store, id: RunId) -> Result<RunSummary, LedgerError> {
        let (head, progress) = match self.run(&id) {
            Some(run) => (run.head.clone(), run.progress.clone()),
            None => {
                let Finished { head, progress } = finished(store, &id)?;
                (head, progress)
            }
        };
        let (ended_at, end) = progress.ended.unzip();
        Ok(RunSummary {
            run: id,
            submitted_at: head.submitted_at,
            ended_at,
            label: head.label,
            end,
            spent: progress.spent,
        })
    }

    /// See [`crate::Ledger::body`].
    pub(crate) fn body(
        &self,
        store: &dyn Store,
        tenant: &TenantId,
        body: &BodyRef,
    ) -> Result<Bytes, LedgerError> {
        if let Some(bytes) = self.changes.fresh_body(tenant, body) {
            return Ok(bytes);
        }
        let bytes = store.get(&row::named(Kind::Body, tenant.as_str(), &body.hash))?;
        let right = bytes.filter(|bytes| u32::try_from(bytes.len()) == Ok(body.len));
        right.ok_or_else(|| LedgerError::NoSuchBody(body.hash.to_string()))
    }
}

/// How a token stands to a task of a finished run.
pub(super) fn finished_proof(
    store: &dyn Store,
    id: &TaskId,
    token: &Token,
) -> Result<Proof, LedgerError> {
    if id.number == DECIDE_TASK {
        let progress = store.get(&row::of(Kind::Finished, id.run.as_str()))?;
        let progress: Option<Progress> = progress.map(|bytes| decode(&bytes)).transpose()?;
        let last = progress.and_then(|progress| progress.committed);
        return Ok(if last.as_ref() == Some(token) { Proof::Finished } else { Proof::Stale });
    }
    let task = store.get(&row::numbered(Kind::Task, &id.run, id.number.into()))?;
    let task: Option<TaskProgress> = task.map(|bytes| decode(&bytes)).transpose()?;
    Ok(task.map_or(Standing::Gone, |task| task.standing).proof(token))
}

pub(super) fn finished(store: &dyn Store, id: &RunId) -> Result<Finished, LedgerError> {
    let no_such = || LedgerError::NoSuchRun(id.clone());
    let head = store.get(&row::of(Kind::Head, id.as_str()))?.ok_or_else(no_such)?;
    let progress = store.get(&row::of(Kind::Finished, id.as_str()))?.ok_or_else(no_such)?;
    Ok(Finished { head: decode(&head)?, progress: decode(&progress)? })
}

fn read_finished(
    store: &dyn Store,
    now: Timestamp,
    id: &RunId,
    from: u64,
) -> Result<RunView, LedgerError> {
    let Finished { head, progress } = finished(store, id)?;
    let root_spent = match head.root == *id {
        true => progress.spent,
        false => finished(store, &head.root)?.progress.spent,
    };
    // In a finished tree every ancestor has ended.
    let cancelled = progress.cancelled || head.parent.is_some();
    Ok(RunView {
        entries: journal(store, id, from)?,
        cancelled,
        ..view(now, &head, &progress, root_spent)
    })
}

/// What stands in the rows of a run; the rest is empty.
fn view(now: Timestamp, head: &Head, progress: &Progress, root_spent: Spend) -> RunView {
    RunView {
        tenant: head.tenant.clone(),
        root: head.root.clone(),
        submitted_at: head.submitted_at,
        now,
        entries: Vec::new(),
        journal_len: progress.journal_len,
        mails: Vec::new(),
        cancelled: false,
        end: progress.ended.clone().map(|(_, end)| end),
        spent: progress.spent,
        budget: head.budget,
        root_spent,
        root_reserved: Spend::ZERO,
        label: head.label.clone(),
        traceparent: head.traceparent.clone(),
    }
}

/// Entries behind a position. An entry's place is its number less one.
fn entries(journal: &[JournalEntry], from: u64) -> Vec<JournalEntry> {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    journal.iter().skip(from).take(READ_MAX).cloned().collect()
}

fn journal(store: &dyn Store, id: &RunId, from: u64) -> Result<Vec<JournalEntry>, LedgerError> {
    let prefix = row::of(Kind::Journal, id.as_str());
    let rows = store.behind(&prefix, &row::numbered(Kind::Journal, id, from), READ_MAX)?;
    rows.into_iter().map(|(_, bytes)| decode(&bytes)).collect()
}
