//! Which rows a batch of operations changed, and what is in them.
//!
//! Runs and tasks are noted by name and written once, as they are at the end of the
//! batch; what is only ever added is kept as it came.

use super::{State, retain::ended_at};
use crate::{
    Body, DECIDE_TASK, JournalEntry, LedgerError, MailEntry,
    embedded::row::{self, Change, Kind, Known, Row, encode},
};
use baton_workflow::{BodyRef, RunId, TaskId, TenantId, Timestamp};
use bytes::Bytes;
use foldhash::{HashMap, HashSet};
use std::collections::{BTreeMap, BTreeSet};

/// What changed since the last write.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    runs: HashSet<RunId>,
    created: HashSet<RunId>,
    tasks: HashSet<TaskId>,
    tenants: BTreeSet<TenantId>,
    finished: BTreeSet<RunId>,
    totals: bool,
    kept: BTreeSet<TenantId>,
    deleted: HashSet<RunId>,
    /// Bodies that the store does not have yet.
    bodies: HashMap<(TenantId, BodyRef), Bytes>,
    /// Everything else, in its final form.
    rows: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

impl Changes {
    pub(super) fn run(&mut self, run: &RunId) {
        self.runs.insert(run.clone());
    }
    pub(super) fn created(&mut self, run: &RunId) {
        self.created.insert(run.clone());
    }
    /// A `decide` task has no rows: that a run has to decide is seen from the rest of it
    /// (see [`State::load`]).
    pub(super) fn task(&mut self, task: &TaskId) {
        if task.number != DECIDE_TASK {
            self.tasks.insert(task.clone());
        }
    }
    pub(super) fn tenant(&mut self, tenant: &TenantId) {
        self.tenants.insert(tenant.clone());
    }
    pub(super) fn finished(&mut self, root: &RunId) {
        self.finished.insert(root.clone());
    }
    pub(super) fn body(&mut self, tenant: &TenantId, body: Body) {
        self.bodies.insert((tenant.clone(), body.name), body.bytes);
    }
    pub(super) fn has_body(&self, tenant: &TenantId, name: &BodyRef) -> bool {
        self.bodies.contains_key(&(tenant.clone(), name.clone()))
    }
    pub(super) fn kept(&mut self, tenant: &TenantId) {
        self.kept.insert(tenant.clone());
    }
    pub(super) fn deleted(&mut self, root: &RunId) {
        self.deleted.insert(root.clone());
    }
    pub(super) fn is_deleted(&self, root: &RunId) -> bool {
        self.deleted.contains(root)
    }

    /// A row in its final form.
    pub(super) fn put<T: Row>(&mut self, key: Vec<u8>, row: &T) -> Result<(), LedgerError> {
        self.rows.insert(key, Some(encode(row)?));
        Ok(())
    }
    /// A row that shall not be there any more.
    pub(super) fn delete(&mut self, key: Vec<u8>) {
        self.rows.insert(key, None);
    }
    /// What a row will be, if it is one that this batch changes; none where it is deleted.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<&[u8]>> {
        self.rows.get(key).map(Option::as_deref)
    }
    pub(super) fn deletes(&self, key: &[u8]) -> bool {
        self.get(key) == Some(None)
    }
    pub(super) fn totals(&mut self) {
        self.totals = true;
    }
    pub(super) fn fresh_body(&self, tenant: &TenantId, body: &BodyRef) -> Option<Bytes> {
        self.bodies.get(&(tenant.clone(), body.clone())).cloned()
    }

    pub(super) fn key(
        &mut self,
        tenant: &TenantId,
        key: &str,
        known: &Known,
    ) -> Result<(), LedgerError> {
        self.rows.insert(row::named(Kind::Key, tenant.as_str(), key), Some(encode(known)?));
        Ok(())
    }
    pub(super) fn journal(&mut self, run: &RunId, entry: &JournalEntry) -> Result<(), LedgerError> {
        self.rows.insert(row::numbered(Kind::Journal, run, entry.seq), Some(encode(entry)?));
        Ok(())
    }
    pub(super) fn mail(&mut self, run: &RunId, mail: &MailEntry) -> Result<(), LedgerError> {
        self.rows.insert(row::numbered(Kind::Mail, run, mail.number), Some(encode(mail)?));
        Ok(())
    }
    pub(super) fn mail_gone(&mut self, run: &RunId, number: u64) {
        self.rows.insert(row::numbered(Kind::Mail, run, number), None);
    }
    pub(super) fn timer(
        &mut self,
        run: &RunId,
        name: &str,
        due: Option<Timestamp>,
    ) -> Result<(), LedgerError> {
        let value = due.as_ref().map(encode).transpose()?;
        self.rows.insert(row::named(Kind::Timer, run.as_str(), name), value);
        Ok(())
    }

    pub(super) fn signal(&mut self, run: &RunId, key: &str, came: bool) -> Result<(), LedgerError> {
        self.rows.insert(row::named(Kind::Signal, run.as_str(), key), Some(encode(&came)?));
        Ok(())
    }

    pub(super) fn task_head_gone(&mut self, task: &TaskId) {
        if task.number == DECIDE_TASK {
            return;
        }
        self.rows.insert(row::numbered(Kind::TaskHead, &task.run, task.number.into()), None);
    }
    pub(super) fn task_head(
        &mut self,
        task: &TaskId,
        head: &super::TaskHead,
    ) -> Result<(), LedgerError> {
        if task.number != DECIDE_TASK {
            let key = row::numbered(Kind::TaskHead, &task.run, task.number.into());
            self.rows.insert(key, Some(encode(head)?));
        }
        Ok(())
    }
}

impl State {
    /// The rows that changed since the last call, as they are now. Trees that are
    /// finished move to where finished ones lie; [`State::forget_finished`] drops them.
    pub(crate) fn take_rows(&mut self) -> Result<(Vec<Change>, Vec<RunId>), LedgerError> {
        let mut changes = std::mem::take(&mut self.changes);
        let mut out: Vec<Change> = std::mem::take(&mut changes.rows).into_iter().collect();
        for tenant in &changes.tenants {
            let terms = encode(&self.queues.terms(tenant))?;
            out.push((row::of(Kind::Tenant, tenant.as_str()), Some(terms)));
        }
        for ((tenant, body), bytes) in std::mem::take(&mut changes.bodies) {
            out.push((row::named(Kind::Body, tenant.as_str(), &body.hash), Some(bytes.to_vec())));
        }
        for id in &changes.created {
            let Some(run) = self.run(id) else { continue };
            out.push((row::of(Kind::Head, id.as_str()), Some(encode(&run.head)?)));
            if run.head.parent.is_none() {
                let key = row::root(&run.head.tenant, run.head.order);
                out.push((key, Some(encode(id)?)));
            }
        }
        for id in &changes.tasks {
            let Some(task) = self.task(id) else { continue };
            let key = row::numbered(Kind::Task, &id.run, id.number.into());
            out.push((key, Some(encode(&task.progress)?)));
        }
        let finished: HashSet<RunId> =
            changes.finished.iter().flat_map(|root| self.tree(root)).collect();
        for id in changes.runs.difference(&finished) {
            let Some(run) = self.run(id) else { continue };
            out.push((row::of(Kind::Live, id.as_str()), Some(encode(&run.progress)?)));
        }
        for id in &finished {
            let Some(run) = self.run(id) else { continue };
            out.push((row::of(Kind::Live, id.as_str()), None));
            out.push((row::of(Kind::Finished, id.as_str()), Some(encode(&run.progress)?)));
        }
        self.over(&mut changes, &mut out)?;
        if changes.totals {
            out.push((row::TOTALS.to_vec(), Some(encode(&self.totals)?)));
        }
        Ok((out, finished.into_iter().collect()))
    }

    /// Notes which root runs are finished, and how many each tenant has.
    fn over(&mut self, changes: &mut Changes, out: &mut Vec<Change>) -> Result<(), LedgerError> {
        for root in &changes.finished {
            let Some(run) = self.run(root) else { continue };
            let (tenant, ended_at) = (run.head.tenant.clone(), ended_at(&run.progress));
            out.push((row::over(ended_at, root), Some(encode(root)?)));
            *self.finished.entry(tenant.clone()).or_default() += 1;
            changes.kept.insert(tenant);
        }
        for tenant in &changes.kept {
            let count = self.finished.get(tenant).copied().unwrap_or(0);
            let value = if count == 0 { None } else { Some(encode(&count)?) };
            out.push((row::of(Kind::Kept, tenant.as_str()), value));
        }
        Ok(())
    }

    /// Drops runs that are durably where finished ones lie.
    pub(crate) fn forget_finished(&mut self, finished: Vec<RunId>) {
        for id in finished {
            let Some(run) = self.runs.remove(&id) else { continue };
            if let Some(key) = run.head.key {
                self.keys.remove(&(run.head.tenant.clone(), key));
            }
            if let Some(roots) = self.roots.get_mut(&run.head.tenant) {
                roots.by_order.remove(&run.head.order);
            }
        }
    }

    /// A run and all below it.
    pub(super) fn tree(&self, root: &RunId) -> Vec<RunId> {
        let mut tree = vec![root.clone()];
        let mut at = 0;
        while let Some(id) = tree.get(at) {
            let below: Option<Vec<_>> =
                self.run(id).map(|run| run.children.values().cloned().collect());
            tree.extend(below.unwrap_or_default());
            at += 1;
        }
        tree
    }
}
